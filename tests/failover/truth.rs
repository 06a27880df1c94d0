//! What was acknowledged is there, and came to its true end once.

use crate::client::{Acknowledged, Launch, Ledger};
use longhaul_tests::Findings;
use longhaul_tests::ask::list;
use longhaul_wire::api::ProcessView;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// In which what runs ends, and is written down.
const ENDING: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(15);

/// How many were acknowledged, and how many of those are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) acknowledged: usize,
    pub(crate) present: usize,
    /// How many of them are there a second time, because they were sent again and their key had been lost.
    pub(crate) again: usize,
}

/// What becomes of launch keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    Kept,
    /// Those of launches that nobody was told of, with the primary that had them.
    MayBeLost,
}

/// How many commands began so far.
pub(crate) fn begun(journal: &Path) -> usize {
    let written = std::fs::read_to_string(journal).unwrap_or_default();
    written.lines().filter(|line| line.contains(" start ")).count()
}

/// Waits until nothing runs any more, and holds what there is to what was asked.
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
            findings.note(format_args!("the launch {key} was never acknowledged, and is there as {ids:?}"));
            continue;
        };
        count.acknowledged += 1;
        count.present += usize::from(ids.contains(&id.as_str()));
        // Where the key itself may be lost that was never acknowledged, a launch that is sent again may be another one.
        if found.len() > 1 && launch.in_doubt && keys == Keys::MayBeLost {
            count.again += 1;
        } else if ids != [id] {
            findings.note(format_args!("the launch {key} was acknowledged as {id}, and is there as {ids:?}"));
        }
        for view in found {
            check_end(key, launch, view, &written, findings);
        }
        for line in written.lines().filter(|line| line.ends_with(&format!(" {key}"))) {
            if !ids.iter().any(|id| line.starts_with(id)) {
                findings
                    .note(format_args!("the launch {key} is there as {ids:?}, and there is also {line:?}"));
            }
        }
    }
    for (key, found) in by_key {
        findings.note(format_args!("nobody asked for the launch {key:?}: {found:?}"));
    }
    count
}

/// It came to its true end, and ran once.
fn check_end(key: &str, launch: &Launch, view: &ProcessView, written: &str, findings: &mut Findings) {
    let id = &view.id;
    let lines: Vec<&str> = written.lines().filter(|line| line.starts_with(id.as_str())).collect();
    // An attempt that surely never began may have been taken back, so that another one was the first to begin.
    let once = ["start", "end"].map(|word| format!("{id} {} {word} {key}", view.attempt));
    if lines != once {
        findings.note(format_args!("the launch {key} wrote {lines:?}, not {once:?}"));
    }
    let status = if launch.code == 0 { "completed" } else { "failed" };
    if view.status != status || view.exit_code != Some(launch.code) {
        let reason = view.reason.as_deref().unwrap_or_default();
        findings.note(format_args!(
            "{id} ({key}, of {}) is {} ({reason}) with the code {:?} after attempt {}, and has to be {status}",
            launch.node, view.status, view.exit_code, view.attempt
        ));
    }
}

fn is_live(view: &ProcessView) -> bool {
    !matches!(view.status.as_str(), "completed" | "failed" | "timeout" | "cancelled" | "interrupted")
}
