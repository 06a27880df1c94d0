//! Process store of the outbox: forwards calls to the shared store, and updates the outbox from each answer.

// Every method must be forwarded: a default implementation would not call the shared store.
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
            claimant.roots = claimant.roots.saturating_sub(self.look(|shelf| shelf.roots_alone()));
        }
        let offer = self.offer(&new).await?;
        let copy = self.accepts_alone.then(|| new.clone());
        let answer = self.asked(self.inner.submit(new)).await;
        match &answer {
            Ok(SubmitOutcome::Waiting(stored) | SubmitOutcome::Claimed(stored)) => self.accepted(stored),
            Ok(SubmitOutcome::Existing { id: holder, stored: Some(stored), .. }) if *holder == id => {
                self.accepted(stored);
            }
            Ok(SubmitOutcome::Existing { .. }) | Err(StoreError::Fenced { .. }) => self.withdraw(&id).await,
            Err(StoreError::Refused(refusal)) if *refusal != StoreRejection::Full => self.withdraw(&id).await,
            // The launch may have been applied by this call or by an earlier one. A later load finds out.
            Err(StoreError::Unknown { .. }) => {}
            Err(_) if offer.was_doubtful => {}
            Err(StoreError::Unavailable { .. }) => match self.accept_locally(copy).await? {
                Some(stored) => return Ok(SubmitOutcome::Claimed(stored)),
                None => {
                    self.withdraw(&id).await;
                    if self.accepts_alone {
                        return answer.map_err(NotLocalOnly::because);
                    }
                }
            },
            Err(_) => self.withdraw(&id).await,
        }
        answer
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let held = self.look(|shelf| {
            shelf.has_room_for(room.roots);
            shelf.roots_alone()
        });
        let room = ClaimCapacity { roots: room.roots.saturating_sub(held), ..room.clone() };
        let claimed = self.asked(self.inner.claim(by, &room)).await?;
        self.heard(&claimed);
        Ok(claimed)
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        if let Some(answer) = self.commit_alone(&change).await {
            return answer;
        }
        let (next, author, taken) = (change.next.clone(), change.author.clone(), change.taken);
        let revision = self.asked(self.inner.commit(change)).await?;
        let now = self.clock.now();
        self.keep(|shelf| shelf.committed(now, next, revision, &author, taken));
        Ok(revision)
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        self.asked(self.inner.enqueue_action(id, op, action)).await
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.asked(self.inner.update_live_stats(by, live_stats)).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        self.load_each(ids).await?.into_iter().collect()
    }

    async fn load_each(
        &self,
        ids: &[ProcessId],
    ) -> Result<Vec<Result<Option<StoredProcess>, StoreError>>, StoreError> {
        let alone = self.load_alone(ids).await?.unwrap_or_default();
        if !alone.is_empty() && alone.iter().all(Option::is_some) {
            return Ok(alone.into_iter().map(Ok).collect());
        }
        let mut found = self.asked(self.inner.load_each(ids)).await?;
        self.heard(found.iter().flatten().flatten());
        for (found, alone) in found.iter_mut().zip(alone) {
            if alone.is_some() {
                *found = Ok(alone);
            }
        }
        Ok(found)
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        if let Some(empty) = self.list_below_alone(filter) {
            return Ok(empty);
        }
        let listing = self.asked(self.inner.list(filter, page)).await?;
        self.heard(&listing.processes);
        Ok(listing)
    }

    async fn is_durable(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
        // A local-only process is durable in the outbox. The call to the store below is not counted in the outage
        // state: a replicated store that cannot confirm durability has still answered.
        if self.is_local_only(id) {
            return Ok(true);
        }
        self.inner.is_durable(id, attempt).await
    }

    fn away_since(&self) -> Option<Timestamp> {
        self.outage.since()
    }

    fn is_local_only(&self, id: &ProcessId) -> bool {
        self.look(|shelf| shelf.is_local_only(id))
    }

    async fn load_cached(&self, ids: &[ProcessId]) -> Vec<Option<StoredProcess>> {
        self.kept(ids).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not read the records of this node in the outbox");
            vec![None; ids.len()]
        })
    }

    async fn list_cached(&self, filter: &ProcessFilter, page: &PageRequest) -> Option<Listing> {
        let (filter, page) = (filter.clone(), page.clone());
        let found = self.writer.ask(move |connection| {
            let most = usize::try_from(page.most.clamp(1, MAX_PAGE)).unwrap_or(usize::MAX);
            let is_newest_first = page.order == SortOrder::NewestFirst;
            let mut processes = Vec::new();
            row::each_accepted(connection, is_newest_first, |stored| {
                let is_behind = page.after.is_none_or(|PageKey(after)| {
                    if is_newest_first { stored.seq < after } else { stored.seq > after }
                });
                if is_behind && filter.admits(&stored) {
                    processes.push(stored);
                }
                processes.len() <= most
            })?;
            let more = processes.len() > most;
            processes.truncate(most);
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

/// A launch that is being sent to the store. If the launch is dropped without an answer, for example because its caller
/// was cancelled, it becomes doubtful.
struct LaunchHandoff<'a> {
    outbox: &'a OutboxStore,
    id: ProcessId,
    /// True if the store may have accepted the launch in an earlier call.
    was_doubtful: bool,
}

impl Drop for LaunchHandoff<'_> {
    fn drop(&mut self) {
        self.outbox.look(|shelf| shelf.doubt(&self.id));
    }
}

impl OutboxStore {
    /// Writes a launch durably to the outbox before it is sent to the store.
    async fn offer(&self, new: &Submission) -> Result<LaunchHandoff<'_>, StoreError> {
        let id = new.process.id;
        let (was_doubtful, kept) = self.look(|shelf| {
            let was_doubtful = shelf.is_doubtful(&id);
            (was_doubtful, shelf.offer(&new.process).map(|entry| self.writer.durably(entry)))
        });
        let offer = LaunchHandoff { outbox: self, id, was_doubtful };
        if let Some(kept) = kept
            && let Err(error) = kept.await
        {
            self.keep(|shelf| shelf.let_go(&id).into_iter().collect());
            return Err(error);
        }
        Ok(offer)
    }

    /// Records that the store has acknowledged a launch. The write starts at once, because the caller relies on the
    /// outbox as soon as it knows the result.
    fn accepted(&self, stored: &StoredProcess) {
        let now = self.clock.now();
        self.look(|shelf| {
            shelf.accepted_as(now, stored).into_iter().for_each(|entry| self.writer.at_once(entry));
        });
    }

    /// Removes a rejected launch from the outbox. The removal is durable, because a launch must not be restored once
    /// its caller knows that it was rejected.
    async fn withdraw(&self, id: &ProcessId) {
        let gone = self.look(|shelf| {
            let entry = if shelf.is_offered(id) { shelf.let_go(id) } else { None };
            entry.map(|entry| self.writer.durably(entry))
        });
        if let Some(gone) = gone
            && let Err(error) = gone.await
        {
            tracing::warn!(%id, %error, "could not remove a rejected launch from the outbox");
        }
    }
}
