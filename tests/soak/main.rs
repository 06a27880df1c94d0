//! One node over a long time: two hundred live processes, while managers, shims and clients are killed.
//!
//! In the first two thirds, the manager is killed at random moments, also during its startup; shims are killed while
//! a manager runs and while none does; clients are killed during their requests. In the last third, one manager keeps
//! running under the same load, so that leaks add up. Then all work ends, and the results are checked against the
//! promises: the records, the answers that clients got, a journal to which the commands wrote, and what is left on
//! the machine.
//!
//! `LONGHAUL_SOAK_SECONDS` sets the duration, `LONGHAUL_SOAK_SEED` the random numbers. A seed repeats the plan of a
//! run and not its exact course, which depends on timing.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]
#![expect(clippy::print_stdout, reason = "the figures are the result of a long run")]

mod clients;
mod faults;
mod journal;
mod leaks;
mod ledger;
mod manager;
mod run_directory;
mod settling;
mod truth;

use clients::Clients;
use faults::FaultInjector;
use leaks::Before;
use longhaul_tests::{Chance, Findings, Owner, fresh_seed, wanted};
use run_directory::RunDirectory;
use std::time::{Duration, Instant};

/// Default duration of a run, in seconds.
const SECONDS: u64 = 45;

#[test]
fn work_outlives_every_kill_and_leaves_nothing_behind() {
    let seconds = wanted("LONGHAUL_SOAK_SECONDS").unwrap_or(SECONDS);
    let seed = wanted("LONGHAUL_SOAK_SEED").unwrap_or_else(fresh_seed);
    println!("soak: seed {seed}, {seconds} s");
    let mut chance = Chance::seeded(seed);
    let folder = tempfile::Builder::new().prefix("lh-soak-").tempdir().unwrap();
    let run_directory = RunDirectory::below(folder.path(), Owner::of_run(seed));
    let mut injector = FaultInjector::new(&run_directory, chance.fork());
    injector.until_it_answers();
    let before = Before::look(injector.manager());
    let clients = Clients::start(&run_directory, &mut chance);

    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) * 2 / 3 {
        injector.step();
    }
    injector.let_the_manager_live();
    let early = leaks::resident(injector.manager());
    while begun.elapsed() < Duration::from_secs(seconds) {
        injector.step();
    }
    let late = leaks::resident(injector.manager());
    let ledger = clients.stop();

    let mut findings = Findings::default();
    let settled = settling::settle(&run_directory, &mut findings);
    let tally = truth::check(&ledger, &settled, &injector, &run_directory, &mut findings);
    before.check(&run_directory, injector.manager(), (early, late), &settled, &injector, &mut findings);
    println!("{}\n{tally}\nresident {} to {} KiB", injector.past(), early, late);
    drop(injector);
    if !findings.is_empty() {
        let kept = folder.keep();
        panic!("seed {seed}, the files of the run are in {}:\n{findings}", kept.display());
    }
}
