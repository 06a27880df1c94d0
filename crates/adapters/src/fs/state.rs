//! The memory store, with a record of the changes that are not yet written to files.

use super::journal_line::{JournalLine, WrittenExtent};
use super::ledger::state::{LedgerReply, LedgerRow, LedgerState, Node};
use crate::fingerprint::Fingerprint;
use longhaul_domain::{
    ActionSeq, AttemptNo, LaunchKey, LiveStats, NodeId, OpId, PendingAction, Policy, PolicyVersion,
    ProcessId, Retention, Revision, SessionId, SlotKey, Timestamp,
};
use longhaul_ports::{
    Change, ClaimCapacity, EventCursor, Lease, LoggedEvent, NodeDescriptor, PrunedBatch, RegisteredNode,
    RetiredLaunchKey, StoreError, StoreMetadata, StoreRejection, StoredProcess, Submission, SubmitOutcome,
    Tombstone, Writer,
};
use longhaul_wire::record;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Maximum size of a spec in bytes.
const MAX_SPEC_BYTES: usize = 1024 * 1024;

/// The complete state of the store.
#[derive(Debug, Default)]
pub(super) struct StoreState {
    pub(super) ledger: LedgerState,
    /// Launch keys of deleted processes. Such a key must not start a second process.
    pub(super) old_keys: BTreeMap<(Option<SessionId>, LaunchKey), RetiredLaunchKey>,
    dirty: DirtySet,
}

/// Changes that are not yet written to files.
#[derive(Debug, Default)]
struct DirtySet {
    rows: BTreeMap<ProcessId, WrittenExtent>,
    live_stats: BTreeSet<ProcessId>,
    nodes: BTreeSet<NodeId>,
    pruned: Vec<(ProcessId, u64)>,
    old_keys: Vec<RetiredLaunchKey>,
    answers: Vec<(OpId, LedgerReply)>,
    policy: bool,
    /// Cursor of the last event that is written to files.
    cursor: EventCursor,
    claims: u64,
}

impl StoreState {
    pub(super) fn submit(&mut self, now: Timestamp, new: Submission) -> Result<SubmitOutcome, StoreError> {
        if let Some(existing) = self.find_pruned(&new) {
            return Ok(existing);
        }
        let bytes = record::encode_spec(&new.process).len();
        if bytes > MAX_SPEC_BYTES {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            return Err(StoreError::Refused(StoreRejection::TooLarge { bytes }));
        }
        let submitted = self.ledger.submit(now, new)?;
        match &submitted {
            SubmitOutcome::Waiting(stored) | SubmitOutcome::Claimed(stored) => {
                self.dirty.rows.insert(stored.process.id, WrittenExtent::Whole);
            }
            SubmitOutcome::Existing { .. } => {}
        }
        Ok(submitted)
    }

    /// Returns the outcome for a submission that repeats the launch of a deleted process. That process has the same id,
    /// or the same launch key in the same session.
    fn find_pruned(&self, new: &Submission) -> Option<SubmitOutcome> {
        let (id, spec) = (new.process.id, &new.process.spec);
        if self.ledger.stored(&id).is_some() {
            return None;
        }
        if let Some(find_tombstone) = self.ledger.find_tombstone(new) {
            return Some(find_tombstone);
        }
        let old = self.old_keys.get(&(spec.session.clone(), spec.launch_key.clone()?))?;
        let same_spec = old.launch == Fingerprint::of(&spec.launch_part());
        Some(SubmitOutcome::Existing { id: old.id, stored: None, same_spec })
    }

    pub(super) fn claim(
        &mut self,
        now: Timestamp,
        by: &Lease,
        room: &ClaimCapacity,
    ) -> Result<Vec<StoredProcess>, StoreError> {
        let claimed = self.ledger.claim(now, by, room)?;
        claimed.iter().for_each(|stored| self.changed(stored.process.id));
        Ok(claimed)
    }

    pub(super) fn commit(&mut self, change: Change) -> Result<Revision, StoreError> {
        let (id, op) = (change.next.id, change.op);
        let repeated = self.ledger.stored_reply(&op).is_some();
        let revision = self.ledger.commit(change)?;
        if !repeated {
            self.changed(id);
            self.dirty.answers.push((op, LedgerReply::Committed(revision)));
        }
        Ok(revision)
    }

    pub(super) fn enqueue_action(
        &mut self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        let repeated = self.ledger.stored_reply(&op).is_some();
        let no = self.ledger.enqueue_action(id, op, action)?;
        if !repeated {
            self.changed(*id);
            self.dirty.answers.push((op, LedgerReply::Enqueued(no)));
        }
        Ok(no)
    }

