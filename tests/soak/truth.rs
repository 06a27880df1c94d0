//! Checks that no launch is lost or duplicated, and that every recorded ending is correct.

use crate::faults::FaultInjector;
use crate::journal;
use crate::ledger::Ledger;
use crate::run_directory::RunDirectory;
use crate::settling::Settled;
use longhaul_tests::Findings;
use std::collections::BTreeMap;
use std::fmt;

/// Numbers of launches, endings and faults in a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    launches: usize,
    accepted: usize,
    begun: usize,
    ends: BTreeMap<String, usize>,
    orphaned: BTreeMap<String, usize>,
    cancelled: u64,
    clients: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { launches, accepted, begun, ends, orphaned, cancelled, clients } = self;
        write!(
            f,
            "launches {launches}, accepted {accepted}, started {begun}; endings {ends:?}; of those whose shim was killed \
             {orphaned:?}; successful cancels {cancelled}; clients killed {clients}"
        )
    }
}

pub(crate) fn check(
    ledger: &Ledger,
    settled: &Settled,
    injector: &FaultInjector,
    run_directory: &RunDirectory,
    findings: &mut Findings,
) -> Tally {
    ledger.oddities.iter().for_each(|what| findings.note(what));
    let log = std::fs::read_to_string(run_directory.log()).unwrap_or_default();
    log.lines().filter(|line| line.contains("panicked")).for_each(|line| findings.note(line));
    let traces = journal::read(&run_directory.journal());
    for (id, trace) in &traces {
        if trace.begins.len() > 1 {
            findings.note(format_args!("{id} started as {:?}", trace.begins));
        }
        if !settled.records.contains_key(id) {
            findings.note(format_args!("{id} ran, and has no record"));
        }
    }
    let mut by_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for view in settled.records.values() {
        by_key.entry(view.launch_key.as_deref().unwrap_or_default()).or_default().push(&view.id);
    }
    let mut tally = Tally {
        launches: ledger.launches.len(),
        begun: traces.len(),
        cancelled: ledger.gone,
        clients: ledger.clients,
        ..Tally::default()
    };
    for (key, launch) in &ledger.launches {
        let found = by_key.remove(key.as_str()).unwrap_or_default();
        if found.len() > 1 || launch.id.as_ref().is_some_and(|id| found != [id.as_str()]) {
            findings.note(format_args!(
                "the answer to launch {key} was {:?}, and the store has {found:?}",
                launch.id
            ));
        }
        tally.accepted += usize::from(launch.id.is_some());
        let Some(view) = found.first().and_then(|id| settled.records.get(*id)) else { continue };
        let wrote_its_end = traces.get(&view.id).is_some_and(|trace| trace.has_ended);
        let was_orphaned = injector.past().orphaned.contains(&view.id);
        let was_unwatched = injector.past().exit_unobserved.contains(&view.id);
        let was_told_to_end = ledger.cancelled.contains(&view.id) || settled.dismissed.contains(&view.id);
        let is_true = match view.status.as_str() {
            "completed" => launch.code == 0 && view.exit_code == Some(0) && wrote_its_end,
            // If both the shim and the manager are gone, no program reads the output pipe. The kernel then kills a
            // command that writes to it.
            "failed" if was_unwatched && view.exit_code.is_none() => !wrote_its_end,
            "failed" => launch.code != 0 && view.exit_code == Some(launch.code) && wrote_its_end,
            "cancelled" => was_told_to_end,
            "interrupted" => was_unwatched && view.exit_code.is_none(),
            _ => false,
        };
        if !is_true {
            let (status, reason, code) = (&view.status, &view.reason, view.exit_code);
            findings.note(format_args!(
                "{} is {status} ({reason:?}) with exit code {code:?} instead of {}; wrote its end: {wrote_its_end}; its \
                 shim was killed: {was_orphaned}; attempt {}",
                view.id, launch.code, view.attempt
            ));
        }
        *tally.ends.entry(view.status.clone()).or_default() += 1;
        if was_orphaned {
            *tally.orphaned.entry(view.status.clone()).or_default() += 1;
        }
    }
    for key in by_key.keys() {
        findings.note(format_args!("no client sent the launch {key:?}"));
    }
    tally
}
