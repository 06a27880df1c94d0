//! Content of the in-memory database.

use crate::rows::{FoundRow, KeyRange, ProcessRow, RowKey, RowWrite, StoreCounters, WriteSet};
use longhaul_domain::ProcessId;
use longhaul_ports::{EventCursor, LoggedEvent, SortOrder};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Content of the in-memory database: ordered maps, and the event log.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryContent {
    rows: BTreeMap<ProcessId, Arc<ProcessRow>>,
    entries: BTreeMap<RowKey, ProcessId>,
    values: BTreeMap<RowKey, String>,
    events: VecDeque<LoggedEvent>,
}

impl MemoryContent {
    /// Creates content that consists of these counters alone.
    pub(crate) fn with(counters: &StoreCounters) -> Self {
        let mut content = Self::default();
        content.set_counters(counters);
        content
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the counters of the store. The in-memory database contains only counters that this program encoded, so
    /// decoding them cannot fail.
    pub(crate) fn counters(&self) -> StoreCounters {
        let text = self.values.get(&StoreCounters::key()).map(String::as_str);
        StoreCounters::decode(text).unwrap_or_default()
    }

    pub(crate) fn set_counters(&mut self, counters: &StoreCounters) {
        self.values.insert(StoreCounters::key(), counters.encode());
    }

    pub(crate) fn rows(&self, ids: &[ProcessId]) -> Vec<FoundRow> {
        ids.iter().map(|id| Ok(self.rows.get(id).cloned())).collect()
    }

    pub(crate) fn scan(
        &self,
        ranges: &[KeyRange],
        order: SortOrder,
        limit: u32,
    ) -> Vec<Vec<(RowKey, ProcessId)>> {
        let limit = length(limit);
        let scan = |range: &KeyRange| {
            let found = range.within(&self.entries).map(|(key, id)| (key.clone(), *id));
            match order {
                SortOrder::OldestFirst => found.take(limit).collect(),
                SortOrder::NewestFirst => found.rev().take(limit).collect(),
            }
        };
        ranges.iter().map(scan).collect()
    }

    pub(crate) fn count(&self, ranges: &[KeyRange], limit: u32) -> Vec<u32> {
        let count = |range: &KeyRange| range.within(&self.entries).take(length(limit)).count();
        ranges.iter().map(|range| u32::try_from(count(range)).unwrap_or(u32::MAX)).collect()
    }

    pub(crate) fn values(&self, keys: &[RowKey]) -> Vec<Option<String>> {
        keys.iter().map(|key| self.values.get(key).cloned()).collect()
    }

    pub(crate) fn scan_values(&self, range: &KeyRange, limit: u32) -> Vec<(RowKey, String)> {
        let found = range.within(&self.values).take(length(limit));
        found.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(crate) fn events(&self, after: EventCursor, limit: u32) -> Vec<LoggedEvent> {
        let start = self.events.partition_point(|logged| logged.cursor <= after);
        self.events.range(start..).take(length(limit)).cloned().collect()
    }

    /// Applies a write set.
    pub(crate) fn apply(&mut self, writes: WriteSet) {
        for (id, write) in writes.rows {
            match write {
                RowWrite::Whole(row) | RowWrite::Change(row) => self.rows.insert(id, row),
                RowWrite::Delete => self.rows.remove(&id),
            };
        }
        replace(&mut self.entries, writes.entries);
        replace(&mut self.values, writes.values);
        self.events.extend(writes.events);
        if let Some(trim) = writes.trim {
            let end = self.events.partition_point(|logged| logged.cursor <= trim);
            self.events.drain(..end);
        }
    }
}

fn replace<T>(map: &mut BTreeMap<RowKey, T>, writes: BTreeMap<RowKey, Option<T>>) {
    for (key, value) in writes {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}

fn length(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
