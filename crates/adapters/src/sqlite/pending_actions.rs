//! Pending actions for the owners of processes.

use super::failure::StepAbort;
use super::notifiers::NodeEvent;
use super::row;
use super::write_connection::WriteConnection;
use longhaul_domain::{ActionSeq, OpId, PendingAction, ProcessId};
use longhaul_ports::{StoreError, StoreRejection, max_pending_actions};
use longhaul_wire::record;
use rusqlite::params;

impl WriteConnection {
    pub(super) fn enqueue_action(
        &mut self,
        id: &ProcessId,
        op: OpId,
        action: &PendingAction,
    ) -> Result<ActionSeq, StepAbort> {
        let Some(mut before) = row::before(&self.connection, id)? else {
            let answer = self.answered_before_the_sweep(id, op)?;
            return Ok(ActionSeq(row::uint(answer.ok_or(StoreError::Missing { id: *id })?)));
        };
        if let Some(no) = before.answers.to(op) {
            return Ok(ActionSeq(row::uint(no)));
        }
        let open: u32 = self
            .sql("SELECT count(*) FROM pending_action WHERE seq = ?1")?
            .query_row([before.seq], |row| row.get(0))?;
        if open >= max_pending_actions(action) {
            return Err(StoreRejection::TooManyPendingActions.into());
        }
        let (no, queued_at): (i64, i64) = self
            .sql("SELECT action_seq + 1, queued_at FROM process WHERE seq = ?1")?
            .query_row([before.seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
        before.answers.remember(op, no);
        self.sql("UPDATE process SET action_seq = ?2, answers = ?3 WHERE seq = ?1")?.execute(params![
            before.seq,
            no,
            before.answers.bytes()
        ])?;
        self.sql("INSERT INTO pending_action (seq, no, body) VALUES (?1, ?2, ?3)")?.execute(params![
            before.seq,
            no,
            record::encode_pending_action(action)
        ])?;
        match before.owner {
            Some(owner) => self.notify(NodeEvent::For(owner.node)),
            None => self.notify_if_first_due(queued_at)?,
        }
        Ok(ActionSeq(row::uint(no)))
    }
}
