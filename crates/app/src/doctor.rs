//! `longhaul doctor`: whether all is in order, what it means if not, and what to do.

mod bundle;
mod check;
mod limits;
mod machine;
mod records;
mod shim;

pub(crate) use bundle::Bundle;
pub(crate) use check::{Check, Health, Report, amount};

use crate::compose::{examined, surveyed};
use crate::config::{Flags, Settings, Sources, StoreChoice};
use crate::failure::Failure;
use crate::state_dir::StateDir;
use crate::store_mark;
use crate::stores::Stores;
use longhaul_cli::Place;
use std::path::Path;

/// What a look at everything comes to.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    /// What is printed.
    pub(crate) text: String,
    /// The worst of it.
    pub(crate) health: Health,
}

/// Looks at everything that a manager of this state directory depends on, whether one runs or not. Nothing is started,
/// founded or changed.
pub(crate) fn doctor(
    state_dir: &Path,
    flags: Flags,
    stores: &Stores,
    place: &Place,
    json: bool,
) -> Result<Diagnosis, Failure> {
    let sources = Sources::of(state_dir, flags);
    let settings = sources.read().and_then(|layers| Settings::knowing(&layers, state_dir, stores));
    let mut checks = vec![machine::configuration(&sources, settings.as_ref().err())];
    checks.push(machine::state_dir(state_dir));
    let configured = settings.as_ref().ok();
    if let Some(settings) = configured {
        checks.push(shim::shim(settings));
    }
    checks.extend(surveyed::of_names(state_dir).ok().flatten());
    checks.push(machine::socket(&place.socket));
    let (manager, is_managed) = machine::manager(place, configured.map(|settings| &settings.store));
    // What a manager that does not answer knows is not asked for again and again.
    let answers = is_managed && !manager.is_problem();
    let stores = match configured {
        Some(settings) => store(state_dir, settings, stores, is_managed)?,
        None => Vec::new(),
    };
    let clock = surveyed::of_clock(state_dir);
    let all = checks.iter().chain(&stores).chain([&clock]);
    let obstacles: Vec<&str> = all.filter_map(Check::as_obstacle).collect();
    checks.push(if is_managed { manager } else { machine::kept_away(manager, &obstacles) });
    checks.extend(answers.then(|| records::records(place)).flatten());
    checks.extend(stores);
    checks.extend(surveyed::of_vault(state_dir));
    checks.extend(configured.map(surveyed::of_containment));
    checks.push(limits::limits());
    checks.push(clock);
    let attempts = surveyed::attempts(state_dir);
    checks.push(surveyed::of_orphans(state_dir, &attempts, is_managed));
    if let Ok(attempts) = &attempts {
        checks.extend(surveyed::of_supervisors(attempts));
        checks.extend(answers.then(|| records::unrecorded(place, &attempts.supervised)).flatten());
    }
    let report = Report::of(checks);
    let text = if json { report.json() } else { report.text() };
    Ok(Diagnosis { text, health: report.health() })
}

fn store(
    state_dir: &Path,
    settings: &Settings,
    stores: &Stores,
    is_managed: bool,
) -> Result<Vec<Check>, Failure> {
    let choice = &settings.store;
    if let Some(lost) = StateDir::find(state_dir).ok().and_then(|state| store_mark::lost(&state, choice)) {
        return Ok(vec![Check::obstacle("store", lost.to_string()).because(lost.why()).so(lost.help())]);
    }
    match choice {
        StoreChoice::Other(url) => {
            // A store may block the thread that it is opened on, and wait for tasks of its own.
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .map_err(|source| Failure::System { tried: "start its runtime", source })?;
            let checks = if examined::knows(url) {
                let mut checks = vec![Check::ok("store", choice.to_string())];
                checks.extend(runtime.block_on(examined::checks(settings, url)));
                checks
            } else {
                vec![runtime.block_on(surveyed::of_added(state_dir, choice, url, stores))]
            };
            // Looking up a name may take long after nobody waits for it any more.
            runtime.shutdown_background();
            Ok(checks)
        }
        StoreChoice::Memory => {
            let check = Check::ok("store", choice.to_string());
            Ok(vec![check.because("what is kept there is forgotten when the manager ends")])
        }
        StoreChoice::Sqlite(path) => Ok(vec![surveyed::of_database(path)]),
        StoreChoice::Fs(path) => Ok(vec![surveyed::of_files(path, choice, is_managed)]),
    }
}
