//! Checks that no launch is duplicated or lost, and that every recorded ending is correct.

use crate::faults::FaultHistory;
use crate::journal::{Attempt, Journal, Trace};
use crate::ledger::{Fate, Launch, Ledger};
use crate::outage::Outage;
use crate::replay::Loss;
use crate::settling::Settled;
use longhaul_tests::Findings;
use longhaul_wire::api::ProcessView;
use std::collections::BTreeMap;

/// Maximum time in microseconds between the end of an outage and the report that the node was lost. The loss is
/// detected only at the next check.
const MEMORY: u64 = 10_000_000;

pub(crate) fn check(
    ledger: &Ledger,
    settled: &Settled,
    journal: &Journal,
    (past, losses): (&FaultHistory, &BTreeMap<Attempt, Loss>),
    findings: &mut Findings,
) {
    ledger.oddities.iter().for_each(|what| findings.note(what));
    for (node, log) in &past.logs {
        for line in log.lines().filter(|line| line.contains("panicked")) {
            findings.note(format_args!("{node} logged: {line}"));
        }
    }
    check_kept(ledger, settled, findings);
    check_starts(settled, journal, findings);
    check_ends(ledger, settled, journal, (past, losses), findings);
    check_losses(past, losses, findings);
}

/// Checks that each accepted launch has exactly one record, and that no refused launch has a record.
fn check_kept(ledger: &Ledger, settled: &Settled, findings: &mut Findings) {
    let mut by_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for view in settled.records.values() {
        by_key.entry(view.launch_key.as_deref().unwrap_or_default()).or_default().push(&view.id);
    }
    for (key, launch) in &ledger.launches {
        let found = by_key.get(key.as_str()).map(Vec::as_slice).unwrap_or_default();
        let is_durable = match &launch.fate {
            Fate::Accepted { id } => *found == [id.as_str()],
            Fate::Refused if !launch.in_doubt => found.is_empty(),
            Fate::Refused | Fate::Unanswered => found.len() <= 1,
        };
        if !is_durable {
            findings.note(format_args!(
                "the answer to launch {key} was {:?}, and the store has {found:?}",
                launch.fate
            ));
        }
    }
    for key in by_key.keys().filter(|key| !ledger.launches.contains_key(**key)) {
        findings.note(format_args!("no client sent the launch {key:?}"));
    }
}

/// Checks that each attempt started once, that no process started more often than its retries allow, and that each
/// started process has a record.
fn check_starts(settled: &Settled, journal: &Journal, findings: &mut Findings) {
    let mut begun: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for ((id, number), trace) in &journal.traces {
        if trace.pids.len() != 1 {
            findings.note(format_args!("attempt {number} of {id} started as {:?}", trace.pids));
        }
        begun.entry(id).or_default().push(*number);
    }
    for (id, numbers) in begun {
        let Some(view) = settled.records.get(id) else {
            findings.note(format_args!("{id} ran, and has no record"));
            continue;
        };
        if numbers.iter().any(|number| *number > view.attempt) {
            findings
                .note(format_args!("{id} ran as {numbers:?}, and its record has attempt {}", view.attempt));
        }
        let limit = usize::try_from(view.max_attempts).unwrap_or(usize::MAX);
        if numbers.len() > limit {
            findings.note(format_args!("{id} ran as {numbers:?}, and may run {limit} times"));
        }
    }
}

/// Checks that the command itself, a client or a fault explains how each process ended.
fn check_ends(
    ledger: &Ledger,
    settled: &Settled,
    journal: &Journal,
    (past, losses): (&FaultHistory, &BTreeMap<Attempt, Loss>),
    findings: &mut Findings,
) {
    let launches: BTreeMap<&str, &Launch> =
        ledger.launches.iter().map(|(key, launch)| (key.as_str(), launch)).collect();
    for (id, view) in &settled.records {
        let attempt = (id.clone(), view.attempt);
        let trace = journal.traces.get(&attempt);
        let launch = launches.get(view.launch_key.as_deref().unwrap_or_default());
        let has_timeout = launch
            .and_then(|launch| launch.request.command.as_ref())
            .is_some_and(|command| command.timeout_ms > 0);
        let is_true = match view.status.as_str() {
            "completed" => ended_with(trace, Some(0)) && view.exit_code == Some(0),
            "failed" => {
                let exited = view.exit_code.is_some() && ended_with(trace, view.exit_code);
                exited || (past.killed.contains(&attempt) && view.exit_code.is_none())
            }
            "timeout" => has_timeout,
            "cancelled" => is_cancelled(view, ledger, settled),
            "interrupted" => {
                let is_caused = past.orphaned.contains(&attempt) || losses.contains_key(&attempt);
                view.exit_code.is_none() && is_caused
            }
            _ => false,
        };
        if !is_true {
            let signs = trace.map(|trace| (trace.code, trace.signs.len()));
            let reason = view.reason.as_deref().unwrap_or_default();
            findings.note(format_args!(
                "{id} is {} ({reason}) with exit code {:?} of attempt {}, and wrote {signs:?}",
                view.status, view.exit_code, view.attempt
            ));
        }
    }
}

fn ended_with(trace: Option<&Trace>, code: Option<i32>) -> bool {
    trace.is_some_and(|trace| trace.code == code)
}

/// Returns true if the cancellation of a process is explained: a client cancelled the process or one of its ancestors,
/// or the end of an ancestor cancelled it.
fn is_cancelled(view: &ProcessView, ledger: &Ledger, settled: &Settled) -> bool {
    let mut at = Some(view);
    let mut is_itself = true;
    while let Some(process) = at {
        let asked = ledger.cancelled.contains(&process.id) || settled.dismissed.contains(&process.id);
        if asked || (!is_itself && process.children == "cancel") {
            return true;
        }
        is_itself = false;
        at = process.parent_id.as_ref().and_then(|parent| settled.records.get(parent));
    }
    false
}

/// Checks that a node was declared lost only if it was down.
fn check_losses(past: &FaultHistory, losses: &BTreeMap<Attempt, Loss>, findings: &mut Findings) {
    for (attempt, loss) in losses {
        let was_out = |outage: &Outage| {
            outage.from < loss.at && outage.until.is_none_or(|until| until.saturating_add(MEMORY) > loss.at)
        };
        if !past.outages.get(&loss.node).is_some_and(|outages| outages.iter().any(was_out)) {
            findings.note(format_args!("{attempt:?} was recorded as lost, and {} was up", loss.node));
        }
    }
}
