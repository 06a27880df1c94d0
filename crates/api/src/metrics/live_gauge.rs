//! Counts live processes by status and by concurrency key, without queries to the store.

use longhaul_domain::{Process, ProcessId, Revision, SlotKey, SlotState, Status};
use std::collections::{BTreeMap, HashMap};

/// The live processes. They are read from the store at the start and updated by all writes of this manager.
#[derive(Debug, Default)]
pub(super) struct LiveGauge {
    entries: HashMap<ProcessId, GaugeEntry>,
    by_status: BTreeMap<Status, u64>,
    by_key: BTreeMap<Option<SlotKey>, KeyGauge>,
    count: CountState,
}

/// Number of processes that wait for a slot of a key, and number of processes that hold one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyGauge {
    pub(super) waiting: u64,
    pub(super) running: u64,
}

/// Progress of the initial read of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CountState {
    /// The store is still being read. Processes that end during this time are remembered, so that an outdated page does
    /// not add them again.
    #[default]
    UnderWay,
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct GaugeEntry {
    revision: Revision,
    status: Status,
    slot_state: SlotState,
    key: Option<SlotKey>,
}

impl LiveGauge {
    /// Adds a record, unless a newer revision of it was added before. Returns the previous slot state of the process,
    /// if the gauge has one.
    pub(super) fn take(&mut self, process: &Process, revision: Revision) -> Option<SlotState> {
        if self.entries.get(&process.id).is_some_and(|known| known.revision >= revision) {
            return None;
        }
        let entry = GaugeEntry {
            revision,
            status: process.status(),
            slot_state: process.state.slot_state(),
            key: process.spec.key.clone(),
        };
        self.count_in(&entry);
        let is_over = entry.status.is_ended() && self.count == CountState::Done;
        let before =
            if is_over { self.entries.remove(&process.id) } else { self.entries.insert(process.id, entry) };
        before.map(|before| {
            self.count_out(&before);
            before.slot_state
        })
    }

    /// Resets the gauge before the store is read.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// Marks the counts as unreliable until the store has been read again, because the result of a write is unknown.
    pub(super) fn doubt(&mut self) {
        self.count = CountState::UnderWay;
    }

    /// Marks the read of the store as complete, and discards the ended processes that were remembered during the read.
    pub(super) fn counted(&mut self) {
        self.count = CountState::Done;
        self.entries.retain(|_, entry| !entry.status.is_ended());
        self.entries.shrink_to_fit();
    }

    pub(super) fn is_counted(&self) -> bool {
        self.count == CountState::Done
    }

    /// Returns the number of live processes with a status.
    pub(super) fn of_status(&self, status: Status) -> u64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// Returns the number of waiting processes and the number of slot holders for each key.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Option<&SlotKey>, KeyGauge)> {
        self.by_key.iter().map(|(key, line)| (key.as_ref(), *line))
    }

    fn count_in(&mut self, entry: &GaugeEntry) {
        if entry.status.is_ended() {
            return;
        }
        *self.by_status.entry(entry.status).or_default() += 1;
        let line = self.by_key.entry(entry.key.clone()).or_default();
        match entry.slot_state {
            SlotState::Waiting => line.waiting += 1,
            SlotState::Holding => line.running += 1,
            SlotState::Idle | SlotState::Ended => {}
        }
    }

    fn count_out(&mut self, entry: &GaugeEntry) {
        if entry.status.is_ended() {
            return;
        }
        if let Some(count) = self.by_status.get_mut(&entry.status) {
            *count = count.saturating_sub(1);
        }
        let Some(line) = self.by_key.get_mut(&entry.key) else { return };
        match entry.slot_state {
            SlotState::Waiting => line.waiting = line.waiting.saturating_sub(1),
            SlotState::Holding => line.running = line.running.saturating_sub(1),
            SlotState::Idle | SlotState::Ended => {}
        }
        // Empty entries are removed, because otherwise there could be as many entries as processes.
        if *line == KeyGauge::default() {
            self.by_key.remove(&entry.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_testkit::scripts::{ProcessScript, lives};
    use proptest::prelude::*;

    /// Counts the live records directly. The test compares the gauge with this result.
    fn truth<'a>(records: impl Iterator<Item = &'a Process>) -> (BTreeMap<Status, u64>, u64, u64) {
        let (mut by_status, mut waiting, mut running) = (BTreeMap::new(), 0, 0);
        for process in records.filter(|process| !process.status().is_ended()) {
            *by_status.entry(process.status()).or_default() += 1;
            waiting += u64::from(process.state.slot_state() == SlotState::Waiting);
            running += u64::from(process.state.slot_state() == SlotState::Holding);
        }
        (by_status, waiting, running)
    }

    fn totals(roll: &LiveGauge) -> (BTreeMap<Status, u64>, u64, u64) {
        let by_status = Status::ALL.into_iter().map(|status| (status, roll.of_status(status)));
        let sum = |of: fn(&KeyGauge) -> u64| roll.lines().map(|(_, line)| of(&line)).sum();
        (
            by_status.filter(|(_, count)| *count > 0).collect(),
            sum(|line| line.waiting),
            sum(|line| line.running),
        )
    }

    proptest! {
        #[test]
        fn counts_match_the_newest_records_despite_concurrent_reads(
            all in prop::collection::vec(lives(12), 1..6),
            pages in prop::collection::vec((0..6_usize, 0..12_usize), 0..20),
            counted_at in 0..12_usize,
        ) {
            let all: Vec<Vec<Process>> = all.iter().enumerate().map(|(number, life)| played(life, number)).collect();
            let longest = all.iter().map(Vec::len).max().unwrap_or(0);
            let mut roll = LiveGauge::default();
            for step in 0..longest {
                for records in &all {
                    if let Some(process) = records.get(step) {
                        roll.take(process, Revision(step as u64 + 1));
                    }
                }
                if step < counted_at {
                    // Adds a page of outdated records, as a slow read of the store would.
                    for (life, at) in &pages {
                        if let Some(process) = all.get(*life).and_then(|records| records.get(*at.min(&step))) {
                            roll.take(process, Revision(*at.min(&step) as u64 + 1));
                        }
                    }
                }
                if step == counted_at {
                    roll.counted();
                }
                let newest = all.iter().filter_map(|records| records.get(step.min(records.len().saturating_sub(1))));
                prop_assert_eq!(totals(&roll), truth(newest));
            }
            roll.counted();
            let live = all.iter().filter_map(|records| records.last()).filter(|last| !last.status().is_ended());
            prop_assert_eq!(roll.entries.len(), live.count(), "who ended is forgotten");
        }
    }

    fn played(life: &ProcessScript, number: usize) -> Vec<Process> {
        let id: ProcessId = format!("{number:032x}").parse().unwrap();
        life.play().into_iter().map(|record| Process { id, ..record.process }).collect()
    }
}
