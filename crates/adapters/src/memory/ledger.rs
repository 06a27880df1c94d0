//! Everything that a store in memory knows.

use super::news::News;
use longhaul_domain::{
    Deadline, Epoch, Event, NodeId, OpId, Policy, PolicyVersion, ProcessId, Revision, Seq, SlotKey, Spec,
    Standing, Timestamp, WishNo, admission::Rank,
};
use longhaul_domain::{LaunchKey, SessionId};
use longhaul_ports::{Author, Cursor, Lease, Logged, NodeFacts, PlacementClass, StoreError, Stored};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The newest events that are kept.
const KEPT_EVENTS: usize = 100_000;
/// The newest writes whose answers are kept.
const KEPT_OPS: usize = 100_000;

/// Everything that a store in memory knows.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) rows: BTreeMap<ProcessId, Row>,
    pub(super) by_seq: BTreeMap<Seq, ProcessId>,
    pub(super) last_seq: Seq,
    /// They outlive the records: a key never starts a second copy.
    pub(super) launch_keys: BTreeMap<(Option<SessionId>, LaunchKey), (ProcessId, Arc<Spec>)>,
    pub(super) log: VecDeque<Logged>,
    pub(super) last_cursor: Cursor,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) policy: (PolicyVersion, Policy),
    /// When each key was served last, as a count of claims.
    pub(super) served: BTreeMap<Option<SlotKey>, u64>,
    pub(super) claims: u64,
    pub(super) news: News,
    ops: BTreeMap<OpId, Answer>,
    ops_in_order: VecDeque<OpId>,
}

/// A record and what belongs to it alone.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) stored: Stored,
    pub(super) last_wish: WishNo,
    /// It was handed to one engine and is not handed out again before.
    pub(super) handed_until: Option<Timestamp>,
}

/// A node that registered at least once.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) facts: NodeFacts,
    pub(super) epoch: Epoch,
    pub(super) left: bool,
}

/// The answer that an op gets whenever it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Committed(Revision),
    Wished(WishNo),
}

impl Ledger {
    pub(super) fn stored(&self, id: &ProcessId) -> Option<&Stored> {
        self.rows.get(id).map(|row| &row.stored)
    }

    /// Refuses a lease that is not the newest of its node.
    pub(super) fn check(&self, lease: &Lease) -> Result<(), StoreError> {
        match self.nodes.get(&lease.node) {
            Some(node) if node.epoch == lease.epoch => Ok(()),
            Some(_) | None => Err(fenced(lease)),
        }
    }

    /// Refuses whoever may not write this record.
    pub(super) fn check_author(&self, stored: &Stored, author: &Author) -> Result<(), StoreError> {
        match (&stored.owner, author) {
            (None, Author::Anyone) => Ok(()),
            (None, Author::Owner(lease)) => self.check(lease),
            (Some(owner), Author::Anyone) => Err(fenced(owner)),
            (Some(owner), Author::Owner(lease)) if owner == lease => self.check(lease),
            (Some(_), Author::Owner(lease)) => Err(fenced(lease)),
        }
    }

    pub(super) fn append(&mut self, id: ProcessId, revision: Revision, events: &[Event]) {
        for (index, event) in (0_u32..).zip(events) {
            self.last_cursor = Cursor(self.last_cursor.0.saturating_add(1));
            self.log.push_back(Logged {
                cursor: self.last_cursor,
                id,
                revision,
                index,
                event: event.clone(),
            });
        }
        while self.log.len() > KEPT_EVENTS {
            self.log.pop_front();
        }
    }

    pub(super) fn answered(&self, op: &OpId) -> Option<Answer> {
        self.ops.get(op).copied()
    }

    pub(super) fn remember(&mut self, op: OpId, answer: Answer) {
        self.ops.insert(op, answer);
        self.ops_in_order.push_back(op);
        while self.ops_in_order.len() > KEPT_OPS {
            if let Some(oldest) = self.ops_in_order.pop_front() {
                self.ops.remove(&oldest);
            }
        }
    }

    /// Who holds a slot of a key, in the order of their submits.
    pub(super) fn holders(&self, key: Option<&SlotKey>) -> impl Iterator<Item = &Stored> {
        self.in_order().filter(move |stored| {
            standing(stored) == Standing::Holding && stored.process.spec.key.as_ref() == key
        })
    }

    /// Who waits, best first.
    pub(super) fn waiters(&self) -> Vec<&Stored> {
        let mut waiters: Vec<&Stored> =
            self.in_order().filter(|stored| standing(stored) == Standing::Waiting).collect();
        waiters.sort_by_key(|stored| rank(stored));
        waiters
    }

    /// The roots that a node holds, in the order of their submits.
    pub(super) fn roots_of(&self, node: &NodeId) -> impl Iterator<Item = ProcessId> {
        let roots = self.in_order().filter(move |stored| {
            is_root(stored)
                && standing(stored) == Standing::Holding
                && stored.owner.as_ref().is_some_and(|owner| &owner.node == node)
        });
        roots.map(|stored| stored.process.id)
    }

    /// When the next row without owner is due; one that an engine has for itself is when its time is over.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let due = self.rows.values().filter_map(|row| row.due().max(row.due().and(row.handed_until)));
        due.min()
    }

    pub(super) fn in_order(&self) -> impl DoubleEndedIterator<Item = &Stored> {
        self.by_seq.values().filter_map(|id| self.stored(id))
    }
}

impl Row {
    /// When it wants a decision, if nobody owns it.
    pub(super) fn due(&self) -> Option<Timestamp> {
        if self.stored.owner.is_some() || standing(&self.stored) == Standing::Ended {
            return None;
        }
        match self.stored.process.next_deadline()? {
            Deadline::At(at) => Some(at),
            Deadline::Awake(_) => None,
        }
    }
}

pub(super) fn standing(stored: &Stored) -> Standing {
    stored.process.state.standing()
}

pub(super) fn rank(stored: &Stored) -> Rank {
    Rank { priority: stored.process.spec.priority, seq: stored.seq }
}

pub(super) fn is_root(stored: &Stored) -> bool {
    stored.process.lineage.ancestors.is_empty()
}

/// The nodes that may run it.
pub(super) fn class(spec: &Spec) -> PlacementClass {
    PlacementClass::of(&spec.placement)
}

pub(super) fn fenced(lease: &Lease) -> StoreError {
    StoreError::Fenced { node: lease.node.clone(), epoch: lease.epoch }
}

pub(super) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
