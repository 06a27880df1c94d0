//! Checks that every acknowledged process exists and ended one time.

use crate::client::{Acknowledged, Launch, Ledger};
use longhaul_tests::Findings;
use longhaul_tests::ask::list;
use longhaul_wire::api::ProcessView;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time limit for running commands to end and for their ends to be recorded.
const ENDING: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(15);

/// Number of acknowledged launches, and of those whose process exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) acknowledged: usize,
    pub(crate) present: usize,
    /// Number of launches that created two processes, because they were repeated after their launch key was lost.
    pub(crate) again: usize,
}

/// Expected durability of the launch keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    Kept,
    /// Launch keys of unacknowledged launches may be lost with the primary.
    MayBeLost,
}

/// Returns the number of commands that have started, according to the journal.
pub(crate) fn begun(journal: &Path) -> usize {
    let written = std::fs::read_to_string(journal).unwrap_or_default();
    written.lines().filter(|line| line.contains(" start ")).count()
}

/// Waits until no command is running. Then compares the records and the journal with the launches.
pub(crate) fn check(
    ledger: &Ledger,
    socket: &Path,
    journal: &Path,
    keys: Keys,
    findings: &mut Findings,
) -> Count {
    let begun = Instant::now();
    let mut records = Vec::new();
    loop {
        if let Some(all) = list(socket, "all=true", TIMEOUT) {
            records = all;
            let is_missing = |id: &str| !records.iter().any(|view| view.id == id);
            let missing = ledger.launches.values().filter_map(|launch| launch.acknowledged.as_ref());
            let is_settled = !missing.into_iter().any(|launch| is_missing(&launch.id));
            if is_settled && !records.iter().any(is_live) {
                break;
            }
        }
        if begun.elapsed() > ENDING {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut by_key: BTreeMap<&str, Vec<&ProcessView>> = BTreeMap::new();
    for view in &records {
        by_key.entry(view.launch_key.as_deref().unwrap_or_default()).or_default().push(view);
    }
    let written = std::fs::read_to_string(journal).unwrap_or_default();
    let mut count = Count { acknowledged: 0, present: 0, again: 0 };
    for (key, launch) in &ledger.launches {
        let found = by_key.remove(key.as_str()).unwrap_or_default();
        let ids: Vec<&str> = found.iter().map(|view| view.id.as_str()).collect();
        let Some(Acknowledged { id, .. }) = &launch.acknowledged else {
            findings.note(format_args!("the launch {key} was never acknowledged, and the store has {ids:?}"));
            continue;
        };
        count.acknowledged += 1;
        count.present += usize::from(ids.contains(&id.as_str()));
        // A repeated launch may have created a second process if the launch key of its unacknowledged first request was
        // lost.
        if found.len() > 1 && launch.in_doubt && keys == Keys::MayBeLost {
            count.again += 1;
        } else if ids != [id] {
            findings
                .note(format_args!("the launch {key} was acknowledged as {id}, and the store has {ids:?}"));
        }
        for view in found {
            check_end(key, launch, view, &written, findings);
        }
        for line in written.lines().filter(|line| line.ends_with(&format!(" {key}"))) {
            if !ids.iter().any(|id| line.starts_with(id)) {
                findings.note(format_args!(
                    "the store has the launch {key} as {ids:?}, and the journal also has {line:?}"
                ));
            }
        }
    }
    for (key, found) in by_key {
        findings.note(format_args!("no client launched {key:?}: {found:?}"));
    }
    count
}

/// Checks that a process ended as expected, and ran one time.
fn check_end(key: &str, launch: &Launch, view: &ProcessView, written: &str, findings: &mut Findings) {
    let id = &view.id;
    let lines: Vec<&str> = written.lines().filter(|line| line.starts_with(id.as_str())).collect();
    // The attempt number may be higher than 1: an attempt that certainly never started may have been reverted, so that
    // a later attempt was the first to start.
    let once = ["start", "end"].map(|word| format!("{id} {} {word} {key}", view.attempt));
    if lines != once {
        findings.note(format_args!("the launch {key} wrote {lines:?}, not {once:?}"));
    }
    let status = if launch.code == 0 { "completed" } else { "failed" };
    if view.status != status || view.exit_code != Some(launch.code) {
        let reason = view.reason.as_deref().unwrap_or_default();
        findings.note(format_args!(
            "{id} ({key}, of {}) is {} ({reason}) with exit code {:?} after attempt {}, and must be {status}",
            launch.node, view.status, view.exit_code, view.attempt
        ));
    }
}

fn is_live(view: &ProcessView) -> bool {
    !matches!(view.status.as_str(), "completed" | "failed" | "timeout" | "cancelled" | "interrupted")
}
