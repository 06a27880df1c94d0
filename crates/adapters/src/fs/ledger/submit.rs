//! Submission of new processes, with its checks.

use super::index::PlacementQueue;
use super::state::{LedgerRow, LedgerState, class, count};
use crate::fingerprint::Fingerprint;
use longhaul_domain::{ActionSeq, ProcessHeader, ProcessId, SlotKey, SlotState, Timestamp, admission::Rank};
use longhaul_ports::{
    ClaimRequest, PlacementClass, StoreError, StoreRejection, StoredProcess, Submission, SubmitLimits,
    SubmitOutcome,
};
use std::sync::Arc;

impl LedgerState {
    pub(crate) fn submit(&mut self, now: Timestamp, new: Submission) -> Result<SubmitOutcome, StoreError> {
        if let Some(existing) = self.existing(&new) {
            return Ok(existing);
        }
        if let Some(claimant) = &new.claim_for {
            self.check(&claimant.lease)?;
        }
        let head = new.process.head();
        self.guard(&new.process.lineage.ancestors, &head, &new.limits).map_err(StoreError::Refused)?;
        let waits = head.slot_state == SlotState::Waiting;
        let obstacle = if waits { self.obstacle(&new, &head) } else { None };
        if let Some(refusal) = obstacle.clone().filter(|_| new.fail_if_queued) {
            return Err(StoreError::Refused(refusal));
        }
        let at_once = new.claim_for.clone().filter(|_| waits && obstacle.is_none());
        let stored = self.insert(new);
        let claimed = at_once.and_then(|claimant| self.hand_over(now, &claimant.lease, stored.process.id));
        if let Some(claimed) = claimed {
            return Ok(SubmitOutcome::Claimed(claimed));
        }
        if stored.slot_state() == SlotState::Waiting {
            self.updates.note_waiter(&class(&stored.process.spec));
        }
        Ok(SubmitOutcome::Waiting(stored))
    }

    /// Finds a process with the same id, or with the same launch key in the same session.
    fn existing(&self, new: &Submission) -> Option<SubmitOutcome> {
        let spec = &new.process.spec;
        if let Some(stored) = self.stored(&new.process.id) {
            return Some(SubmitOutcome::Existing {
                id: stored.process.id,
                stored: Some(stored.clone()),
                same_spec: stored.process.spec == *spec,
            });
        }
        if let Some(pruned) = self.find_tombstone(new) {
            return Some(pruned);
        }
        let key = spec.launch_key.clone()?;
        let (id, first) = self.launch_keys.get(&(spec.session.clone(), key))?;
        Some(SubmitOutcome::Existing {
            id: *id,
            stored: self.stored(id).cloned(),
            same_spec: first.same_launch(spec),
        })
    }

    /// Finds the tombstone of a deleted process with the same id.
    pub(crate) fn find_tombstone(&self, new: &Submission) -> Option<SubmitOutcome> {
        let id = new.process.id;
        let same_spec = *self.tombstones.get(&id)? == Fingerprint::of(&new.process.spec);
        Some(SubmitOutcome::Existing { id, stored: None, same_spec })
    }

    fn guard(
        &self,
        ancestors: &[ProcessId],
        head: &ProcessHeader,
        limits: &SubmitLimits,
    ) -> Result<(), StoreRejection> {
        if limits.policy < self.policy.0 {
            return Err(StoreRejection::StalePolicy { found: self.policy.0 });
        }
        self.guard_tree(ancestors, head, limits)?;
        let will_wait = head.slot_state == SlotState::Waiting || head.due.is_some();
        if will_wait && let (Some(key), Some(slots)) = (&head.key, limits.slots) {
            let holders = self.ids_of_holders(&head.key);
            let by_ancestors = holders.iter().all(|holder| ancestors.contains(holder));
            if count(holders.len()) >= slots && by_ancestors {
                return Err(StoreRejection::HeldByAncestors { key: key.clone(), holders });
            }
        }
        Ok(())
    }

