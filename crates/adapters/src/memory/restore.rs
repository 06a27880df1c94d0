//! Restores records that this store has lost.

use super::state::{MemoryRow, MemoryState, Node, class, slot_state};
use longhaul_domain::{
    ActionSeq, Epoch, Event, Fact, Process, ProcessId, Revision, Seq, SlotState, Timestamp,
};
use longhaul_ports::{
    EventCursor, HighWaterMarks, Lease, NodeDescriptor, RecordPosition, RestoreOutcome, StoreError,
    StoredProcess,
};
use std::sync::Arc;

/// Amount that is added to a counter after a restore, because another node may have received a higher value before the
/// loss.
const MARK_MARGIN: u64 = 100_000;

/// Revisions of a restored row, valid until the row is written again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestoredFrom {
    /// Revision that the record had before the loss.
    from: Revision,
    /// Revision that the row received when it was restored.
    at: Revision,
}

impl MemoryState {
    pub(super) fn record_position(&self, id: &ProcessId) -> RecordPosition {
        match self.rows.get(id) {
            Some(row) => RecordPosition::At(row.record_position()),
            None if self.tombstones.contains_key(id) => RecordPosition::Pruned,
            None => RecordPosition::Missing,
        }
    }

    pub(super) fn advance_marks(&mut self, marks: &HighWaterMarks) {
        if marks.end > self.last_cursor {
            self.last_cursor = EventCursor(marks.end.0.saturating_add(MARK_MARGIN));
            // Nodes that register later must detect the loss, although the cursor of the newest event no longer shows
            // it.
            self.raised_to = self.last_cursor;
        }
        if marks.seq > self.last_seq {
            self.last_seq = Seq(marks.seq.0.saturating_add(MARK_MARGIN));
        }
        if let Some(kept) = marks.policy.as_ref().filter(|(version, _)| *version > self.policy.0) {
            self.policy = kept.clone();
            self.updates.for_all();
        }
    }

    pub(super) fn restore(
        &mut self,
        now: Timestamp,
        by: &Lease,
        kept: &[StoredProcess],
    ) -> Result<Vec<RestoreOutcome>, StoreError> {
        self.check(by)?;
        Ok(kept.iter().map(|kept| self.restore_record(now, by, kept)).collect())
    }

    fn restore_record(&mut self, now: Timestamp, by: &Lease, kept: &StoredProcess) -> RestoreOutcome {
        let id = kept.process.id;
        if self.tombstones.contains_key(&id) {
            return RestoreOutcome::Pruned;
        }
        let found = self.rows.get(&id);
        if found.is_none() && kept.seq == Seq(0) && self.is_key_of_another(&kept.process) {
            return RestoreOutcome::Pruned;
        }
        if let Some(row) = found.filter(|row| !row.gives_way_to(by, kept)) {
            return RestoreOutcome::AlreadyPresent(row.stored.revision);
        }
        let at = found.map_or(kept.revision, |row| row.stored.revision.max(kept.revision)).next();
        let last_wish = found.map_or(ActionSeq(0), |row| row.last_wish);
        let seq = match found {
            Some(row) => row.stored.seq,
            None if self.rows.index().is_taken(kept.seq) => self.last_seq.next(),
            None => kept.seq,
        };
        self.last_seq = self.last_seq.max(seq);
        let owner = kept.owner.as_ref().and_then(|owner| self.newest_of(now, owner));
        let is_orphan = kept.owner.is_some() && owner.is_none();
        let row = MemoryRow {
            last_wish: kept.pending_actions.iter().map(|(no, _)| *no).fold(last_wish, ActionSeq::max),
            stored: StoredProcess { revision: at, seq, owner, ..kept.clone() },
            claimed_until: None,
            // The node that runs the process may still register again and report the process.
            orphaned: is_orphan.then(|| now.plus(self.leases.until_lost())),
            given: Some(RestoredFrom { from: kept.revision, at }),
        };
        if let Some(key) = &kept.process.spec.launch_key {
            let scope = (kept.process.spec.session.clone(), key.clone());
            self.launch_keys.entry(scope).or_insert_with(|| (id, Arc::clone(&kept.process.spec)));
        }
        if slot_state(&row.stored) == SlotState::Waiting {
            self.updates.note_waiter(&class(&kept.process.spec));
        }
        if let Some(owner) = row.stored.owner.as_ref().filter(|_| !kept.pending_actions.is_empty()) {
            self.updates.for_one(&owner.node);
        }
        self.rows.insert(row);
        self.append(id, at, [Event { at: now, fact: Fact::Restored { node: by.node.clone() } }]);
        RestoreOutcome::Inserted(at)
    }

