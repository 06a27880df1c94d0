//! Live stats of running attempts.

use super::failure::StepAbort;
use super::row;
use super::write_connection::WriteConnection;
use longhaul_domain::{AttemptNo, LiveStats, ProcessId, SlotState};
use longhaul_ports::{StoreError, Writer};
use longhaul_wire::record;
use rusqlite::params;

impl WriteConnection {
    pub(super) fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StepAbort> {
        live_stats
            .iter()
            .map(|(id, attempt, live_stats)| match self.touch_one(by, id, *attempt, live_stats) {
                Ok(()) => Ok(Ok(())),
                Err(StepAbort::Answer(error)) => Ok(Err(error)),
                Err(StepAbort::Database(error)) => Err(StepAbort::Database(error)),
            })
            .collect()
    }

    fn touch_one(
        &self,
        by: &Writer,
        id: &ProcessId,
        attempt: AttemptNo,
        live_stats: &LiveStats,
    ) -> Result<(), StepAbort> {
        let before = row::before(&self.connection, id)?.ok_or(StoreError::Missing { id: *id })?;
        self.check_author(before.owner.as_ref(), by)?;
        if before.attempt != attempt || before.slot_state == row::slot_state(SlotState::Ended) {
            return Err(StoreError::Conflict { found: before.revision }.into());
        }
        self.sql("INSERT OR REPLACE INTO live_stats (seq, attempt, body) VALUES (?1, ?2, ?3)")?
            .execute(params![before.seq, attempt.0, record::encode_live_stats(live_stats)])?;
        Ok(())
    }
}
