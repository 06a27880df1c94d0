//! Compares the outbox with the shared store and restores records that the store has lost.

use super::{OutboxStore, row};
use longhaul_domain::ProcessId;
use longhaul_ports::{
    HighWaterMarks, History, Lease, ReconcileResult, RecordPosition, RestoreOutcome, StoreError,
    StoredProcess,
};

/// Maximum number of processes that are compared in one call.
const MAX_COMPARED: usize = 500;
/// Maximum number of records that are restored in one call. It is low because each record may be large.
const MAX_RESTORED: usize = 16;

/// Result of comparing the outbox with the store.
#[derive(Debug, Default)]
struct OutboxComparison {
    /// Processes that are missing from the store or have an earlier revision in the store, in the order in which they
    /// must be restored.
    behind: Vec<(ProcessId, StoreLag)>,
    /// Processes that have a later revision in the store than in the outbox.
    newer: Vec<ProcessId>,
    /// Processes that the store has pruned.
    pruned: Vec<ProcessId>,
}

/// How the store differs from the outbox for a process that may have to be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreLag {
    /// The store does not have the process.
    Missing,
    /// The store reports an earlier revision. The record may have been restored before, so its content has to be
    /// compared.
    Earlier,
}

impl OutboxStore {
    pub(super) async fn compare(&self, by: &Lease) -> Result<ReconcileResult, StoreError> {
        let now = self.clock.now();
        self.update(|index| {
            index.set_lease(by);
            index.remove_outdated(now)
        });
        let local_only = self.with_index(|index| index.local_only());
        let mut history = self.inner.history().await?;
        let before = self.with_index(|index| index.mark().clone());
        let mut went_back = before.history.is_some_and(|earlier| !history.continues(&earlier));
        let compared = self.compare_all(self.with_index(|index| index.accepted())).await?;
        let mut lost = self.lost(compared.behind).await?;
        lost.extend(self.settle_doubtful(went_back).await?);
        let (version, _) = self.inner.policy().await?;
        let has_old_policy = before.policy.as_ref().is_some_and(|(known, _)| *known > version);
        if went_back || has_old_policy || !lost.is_empty() || history.end < before.end {
            let marks = HighWaterMarks { end: before.end, seq: before.seq, policy: before.policy };
            self.inner.advance_marks(&marks).await?;
            // Raising the counters of the store changes its history. This node caused that change, so it must not count
            // as a new loss.
            history = self.inner.history().await?;
        }
        self.update(|index| compared.pruned.iter().filter_map(|id| index.remove(id)).collect());
        let restored_records = self.restore_records(by, &lost).await?;
        // A restored record proves that the store has lost data. A local-only record does not, because the store never
        // had it.
        went_back |= restored_records.iter().any(|id| !local_only.contains(id));
        self.overwrite_records(&compared.newer).await?;
        self.sync_drain_state(by, went_back, before.draining).await?;
        self.caught_up(&history).await?;
        Ok(ReconcileResult { went_back, restored_records })
    }

    async fn compare_all(&self, ids: Vec<ProcessId>) -> Result<OutboxComparison, StoreError> {
        let mut compared = OutboxComparison::default();
        for ids in ids.chunks(MAX_COMPARED) {
            let record_positions = self.inner.record_positions(ids).await?;
            for (id, record_position) in ids.iter().copied().zip(record_positions) {
                // The process may have been removed from the outbox after the list was made.
                let known =
                    self.with_index(|index| Some((index.revision_of(&id)?, index.is_local_only(&id))));
                let Some((kept, is_local_only)) = known else { continue };
                match record_position {
                    RecordPosition::Missing => compared.behind.push((id, StoreLag::Missing)),
                    RecordPosition::Pruned => compared.pruned.push(id),
                    RecordPosition::At(there) if there < kept => {
                        compared.behind.push((id, StoreLag::Earlier))
                    }
                    // If the store has a local-only process, an earlier restore succeeded but its answer was lost.
                    RecordPosition::At(there) if there > kept || is_local_only => compared.newer.push(id),
                    RecordPosition::At(_) => {}
                    RecordPosition::Damaged => {
                        tracing::warn!(%id, "could not compare a damaged record of the store with the \
                            outbox");
                    }
                }
            }
        }
        Ok(compared)
    }

