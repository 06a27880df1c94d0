//! The phase after the last fault: every process ends, and its end is recorded.

use crate::run_directory::RunDirectory;
use longhaul_tests::Findings;
use longhaul_tests::ask::{ask, list};
use longhaul_wire::api::ProcessView;
use serde_json::json;
use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time that live processes have to end by themselves before they are cancelled.
const DRAIN: Duration = Duration::from_secs(6);
/// Time limit for all cancelled processes to end.
const END: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(30);

/// The records at the end of a run.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The records, by process id.
    pub(crate) records: BTreeMap<String, ProcessView>,
    /// The ids of the processes that the test cancelled at the end of the run.
    pub(crate) dismissed: Vec<String>,
}

pub(crate) fn settle(run_directory: &RunDirectory, findings: &mut Findings) -> Settled {
    let mut settled = Settled::default();
    let socket = run_directory.socket();
    let begun = Instant::now();
    while begun.elapsed() < DRAIN && !list(&socket, "live=true", TIMEOUT).is_some_and(|live| live.is_empty())
    {
        sleep(Duration::from_millis(100));
    }
    let begun = Instant::now();
    loop {
        let live = list(&socket, "live=true", TIMEOUT);
        if live.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
        if begun.elapsed() > END {
            for process in live.iter().flatten().take(5) {
                findings.note(format_args!("{} is {} and does not end", process.id, process.status));
            }
            break;
        }
        for process in live.into_iter().flatten() {
            if !settled.dismissed.contains(&process.id) {
                let path = format!("/v1/processes/{}/cancel", process.id);
                let _ = ask(&socket, "POST", &path, &json!({ "force": true }), TIMEOUT);
                settled.dismissed.push(process.id);
            }
        }
        sleep(Duration::from_millis(100));
    }
    match list(&socket, "all=true", TIMEOUT) {
        Some(all) => settled.records = all.into_iter().map(|view| (view.id.clone(), view)).collect(),
        None => findings.note("the records cannot be listed"),
    }
    settled
}
