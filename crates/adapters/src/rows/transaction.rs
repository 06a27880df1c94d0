//! A transaction of a store: the reads of the database, and the writes that are not yet committed.

use super::codec;
use super::decoded_values::DecodedValues;
use super::index;
use super::key::{KeyRange, RowKey};
use super::process_row::ProcessRow;
use super::store_on::StoreSettings;
use super::values::{self, NodeRow, OpReply, StoreCounters};
use super::write_set::{RowWrite, WriteSet};
use super::{FoundRow, RowTransaction};
use longhaul_domain::{Event, NodeId, OpId, Policy, PolicyVersion, ProcessId, Revision, Timestamp};
use longhaul_ports::{
    EventCursor, Lease, LoggedEvent, PlacementClass, SortOrder, StoreError, StoredProcess, Writer,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Maximum number of operations whose replies are stored.
const MAX_OPS: u64 = 100_000;
/// Maximum number of tombstones to keep. A tombstone prevents a repeated launch from starting a pruned process again.
const MAX_TOMBSTONES: u64 = 100_000;
/// Number of old replies or tombstones that are deleted at once.
const TRIM_BATCH: u64 = 1_000;

/// A transaction of a store. Its methods are the rules of a store; they see the writes of this transaction.
pub(crate) struct StoreTransaction<'a> {
    base: Box<dyn RowTransaction + 'a>,
    writes: WriteSet,
    pub(crate) now: Timestamp,
    pub(crate) settings: StoreSettings,
    pub(crate) counters: StoreCounters,
    stored_counters: StoreCounters,
    pub(crate) policy: Arc<(PolicyVersion, Policy)>,
    decoded: &'a DecodedValues,
}

impl<'a> StoreTransaction<'a> {
    /// Reads the counters and the policy, which most rules need.
    pub(crate) async fn begin(
        mut base: Box<dyn RowTransaction + 'a>,
        settings: StoreSettings,
        decoded: &'a DecodedValues,
    ) -> Result<Self, StoreError> {
        let mut found = base.values(&[StoreCounters::key(), values::policy_key()]).await?.into_iter();
        let counters = StoreCounters::decode(found.next().flatten().as_deref())?;
        let policy = decoded.policy(found.next().flatten().as_deref())?;
        let now = base.now();
        let stored_counters = counters.clone();
        Ok(Self {
            base,
            writes: WriteSet::default(),
            now,
            settings,
            counters,
            stored_counters,
            policy,
            decoded,
        })
    }

    /// Begins a transaction whose rules need neither the counters nor the policy.
    pub(crate) fn without_counters(
        base: Box<dyn RowTransaction + 'a>,
        settings: StoreSettings,
        decoded: &'a DecodedValues,
    ) -> Self {
        let now = base.now();
        let (counters, stored_counters) = (StoreCounters::default(), StoreCounters::default());
        let policy = Arc::default();
        Self { base, writes: WriteSet::default(), now, settings, counters, stored_counters, policy, decoded }
    }

    /// Completes the write set, commits it and returns the answer. A write set without changes needs no commit.
    pub(crate) async fn commit<T: Send>(mut self, answer: T) -> Result<T, StoreError> {
        self.notify_of_an_earlier_due_time().await?;
        self.trim().await?;
        if self.counters != self.stored_counters {
            self.writes.values.insert(StoreCounters::key(), Some(self.counters.encode()));
        }
        if !self.writes.is_empty() {
            self.base.commit(self.writes).await?;
        }
        Ok(answer)
    }

    pub(crate) const fn set_op(&mut self, op: OpId) {
        self.writes.op = Some(op);
    }

    pub(crate) const fn set_quiet(&mut self) {
        self.writes.quiet = true;
    }

    /// Wakes all nodes if a row becomes due earlier than every row before, because they sleep until that time.
    async fn notify_of_an_earlier_due_time(&mut self) -> Result<(), StoreError> {
        let due = index::due();
        let added = due.iter().flat_map(|range| range.within(&self.writes.entries));
        let added = added.filter(|(_, id)| id.is_some()).filter_map(|(key, _)| key.time_before_seq());
        let Some(new) = added.min() else { return Ok(()) };
        let before = first_time(self.base.scan(&due, SortOrder::OldestFirst, 1).await?);
        if before.is_none_or(|before| new < before) {
            self.notify_all();
        }
        Ok(())
    }

