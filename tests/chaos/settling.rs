//! The phase after the last fault: every process ends, and its end is recorded.

use crate::faults::FaultInjector;
use crate::follower;
use crate::ledger::Ledger;
use crate::process::{naming, signal, variable};
use crate::run_directory::RunDirectory;
use longhaul_ports::StoredProcess;
use longhaul_tests::Findings;
use longhaul_tests::ask::{Answer, ask, lines, list};
use longhaul_wire::api::ProcessView;
use longhaul_wire::event::Envelope;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// Time that live processes have to end by themselves before they are cancelled.
const DRAIN: Duration = Duration::from_secs(10);
/// Maximum time from the end of one cancelled process to the end of the next. The total time is not limited, because
/// the number of processes depends on the run.
const END: Duration = Duration::from_secs(60);
/// Maximum time for which commands may still run if no manager watches their attempts any more.
const LEFT: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(30);

/// The records and events at the end of a run.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The records that the HTTP interface returns, by process id.
    pub(crate) records: BTreeMap<String, ProcessView>,
    /// The records that the store contains.
    pub(crate) stored: Vec<StoredProcess>,
    /// The events that the HTTP interface returned.
    pub(crate) told: Vec<Envelope>,
    /// The ids of the processes that the test cancelled at the end of the run.
    pub(crate) dismissed: BTreeSet<String>,
    /// Number of commands that were still running although their processes were recorded as interrupted.
    pub(crate) strays: usize,
}

pub(crate) fn settle(
    injector: &FaultInjector,
    ledger: &Ledger,
    run_directory: &RunDirectory,
    findings: &mut Findings,
) -> Settled {
    let mut settled = Settled::default();
    let sockets = injector.sockets();
    let Some(socket) = sockets.first() else { return settled };
    let begun = Instant::now();
    while begun.elapsed() < DRAIN && !live(socket).is_some_and(|live| live.is_empty()) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let (mut begun, mut fewest) = (Instant::now(), usize::MAX);
    loop {
        let live = live(socket);
        if live.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
        if let Some(live) = live.as_ref().filter(|live| live.len() < fewest) {
            (begun, fewest) = (Instant::now(), live.len());
        }
        if begun.elapsed() > END && live.is_none() {
            findings.note("the live processes cannot be listed");
            break;
        }
        let live = live.unwrap_or_default();
        if begun.elapsed() > END {
            for process in live.iter().take(5) {
                let stands = serde_json::to_string(process).unwrap_or_default();
                findings.note(format_args!("{} does not end: {stands}", process.id));
            }
            break;
        }
        for process in live {
            if settled.dismissed.insert(process.id.clone()) {
                let body = json!({ "force": true });
                let _ = ask(socket, "POST", &format!("/v1/processes/{}/cancel", process.id), &body, TIMEOUT);
                // Restart the timeout after each cancel.
                begun = Instant::now();
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    settled.strays = empty(socket, run_directory, findings);
    for view in list(socket, "all=true", TIMEOUT).unwrap_or_default() {
        settled.records.insert(view.id.clone(), view);
    }
    let events = lines(socket, "/v1/events?format=ndjson&after=start&follow=false", TIMEOUT);
    if events.is_none() {
        findings.note("the events cannot be read over HTTP");
    }
    let read = |event: Value| serde_json::from_value(event).unwrap();
    settled.told = events.unwrap_or_default().into_iter().map(read).collect();
    settled.stored = stored(&injector.url(), &settled, ledger);
    settled
}

fn live(socket: &Path) -> Option<Vec<ProcessView>> {
    list(socket, "live=true", TIMEOUT)
}

/// Waits until no command is running, and returns the number of orphans. Orphans are allowed: a command that was paused
/// when its node was lost stays paused, and no manager kills the descendants that such a command has.
fn empty(socket: &Path, run_directory: &RunDirectory, findings: &mut Findings) -> usize {
    let journal = run_directory.journal().to_string_lossy().into_owned();
    let begun = Instant::now();
    while !naming(&journal).is_empty() && begun.elapsed() < LEFT {
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut strays = 0;
    for pid in naming(&journal) {
        let of = variable(pid, "LONGHAUL_ID").unwrap_or_default();
        if of.is_empty() && !longhaul_tests::is_alive(pid) {
            continue;
        }
        let answer = ask(socket, "GET", &format!("/v1/processes/{of}"), &Value::Null, TIMEOUT);
        match answer {
            Answer::Response { status: 200, body } if body["status"] == "interrupted" => strays += 1,
            Answer::Response { body, .. } => {
                findings.note(format_args!(
                    "process {pid} is alive at the end of the run: {of} is {}",
                    body["status"]
                ));
            }
            Answer::NoConnection | Answer::NoResponse => {
                findings.note(format_args!("process {pid} is alive: {of}"))
            }
        }
        signal(pid, Signal::KILL);
    }
    strays
}

/// Loads all records from the store whose id a client received or the HTTP interface listed.
fn stored(url: &str, settled: &Settled, ledger: &Ledger) -> Vec<StoredProcess> {
    let ids: BTreeSet<&str> =
        settled.records.keys().map(String::as_str).chain(ledger.accepted().map(|(id, _)| id)).collect();
    let ids: Vec<_> = ids.into_iter().filter_map(|id| id.parse().ok()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = follower::open(url).await;
        let mut all = Vec::new();
        for some in ids.chunks(500) {
            all.extend(store.load(some).await.unwrap().into_iter().flatten());
        }
        all
    })
}
