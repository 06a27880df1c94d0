//! The latest facts about live attempts.

use super::failure::Halt;
use super::ledger::Ledger;
use super::row;
use longhaul_domain::{AttemptNo, ProcessId, Standing, Vitals};
use longhaul_ports::{Author, StoreError};
use longhaul_wire::record;
use rusqlite::params;

impl Ledger {
    pub(super) fn touch(
        &self,
        by: &Author,
        vitals: &[(ProcessId, AttemptNo, Vitals)],
    ) -> Result<Vec<Result<(), StoreError>>, Halt> {
        vitals
            .iter()
            .map(|(id, attempt, vitals)| match self.touch_one(by, id, *attempt, vitals) {
                Ok(()) => Ok(Ok(())),
                Err(Halt::Answer(error)) => Ok(Err(error)),
                Err(Halt::Database(error)) => Err(Halt::Database(error)),
            })
            .collect()
    }

    fn touch_one(
        &self,
        by: &Author,
        id: &ProcessId,
        attempt: AttemptNo,
        vitals: &Vitals,
    ) -> Result<(), Halt> {
        let before = row::before(&self.connection, id)?.ok_or(StoreError::Missing { id: *id })?;
        self.check_author(before.owner.as_ref(), by)?;
        if before.attempt != attempt || before.standing == row::standing(Standing::Ended) {
            return Err(StoreError::Conflict { found: before.revision }.into());
        }
        self.sql("INSERT OR REPLACE INTO vitals (seq, attempt, body) VALUES (?1, ?2, ?3)")?
            .execute(params![before.seq, attempt.0, record::encode_vitals(vitals)])?;
        Ok(())
    }
}
