//! Launches that this node accepts by itself while the store is away, if it was told to.
//!
//! Only what nobody else could have a say in is accepted so: a root that runs on this node and nowhere else, at once, in
//! a free place, under no key. The node keeps its record, durably, until the store has it: then it is given to the store
//! as what the store lost is.

use super::OutboxStore;
use super::index::LocalOnlyChange;
use super::writer::OutboxChange;
use longhaul_domain::{ProcessId, Revision};
use longhaul_ports::{Change, Listing, ProcessFilter, StoreError, StoredProcess, Submission};

/// A launch in which others could have a say, while the store is away.
#[derive(Debug, thiserror::Error)]
#[error(
    "while the store is unavailable, this node accepts only commands that do not affect other nodes: they must \
     start on this node, at once, in a free slot, without a key, a launch key, a parent, a delay or retries on \
     other nodes"
)]
pub(super) struct NotLocalOnly {
    /// Why the store did not take it.
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
    /// Accepts what was offered to a store that surely did not take it; none if that is not for this node to accept.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub(super) async fn accept_locally(
        &self,
        new: Option<Submission>,
    ) -> Result<Option<StoredProcess>, StoreError> {
        let Some(new) = new.filter(Submission::is_nobody_elses) else { return Ok(None) };
        let now = self.clock.now();
        let id = new.process.id;
        let taken = self.look(|shelf| {
            let owner = shelf.place_for(&new)?;
            let stored = new.claimed_by(owner, shelf.next_seq(), now);
            let entry = shelf.take_alone(&stored);
            Some((stored, self.writer.durably(entry)))
        });
        let Some((stored, kept)) = taken else { return Ok(None) };
        if let Err(error) = kept.await {
            self.keep(|shelf| shelf.let_go(&id).into_iter().collect());
            return Err(error);
        }
        tracing::warn!(%id, "the store is unavailable: only this node knows of the launch until the store is back");
        Ok(Some(stored))
    }

    /// Writes a change of what this node alone knows; none if the store knows of it.
    pub(super) async fn commit_alone(&self, change: &Change) -> Option<Result<Revision, StoreError>> {
        if !self.look(|shelf| shelf.is_local_only(&change.next.id)) {
            return None;
        }
        // Between this and the end of the write nothing of it is given to the store.
        let _turn = self.giving.lock().await;
        let now = self.clock.now();
        let written = self.look(|shelf| match shelf.change_alone(now, change) {
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
            self.look(|shelf| shelf.undo(change.next.id, before));
            return Some(Err(error));
        }
        Some(Ok(revision))
    }

    /// The records of those of the ids that this node alone knows, each at its place; none if there are no such.
    pub(super) async fn load_alone(
        &self,
        ids: &[ProcessId],
    ) -> Result<Option<Vec<Option<StoredProcess>>>, StoreError> {
        let alone = self.look(|shelf| {
            let of: Vec<bool> = ids.iter().map(|id| shelf.is_local_only(id)).collect();
            of.contains(&true).then_some(of)
        });
        let Some(alone) = alone else { return Ok(None) };
        let mut kept = self.kept(ids).await?;
        for (kept, is_local_only) in kept.iter_mut().zip(alone) {
            *kept = kept.take().filter(|_| is_local_only);
        }
        Ok(Some(kept))
    }

    /// Nothing is below what the store does not know: a child is accepted by the store alone, and after its parent.
    pub(super) fn list_below_alone(&self, filter: &ProcessFilter) -> Option<Listing> {
        let above = filter.ancestor.or(filter.parent)?;
        self.look(|shelf| shelf.is_local_only(&above)).then(|| Listing {
            processes: Vec::new(),
            next: None,
            damaged: Vec::new(),
        })
    }
}