    /// Returns true if another process already uses the launch key of this process.
    fn is_key_of_another(&self, process: &Process) -> bool {
        let Some(key) = process.spec.launch_key.clone() else { return false };
        let holder = self.launch_keys.get(&(process.spec.session.clone(), key));
        holder.is_some_and(|(id, _)| *id != process.id)
    }

    /// Returns the newest lease of the former owner, or `None` if that lease is lost. An unknown node is expected to
    /// register again, so it gets a lease with its former epoch.
    fn newest_of(&mut self, now: Timestamp, owner: &Lease) -> Option<Lease> {
        if !self.nodes.contains_key(&owner.node) {
            let facts = NodeDescriptor {
                id: owner.node.clone(),
                home: None,
                boot: String::new(),
                version: String::new(),
            };
            let node = Node { facts, epoch: owner.epoch, left: false, forgotten: false };
            self.nodes.insert(owner.node.clone(), node);
            self.begin_lease(now, &owner.node);
        }
        let node = self.nodes.get(&owner.node)?;
        let is_here = !node.forgotten && !self.leases.is_lost(&owner.node);
        is_here.then(|| Lease { node: owner.node.clone(), epoch: node.epoch })
    }

    /// Deletes all data and starts a new incarnation.
    pub(super) fn forget_everything(&mut self, now: Timestamp) {
        let leases = self.leases.reset();
        let incarnation = self.incarnation.saturating_add(1);
        self.go_back(now, Self { leases, incarnation, ..Self::default() });
    }

    /// Replaces the state of the store with an earlier state. Nodes that register after this call get an epoch that no
    /// lease has used.
    pub(super) fn go_back(&mut self, now: Timestamp, earlier: Self) {
        let lost = std::mem::replace(self, earlier);
        self.updates = lost.updates;
        self.updates.for_all();
        self.epochs_from = Epoch(u64::try_from(now.0).unwrap_or(0));
    }
}

impl MemoryRow {
    /// Returns the revision that is compared with a record to be restored.
    fn record_position(&self) -> Revision {
        match self.given {
            Some(given) if given.at == self.stored.revision => given.from,
            Some(_) | None => self.stored.revision,
        }
    }

    fn gives_way_to(&self, by: &Lease, kept: &StoredProcess) -> bool {
        // An ending is final: a record that has not ended is older, whatever its revision.
        if slot_state(&self.stored) == SlotState::Ended && slot_state(kept) != SlotState::Ended {
            return false;
        }
        let owns = |lease: &Option<Lease>| lease.as_ref().is_some_and(|lease| lease.node == by.node);
        let was_given = self.record_position() != self.stored.revision;
        if kept.revision == self.record_position() {
            return was_given && self.stored.owner.is_none() && owns(&kept.owner);
        }
        let node_of = |lease: &Option<Lease>| lease.as_ref().map(|lease| lease.node.clone());
        let is_others = self.stored.owner.is_some()
            && !owns(&self.stored.owner)
            && node_of(&self.stored.owner) != node_of(&kept.owner);
        let has_ended = slot_state(kept) == SlotState::Ended;
        let stays = is_others && !has_ended && self.stored.process.attempt >= kept.process.attempt;
        kept.revision > self.record_position() && !stays
    }
}