    /// Returns the processes of `behind` whose record in the store is missing or differs from the record in the outbox.
    async fn lost(&self, behind: Vec<(ProcessId, StoreLag)>) -> Result<Vec<ProcessId>, StoreError> {
        let mut lost = Vec::with_capacity(behind.len());
        for behind in behind.chunks(MAX_COMPARED) {
            let ids: Vec<ProcessId> = behind.iter().map(|(id, _)| *id).collect();
            let earlier = behind.iter().any(|(_, how)| *how == StoreLag::Earlier);
            let there = if earlier {
                self.inner.load_each(&ids).await?
            } else {
                ids.iter().map(|_| Ok(None)).collect()
            };
            let kept = self.load_records(&ids).await?;
            for (there, kept) in there.into_iter().zip(kept) {
                // Do not replace a record that is damaged in the store.
                let (Ok(there), Some(kept)) = (there, kept) else { continue };
                let is_there = there
                    .as_ref()
                    .is_some_and(|there| there.revision >= kept.revision && there.process == kept.process);
                if !is_there {
                    lost.push(kept.process.id);
                }
            }
        }
        Ok(lost)
    }

    /// Resolves the launches that the store has not answered. A launch that the store does not have is handled in one
    /// of two ways. If the store has lost data, the launch is returned to be restored, because its caller may have
    /// received a confirmation. If the store has lost no data, the launch never arrived and is removed from the outbox.
    async fn settle_doubtful(&self, went_back: bool) -> Result<Vec<ProcessId>, StoreError> {
        let mut lost = Vec::new();
        for ids in self.with_index(|index| index.doubtful()).chunks(MAX_COMPARED) {
            for (id, record_position) in ids.iter().copied().zip(self.inner.record_positions(ids).await?) {
                match record_position {
                    RecordPosition::At(_) => self.overwrite_records(&[id]).await?,
                    RecordPosition::Damaged => {}
                    RecordPosition::Missing if went_back => lost.push(id),
                    RecordPosition::Missing | RecordPosition::Pruned => {
                        self.update(|index| {
                            let gone = if index.is_doubtful(&id) { index.remove(&id) } else { None };
                            gone.into_iter().collect()
                        });
                    }
                }
            }
        }
        Ok(lost)
    }

    async fn restore_records(&self, by: &Lease, lost: &[ProcessId]) -> Result<Vec<ProcessId>, StoreError> {
        let mut restored_records = Vec::new();
        for ids in lost.chunks(MAX_RESTORED) {
            let _turn = self.restore_lock.lock().await;
            let kept: Vec<StoredProcess> = self.load_records(ids).await?.into_iter().flatten().collect();
            let answers = self.inner.restore(by, &kept).await?;
            let mut again = Vec::new();
            for (kept, answer) in kept.iter().zip(answers) {
                let id = kept.process.id;
                match answer {
                    RestoreOutcome::Inserted(_) => {
                        restored_records.push(id);
                        again.push(id);
                    }
                    RestoreOutcome::AlreadyPresent(_) => again.push(id),
                    RestoreOutcome::Pruned => self.update(|index| index.remove(&id).into_iter().collect()),
                }
            }
            self.overwrite_records(&again).await?;
        }
        Ok(restored_records)
    }

    /// Replaces records of the outbox with the records of the store, even if the outbox has later revisions.
    async fn overwrite_records(&self, ids: &[ProcessId]) -> Result<(), StoreError> {
        for ids in ids.chunks(MAX_COMPARED) {
            let there = self.inner.load_each(ids).await?;
            let now = self.clock.now();
            self.update(|index| {
                there.iter().flatten().flatten().flat_map(|stored| index.overwrite(now, stored)).collect()
            });
        }
        Ok(())
    }

    /// Restores the drain state of this node if the store has lost it. If not, stores the drain state in the outbox.
    async fn sync_drain_state(
        &self,
        by: &Lease,
        went_back: bool,
        was_draining: bool,
    ) -> Result<(), StoreError> {
        let known = self.inner.list_nodes().await?;
        let Some(me) = known.into_iter().find(|node| node.facts.id == by.node) else { return Ok(()) };
        if went_back && was_draining != me.draining {
            self.inner.drain(&by.node, was_draining).await?;
            return Ok(());
        }
        self.with_index(|index| index.update_meta(&self.writer, |mark| mark.draining = me.draining));
        Ok(())
    }

    /// Stores the current history of the store. The next comparison uses it to detect a loss of data. Does nothing if
    /// the store has lost data during this comparison.
    async fn caught_up(&self, compared: &History) -> Result<(), StoreError> {
        let history = self.inner.history().await?;
        if history.continues(compared) {
            self.with_index(|index| {
                index.update_meta(&self.writer, |mark| {
                    mark.end = mark.end.max(history.end);
                    mark.history = Some(history);
                });
            });
        }
        Ok(())
    }

    pub(super) async fn load_records(
        &self,
        ids: &[ProcessId],
    ) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        let ids = ids.to_vec();
        self.writer.ask(move |connection| ids.iter().map(|id| row::by_id(connection, id)).collect()).await
    }
}
