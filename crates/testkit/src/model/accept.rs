//! Submissions and claims in the model.

use super::request::ModelRejection;
use super::{ModelRow, StoreModel};
use longhaul_domain::{
    ActionSeq, Event, Fact, LiveStats, ProcessId, Revision, Seq, SlotKey, SlotState, Work,
};
use longhaul_ports::{
    ClaimCapacity, Lease, PlacementClass, StoreRejection, StoredProcess, Submission, SubmitOutcome,
};
use std::cmp::Reverse;

impl StoreModel {
    pub(super) fn submit(&mut self, new: &Submission) -> Result<SubmitOutcome, ModelRejection> {
        let (process, spec) = (&new.process, &new.process.spec);
        if let Some(row) = self.row(process.id) {
            let same_spec = row.stored.process.spec == *spec;
            return Ok(SubmitOutcome::Existing { id: row.id(), stored: Some(row.stored.clone()), same_spec });
        }
        if let Some((id, first)) = self.gone.iter().find(|(id, _)| *id == process.id) {
            return Ok(SubmitOutcome::Existing { id: *id, stored: None, same_spec: first == spec });
        }
        if let Some(key) = &spec.launch_key {
            let taken = self.launch_keys.iter().find(|taken| taken.0 == spec.session && taken.1 == *key);
            if let Some((_, _, id, first)) = taken {
                let stored = self.row(*id).map(|row| row.stored.clone());
                return Ok(SubmitOutcome::Existing { id: *id, stored, same_spec: first.same_launch(spec) });
            }
        }
        if let Some(claimant) = &new.claim_for {
            self.check(&claimant.lease)?;
        }
        self.guard(new).map_err(ModelRejection::Refused)?;
        let waits = process.state.slot_state() == SlotState::Waiting;
        let obstacle = if waits { self.obstacle(new) } else { None };
        if new.fail_if_queued
            && let Some(obstacle) = obstacle
        {
            return Err(ModelRejection::Refused(obstacle));
        }
        self.last_seq += 1;
        if let Some(key) = &spec.launch_key {
            self.launch_keys.push((spec.session.clone(), key.clone(), process.id, spec.clone()));
        }
        let stored = StoredProcess {
            process: process.clone(),
            revision: Revision(1),
            seq: Seq(self.last_seq),
            owner: None,
            pending_actions: Vec::new(),
            live_stats: LiveStats::default(),
        };
        self.note(process.id, Revision(1), &new.events);
        self.rows.push(ModelRow { stored: stored.clone(), last_wish: ActionSeq(0), handed_until: None });
        match &new.claim_for {
            Some(claimant) if waits && obstacle.is_none() => {
                let claimed = self.give(process.id, &claimant.lease);
                Ok(claimed.map_or(SubmitOutcome::Waiting(stored), SubmitOutcome::Claimed))
            }
            Some(_) | None => Ok(SubmitOutcome::Waiting(stored)),
        }
    }

    fn guard(&self, new: &Submission) -> Result<(), StoreRejection> {
        let (process, limits) = (&new.process, &new.limits);
        if limits.policy < self.policy.0 {
            return Err(StoreRejection::StalePolicy { found: self.policy.0 });
        }
        let ancestors = &process.lineage.ancestors;
        if let (Some(root), Some(parent)) = (ancestors.first(), ancestors.last()) {
            if self.row(*parent).is_none() {
                return Err(StoreRejection::ParentMissing { parent: *parent });
            }
            for ancestor in ancestors {
                // A pruned ancestor has already ended and cannot refuse a child.
                let Some(row) = self.row(*ancestor) else { continue };
                let head = row.stored.process.head();
                let is_over = row.slot_state() == SlotState::Ended && head.due.is_none();
                if head.closing && (ancestor == parent || !is_over) {
                    return Err(StoreRejection::AncestorClosing { ancestor: *ancestor });
                }
            }
            let level = process.lineage.level();
            if level > limits.tree.max_level {
                return Err(StoreRejection::TooDeep { level, max_level: limits.tree.max_level });
            }
            let mut live = 0;
            for row in &self.rows {
                let lineage = &row.stored.process.lineage;
                if row.slot_state() != SlotState::Ended
                    && lineage.level() == level
                    && lineage.ancestors.first() == Some(root)
                {
                    live += 1;
                }
            }
            if live >= limits.tree.per_level {
                return Err(StoreRejection::LevelFull { level, live, limit: limits.tree.per_level });
            }
        }
        let will_wait = process.state.slot_state() == SlotState::Waiting || process.due().is_some();
        if let (Some(key), Some(slots)) = (&process.spec.key, limits.slots) {
            let holders = self.holders(key);
            if will_wait
                && holders.len() >= usize::try_from(slots).unwrap_or(usize::MAX)
                && holders.iter().all(|holder| ancestors.contains(holder))
            {
                return Err(StoreRejection::HeldByAncestors { key: key.clone(), holders });
            }
        }
        Ok(())
    }

