//! Checks the limits on running commands. According to the journal, a command runs while it writes lines.

use crate::faults::FaultHistory;
use crate::journal::{Attempt, Journal, Trace};
use crate::member::{KEYS, ROOTS};
use crate::outage::Outage;
use crate::replay::Loss;
use crate::settling::Settled;
use longhaul_tests::Findings;
use std::collections::BTreeMap;

/// Maximum difference in microseconds between readings of the clock by two programs at the same time.
const BLUR: u64 = 50_000;

/// Maximum numbers of commands that ran at the same time: by key, and of root processes. Also the number of commands
/// that continued after their node was lost, to which no limit applies.
#[derive(Debug, Default)]
pub(crate) struct Peaks {
    pub(crate) keys: BTreeMap<String, usize>,
    pub(crate) roots: usize,
    pub(crate) outlived: usize,
    /// Number of commands that left running processes behind. A command keeps its slot while these processes run.
    pub(crate) littered: usize,
    /// Longest time in microseconds for which a process that a command left behind kept running.
    pub(crate) longest_litter: u64,
    /// Number of attempts that ran while another attempt of the same process was running.
    pub(crate) copies: usize,
}

pub(crate) fn check(
    settled: &Settled,
    journal: &Journal,
    past: &FaultHistory,
    losses: &BTreeMap<Attempt, Loss>,
    findings: &mut Findings,
) -> Peaks {
    let mut peaks = Peaks::default();
    let (mut keys, mut nodes) =
        (BTreeMap::<String, Vec<Span<'_>>>::new(), BTreeMap::<String, Vec<Span<'_>>>::new());
    for (attempt, trace) in &journal.traces {
        let Some(view) = settled.records.get(&attempt.0) else { continue };
        let lost = losses.get(attempt).map(|loss| loss.at);
        let Some(span) = Span::of(attempt, trace, lost) else { continue };
        let outlived = lost.is_some() && trace.signs.last().is_some_and(|last| last.0 > span.to);
        peaks.outlived += usize::from(outlived);
        if let (Some(end), Some(last)) = (trace.last_own(), trace.signs.last())
            && end.0 < last.0
        {
            peaks.littered += 1;
            peaks.longest_litter = peaks.longest_litter.max(last.1.saturating_sub(end.1));
        }
        if let Some(key) = &view.key {
            keys.entry(key.clone()).or_default().push(span);
        }
        if view.parent_id.is_none() {
            nodes.entry(trace.socket.clone()).or_default().push(span);
        }
    }
    for (key, spans) in keys {
        let slots = KEYS.iter().find(|(name, _)| *name == key).map_or(usize::MAX, |(_, slots)| *slots);
        let peak = peak(spans, slots, &format!("the key {key}"), findings);
        peaks.keys.insert(key, peak);
    }
    for (node, spans) in nodes {
        peaks.roots = peaks.roots.max(peak(spans, ROOTS, &format!("the node at {node}"), findings));
    }
    peaks.copies = copies(journal, past, findings);
    peaks
}

/// The range of journal lines in which an attempt was certainly running and counted toward the limits.
#[derive(Clone, Copy)]
struct Span<'a> {
    attempt: &'a Attempt,
    from: usize,
    to: usize,
}

impl<'a> Span<'a> {
    /// Returns the span of an attempt, or `None` if the attempt started only after its node was lost.
    fn of(attempt: &'a Attempt, trace: &Trace, lost: Option<u64>) -> Option<Self> {
        let counts = |at: u64| lost.is_none_or(|lost| at.saturating_add(BLUR) < lost);
        let mut places = trace.signs.iter().filter(|sign| counts(sign.1)).map(|sign| sign.0);
        let from = places.next()?;
        Some(Self { attempt, from, to: places.next_back().unwrap_or(from) })
    }
}

/// Returns the maximum number of spans that overlap. Adds a finding if this exceeds the limit.
fn peak(mut spans: Vec<Span<'_>>, limit: usize, what: &str, findings: &mut Findings) -> usize {
    spans.sort_by_key(|span| span.from);
    let (mut running, mut peak) = (Vec::<Span<'_>>::new(), 0);
    for span in spans {
        running.retain(|other| other.to > span.from);
        running.push(span);
        peak = peak.max(running.len());
        if running.len() > limit {
            let at_once: Vec<&Attempt> = running.iter().map(|span| span.attempt).collect();
            findings.note(format_args!(
                "{what} allows {limit} at once, and {at_once:?} ran at line {} of the journal",
                span.from + 1
            ));
        }
    }
    peak
}

/// Counts attempts that ran while another attempt of the same process was running. This is allowed only if the node of
/// the older attempt was down, so that the node could not detect that it was lost.
fn copies(journal: &Journal, past: &FaultHistory, findings: &mut Findings) -> usize {
    let mut found = 0;
    let mut before: Option<(&Attempt, &Trace)> = None;
    for (attempt, trace) in &journal.traces {
        if let Some((older, of)) = before
            && older.0 == attempt.0
            && let (Some(last), Some(first)) = (of.signs.last(), trace.signs.first())
            && last.0 > first.0
        {
            found += 1;
            let node = node_of(&of.socket);
            let was_out = |outage: &Outage| outage.covers(trace.began());
            if !past.outages.get(node).is_some_and(|outages| outages.iter().any(was_out)) {
                findings
                    .note(format_args!("{attempt:?} started while {older:?} ran on {node}, which was up"));
            }
        }
        before = Some((attempt, trace));
    }
    found
}

/// Returns the name of the node whose manager has this socket.
fn node_of(socket: &str) -> &str {
    socket.rsplit('/').nth(2).unwrap_or_default()
}
