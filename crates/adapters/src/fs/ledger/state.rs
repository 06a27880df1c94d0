//! Complete state of an in-memory store.

use super::rows::IndexedRows;
use super::updates::UpdateCounters;
use longhaul_domain::{
    ActionSeq, Epoch, Event, NodeId, OpId, Policy, PolicyVersion, ProcessId, Revision, Seq, SlotKey, Spec,
    Timestamp, admission::Rank,
};
use longhaul_domain::{LaunchKey, SessionId};
use longhaul_ports::{
    EventCursor, Lease, LoggedEvent, NodeDescriptor, PlacementClass, StoreError, StoredProcess, Writer,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Maximum number of events in the event log.
const MAX_EVENTS: usize = 100_000;
/// Maximum number of operations whose replies are stored.
const MAX_OPS: usize = 100_000;
/// Maximum number of tombstones to keep. A tombstone prevents a repeated launch from starting a pruned process again.
const MAX_TOMBSTONES: usize = 100_000;

/// Complete state of an in-memory store.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerState {
    pub(crate) rows: IndexedRows,
    pub(crate) last_seq: Seq,
    /// Launch keys. They remain after their records are deleted, so that a key never starts a second process.
    pub(crate) launch_keys: BTreeMap<(Option<SessionId>, LaunchKey), (ProcessId, Arc<Spec>)>,
    pub(crate) log: VecDeque<LoggedEvent>,
    pub(crate) last_cursor: EventCursor,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) policy: (PolicyVersion, Policy),
    /// For each key, the number of the last claim that took a process with this key.
    pub(crate) served: BTreeMap<Option<SlotKey>, u64>,
    pub(crate) claims: u64,
    /// Tombstones: ids of deleted processes with the fingerprints of their launch specs.
    pub(crate) tombstones: BTreeMap<ProcessId, u64>,
    pub(crate) tombstone_order: VecDeque<ProcessId>,
    /// Total number of deleted records.
    pub(crate) pruned_total: u64,
    pub(crate) updates: UpdateCounters,
    pub(crate) ops: BTreeMap<OpId, LedgerReply>,
    pub(crate) ops_in_order: VecDeque<OpId>,
}

/// A record and the data that only this record uses.
#[derive(Clone, Debug)]
pub(crate) struct LedgerRow {
    pub(crate) stored: StoredProcess,
    pub(crate) last_action: ActionSeq,
    /// Time until which the row is reserved for the engine that claimed it as due.
    pub(crate) claimed_until: Option<Timestamp>,
}

/// A node that has registered.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) facts: NodeDescriptor,
    pub(crate) epoch: Epoch,
    pub(crate) left: bool,
}

/// Stored reply to an operation, for the case that the operation is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LedgerReply {
    Committed(Revision),
    Enqueued(ActionSeq),
}

impl LedgerState {
    pub(crate) fn stored(&self, id: &ProcessId) -> Option<&StoredProcess> {
        self.rows.get(id).map(|row| &row.stored)
    }

    /// Rejects a lease that is not the newest lease of its node.
    pub(crate) fn check(&self, lease: &Lease) -> Result<(), StoreError> {
        match self.nodes.get(&lease.node) {
            Some(node) if node.epoch == lease.epoch => Ok(()),
            Some(_) | None => Err(StoreError::fenced(lease)),
        }
    }

    /// Rejects a writer that may not change this record.
    pub(crate) fn check_author(&self, stored: &StoredProcess, author: &Writer) -> Result<(), StoreError> {
        author.required_lease(stored.owner.as_ref())?.map_or(Ok(()), |lease| self.check(lease))
    }

    pub(crate) fn append(
        &mut self,
        id: ProcessId,
        revision: Revision,
        events: impl IntoIterator<Item = Event>,
    ) {
        for (index, event) in (0_u32..).zip(events) {
            self.last_cursor = EventCursor(self.last_cursor.0.saturating_add(1));
            self.log.push_back(LoggedEvent { cursor: self.last_cursor, id, revision, index, event });
        }
        while self.log.len() > MAX_EVENTS {
            self.log.pop_front();
        }
    }

    pub(crate) fn stored_reply(&self, op: &OpId) -> Option<LedgerReply> {
        self.ops.get(op).copied()
    }

    pub(crate) fn remember(&mut self, op: OpId, answer: LedgerReply) {
        self.ops.insert(op, answer);
        self.ops_in_order.push_back(op);
        while self.ops_in_order.len() > MAX_OPS {
            if let Some(oldest) = self.ops_in_order.pop_front() {
                self.ops.remove(&oldest);
            }
        }
    }

    /// Adds the tombstone of a deleted process.
    pub(crate) fn mark_pruned(&mut self, id: ProcessId, spec: u64) {
        if self.tombstones.insert(id, spec).is_none() {
            self.tombstone_order.push_back(id);
        }
        while self.tombstone_order.len() > MAX_TOMBSTONES {
            if let Some(oldest) = self.tombstone_order.pop_front() {
                self.tombstones.remove(&oldest);
            }
        }
    }

    /// Assigns all processes of a node to its newest lease.
    pub(crate) fn renew(&mut self, lease: &Lease) {
        let owned: Vec<ProcessId> = self.rows.index().owned_by(&lease.node).values().copied().collect();
        for id in owned {
            self.rows.change(&id, |row| row.stored.owner = Some(lease.clone()));
        }
    }
}

impl LedgerRow {
    /// Returns the time at which a row without an owner needs a decision. Returns `None` if the row has an owner.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        if self.stored.owner.is_some() {
            return None;
        }
        if !self.stored.pending_actions.is_empty() {
            return Some(self.stored.process.queued_at);
        }
        self.stored.process.due()
    }

    /// Returns the later of two times: the [`due`](Self::due) time, and the end of the claim that an engine has on the
    /// row.
    pub(crate) fn due_again(&self) -> Option<Timestamp> {
        let due = self.due()?;
        Some(self.claimed_until.map_or(due, |until| due.max(until)))
    }
}

pub(crate) fn rank(stored: &StoredProcess) -> Rank {
    Rank { priority: stored.process.priority, seq: stored.seq }
}

/// Returns the placement class of a spec: the nodes that may run the process.
pub(crate) fn class(spec: &Spec) -> PlacementClass {
    PlacementClass::of(&spec.placement)
}

pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