    fn guard_tree(
        &self,
        ancestors: &[ProcessId],
        head: &ProcessHeader,
        limits: &SubmitLimits,
    ) -> Result<(), StoreRejection> {
        let (Some(root), Some(parent)) = (ancestors.first(), ancestors.last()) else {
            return Ok(());
        };
        if self.stored(parent).is_none() {
            return Err(StoreRejection::ParentMissing { parent: *parent });
        }
        // A deleted ancestor needs no check, because it had ended before it was deleted.
        let closing = ancestors.iter().find(|ancestor| {
            let head = self.stored(ancestor).map(|stored| stored.process.head());
            head.is_some_and(|head| head.is_ending() || (*ancestor == parent && head.closing))
        });
        if let Some(ancestor) = closing {
            return Err(StoreRejection::AncestorClosing { ancestor: *ancestor });
        }
        if head.level > limits.tree.max_level {
            return Err(StoreRejection::TooDeep { level: head.level, max_level: limits.tree.max_level });
        }
        let live = self.rows.index().live_on(*root, head.level);
        if live >= limits.tree.per_level {
            return Err(StoreRejection::LevelFull { level: head.level, live, limit: limits.tree.per_level });
        }
        Ok(())
    }

    fn ids_of_holders(&self, key: &Option<SlotKey>) -> Vec<ProcessId> {
        self.rows.index().holders(key).values().copied().collect()
    }

    /// Returns the reason why the process cannot be claimed immediately, or `None`. The reasons are a key that is full
    /// or on hold, a node without a free root slot, or an earlier process that is waiting for the same key.
    fn obstacle(&self, new: &Submission, head: &ProcessHeader) -> Option<StoreRejection> {
        let by_key = || StoreRejection::NoSlot {
            holders: head.key.as_ref().map(|_| self.ids_of_holders(&head.key)).unwrap_or_default(),
            key: head.key.clone(),
        };
        let index = self.rows.index();
        let Some(claimant) = new.claim_for.as_ref().filter(|to| may_run(to, &class(&new.process.spec)))
        else {
            return Some(by_key());
        };
        if let Some(key) = &head.key {
            let taken = count(index.holders(&head.key).len());
            if self.policy.1.held.contains_key(key) || new.limits.slots.is_some_and(|slots| taken >= slots) {
                return Some(by_key());
            }
        }
        let roots = index.roots_of(&claimant.lease.node);
        let roots_full = count(roots.len()) >= claimant.roots;
        if roots_full && head.ancestors.is_empty() {
            return Some(StoreRejection::NoSlot { key: None, holders: roots.values().copied().collect() });
        }
        let me = Rank { priority: head.priority, seq: self.last_seq.next() };
        let may = |lane: &PlacementQueue| may_run(claimant, &lane.class) && !(roots_full && lane.root);
        let first = index.queues().get(&head.key).and_then(|queue| queue.first(may));
        first.is_some_and(|(rank, _)| rank < me).then(by_key)
    }

    fn insert(&mut self, new: Submission) -> StoredProcess {
        let id = new.process.id;
        self.last_seq = self.last_seq.next();
        if let Some(key) = &new.process.spec.launch_key {
            let scope = (new.process.spec.session.clone(), key.clone());
            self.launch_keys.insert(scope, (id, Arc::clone(&new.process.spec)));
        }
        let stored = StoredProcess::accepted(new.process, self.last_seq);
        self.append(id, stored.revision, new.events);
        self.rows.insert(LedgerRow {
            stored: stored.clone(),
            last_action: ActionSeq(0),
            claimed_until: None,
        });
        stored
    }
}

/// Returns true if the node may run a waiting process of this class. Also returns true for a class that several nodes
/// may run, because the store cannot decide this.
fn may_run(claimant: &ClaimRequest, class: &PlacementClass) -> bool {
    match class {
        PlacementClass::Node(node) => *node == claimant.lease.node,
        PlacementClass::Shared(_) => true,
    }
}
