//! Maintenance of processes without an owner, and the deletion of old records.

use super::index;
use super::process_row::ProcessRow;
use super::transaction::{StoreTransaction, count};
use super::values::{self, LaunchKeyValue};
use crate::fingerprint::Fingerprint;
use longhaul_domain::{ProcessId, Retention, Seq, Timestamp};
use longhaul_ports::{Lease, PrunedBatch, SortOrder, StoreError, StoredProcess};
use std::sync::Arc;
use std::time::Duration;

/// Time for which a due row is reserved for the engine that claimed it.
const DUE_LEASE: Duration = Duration::from_secs(5);
/// Number of index entries that a prune reads at once.
const PRUNE_BATCH: u32 = 1_000;

impl StoreTransaction<'_> {
    pub(crate) async fn claim_due(
        &mut self,
        by: &Lease,
        limit: u32,
    ) -> Result<Vec<StoredProcess>, StoreError> {
        self.check(by).await?;
        self.take_from_lost().await?;
        // The reserved rows are in the order of their reservations, so all of them are read and sorted again.
        let [due, reserved] = index::due_by(self.now);
        let mut ids = self.ids(due, limit).await?;
        ids.extend(self.ids(reserved, u32::MAX).await?);
        let rows = self.rows(&ids).await?.into_iter().filter_map(|found| match found {
            Ok(row) => row,
            Err(error) => {
                tracing::error!(%error, "skipped a damaged record that is due");
                None
            }
        });
        let mut due: Vec<(Timestamp, Seq, Arc<ProcessRow>)> =
            rows.filter_map(|row| Some((row.due()?, row.stored.seq, row))).collect();
        due.sort_unstable_by_key(|(due, seq, _)| (*due, *seq));
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let mut handed = Vec::with_capacity(due.len());
        let until = self.now.plus(DUE_LEASE);
        for (.., row) in due {
            handed.push(self.change(&row, |row| row.claimed_until = Some(until)).await?);
        }
        Ok(handed)
    }

    /// Deletes the ended records that the retention rule allows to delete, oldest first.
    pub(crate) async fn prune(&mut self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let (rows, more) = self.covered(rule, limit).await?;
        let mut ids = Vec::with_capacity(rows.len());
        for row in rows {
            self.delete(&row).await?;
            ids.push(row.stored.process.id);
        }
        self.counters.pruned = self.counters.pruned.saturating_add(ids.len() as u64);
        Ok(PrunedBatch { ids, more, total: self.counters.pruned })
    }

    /// Returns at most `limit` rows to delete, and whether there are more.
    async fn covered(
        &mut self,
        rule: &Retention,
        limit: u32,
    ) -> Result<(Vec<Arc<ProcessRow>>, bool), StoreError> {
        let mut newer = values::number(self.value(index::ended_count()).await?.as_deref())?;
        let mut range = index::ended();
        let mut covered = Vec::new();
        loop {
            let found = self.scan(std::slice::from_ref(&range), SortOrder::OldestFirst, PRUNE_BATCH).await?;
            let mut found: Vec<_> = found.into_iter().flatten().collect();
            let is_last = count(found.len()) < PRUNE_BATCH;
            let length = found.len();
            // Rows are sorted by the time at which the process ended. If the rule keeps a row, it also keeps all later
            // rows.
            let due = found.iter().take_while(|(key, _)| {
                newer = newer.saturating_sub(1);
                key.time_before_seq().is_some_and(|at| rule.is_due_for_pruning(self.now, at, newer))
            });
            let due = due.count();
            found.truncate(due);
            if let Some((last, _)) = found.last() {
                range.from = last.clone().next();
            }
            let ids: Vec<ProcessId> = found.into_iter().map(|(_, id)| id).collect();
            for row in self.rows(&ids).await? {
                // A record that cannot be read is kept, so that it can be examined.
                if let Ok(Some(row)) = row
                    && row.due().is_none()
                {
                    covered.push(row);
                }
            }
            let more = count(covered.len()) > limit;
            if more || is_last || due < length {
                covered.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                return Ok((covered, more));
            }
        }
    }

    async fn delete(&mut self, row: &ProcessRow) -> Result<(), StoreError> {
        let (process, id) = (&row.stored.process, row.stored.process.id);
        self.put(Some(row), None).await?;
        if self.settings.terms.is_some() {
            self.set_value(values::tail_key(&id), None);
        }
        if let Some(key) = index::launch_key(process)
            && let Some(value) = self.value(key.clone()).await?
        {
            let launch = LaunchKeyValue::decode(&value)?;
            if launch.id == id {
                self.set_value(key, Some(LaunchKeyValue { retired: true, ..launch }.encode()));
            }
        }
        self.bury(id, Fingerprint::of(&process.spec)).await
    }

    /// Adds the tombstone of a deleted process.
    pub(crate) async fn bury(&mut self, id: ProcessId, spec: u64) -> Result<(), StoreError> {
        let key = values::tombstone_key(&id);
        if self.value(key.clone()).await?.is_none() {
            let order = values::tombstone_order_key(self.counters.tombstones);
            self.set_value(order, Some(id.to_string()));
            self.counters.tombstones = self.counters.tombstones.saturating_add(1);
        }
        self.set_value(key, Some(values::encode_fingerprint(spec)));
        Ok(())
    }
}