    async fn trim(&mut self) -> Result<(), StoreError> {
        if self.counters.cursor.saturating_sub(self.counters.trimmed) > self.settings.kept_events {
            self.counters.trimmed = self.counters.cursor.saturating_sub(self.settings.kept_events);
            self.writes.trim = Some(EventCursor(self.counters.trimmed));
        }
        if self.counters.ops.saturating_sub(self.counters.old_ops) >= MAX_OPS + TRIM_BATCH {
            let until = self.counters.ops.saturating_sub(MAX_OPS);
            let range = KeyRange { from: OpReply::order_key(0), to: OpReply::order_key(until) };
            self.counters.old_ops = until;
            self.delete_oldest("op", range).await?;
        }
        if self.counters.tombstones.saturating_sub(self.counters.old_tombstones)
            >= MAX_TOMBSTONES + TRIM_BATCH
        {
            let until = self.counters.tombstones.saturating_sub(MAX_TOMBSTONES);
            let range =
                KeyRange { from: values::tombstone_order_key(0), to: values::tombstone_order_key(until) };
            self.counters.old_tombstones = until;
            self.delete_oldest("tombstone", range).await?;
        }
        Ok(())
    }

    /// Deletes the values whose names are listed in this range of an order, and their places in the order.
    async fn delete_oldest(&mut self, kind: &str, order: KeyRange) -> Result<(), StoreError> {
        for (key, name) in self.scan_values(&order, u32::MAX).await? {
            self.set_value(RowKey::of(kind).name(&name), None);
            self.set_value(key, None);
        }
        Ok(())
    }

    /// Returns the rows of these processes, in the order of `ids`.
    pub(crate) async fn rows(&mut self, ids: &[ProcessId]) -> Result<Vec<FoundRow>, StoreError> {
        if self.writes.rows.is_empty() {
            return self.base.rows(ids).await;
        }
        let absent: Vec<ProcessId> =
            ids.iter().filter(|id| !self.writes.rows.contains_key(id)).copied().collect();
        let mut found =
            if absent.is_empty() { Vec::new() } else { self.base.rows(&absent).await? }.into_iter();
        let row = |id: &ProcessId| match self.writes.rows.get(id) {
            Some(write) => Ok(write.row().cloned()),
            None => found.next().unwrap_or(Ok(None)),
        };
        Ok(ids.iter().map(row).collect())
    }

    pub(crate) async fn row(&mut self, id: &ProcessId) -> Result<Option<Arc<ProcessRow>>, StoreError> {
        self.rows(std::slice::from_ref(id)).await?.pop().unwrap_or(Ok(None))
    }

    /// Returns the rows of those of these processes that have one.
    ///
    /// # Errors
    /// Fails if one of the rows is damaged.
    pub(crate) async fn readable(&mut self, ids: &[ProcessId]) -> Result<Vec<Arc<ProcessRow>>, StoreError> {
        let mut rows = Vec::with_capacity(ids.len());
        for found in self.rows(ids).await? {
            rows.extend(found?);
        }
        Ok(rows)
    }

    /// Returns the first `limit` index entries of each range.
    pub(crate) async fn scan(
        &mut self,
        ranges: &[KeyRange],
        order: SortOrder,
        limit: u32,
    ) -> Result<Vec<Vec<(RowKey, ProcessId)>>, StoreError> {
        let written = |range: &KeyRange| range.within(&self.writes.entries);
        let most = ranges.iter().map(|range| written(range).count()).max().unwrap_or(0);
        if most == 0 {
            return self.base.scan(ranges, order, limit).await;
        }
        let enough = limit.saturating_add(count(most));
        let found = self.base.scan(ranges, order, enough).await?;
        let merge = |(range, found): (&KeyRange, Vec<(RowKey, ProcessId)>)| {
            let mut merged: BTreeMap<RowKey, ProcessId> = found.into_iter().collect();
            for (key, id) in written(range) {
                match id {
                    Some(id) => merged.insert(key.clone(), *id),
                    None => merged.remove(key),
                };
            }
            let length = usize::try_from(limit).unwrap_or(usize::MAX);
            match order {
                SortOrder::OldestFirst => merged.into_iter().take(length).collect(),
                SortOrder::NewestFirst => merged.into_iter().rev().take(length).collect(),
            }
        };
        Ok(ranges.iter().zip(found).map(merge).collect())
    }

    /// Returns the processes of the first `limit` index entries of a range.
    pub(crate) async fn ids(&mut self, range: KeyRange, limit: u32) -> Result<Vec<ProcessId>, StoreError> {
        let found = self.scan(&[range], SortOrder::OldestFirst, limit).await?;
        Ok(found.into_iter().flatten().map(|(_, id)| id).collect())
    }

