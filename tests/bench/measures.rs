//! The measurements, in the order in which the table shows them.

mod cascading;
mod choosing;
mod crowding;
mod deciding;
mod ending;
mod following;
mod idling;
mod launching;
mod looping;
mod memory;
mod nodes;
mod output;
mod paging;
mod parsing;
mod starting;
mod status;
mod storing;
mod subscribing;

use crate::Failure;
use crate::figures::Figure;
use std::path::Path;

/// Names of the measurements, each with its value.
pub(crate) type Found = Vec<(Figure, f64)>;

/// Function that performs one measurement and returns the values of one or more figures.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn(&Path, bool) -> Result<Found, Failure>,
}

/// All measurements.
pub(crate) const ALL: [Measure; 24] = [
    measure("run-empty", "run -b as a whole command", launching::empty),
    measure("run-full", "the same with 100,000 finished records", launching::full),
    measure("first-act", "from the call until the child's first act", launching::first_act),
    measure("loop-cli", "1,000 launches by 1,000 clients, until all have ended", looping::clients),
    measure("loop-http", "1,000 launches on one connection, until all have ended", looping::connection),
    measure("wait", "from a child's exit until wait returns", ending::wait),
    measure("crowd", "launches and waits during 1,000 other waits", crowding::waits),
    measure("text", "the start and the end of 1 GiB of output, under a budget", output::text),
    measure("status", "status as a whole command with 10,000 records", status::whole),
    measure("output", "1 GiB of output", output::gibibyte),
    measure("parsing", "1 GiB of output with a search, compared with no search", parsing::ratios),
    measure("memory", "resident memory of the manager, private memory per running process", memory::all),
    measure("follow", "from a written line until logs -f shows it", following::lines),
    measure("idle", "wake-ups of the manager with 20 sleepers", idling::wakeups),
    measure("start", "start of the manager with 10,000 records, 100 of them live", starting::crowded),
    measure("decide", "decisions of the domain on one core", deciding::decisions),
    measure("store-memory", "commits of the store in memory, with 100,000 records", storing::memory),
    measure("store-sqlite", "durable commits of the store in a database, 16 writers", storing::sqlite),
    measure("store-fs", "durable commits of the store in files, 16 writers", storing::files),
    measure("choose", "claims among 100,000 waiters of 1,000 keys", choosing::claims),
    measure("page", "pages of 50 of a database with 1,000,000 records", paging::pages),
    measure("cascade", "from a cancel until 1,000 descendants have exited", cascading::descendants),
    measure("nodes", "a cancel and an end, from one node to another on one Redis", nodes::across),
    measure("subscribe", "launches with bad subscribers, compared with none", subscribing::launches),
];

/// Returns the measurements whose name starts with `only`, or all measurements if `only` is `None`.
pub(crate) fn chosen(only: Option<&str>) -> Result<Vec<&'static Measure>, Failure> {
    static MEASURES: [Measure; 24] = ALL;
    let chosen: Vec<&Measure> =
        MEASURES.iter().filter(|measure| only.is_none_or(|only| measure.name.starts_with(only))).collect();
    if chosen.is_empty() {
        return Err(format!("there is no measurement {:?}: see --list", only.unwrap_or_default()).into());
    }
    Ok(chosen)
}

const fn measure(
    name: &'static str,
    what: &'static str,
    run: fn(&Path, bool) -> Result<Found, Failure>,
) -> Measure {
    Measure { name, what, run }
}
