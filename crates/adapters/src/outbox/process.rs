//! Process store of the outbox: forwards calls to the shared store, and updates the outbox from each reply.

// Every method must be forwarded, because a default implementation would not call the shared store.
#![warn(clippy::missing_trait_methods)]

use super::local_only::NotLocalOnly;
use super::{OutboxStore, row};
use async_trait::async_trait;
use longhaul_domain::{ActionSeq, AttemptNo, LiveStats, OpId, PendingAction, ProcessId, Revision, Timestamp};
use longhaul_ports::{
    Change, ClaimCapacity, Lease, Listing, PageKey, PageRequest, ProcessFilter, ProcessStore, SortOrder,
    StoreError, StoreRejection, StoredProcess, Submission, SubmitOutcome, Writer,
};

/// Maximum number of records in one page.
const MAX_PAGE: u32 = 1_000;

#[async_trait]
impl ProcessStore for OutboxStore {
    async fn submit(&self, mut new: Submission) -> Result<SubmitOutcome, StoreError> {
        let id = new.process.id;
        if let Some(claimant) = &mut new.claim_for {
            claimant.roots = claimant.roots.saturating_sub(self.with_index(|index| index.local_only_roots()));
        }
        let offer = self.offer(&new).await?;
        let copy = self.accepts_local_only.then(|| new.clone());
        let answer = self.call(self.inner.submit(new)).await;
        match &answer {
            Ok(SubmitOutcome::Waiting(stored) | SubmitOutcome::Claimed(stored)) => self.accepted(stored),
            Ok(SubmitOutcome::Existing { id: holder, stored: Some(stored), .. }) if *holder == id => {
                self.accepted(stored);
            }
            Ok(SubmitOutcome::Existing { .. }) | Err(StoreError::Fenced { .. }) => self.withdraw(&id).await,
            Err(StoreError::Refused(refusal)) if *refusal != StoreRejection::Full => self.withdraw(&id).await,
            // It is unknown whether this call or an earlier call applied the launch. A later load of the process shows
            // whether the launch was applied.
            Err(StoreError::Unknown { .. }) => {}
            Err(_) if offer.was_doubtful => {}
            Err(StoreError::Unavailable { .. }) => match self.accept_locally(copy).await? {
                Some(stored) => return Ok(SubmitOutcome::Claimed(stored)),
                None => {
                    self.withdraw(&id).await;
                    if self.accepts_local_only {
                        return answer.map_err(NotLocalOnly::because);
                    }
                }
            },
            Err(_) => self.withdraw(&id).await,
        }
        answer
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let held = self.with_index(|index| {
            index.set_root_limit(room.roots);
            index.local_only_roots()
        });
        let room = ClaimCapacity { roots: room.roots.saturating_sub(held), ..room.clone() };
        let claimed = self.call(self.inner.claim(by, &room)).await?;
        self.note_records(&claimed);
        Ok(claimed)
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        if let Some(answer) = self.commit_local_only(&change).await {
            return answer;
        }
        let (next, author, taken) = (change.next.clone(), change.author.clone(), change.taken);
        let revision = self.call(self.inner.commit(change)).await?;
        let now = self.clock.now();
        self.update(|index| index.note_commit(now, next, revision, &author, taken));
        Ok(revision)
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        self.call(self.inner.enqueue_action(id, op, action)).await
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.call(self.inner.update_live_stats(by, live_stats)).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        self.load_each(ids).await?.into_iter().collect()
    }

    async fn load_each(
        &self,
        ids: &[ProcessId],
    ) -> Result<Vec<Result<Option<StoredProcess>, StoreError>>, StoreError> {
        let local_only = self.load_local_only(ids).await?.unwrap_or_default();
        if !local_only.is_empty() && local_only.iter().all(Option::is_some) {
            return Ok(local_only.into_iter().map(Ok).collect());
        }
        let mut found = self.call(self.inner.load_each(ids)).await?;
        self.note_records(found.iter().flatten().flatten());
        for (found, local_only) in found.iter_mut().zip(local_only) {
            if local_only.is_some() {
                *found = Ok(local_only);
            }
        }
        Ok(found)
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        if let Some(empty) = self.list_below_local_only(filter) {
            return Ok(empty);
        }
        let listing = self.call(self.inner.list(filter, page)).await?;
        self.note_records(&listing.processes);
        Ok(listing)
    }