    /// Returns the earliest time at which a row without an owner needs a decision.
    pub(crate) async fn first_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(first_time(self.scan(&index::due(), SortOrder::OldestFirst, 1).await?))
    }

    /// Returns the number of index entries of each range. Only for transactions that write nothing.
    pub(crate) async fn count(&mut self, ranges: &[KeyRange], limit: u32) -> Result<Vec<u32>, StoreError> {
        self.base.count(ranges, limit).await
    }

    pub(crate) async fn values(&mut self, keys: &[RowKey]) -> Result<Vec<Option<String>>, StoreError> {
        let absent: Vec<RowKey> =
            keys.iter().filter(|key| !self.writes.values.contains_key(key)).cloned().collect();
        let mut found =
            if absent.is_empty() { Vec::new() } else { self.base.values(&absent).await? }.into_iter();
        let value = |key: &RowKey| match self.writes.values.get(key) {
            Some(value) => value.clone(),
            None => found.next().flatten(),
        };
        Ok(keys.iter().map(value).collect())
    }

    pub(crate) async fn value(&mut self, key: RowKey) -> Result<Option<String>, StoreError> {
        Ok(self.values(&[key]).await?.pop().flatten())
    }

    pub(crate) async fn scan_values(
        &mut self,
        range: &KeyRange,
        limit: u32,
    ) -> Result<Vec<(RowKey, String)>, StoreError> {
        let written = || range.within(&self.writes.values);
        let changed = written().count();
        let found = self.base.scan_values(range, limit.saturating_add(count(changed))).await?;
        if changed == 0 {
            return Ok(found);
        }
        let mut merged: BTreeMap<RowKey, String> = found.into_iter().collect();
        for (key, value) in written() {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        Ok(merged.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }

    pub(crate) fn set_value(&mut self, key: RowKey, value: Option<String>) {
        self.writes.values.insert(key, value);
    }

    /// Removes an index entry whose row cannot be read.
    pub(crate) fn unlist(&mut self, entry: RowKey) {
        self.writes.entries.insert(entry, None);
    }

    pub(crate) async fn events(
        &mut self,
        after: EventCursor,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        self.base.events(after, limit).await
    }

    /// Inserts, replaces or deletes a row, together with its index entries and counts. `before` is the row that is
    /// stored now.
    pub(crate) async fn put(
        &mut self,
        before: Option<&ProcessRow>,
        after: Option<ProcessRow>,
    ) -> Result<(), StoreError> {
        let Some(id) = after.as_ref().or(before).map(|row| row.stored.process.id) else { return Ok(()) };
        let is_change = before.is_some_and(|before| {
            after.as_ref().is_some_and(|after| {
                Arc::ptr_eq(&before.stored.process.spec, &after.stored.process.spec)
                    || before.stored.process.spec == after.stored.process.spec
            })
        });
        let keys = if is_change { index::changing } else { index::all_of };
        let (old, new) = (before.map(keys).unwrap_or_default(), after.as_ref().map(keys).unwrap_or_default());
        for key in old.iter().filter(|key| !new.contains(key)) {
            self.writes.entries.insert(key.clone(), None);
        }
        for key in new.into_iter().filter(|key| !old.contains(key)) {
            self.writes.entries.insert(key, Some(id));
        }
        let mut steps: BTreeMap<RowKey, i64> = BTreeMap::new();
        for key in before.map(index::counts).unwrap_or_default() {
            *steps.entry(key).or_default() -= 1;
        }
        for key in after.as_ref().map(index::counts).unwrap_or_default() {
            *steps.entry(key).or_default() += 1;
        }
        steps.retain(|_, step| *step != 0);
        self.count_on(steps).await?;
        let was_whole = matches!(self.writes.rows.get(&id), Some(RowWrite::Whole(_)));
        let write = match after.map(Arc::new) {
            Some(row) if is_change && !was_whole => RowWrite::Change(row),
            Some(row) => RowWrite::Whole(row),
            None => RowWrite::Delete,
        };
        self.writes.rows.insert(id, write);
        Ok(())
    }

    async fn count_on(&mut self, steps: BTreeMap<RowKey, i64>) -> Result<(), StoreError> {
        if steps.is_empty() {
            return Ok(());
        }
        let keys: Vec<RowKey> = steps.keys().cloned().collect();
        for ((key, step), value) in steps.into_iter().zip(self.values(&keys).await?) {
            let count = values::number(value.as_deref())?.saturating_add_signed(step);
            self.set_value(key, (count > 0).then(|| count.to_string()));
        }
        Ok(())
    }

    /// Changes a stored row and returns the new one.
    pub(crate) async fn change(
        &mut self,
        before: &ProcessRow,
        change: impl FnOnce(&mut ProcessRow) + Send,
    ) -> Result<StoredProcess, StoreError> {
        let mut after = before.clone();
        change(&mut after);
        let stored = after.stored.clone();
        self.put(Some(before), Some(after)).await?;
        Ok(stored)
    }

    pub(crate) fn append(
        &mut self,
        id: ProcessId,
        revision: Revision,
        events: impl IntoIterator<Item = Event>,
    ) {
        for (index, event) in (0_u32..).zip(events) {
            self.counters.cursor = self.counters.cursor.saturating_add(1);
            let cursor = EventCursor(self.counters.cursor);
            self.writes.events.push(LoggedEvent { cursor, id, revision, index, event });
        }
    }

    /// Appends an event of another store under its own cursor.
    pub(crate) fn import(&mut self, logged: LoggedEvent) {
        self.counters.cursor = self.counters.cursor.max(logged.cursor.0);
        self.writes.events.push(logged);
    }

    pub(crate) async fn node(&mut self, node: &NodeId) -> Result<Option<NodeRow>, StoreError> {
        let text = self.value(NodeRow::key(node)).await?;
        text.map(|text| self.decode_node(node, &text)).transpose()
    }

    /// Returns all nodes that ever registered, sorted by name.
    pub(crate) async fn nodes(&mut self) -> Result<Vec<NodeRow>, StoreError> {
        let found = self.scan_values(&RowKey::of("node").below(), u32::MAX).await?;
        let decode = |(key, text): &(RowKey, String)| self.decode_node(&codec::name(&key.part(1))?, text);
        let mut nodes: Vec<NodeRow> = found.iter().map(decode).collect::<Result<_, _>>()?;
        nodes.sort_by(|a, b| a.facts.id.cmp(&b.facts.id));
        Ok(nodes)
    }

    pub(crate) fn decode_node(&self, node: &NodeId, text: &str) -> Result<NodeRow, StoreError> {
        self.decoded.node(node, text)
    }

    pub(crate) fn set_node(&mut self, node: &NodeRow) {
        self.set_value(NodeRow::key(&node.facts.id), Some(node.encode()));
    }

    /// Rejects a lease that is not the newest lease of its node.
    pub(crate) async fn check(&mut self, lease: &Lease) -> Result<NodeRow, StoreError> {
        match self.node(&lease.node).await? {
            Some(node) if node.epoch == lease.epoch => Ok(node),
            Some(_) | None => Err(StoreError::fenced(lease)),
        }
    }

    /// Rejects a writer that may not change this record.
    pub(crate) async fn check_author(
        &mut self,
        stored: &StoredProcess,
        author: &Writer,
    ) -> Result<(), StoreError> {
        match author.required_lease(stored.owner.as_ref())? {
            Some(lease) => self.check(lease).await.map(drop),
            None => Ok(()),
        }
    }

    pub(crate) async fn reply(&mut self, op: &OpId) -> Result<Option<OpReply>, StoreError> {
        self.value(OpReply::key(op)).await?.as_deref().map(OpReply::decode).transpose()
    }

    pub(crate) fn remember(&mut self, op: OpId, reply: OpReply) {
        self.set_value(OpReply::key(&op), Some(reply.encode()));
        self.set_value(OpReply::order_key(self.counters.ops), Some(op.as_uuid().to_string()));
        self.counters.ops = self.counters.ops.saturating_add(1);
    }

    pub(crate) const fn notify_all(&mut self) {
        self.counters.updates = self.counters.updates.saturating_add(1);
    }

    pub(crate) async fn notify_one(&mut self, node: &NodeId) -> Result<(), StoreError> {
        let key = values::updates_key(node);
        let updates = values::number(self.value(key.clone()).await?.as_deref())?;
        self.set_value(key, Some(updates.saturating_add(1).to_string()));
        Ok(())
    }

    /// Counts a new waiting process as an update for each node that may run it.
    pub(crate) async fn notify_of_waiter(&mut self, class: &PlacementClass) -> Result<(), StoreError> {
        match class {
            PlacementClass::Node(node) => self.notify_one(node).await,
            PlacementClass::Shared(_) => {
                self.notify_all();
                Ok(())
            }
        }
    }
}

/// Returns the earliest time in the keys of index entries of rows that are due.
fn first_time(found: Vec<Vec<(RowKey, ProcessId)>>) -> Option<Timestamp> {
    found.into_iter().flatten().filter_map(|(key, _)| key.time_before_seq()).min()
}

pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
