//! Maintenance of processes without an owner.

use super::state::{LedgerRow, LedgerState};
use crate::fingerprint::Fingerprint;
use longhaul_domain::{ProcessId, Retention, Seq, Timestamp};
use longhaul_ports::{Lease, StoreError, StoredProcess};
use std::time::Duration;

/// Time for which a due row is reserved for the engine that claimed it.
const DUE_LEASE: Duration = Duration::from_secs(5);

impl LedgerState {
    pub(crate) fn claim_due(
        &mut self,
        now: Timestamp,
        by: &Lease,
        limit: u32,
    ) -> Result<Vec<StoredProcess>, StoreError> {
        self.check(by)?;
        let due = self.rows.index().due(now).filter_map(|id| self.rows.get(id));
        let mut due: Vec<(Timestamp, Seq, ProcessId)> =
            due.filter_map(|row| Some((row.due()?, row.stored.seq, row.stored.process.id))).collect();
        due.sort_unstable();
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let hand = |(.., id): (Timestamp, Seq, ProcessId)| {
            self.rows.change(&id, |row| {
                row.claimed_until = Some(now.plus(DUE_LEASE));
                row.stored.clone()
            })
        };
        Ok(due.into_iter().filter_map(hand).collect())
    }

    /// Deletes the ended records that the retention rule allows to delete, oldest first. Returns the deleted records,
    /// and whether more records can be deleted.
    pub(crate) fn prune_rows(
        &mut self,
        now: Timestamp,
        rule: &Retention,
        limit: u32,
    ) -> (Vec<LedgerRow>, bool) {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let ended = self.rows.index().ended();
        // Rows are sorted by the time at which the process ended. If the rule keeps a row, it also keeps all later
        // rows.
        let covered = ended
            .iter()
            .zip((0..ended.len() as u64).rev())
            .take_while(|(((completed_at, _), _), newer)| rule.is_due_for_pruning(now, *completed_at, *newer))
            .map(|((_, id), _)| *id)
            .filter(|id| self.rows.get(id).is_some_and(|row| row.due().is_none()));
        let mut covered: Vec<ProcessId> = covered.take(limit.saturating_add(1)).collect();
        let more = covered.len() > limit;
        covered.truncate(limit);
        let gone: Vec<LedgerRow> = covered.iter().filter_map(|id| self.rows.remove(id)).collect();
        for LedgerRow { stored, .. } in &gone {
            self.mark_pruned(stored.process.id, Fingerprint::of(&stored.process.spec));
        }
        self.pruned_total = self.pruned_total.saturating_add(gone.len() as u64);
        (gone, more)
    }
}