    async fn is_durable(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
        // A local-only process is durable in the outbox. The call to the store below does not affect the outage state,
        // because a replicated store that cannot confirm durability has still answered.
        if self.is_local_only(id) {
            return Ok(true);
        }
        self.inner.is_durable(id, attempt).await
    }

    fn away_since(&self) -> Option<Timestamp> {
        self.outage.since()
    }

    fn is_local_only(&self, id: &ProcessId) -> bool {
        self.with_index(|index| index.is_local_only(id))
    }

    async fn load_cached(&self, ids: &[ProcessId]) -> Vec<Option<StoredProcess>> {
        self.load_records(ids).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not read the records of this node from the outbox");
            vec![None; ids.len()]
        })
    }

    async fn list_cached(&self, filter: &ProcessFilter, page: &PageRequest) -> Option<Listing> {
        let (filter, page) = (filter.clone(), page.clone());
        let found = self.writer.ask(move |connection| {
            let limit = usize::try_from(page.limit.clamp(1, MAX_PAGE)).unwrap_or(usize::MAX);
            let is_newest_first = page.order == SortOrder::NewestFirst;
            let mut processes = Vec::new();
            row::each_accepted(connection, is_newest_first, |stored| {
                let is_behind = page.after.is_none_or(|PageKey(after)| {
                    if is_newest_first { stored.seq < after } else { stored.seq > after }
                });
                if is_behind && filter.admits(&stored) {
                    processes.push(stored);
                }
                processes.len() <= limit
            })?;
            let more = processes.len() > limit;
            processes.truncate(limit);
            let next = processes.last().filter(|_| more).map(|stored| PageKey(stored.seq));
            Ok(Listing { processes, next, damaged: Vec::new() })
        });
        found
            .await
            .inspect_err(
                |error| tracing::warn!(%error, "could not list the records of this node in the outbox"),
            )
            .ok()
    }
}

/// A launch that is being sent to the store. If this value is dropped without an answer, for example because the caller
/// was cancelled, the launch becomes doubtful.
struct LaunchHandoff<'a> {
    outbox: &'a OutboxStore,
    id: ProcessId,
    /// True if the store may have accepted the launch in an earlier call.
    was_doubtful: bool,
}

impl Drop for LaunchHandoff<'_> {
    fn drop(&mut self) {
        self.outbox.with_index(|index| index.mark_doubtful(&self.id));
    }
}

impl OutboxStore {
    /// Writes a launch durably to the outbox before it is sent to the store.
    async fn offer(&self, new: &Submission) -> Result<LaunchHandoff<'_>, StoreError> {
        let id = new.process.id;
        let (was_doubtful, kept) = self.with_index(|index| {
            let was_doubtful = index.is_doubtful(&id);
            (was_doubtful, index.offer(&new.process).map(|entry| self.writer.durably(entry)))
        });
        let offer = LaunchHandoff { outbox: self, id, was_doubtful };
        if let Some(kept) = kept
            && let Err(error) = kept.await
        {
            self.update(|index| index.remove(&id).into_iter().collect());
            return Err(error);
        }
        Ok(offer)
    }

    /// Records that the store has acknowledged a launch. The record is written immediately, because the caller may read
    /// it from the outbox as soon as it receives the result.
    fn accepted(&self, stored: &StoredProcess) {
        let now = self.clock.now();
        self.with_index(|index| {
            index.note_accepted(now, stored).into_iter().for_each(|entry| self.writer.at_once(entry));
        });
    }

    /// Removes a rejected launch from the outbox. The removal is durable, because a launch must not be restored after
    /// its caller has received the rejection.
    async fn withdraw(&self, id: &ProcessId) {
        let gone = self.with_index(|index| {
            let entry = if index.is_offered(id) { index.remove(id) } else { None };
            entry.map(|entry| self.writer.durably(entry))
        });
        if let Some(gone) = gone
            && let Err(error) = gone.await
        {
            tracing::warn!(%id, %error, "could not remove a rejected launch from the outbox");
        }
    }
}
