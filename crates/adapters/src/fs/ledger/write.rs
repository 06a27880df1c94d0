//! Commits changes of process records.

use super::state::{LedgerReply, LedgerRow, LedgerState, class};
use longhaul_domain::{
    ActionSeq, AttemptNo, LiveStats, OpId, PendingAction, Policy, PolicyVersion, Process, ProcessId,
    Revision, SlotState,
};
use longhaul_ports::{Change, StoreError, StoreRejection, Writer, max_pending_actions};

impl LedgerState {
    pub(crate) fn commit(&mut self, change: Change) -> Result<Revision, StoreError> {
        if let Some(LedgerReply::Committed(revision)) = self.stored_reply(&change.op) {
            return Ok(revision);
        }
        let id = change.next.id;
        let before = self.stored(&id).ok_or(StoreError::Missing { id })?;
        // The revision is checked before the author. If a caller decided on an old record, the only later change may be
        // a claim, so the caller must read the record again.
        if before.revision != change.expected {
            return Err(StoreError::Conflict { found: before.revision });
        }
        self.check_author(before, &change.author)?;
        if change.require_no_live_descendants
            && let Some(descendant) = self.live_below(&before.process)
        {
            return Err(StoreError::Refused(StoreRejection::DescendantLives { descendant }));
        }
        let held = before.slot_state() == SlotState::Holding;
        let revision = before.revision.next();
        let class = class(&before.process.spec);
        let after = self.rows.change(&id, |row| {
            row.claimed_until = None;
            row.stored.replace(change.next, change.taken);
            row.stored.slot_state()
        });
        if after == Some(SlotState::Waiting) {
            self.updates.note_waiter(&class);
        }
        if held && after != Some(SlotState::Holding) {
            self.updates.for_all();
        }
        self.append(id, revision, change.events);
        self.remember(change.op, LedgerReply::Committed(revision));
        Ok(revision)
    }

    /// Returns the live descendant of the process that was submitted first.
    fn live_below(&self, process: &Process) -> Option<ProcessId> {
        let (root, level) = (process.lineage.root(process.id), process.lineage.level());
        let index = self.rows.index();
        if !index.lives_below(root, level) {
            return None;
        }
        let lives =
            |id: &&ProcessId| self.stored(id).is_some_and(|stored| stored.slot_state() != SlotState::Ended);
        index.family_of(&process.id).values().find(lives).copied()
    }

    pub(crate) fn enqueue_action(
        &mut self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        if let Some(LedgerReply::Enqueued(no)) = self.stored_reply(&op) {
            return Ok(no);
        }
        let stored = self.stored(id).ok_or(StoreError::Missing { id: *id })?;
        if stored.pending_actions.len() >= usize::try_from(max_pending_actions(&action)).unwrap_or(usize::MAX)
        {
            return Err(StoreError::Refused(StoreRejection::TooManyPendingActions));
        }
        if let Some(owner) = stored.owner.clone() {
            self.updates.for_one(&owner.node);
        }
        let leave = |row: &mut LedgerRow| {
            row.last_action = row.last_action.next();
            row.stored.pending_actions.push((row.last_action, action));
            row.last_action
        };
        let no = self.rows.change(id, leave).ok_or(StoreError::Missing { id: *id })?;
        self.remember(op, LedgerReply::Enqueued(no));
        Ok(no)
    }

    pub(crate) fn update_live_stats(
        &mut self,
        by: &Writer,
        id: ProcessId,
        attempt: AttemptNo,
        live_stats: &LiveStats,
    ) -> Result<(), StoreError> {
        let stored = self.stored(&id).ok_or(StoreError::Missing { id })?;
        self.check_author(stored, by)?;
        if stored.process.attempt != attempt || stored.slot_state() == SlotState::Ended {
            return Err(StoreError::Conflict { found: stored.revision });
        }
        self.rows.change(&id, |row| row.stored.live_stats = live_stats.clone());
        Ok(())
    }

    pub(crate) fn set_policy(
        &mut self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let found = self.policy.0;
        if found != expected {
            return Err(StoreError::Refused(StoreRejection::StalePolicy { found }));
        }
        self.policy = (found.next(), policy.clone());
        self.updates.for_all();
        Ok(found.next())
    }
}