    /// Returns the reason why a submission cannot claim the new process in the same step. Returns `None` if it can.
    fn obstacle(&self, new: &Submission) -> Option<StoreRejection> {
        let process = &new.process;
        let key = process.spec.key.clone();
        let holders = key.as_ref().map(|key| self.holders(key)).unwrap_or_default();
        let by_key = StoreRejection::NoSlot { key: key.clone(), holders: holders.clone() };
        let Some(claimant) = &new.claim_for else { return Some(by_key) };
        let may_run = |class: &PlacementClass| match class {
            PlacementClass::Node(node) => *node == claimant.lease.node,
            PlacementClass::Shared(_) => true,
        };
        if !may_run(&PlacementClass::of(&process.spec.placement)) {
            return Some(by_key);
        }
        if let Some(key) = &key {
            let full = new.limits.slots.is_some_and(|slots| holders.len() >= slots as usize);
            if full || self.policy.1.held.contains_key(key) {
                return Some(by_key);
            }
        }
        let roots = self.roots_of(&claimant.lease.node);
        let roots_full = roots.len() >= claimant.roots as usize;
        if roots_full && process.lineage.ancestors.is_empty() {
            return Some(StoreRejection::NoSlot { key: None, holders: roots });
        }
        let ahead = self.rows.iter().any(|row| {
            row.slot_state() == SlotState::Waiting
                && row.key() == key.as_ref()
                && row.stored.process.priority >= process.priority
                && may_run(&PlacementClass::of(&row.stored.process.spec.placement))
                && !(roots_full && row.is_root())
        });
        ahead.then_some(by_key)
    }

    pub(super) fn claim(
        &mut self,
        by: &Lease,
        room: &ClaimCapacity,
    ) -> Result<Vec<StoredProcess>, ModelRejection> {
        self.check(by)?;
        let mut given = Vec::new();
        while given.len() < room.batch as usize {
            let Some(next) = self.next(by, room) else { break };
            given.extend(self.give(next, by));
        }
        Ok(given)
    }

    /// Returns the next process to claim. Only the first waiting process of each key is considered, unless the key is
    /// on hold or has no free slot. These processes are ordered by priority (highest first), then by the time at which
    /// their key was last served (earliest first), then by submission (earliest first).
    fn next(&self, by: &Lease, room: &ClaimCapacity) -> Option<ProcessId> {
        let roots_full = self.roots_of(&by.node).len() >= room.roots as usize;
        let may = |row: &&ModelRow| {
            row.slot_state() == SlotState::Waiting
                && room.classes.contains(&PlacementClass::of(&row.stored.process.spec.placement))
                && !(roots_full && row.is_root())
        };
        let waiters: Vec<&ModelRow> =
            self.rows.iter().filter(may).filter(|row| self.is_open(row.key())).collect();
        let is_first = |row: &&&ModelRow| {
            !waiters.iter().any(|other| {
                let (mine, theirs) = (row.stored.process.priority, other.stored.process.priority);
                other.key() == row.key()
                    && (theirs > mine || (theirs == mine && other.stored.seq < row.stored.seq))
            })
        };
        let place = |row: &&&ModelRow| {
            (Reverse(row.stored.process.priority), self.last_served(row.key()), row.stored.seq)
        };
        waiters.iter().filter(is_first).min_by_key(place).map(|row| row.id())
    }

    fn is_open(&self, key: Option<&SlotKey>) -> bool {
        let Some(key) = key else { return true };
        let slots = self.policy.1.slots_of(key).map_or(usize::MAX, |slots| slots as usize);
        self.holders(key).len() < slots && !self.policy.1.held.contains_key(key)
    }

    fn last_served(&self, key: Option<&SlotKey>) -> Option<usize> {
        self.served.iter().rposition(|served| served.as_ref() == key)
    }

    /// Claims a waiting process for a node. Reported work gets no owner.
    fn give(&mut self, id: ProcessId, to: &Lease) -> Option<StoredProcess> {
        let at = self.now;
        let row = self.rows.iter_mut().find(|row| row.id() == id)?;
        let process = &mut row.stored.process;
        let fact = Fact::Claimed { attempt: process.attempt.next(), node: to.node.clone() };
        let events = [Event { at, fact }];
        process.evolve(&events);
        row.stored.revision = row.stored.revision.next();
        row.stored.live_stats = LiveStats::default();
        row.handed_until = None;
        row.stored.owner = matches!(row.stored.process.spec.work, Work::Command(_)).then(|| to.clone());
        let stored = row.stored.clone();
        self.served.push(stored.process.spec.key.clone());
        self.note(id, stored.revision, &events);
        Some(stored)
    }
}
