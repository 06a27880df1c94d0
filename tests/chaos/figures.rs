//! Figures that show which situations a run covered.

use crate::faults::{Fault, FaultHistory};
use crate::follower::Log;
use crate::journal::Journal;
use crate::ledger::{Fate, Ledger};
use crate::limits::Peaks;
use crate::member::KEYS;
use crate::settling::Settled;
use longhaul_tests::Findings;
use std::collections::BTreeMap;
use std::fmt;

/// Numbers of events and faults in a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    launches: usize,
    accepted: usize,
    refused: usize,
    unanswered: usize,
    asked: u64,
    silences: u64,
    refusals: BTreeMap<String, u64>,
    statuses: BTreeMap<String, u64>,
    attempts: usize,
    retried: usize,
    children: usize,
    events: usize,
    lost: usize,
    rejoined: usize,
    faults: BTreeMap<Fault, u64>,
    left: BTreeMap<String, u64>,
    peaks: Peaks,
    strays: usize,
}

impl Figures {
    pub(crate) fn of(
        ledger: &Ledger,
        settled: &Settled,
        log: &Log,
        journal: &Journal,
        past: &FaultHistory,
        (peaks, lost): (Peaks, usize),
    ) -> Self {
        let fates =
            |is: fn(&Fate) -> bool| ledger.launches.values().filter(|launch| is(&launch.fate)).count();
        let mut figures = Self {
            launches: ledger.launches.len(),
            accepted: ledger.accepted().count(),
            refused: fates(|fate| *fate == Fate::Refused),
            unanswered: fates(|fate| *fate == Fate::Unanswered),
            asked: ledger.asked,
            silences: ledger.silences,
            refusals: ledger.refusals.clone(),
            attempts: journal.traces.len(),
            retried: journal.traces.keys().filter(|(_, number)| *number > 1).count(),
            children: settled.records.values().filter(|view| view.parent_id.is_some()).count(),
            events: log.followed.len(),
            lost,
            rejoined: past.logs.values().map(|log| log.matches("registered the node again").count()).sum(),
            faults: past.faults.clone(),
            peaks,
            strays: settled.strays,
            ..Self::default()
        };
        for view in settled.records.values() {
            *figures.statuses.entry(view.status.clone()).or_default() += 1;
        }
        for exit in &past.left {
            let how = exit.split_once(": ").map_or(exit.as_str(), |(_, how)| how);
            *figures.left.entry(how.to_owned()).or_default() += 1;
        }
        figures
    }

    /// Adds a finding for each situation that did not occur although the run was long enough.
    pub(crate) fn met_everything(&self, findings: &mut Findings) {
        let is_full = |(key, slots): &&(&str, usize)| *slots > 1 && self.peaks.keys.get(*key) == Some(slots);
        let full = KEYS.iter().filter(is_full).count();
        let met = [
            ("a launch that was accepted", self.accepted),
            ("an attempt after the first", self.retried),
            ("a child", self.children),
            ("an attempt that was lost with its node", self.lost),
            ("a node that joined again", self.rejoined),
            ("a key of which every slot was taken", full),
        ];
        for (what, count) in met {
            if count == 0 {
                findings.note(format_args!("the run did not cover {what}"));
            }
        }
        for fault in Fault::ALL.iter().filter(|fault| !self.faults.contains_key(fault)) {
            findings.note(format_args!("the run did not cover {fault:?}"));
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "launches {}: accepted {}, refused {}, unanswered {}; {} requests, {} without an answer",
            self.launches, self.accepted, self.refused, self.unanswered, self.asked, self.silences
        )?;
        writeln!(f, "refusals: {:?}", self.refusals)?;
        writeln!(
            f,
            "attempts that ran {}, {} of them retries; {} children; endings {:?}",
            self.attempts, self.retried, self.children, self.statuses
        )?;
        writeln!(f, "faults {:?}; managers that exited {:?}", self.faults, self.left)?;
        writeln!(
            f,
            "attempts lost with their node {}, of which continued {}; concurrent copies {}; nodes joined again {}; orphans {}",
            self.lost, self.peaks.outlived, self.peaks.copies, self.rejoined, self.strays
        )?;
        writeln!(
            f,
            "commands that left processes behind {}, which were killed within {} ms",
            self.peaks.littered,
            self.peaks.longest_litter / 1_000
        )?;
        write!(
            f,
            "events {}; maximum running at once {:?}, roots of a node {}",
            self.events, self.peaks.keys, self.peaks.roots
        )
    }
}
