//! The command `longhaul doctor`: checks the installation, explains problems and gives advice.

mod bundle;
mod check;
mod limits;
mod machine;
mod records;
mod shim;

pub(crate) use bundle::DiagnosticsBundle;
pub(crate) use check::{CheckResult, DoctorCheck, DoctorReport, amount};

use crate::compose::{host_check, postgres, redis_check};
use crate::config::{ConfigSources, Flags, ManagerConfig, StoreChoice};
use crate::failure::ProgramError;
use crate::store_mark;
use crate::stores::Stores;
use longhaul_client::ManagerLocator;
use longhaul_client::StateDir;
use std::path::Path;

/// Results of all checks, as a report with its severity.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    /// Report to print, in the text or JSON format.
    pub(crate) text: String,
    /// Most severe result of all checks.
    pub(crate) health: CheckResult,
}

/// Checks all files, programs and servers that a manager of this state directory needs, whether or not a manager is
/// running. The checks start no program, and neither create nor change a file.
pub(crate) fn doctor(
    state_dir: &Path,
    flags: Flags,
    stores: &Stores,
    place: &ManagerLocator,
    json: bool,
) -> Result<Diagnosis, ProgramError> {
    let sources = ConfigSources::of(state_dir, flags);
    let settings = sources.read().and_then(|layers| ManagerConfig::knowing(&layers, state_dir, stores));
    let mut checks = vec![machine::configuration(&sources, settings.as_ref().err())];
    checks.push(machine::state_dir(state_dir));
    let configured = settings.as_ref().ok();
    if let Some(settings) = configured {
        checks.extend(settings.failure_rules.fault().map(machine::failure_rules));
        checks.push(shim::shim(settings));
    }
    checks.extend(host_check::of_names(state_dir).ok().flatten());
    checks.push(machine::socket(&place.socket));
    let (manager, is_managed) = machine::manager(place, configured.map(|settings| &settings.store));
    // If the manager did not respond to the first request, further requests are skipped, because each of them would
    // wait for its full timeout.
    let answers = is_managed && !manager.is_problem();
    let stores = match configured {
        Some(settings) => store(state_dir, settings, stores, is_managed)?,
        None => Vec::new(),
    };
    let clock = host_check::of_clock(state_dir);
    let all = checks.iter().chain(&stores).chain([&clock]);
    let obstacles: Vec<&str> = all.filter_map(DoctorCheck::as_obstacle).collect();
    checks.push(if is_managed { manager } else { machine::kept_away(manager, &obstacles) });
    checks.extend(answers.then(|| records::records(place)).into_iter().flatten());
    checks.extend(stores);
    checks.extend(host_check::of_environments(state_dir));
    checks.extend(configured.map(host_check::of_containment));
    checks.push(limits::limits());
    checks.push(clock);
    let attempts = host_check::attempts(state_dir);
    checks.push(host_check::of_orphans(state_dir, &attempts, is_managed));
    if let Ok(attempts) = &attempts {
        checks.extend(host_check::of_supervisors(attempts));
        checks.extend(answers.then(|| records::unrecorded(place, &attempts.supervised)).flatten());
    }
    let report = DoctorReport::of(checks);
    let text = if json { report.json() } else { report.text() };
    Ok(Diagnosis { text, health: report.health() })
}

fn store(
    state_dir: &Path,
    settings: &ManagerConfig,
    stores: &Stores,
    is_managed: bool,
) -> Result<Vec<DoctorCheck>, ProgramError> {
    let choice = &settings.store;
    if let Some(lost) = StateDir::find(state_dir).ok().and_then(|state| store_mark::lost(&state, choice)) {
        return Ok(vec![
            DoctorCheck::obstacle("store", lost.to_string()).because(lost.why()).so(lost.help()),
        ]);
    }
    match choice {
        StoreChoice::Other(url) => {
            // A store may block the thread that opens it while it waits for its own tasks. The runtime therefore has a
            // second thread for these tasks.
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .map_err(|source| ProgramError::System { tried: "start the async runtime", source })?;
            let checks = if redis_check::knows(url) {
                let mut checks = vec![DoctorCheck::ok("store", choice.to_string())];
                checks.extend(runtime.block_on(redis_check::checks(settings, url)));
                checks
            } else {
                let mut checks = vec![runtime.block_on(host_check::of_added(state_dir, choice, url, stores))];
                checks.extend(runtime.block_on(postgres::checks(settings, url)));
                checks
            };
            // A name lookup may block long after its timeout, so the shutdown of the runtime does not wait for it.
            runtime.shutdown_background();
            Ok(checks)
        }
        StoreChoice::Memory => {
            let check = DoctorCheck::ok("store", choice.to_string());
            Ok(vec![check.because("an in-memory store loses its data when the manager ends")])
        }
        StoreChoice::Sqlite(path) => Ok(vec![host_check::of_database(path)]),
        StoreChoice::Fs(path) => Ok(vec![host_check::of_files(path, choice, is_managed)]),
    }
}
