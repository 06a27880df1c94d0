use super::RedisStore;
use super::codec::{id, ids, push_lease, sound};
use super::process::NO_OP;
use super::script::{CLAIM_DUE, ENDED, PRUNE, ScriptArgs};
use async_trait::async_trait;
use longhaul_domain::{ProcessId, Retention, Timestamp};
use longhaul_ports::{Lease, Maintenance, PrunedBatch, StoreError, StoredProcess};
use std::time::Duration;

/// Time for which a due record is reserved for the engine that claimed it.
const DUE_LEASE: Duration = Duration::from_secs(5);
/// Maximum number of ended processes that a script examines in one run.
const SCAN_BATCH: u64 = 512;
/// Maximum number of processes that a script prunes in one run. A longer run would delay other clients.
const PRUNE_BATCH: usize = 100;

#[async_trait]
impl Maintenance for RedisStore {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        let mut args = ScriptArgs::default();
        self.push_times(push_lease(&mut args, by))
            .number(limit.into())
            .text(&DUE_LEASE.as_millis().to_string());
        let mut reply = self.link.take(&CLAIM_DUE, NO_OP, args).await?;
        match reply.word()?.as_str() {
            "ok" => {}
            "fenced" => return Err(StoreError::fenced(by)),
            other => return Err(reply.strange(format!("the script `claim_due` returned {other:?}"))),
        }
        let mut rows = Vec::with_capacity(reply.len());
        while !reply.is_empty() {
            rows.extend(sound(&mut reply.list()?, &self.named)?);
        }
        Ok(rows)
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut covered = self.covered(rule, limit.saturating_add(1)).await?;
        let more = covered.len() > limit;
        covered.truncate(limit);
        let mut swept = PrunedBatch { more, ..PrunedBatch::default() };
        // A script run without processes still returns the total.
        let mut pieces = covered.chunks(PRUNE_BATCH);
        loop {
            let piece = pieces.next();
            if piece.is_none() && swept.total > 0 {
                return Ok(swept);
            }
            let mut args = ScriptArgs::default();
            for id in piece.unwrap_or_default() {
                args.bytes(id.as_uuid().as_bytes());
            }
            let mut reply = self.link.write(&PRUNE, NO_OP, args).await?;
            swept.total = reply.number()?;
            swept.ids.extend(ids(reply.list()?)?);
            if piece.is_none() {
                return Ok(swept);
            }
        }
    }
}

impl RedisStore {
    /// Returns the oldest ended processes that the retention rule allows to delete and that need no decision.
    async fn covered(&self, rule: &Retention, limit: usize) -> Result<Vec<ProcessId>, StoreError> {
        let mut covered = Vec::new();
        let mut place = 0_u64;
        loop {
            let mut args = ScriptArgs::default();
            args.number(place).number(SCAN_BATCH);
            let mut reply = self.link.read(&ENDED, args).await?;
            let (now, all) = (Timestamp(reply.signed()?), reply.number()?);
            if reply.is_empty() {
                return Ok(covered);
            }
            while !reply.is_empty() {
                let (id, completed_at) = (id(&reply.bytes()?)?, Timestamp(reply.signed()?));
                let busy = reply.word()? == "1";
                place = place.saturating_add(1);
                // Processes are ordered by the time at which they ended. If the rule keeps a process, it also keeps all
                // processes that ended later.
                if covered.len() >= limit
                    || !rule.is_due_for_pruning(now, completed_at, all.saturating_sub(place))
                {
                    return Ok(covered);
                }
                if !busy {
                    covered.push(id);
                }
            }
        }
    }
}