    pub(super) fn update_live_stats(
        &mut self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Vec<Result<(), StoreError>> {
        let touch = |(id, attempt, live_stats): &(ProcessId, AttemptNo, LiveStats)| {
            self.ledger.update_live_stats(by, *id, *attempt, live_stats)?;
            self.dirty.live_stats.insert(*id);
            Ok(())
        };
        live_stats.iter().map(touch).collect()
    }

    /// Claims due rows for an engine. Does not mark the rows as changed, because the claims need not survive a restart.
    pub(super) fn claim_due(
        &mut self,
        now: Timestamp,
        by: &Lease,
        limit: u32,
    ) -> Result<Vec<StoredProcess>, StoreError> {
        self.ledger.claim_due(now, by, limit)
    }

    pub(super) fn prune(&mut self, now: Timestamp, rule: &Retention, limit: u32) -> PrunedBatch {
        let (gone, more) = self.ledger.prune_rows(now, rule, limit);
        let mut pruned = PrunedBatch { ids: Vec::new(), more, total: self.ledger.pruned_total };
        for LedgerRow { stored, .. } in gone {
            let (id, spec) = (stored.process.id, &stored.process.spec);
            self.dirty.rows.remove(&id);
            self.dirty.live_stats.remove(&id);
            self.dirty.pruned.push((id, Fingerprint::of(spec)));
            if let Some(key) = spec.launch_key.clone() {
                let launch = Fingerprint::of(&spec.launch_part());
                let old = RetiredLaunchKey { session: spec.session.clone(), key, id, launch };
                self.dirty.old_keys.push(old.clone());
                self.retire(old);
            }
            pruned.ids.push(id);
        }
        pruned
    }

    /// Stores the launch key of a deleted process.
    pub(super) fn retire(&mut self, old: RetiredLaunchKey) {
        let scope = (old.session.clone(), old.key.clone());
        self.ledger.launch_keys.remove(&scope);
        self.old_keys.insert(scope, old);
    }

    pub(super) fn set_policy(
        &mut self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let version = self.ledger.set_policy(expected, policy)?;
        self.dirty.policy = true;
        Ok(version)
    }

    pub(super) fn register(&mut self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        let lease = self.ledger.register(me)?;
        self.dirty.nodes.insert(me.id.clone());
        Ok(lease)
    }

    pub(super) fn leave(&mut self, by: &Lease) {
        self.ledger.leave(by);
        self.dirty.nodes.insert(by.node.clone());
    }

    /// Returns the data of the store other than processes and events.
    pub(super) fn store_metadata(&self) -> StoreMetadata {
        let ledger = &self.ledger;
        let mut served: Vec<(u64, Option<SlotKey>)> =
            ledger.served.iter().map(|(key, at)| (*at, key.clone())).collect();
        served.sort();
        let member =
            |node: &Node| RegisteredNode { facts: node.facts.clone(), epoch: node.epoch, left: node.left };
        let tombstone = |id: &ProcessId| Some(Tombstone { id: *id, spec: *ledger.tombstones.get(id)? });
        StoreMetadata {
            policy: ledger.policy.clone(),
            nodes: ledger.nodes.values().map(member).collect(),
            served: served.into_iter().map(|(_, key)| key).collect(),
            old_keys: self.old_keys.values().cloned().collect(),
            tombstones: ledger.tombstone_order.iter().filter_map(tombstone).collect(),
            pruned_total: ledger.pruned_total,
            last_seq: ledger.last_seq,
            end: ledger.last_cursor,
        }
    }

    pub(super) fn take_process(&mut self, stored: StoredProcess) {
        let id = stored.process.id;
        let last_action = stored.pending_actions.iter().map(|(no, _)| *no).max().unwrap_or_default();
        self.dirty.rows.insert(id, WrittenExtent::Whole);
        self.ledger.last_seq = self.ledger.last_seq.max(stored.seq);
        self.insert_row(LedgerRow { stored, last_action, claimed_until: None });
    }

    pub(super) fn take_event(&mut self, logged: LoggedEvent) {
        self.ledger.last_cursor = self.ledger.last_cursor.max(logged.cursor);
        self.ledger.log.push_back(logged);
    }

    pub(super) fn import_metadata(&mut self, store_metadata: &StoreMetadata) {
        let ledger = &mut self.ledger;
        ledger.policy = store_metadata.policy.clone();
        self.dirty.policy = true;
        for member in &store_metadata.nodes {
            let RegisteredNode { facts, epoch, left } = member.clone();
            self.dirty.nodes.insert(facts.id.clone());
            ledger.nodes.insert(facts.id.clone(), Node { facts, epoch, left });
        }
        for key in &store_metadata.served {
            ledger.claims += 1;
            ledger.served.insert(key.clone(), ledger.claims);
        }
        ledger.pruned_total = store_metadata.pruned_total;
        ledger.last_seq = ledger.last_seq.max(store_metadata.last_seq);
        ledger.last_cursor = ledger.last_cursor.max(store_metadata.end);
        for old in &store_metadata.old_keys {
            self.dirty.old_keys.push(old.clone());
            self.retire(old.clone());
        }
        for tombstone in &store_metadata.tombstones {
            self.dirty.pruned.push((tombstone.id, tombstone.spec));
            self.ledger.mark_pruned(tombstone.id, tombstone.spec);
        }
    }

    /// Adds a row to the records and their indexes.
    pub(super) fn insert_row(&mut self, row: LedgerRow) {
        let (id, spec) = (row.stored.process.id, &row.stored.process.spec);
        if let Some(key) = &spec.launch_key {
            let scope = (spec.session.clone(), key.clone());
            self.ledger.launch_keys.insert(scope, (id, Arc::clone(spec)));
        }
        self.ledger.rows.insert(row);
    }

    fn changed(&mut self, id: ProcessId) {
        self.dirty.rows.entry(id).or_insert(WrittenExtent::Change);
    }

    /// Returns true if any data other than live stats has changed. Live stats may be written later.
    pub(super) fn needs_write(&self) -> bool {
        let dirty = &self.dirty;
        dirty.policy
            || dirty.cursor != self.ledger.last_cursor
            || !(dirty.rows.is_empty()
                && dirty.nodes.is_empty()
                && dirty.pruned.is_empty()
                && dirty.old_keys.is_empty()
                && dirty.answers.is_empty())
    }

    /// Returns true if any data has changed.
    pub(super) fn has_changes(&self) -> bool {
        self.needs_write() || !self.dirty.live_stats.is_empty()
    }

    /// Returns the current value of all data that has changed since the last call of this method.
    pub(super) fn take_changes(&mut self) -> Vec<JournalLine> {
        let next =
            DirtySet { cursor: self.ledger.last_cursor, claims: self.ledger.claims, ..DirtySet::default() };
        let dirty = std::mem::replace(&mut self.dirty, next);
        let ledger = &self.ledger;
        let mut lines = vec![self.counters()];
        lines.extend(dirty.nodes.iter().filter_map(|node| ledger.nodes.get(node)).map(JournalLine::node));
        if dirty.policy {
            lines.push(JournalLine::policy(ledger.policy.0, &ledger.policy.1));
        }
        let served = ledger.served.iter().filter(|(_, at)| **at > dirty.claims);
        lines.extend(served.map(|(key, at)| JournalLine::served(key.as_ref(), *at)));
        for (id, extent) in &dirty.rows {
            lines.extend(ledger.rows.get(id).map(|row| JournalLine::process(row, *extent)));
        }
        for id in dirty.live_stats.iter().filter(|id| !dirty.rows.contains_key(id)) {
            lines.extend(ledger.rows.get(id).map(|row| JournalLine::live_stats(&row.stored)));
        }
        lines.extend(dirty.old_keys.iter().map(JournalLine::launch_key));
        lines.extend(dirty.pruned.iter().map(|(id, spec)| JournalLine::pruned(*id, *spec)));
        let fresh = ledger.log.iter().rev().take_while(|logged| logged.cursor > dirty.cursor);
        let fresh: Vec<JournalLine> = fresh.map(JournalLine::event).collect();
        lines.extend(fresh.into_iter().rev());
        lines.extend(dirty.answers.iter().map(|(op, answer)| JournalLine::answer(*op, *answer)));
        lines
    }

    pub(super) fn counters(&self) -> JournalLine {
        JournalLine::Counters(super::journal_line::Counters {
            seq: self.ledger.last_seq.0,
            cursor: self.ledger.last_cursor.0,
            claims: self.ledger.claims,
            pruned: self.ledger.pruned_total,
        })
    }

    /// Clears the set of changes. Called after the state was read from files.
    pub(super) fn clear_changes(&mut self) {
        self.dirty =
            DirtySet { cursor: self.ledger.last_cursor, claims: self.ledger.claims, ..DirtySet::default() };
    }
}
