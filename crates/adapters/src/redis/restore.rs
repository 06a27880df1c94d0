//! Restores records that a namespace has lost.

use super::RedisStore;
use super::codec::{push_lease, refusal};
use super::failure::corrupt;
use super::migrate::taken;
use super::process::NO_OP;
use super::script::{ADVANCE_MARKS, RECORD_POSITIONS, RESTORE, ScriptArgs};
use async_trait::async_trait;
use longhaul_domain::{ProcessId, Revision};
use longhaul_ports::{
    HighWaterMarks, History, Lease, RecordPosition, Restore, RestoreOutcome, StoreError, StoredProcess,
};

/// Maximum number of bytes that are sent to one script run. A longer run would delay other clients.
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// Maximum number of processes that a script examines in one run.
const SCAN_BATCH: usize = 1_000;

#[async_trait]
impl Restore for RedisStore {
    async fn history(&self) -> Result<History, StoreError> {
        self.link.history().await
    }

    async fn record_positions(&self, ids: &[ProcessId]) -> Result<Vec<RecordPosition>, StoreError> {
        let mut record_positions = Vec::with_capacity(ids.len());
        for some in ids.chunks(SCAN_BATCH) {
            let mut args = ScriptArgs::default();
            for id in some {
                args.bytes(id.as_uuid().as_bytes());
            }
            let mut reply = self.link.read(&RECORD_POSITIONS, args).await?;
            for _ in some {
                record_positions.push(record_position(&reply.word()?)?);
            }
        }
        Ok(record_positions)
    }

    async fn advance_marks(&self, marks: &HighWaterMarks) -> Result<(), StoreError> {
        let args = || {
            let mut args = ScriptArgs::default();
            args.number(marks.end.0).number(marks.seq.0);
            args
        };
        if self.link.write(&ADVANCE_MARKS, NO_OP, args()).await?.word()? == "empty" {
            self.create_namespace().await?;
            self.link.write(&ADVANCE_MARKS, NO_OP, args()).await?;
        }
        match &marks.policy {
            Some((version, policy)) => self.raise_policy(*version, policy).await,
            None => Ok(()),
        }
    }

    async fn restore(&self, by: &Lease, kept: &[StoredProcess]) -> Result<Vec<RestoreOutcome>, StoreError> {
        let mut restored = Vec::with_capacity(kept.len());
        let (mut together, mut bytes) = (self.from(by), 0_usize);
        for stored in kept {
            let piece = taken(stored);
            bytes += piece.iter().map(<[u8]>::len).sum::<usize>();
            let epoch = stored.owner.as_ref().map_or(0, |owner| owner.epoch.0);
            together
                .number(epoch)
                .number(u64::try_from(piece.iter().count()).unwrap_or(u64::MAX))
                .append(piece);
            if bytes > MAX_BATCH_BYTES {
                let full = std::mem::replace(&mut together, self.from(by));
                self.restore_records(by, full, &mut restored).await?;
                bytes = 0;
            }
        }
        self.restore_records(by, together, &mut restored).await?;
        Ok(restored)
    }
}

impl RedisStore {
    fn from(&self, by: &Lease) -> ScriptArgs {
        let mut args = ScriptArgs::default();
        let until_lost = self.leases.map(|leases| leases.lease.saturating_add(leases.grace));
        push_lease(&mut args, by)
            .text(&self.lasts())
            .text(&until_lost.map(|until| until.as_millis().to_string()).unwrap_or_default());
        args
    }

    async fn restore_records(
        &self,
        by: &Lease,
        args: ScriptArgs,
        restored: &mut Vec<RestoreOutcome>,
    ) -> Result<(), StoreError> {
        let mut reply = self.link.write(&RESTORE, NO_OP, args).await?;
        match reply.word()?.as_str() {
            "ok" => {}
            "fenced" => return Err(StoreError::fenced(by)),
            word => return Err(refusal(word, &mut reply)),
        }
        while !reply.is_empty() {
            let what = reply.word()?;
            let at = Revision(reply.number()?);
            restored.push(match what.as_str() {
                "restored" => RestoreOutcome::Inserted(at),
                "known" => RestoreOutcome::AlreadyPresent(at),
                "pruned" => RestoreOutcome::Pruned,
                other => return Err(reply.strange(format!("the script `restore` returned {other:?}"))),
            });
        }
        Ok(())
    }
}

fn record_position(word: &str) -> Result<RecordPosition, StoreError> {
    match word {
        "" => Ok(RecordPosition::Missing),
        "-" => Ok(RecordPosition::Pruned),
        "!" => Ok(RecordPosition::Damaged),
        rev => rev
            .parse()
            .map(|rev| RecordPosition::At(Revision(rev)))
            .map_err(|_| corrupt("a revision is not a number")),
    }
}
