//! Retention: prunes ended records and their output.

mod output;
mod rounds;

use crate::detached::run_to_completion;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{ProcessId, Retention, Seq, Status, Timestamp};
use longhaul_failpoint::crashpoint;
use longhaul_ports::{PageRequest, ProcessFilter, PrunedBatch, SortOrder, StoreError, StoredProcess};
pub(crate) use rounds::prune_periodically;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Maximum number of records that a single write prunes.
const BATCH: u32 = 200;
const PAGE: u32 = 500;
/// Maximum number of times that a prune request is sent again because it was not answered.
const MAX_RESENDS: u32 = 5;
pub(crate) const ENDED: [Status; 5] =
    [Status::Completed, Status::Failed, Status::Timeout, Status::Cancelled, Status::Interrupted];

/// Result of pruning records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneResult {
    /// The pruned processes, oldest first.
    pub ids: Vec<ProcessId>,
    /// Disk space of the deleted output in bytes.
    pub bytes: u64,
    /// Total number of records that the store has pruned so far.
    pub total: u64,
}

/// State that the engine keeps about pruning.
#[derive(Debug, Default)]
pub(crate) struct PruneStatus {
    total: AtomicU64,
    /// True if the store may still contain output of pruned records.
    leftover: AtomicBool,
}

impl Engine {
    /// Prunes the ended records that exceed the limits of a rule, with their output. With `bytes`, also prunes the
    /// oldest records until the output of ended processes is at most that size. A dry run changes nothing and returns
    /// the records that would be pruned.
    ///
    /// Automatic pruning never applies the count of a rule to records that have just ended; this call does.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read or written, [`EngineError::Output`] if the size of the output
    /// cannot be read.
    pub async fn prune(
        &self,
        rule: &Retention,
        bytes: Option<u64>,
        dry_run: bool,
    ) -> Result<PruneResult, EngineError> {
        let (core, rule) = (self.core.clone(), *rule);
        run_to_completion(async move {
            let before = match bytes {
                Some(limit) => core.outputs().await?.prune_cutoff(limit),
                None => None,
            };
            let by_count = match rule.count {
                Some(limit) => core.prune_cutoff(limit).await?,
                None => None,
            };
            let rule = Retention { count: None, before: rule.before.max(before).max(by_count), ..rule };
            if dry_run { core.covered(&rule).await } else { core.prune_all(&rule).await }
        })
        .await
    }

    /// Returns the total number of records that the store has pruned, according to its latest answer.
    #[must_use]
    pub fn pruned_total(&self) -> u64 {
        self.core.sweeps.total.load(Ordering::Relaxed)
    }
}

impl EngineShared {
    /// Returns the records that a rule prunes now, as defined by [`Retention::is_due_for_pruning`].
    async fn covered(&self, rule: &Retention) -> Result<PruneResult, EngineError> {
        let mut ended: Vec<(Timestamp, Seq, ProcessId, bool)> = Vec::new();
        let filter = ProcessFilter { statuses: ENDED.to_vec(), ..ProcessFilter::default() };
        self.each(&filter, |stored| {
            if let Some(at) = stored.process.completed_at() {
                let is_open = stored.process.head().due.is_some();
                ended.push((at, stored.seq, stored.process.id, is_open));
            }
        })
        .await?;
        ended.sort_unstable();
        let now = self.parts.clock.now();
        let covered = (0_u64..)
            .zip(ended.iter().rev())
            .filter(|(newer, (at, _, _, is_open))| !is_open && rule.is_due_for_pruning(now, *at, *newer));
        let mut ids: Vec<ProcessId> = covered.map(|(_, (_, _, id, _))| *id).collect();
        ids.reverse();
        let mut pruned = PruneResult { ids, bytes: 0, total: self.sweeps.total.load(Ordering::Relaxed) };
        for id in &pruned.ids {
            pruned.bytes = pruned.bytes.saturating_add(self.size_on_disk(*id).await);
        }
        Ok(pruned)
    }

    /// Returns a time such that pruning all records that ended before it leaves the newest `limit` records. Returns
    /// `None` if nothing has to be pruned. If several records ended in the same millisecond, a few more records may
    /// remain.
    async fn prune_cutoff(&self, limit: u64) -> Result<Option<Timestamp>, EngineError> {
        let mut ended: Vec<Timestamp> = Vec::new();
        let filter = ProcessFilter { statuses: ENDED.to_vec(), ..ProcessFilter::default() };
        self.each(&filter, |stored| ended.extend(stored.process.completed_at())).await?;
        ended.sort_unstable_by(|one, other| other.cmp(one));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let Some(first_to_go) = ended.get(limit) else {
            return Ok(None);
        };
        let behind = Timestamp(first_to_go.0.saturating_add(1));
        Ok(match limit.checked_sub(1).and_then(|last| ended.get(last)) {
            Some(last_to_stay) => Some(behind.min(*last_to_stay)),
            None => Some(behind),
        })
    }

    /// Prunes all records that a rule covers, with their output. Each record is pruned before its output, so that a
    /// failure between the two steps never leaves a record without its output.
    pub(crate) async fn prune_all(self: &Arc<Self>, rule: &Retention) -> Result<PruneResult, EngineError> {
        let mut pruned = PruneResult::default();
        loop {
            let swept = self.prune(rule, BATCH).await?;
            if !swept.ids.is_empty() {
                crashpoint!("engine.swept");
            }
            for id in &swept.ids {
                self.live_stats.forget(*id);
                pruned.bytes = pruned.bytes.saturating_add(self.size_on_disk(*id).await);
                self.remove_output(*id).await;
            }
            pruned.total = swept.total;
            let done = swept.ids.is_empty() || !swept.more;
            pruned.ids.extend(swept.ids);
            if done {
                return Ok(pruned);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, EngineError> {
        let mut repeats = 0;
        loop {
            match self.parts.store.prune(rule, limit).await {
                Ok(swept) => {
                    self.sweeps.total.store(swept.total, Ordering::Relaxed);
                    return Ok(swept);
                }
                Err(StoreError::Unknown { .. }) if repeats < MAX_RESENDS => {
                    repeats += 1;
                    // The lost answer contained the ids of pruned records. A search must now find the output of these
                    // records.
                    self.sweeps.leftover.store(true, Ordering::Relaxed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn remove_output(&self, id: ProcessId) {
        if let Err(error) = self.parts.output.remove(id).await {
            tracing::warn!(%id, %error, "could not delete the output of a process; retrying");
            self.sweeps.leftover.store(true, Ordering::Relaxed);
        }
    }

    /// Calls `look` with every record that matches a filter, oldest first, one page at a time. Returns the ids of
    /// damaged records that may match.
    pub(crate) async fn each(
        &self,
        filter: &ProcessFilter,
        mut look: impl FnMut(StoredProcess) + Send,
    ) -> Result<Vec<ProcessId>, EngineError> {
        let mut page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: PAGE };
        let mut damaged = Vec::new();
        loop {
            let listing = self.parts.store.list(filter, &page).await?;
            listing.processes.into_iter().for_each(&mut look);
            damaged.extend(listing.damaged);
            match listing.next {
                Some(next) => page.after = Some(next),
                None => return Ok(damaged),
            }
        }
    }
}
