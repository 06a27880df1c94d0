//! Commits the decisions of the engine.

use super::answers::OpReplies;
use super::failure::StepAbort;
use super::notifiers::NodeEvent;
use super::row::{self, CurrentRow};
use super::submit::waiter_event;
use super::write_connection::WriteConnection;
use longhaul_domain::{OpId, Process, ProcessId, Revision, SlotState};
use longhaul_ports::{Change, StoreError, StoreRejection};
use rusqlite::{OptionalExtension, params};

impl WriteConnection {
    pub(super) fn commit_change(&mut self, change: &Change) -> Result<Revision, StepAbort> {
        let id = change.next.id;
        let Some(mut before) = row::before(&self.connection, &id)? else {
            let answer = self.answered_before_the_sweep(&id, change.op)?;
            return Ok(Revision(row::uint(answer.ok_or(StoreError::Missing { id })?)));
        };
        if let Some(answer) = before.answers.to(change.op) {
            return Ok(Revision(row::uint(answer)));
        }
        // The revision is checked before the author. If a caller decided on an old record, the only later change may be
        // a claim, so the caller must read the record again.
        if before.revision != change.expected {
            return Err(StoreError::Conflict { found: before.revision }.into());
        }
        self.check_author(before.owner.as_ref(), &change.author)?;
        if change.require_no_live_descendants {
            self.refuse_above_life(&change.next)?;
        }
        let owner = match change.next.state.slot_state() {
            SlotState::Holding => before.owner.clone(),
            SlotState::Waiting | SlotState::Idle | SlotState::Ended => None,
        };
        let revision = before.revision.next();
        before.answers.remember(change.op, row::int(revision.0));
        row::update(&self.connection, &before, &change.next, revision, owner.as_ref())?;
        if change.taken.0 > 0 {
            self.sql("DELETE FROM pending_action WHERE seq = ?1 AND no <= ?2")?
                .execute(params![before.seq, row::int(change.taken.0)])?;
        }
        self.append(&id, revision, &change.events)?;
        self.notify_change(&before, change)?;
        Ok(revision)
    }

    fn notify_change(&mut self, before: &CurrentRow, change: &Change) -> Result<(), StepAbort> {
        let head = change.next.head();
        let moved = before.priority != i64::from(head.priority.value());
        if moved || before.slot_state != row::slot_state(head.slot_state) {
            self.lines.moved(head.key.as_ref());
        }
        if head.slot_state == SlotState::Waiting {
            self.notify(waiter_event(&change.next.spec.placement));
        }
        let freed =
            before.slot_state == row::slot_state(SlotState::Holding) && head.slot_state != SlotState::Holding;
        if freed && self.has_waiters()? {
            self.notify(NodeEvent::ForAll);
        }
        if before.has_pending_actions
            && head.slot_state != SlotState::Holding
            && self.has_open_actions(before.seq)?
        {
            self.notify_if_first_due(head.queued_at.0)?;
        }
        match head.due.map(|due| due.0) {
            Some(due) if before.due != Some(due) || before.owner.is_some() => self.notify_if_first_due(due),
            Some(_) | None => Ok(()),
        }
    }

    fn has_open_actions(&self, seq: i64) -> Result<bool, StepAbort> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pending_action WHERE seq = ?1)";
        Ok(self.sql(sql)?.query_row([seq], |row| row.get(0))?)
    }

    fn refuse_above_life(&self, process: &Process) -> Result<(), StepAbort> {
        let root = process.lineage.root(process.id);
        let descendant = self
            .sql(
                "SELECT id FROM process WHERE root = ?1 AND level > ?2 AND slot_state < 3
                    AND instr(ancestors, ?3) > 0 ORDER BY seq LIMIT 1",
            )?
            .query_row(
                params![
                    root.as_uuid().as_bytes(),
                    process.lineage.level().0,
                    process.id.as_uuid().as_bytes()
                ],
                |row| row.get(0).map(row::id),
            )
            .optional()?;
        match descendant {
            Some(descendant) => Err(StoreRejection::DescendantLives { descendant }.into()),
            None => Ok(()),
        }
    }

    pub(super) fn has_waiters(&self) -> Result<bool, StepAbort> {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM process INDEXED BY live WHERE slot_state < 3 AND slot_state = 0)";
        Ok(self.sql(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Returns the reply that was stored for this operation before the process was pruned.
    pub(super) fn answered_before_the_sweep(
        &self,
        id: &ProcessId,
        op: OpId,
    ) -> Result<Option<i64>, StepAbort> {
        let answers = self
            .sql("SELECT answers FROM tombstone WHERE id = ?1")?
            .query_row([id.as_uuid().as_bytes()], |row| row.get(0))
            .optional()?;
        Ok(answers.and_then(|answers| OpReplies::new(answers).to(op)))
    }
}
