//! Everything that a store in memory knows.

use super::leases::Leases;
use super::restore::RestoredFrom;
use super::rows::IndexedRows;
use super::updates::UpdateCounters;
use longhaul_domain::{
    ActionSeq, AttemptNo, Epoch, Event, NodeId, OpId, Policy, PolicyVersion, ProcessId, Revision, Seq,
    SlotKey, SlotState, Spec, Timestamp, admission::Rank,
};
use longhaul_domain::{LaunchKey, SessionId};
use longhaul_ports::{
    EventCursor, History, Lease, LoggedEvent, NodeDescriptor, OutputTail, PlacementClass, StoreError,
    StoredProcess, Writer,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The newest events that are kept.
const MAX_EVENTS: usize = 100_000;
/// The newest writes whose answers are kept.
const MAX_OPS: usize = 100_000;
/// So many swept ids are remembered, so that sending one again does not start it again.
const MAX_TOMBSTONES: usize = 100_000;

/// Everything that a store in memory knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryState {
    pub(crate) rows: IndexedRows,
    pub(crate) last_seq: Seq,
    /// They outlive the records: a key never starts a second copy.
    pub(crate) launch_keys: BTreeMap<(Option<SessionId>, LaunchKey), (ProcessId, Arc<Spec>)>,
    pub(crate) log: VecDeque<LoggedEvent>,
    pub(crate) last_cursor: EventCursor,
    /// How often everything here was lost.
    pub(crate) incarnation: u64,
    /// The place to which the log was raised last, when somebody gave back what was lost.
    pub(crate) raised_to: EventCursor,
    /// Every new epoch is higher.
    pub(crate) epochs_from: Epoch,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(super) leases: Leases,
    pub(crate) policy: (PolicyVersion, Policy),
    /// When each key was served last, as a count of claims.
    pub(crate) served: BTreeMap<Option<SlotKey>, u64>,
    pub(crate) claims: u64,
    /// Processes that were let go, with the fingerprint of what was asked for.
    pub(crate) tombs: BTreeMap<ProcessId, u64>,
    pub(crate) tombs_in_order: VecDeque<ProcessId>,
    /// How many records were ever let go.
    pub(crate) swept: u64,
    pub(crate) news: UpdateCounters,
    /// The last output of processes, where leases end.
    pub(super) tails: BTreeMap<ProcessId, (AttemptNo, OutputTail)>,
    pub(crate) ops: BTreeMap<OpId, OpReply>,
    pub(crate) ops_in_order: VecDeque<OpId>,
}

/// A record and what belongs to it alone.
#[derive(Clone, Debug)]
pub(crate) struct MemoryRow {
    pub(crate) stored: StoredProcess,
    pub(crate) last_wish: ActionSeq,
    /// It was handed to one engine and is not handed out again before.
    pub(crate) handed_until: Option<Timestamp>,
    /// When it was taken from its node; it counts as long as it holds a slot and nobody owns it.
    pub(crate) orphaned: Option<Timestamp>,
    /// It was lost, and given back.
    pub(crate) given: Option<RestoredFrom>,
}

/// A node that registered at least once.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) facts: NodeDescriptor,
    pub(crate) epoch: Epoch,
    pub(crate) left: bool,
    /// Only its epoch is remembered.
    pub(crate) forgotten: bool,
}

/// The answer that an op gets whenever it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OpReply {
    Committed(Revision),
    Wished(ActionSeq),
}

impl MemoryState {
    pub(crate) fn stored(&self, id: &ProcessId) -> Option<&StoredProcess> {
        self.rows.get(id).map(|row| &row.stored)
    }

    /// Refuses a lease that is not the newest of its node.
    pub(crate) fn check(&self, lease: &Lease) -> Result<(), StoreError> {
        match self.nodes.get(&lease.node) {
            Some(node) if node.epoch == lease.epoch => Ok(()),
            Some(_) | None => Err(fenced(lease)),
        }
    }

    /// Refuses whoever may not write this record.
    pub(crate) fn check_author(&self, stored: &StoredProcess, author: &Writer) -> Result<(), StoreError> {
        match (&stored.owner, author) {
            (None, Writer::Anyone) => Ok(()),
            (None, Writer::Owner(lease)) => self.check(lease),
            (Some(owner), Writer::Anyone) => Err(fenced(owner)),
            (Some(owner), Writer::Owner(lease)) if owner == lease => self.check(lease),
            (Some(_), Writer::Owner(lease)) => Err(fenced(lease)),
        }
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

    /// How far this has come.
    pub(crate) fn history(&self) -> History {
        let incarnation = Some(format!("{}/{}", self.incarnation, self.raised_to.0));
        History { incarnation, server: "memory".to_owned(), end: self.last_cursor }
    }

    pub(crate) fn answered(&self, op: &OpId) -> Option<OpReply> {
        self.ops.get(op).copied()
    }

    pub(crate) fn remember(&mut self, op: OpId, answer: OpReply) {
        self.ops.insert(op, answer);
        self.ops_in_order.push_back(op);
        while self.ops_in_order.len() > MAX_OPS {
            if let Some(oldest) = self.ops_in_order.pop_front() {
                self.ops.remove(&oldest);
            }
        }
    }

    /// Remembers what was let go.
    pub(crate) fn mark_pruned(&mut self, id: ProcessId, spec: u64) {
        if self.tombs.insert(id, spec).is_none() {
            self.tombs_in_order.push_back(id);
        }
        while self.tombs_in_order.len() > MAX_TOMBSTONES {
            if let Some(oldest) = self.tombs_in_order.pop_front() {
                self.tombs.remove(&oldest);
            }
        }
    }

    /// Gives what a node owns to its newest lease.
    pub(crate) fn renew(&mut self, lease: &Lease) {
        let owned: Vec<ProcessId> = self.rows.index().owned_by(&lease.node).values().copied().collect();
        for id in owned {
            self.rows.change(&id, |row| row.stored.owner = Some(lease.clone()));
        }
    }
}

impl MemoryRow {
    /// When it wants a decision, if nobody owns it.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        if self.stored.owner.is_some() {
            return None;
        }
        if !self.stored.pending_actions.is_empty() {
            return Some(self.stored.process.queued_at);
        }
        let orphaned = self.orphaned.filter(|_| slot_state(&self.stored) == SlotState::Holding);
        orphaned.into_iter().chain(self.stored.process.due()).min()
    }

    /// The same, and while an engine has it for itself not before its time is over.
    pub(crate) fn due_again(&self) -> Option<Timestamp> {
        let due = self.due()?;
        Some(self.handed_until.map_or(due, |until| due.max(until)))
    }
}

pub(crate) fn slot_state(stored: &StoredProcess) -> SlotState {
    stored.process.state.slot_state()
}

pub(crate) fn rank(stored: &StoredProcess) -> Rank {
    Rank { priority: stored.process.priority, seq: stored.seq }
}

/// The nodes that may run it.
pub(crate) fn class(spec: &Spec) -> PlacementClass {
    PlacementClass::of(&spec.placement)
}

pub(crate) fn fenced(lease: &Lease) -> StoreError {
    StoreError::Fenced { node: lease.node.clone(), epoch: lease.epoch }
}

pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
