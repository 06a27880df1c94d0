//! Local-only launches: launches that a node accepts while the shared store is unreachable, if its options allow this.
//!
//! A launch qualifies if it cannot affect other nodes: the process is a root without a concurrency key, is pinned to
//! this node, and starts immediately in a free root slot. The node stores the record durably in the outbox. When the
//! store is reachable again, the node restores the record, like a record that the store has lost.

use super::OutboxStore;
use super::index::LocalOnlyChange;
use super::writer::OutboxChange;
use longhaul_domain::{ProcessId, Revision};
use longhaul_ports::{Change, Listing, ProcessFilter, StoreError, StoredProcess, Submission};

/// The store is unreachable, and the launch was not accepted as local-only, because it may affect other nodes.
#[derive(Debug, thiserror::Error)]
#[error(
    "while the store is unavailable, this node accepts only launches that do not affect other nodes: the \
     command must start on this node, immediately and in a free slot, without a concurrency key, a launch \
     key, a parent, a delay or retries on other nodes"
)]
pub(super) struct NotLocalOnly {
    /// Error that the store returned when it did not accept the launch.
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl NotLocalOnly {
    pub(super) fn because(error: StoreError) -> StoreError {
        if let StoreError::Unavailable { source } = error {
            return StoreError::Unavailable { source: Box::new(Self { source }) };
        }
        error
    }
}

impl OutboxStore {
    /// Accepts a launch as local-only. Must be called only if the store has certainly not accepted the launch. Returns
    /// `None` if the launch does not qualify.
    ///
    /// # Errors
    /// Returns an error if the record cannot be written durably.
    pub(super) async fn accept_locally(
        &self,
        new: Option<Submission>,
    ) -> Result<Option<StoredProcess>, StoreError> {
        let Some(new) = new.filter(Submission::is_nobody_elses) else { return Ok(None) };
        let now = self.clock.now();
        let id = new.process.id;
        let taken = self.with_index(|index| {
            let owner = index.lease_for(&new)?;
            let stored = new.claimed_by(owner, index.next_seq(), now);
            let entry = index.accept_local_only(&stored);
            Some((stored, self.writer.durably(entry)))
        });
        let Some((stored, kept)) = taken else { return Ok(None) };
        if let Err(error) = kept.await {
            self.update(|index| index.remove(&id).into_iter().collect());
            return Err(error);
        }
        tracing::warn!(%id, "accepted a launch while the store is unavailable: no other node knows the \
            launch until the store is back");
        Ok(Some(stored))
    }

    /// Commits a change to a local-only process in the outbox. Returns `None` if the process is not local-only.
    pub(super) async fn commit_local_only(&self, change: &Change) -> Option<Result<Revision, StoreError>> {
        if !self.with_index(|index| index.is_local_only(&change.next.id)) {
            return None;
        }
        // While this lock is held, no record is restored to the store.
        let _turn = self.restore_lock.lock().await;
        let now = self.clock.now();
        let written = self.with_index(|index| match index.change_local_only(now, change) {
            LocalOnlyChange::Shared => None,
            LocalOnlyChange::Refused(error) => Some(Err(error)),
            LocalOnlyChange::Changed { revision, entry, before } => {
                Some(Ok((revision, before, self.writer.durably(OutboxChange::Put(entry)))))
            }
        })?;
        let (revision, before, kept) = match written {
            Ok(written) => written,
            Err(error) => return Some(Err(error)),
        };
        if let Err(error) = kept.await {
            self.with_index(|index| index.undo(change.next.id, before));
            return Some(Err(error));
        }
        Some(Ok(revision))
    }

    /// Returns one entry for each id: the record if the process is local-only, or `None` if it is not. If no id is
    /// local-only, returns `None` instead of a list.
    pub(super) async fn load_local_only(
        &self,
        ids: &[ProcessId],
    ) -> Result<Option<Vec<Option<StoredProcess>>>, StoreError> {
        let local_only = self.with_index(|index| {
            let of: Vec<bool> = ids.iter().map(|id| index.is_local_only(id)).collect();
            of.contains(&true).then_some(of)
        });
        let Some(local_only) = local_only else { return Ok(None) };
        let mut kept = self.load_records(ids).await?;
        for (kept, is_local_only) in kept.iter_mut().zip(local_only) {
            *kept = kept.take().filter(|_| is_local_only);
        }
        Ok(Some(kept))
    }

    /// Returns an empty listing if the filter selects descendants of a local-only process. Such a process has no
    /// children, because only the store accepts children, and only of a parent that the store has.
    pub(super) fn list_below_local_only(&self, filter: &ProcessFilter) -> Option<Listing> {
        let above = filter.ancestor.or(filter.parent)?;
        self.with_index(|index| index.is_local_only(&above)).then(|| Listing {
            processes: Vec::new(),
            next: None,
            damaged: Vec::new(),
        })
    }
}
