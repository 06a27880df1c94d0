use super::writer::FileDurability;
use super::{FsStore, NO_OP};
use async_trait::async_trait;
use longhaul_domain::{ActionSeq, AttemptNo, LiveStats, OpId, PendingAction, ProcessId, Revision};
use longhaul_ports::{
    Change, ClaimCapacity, EventCursor, EventLog, EventPage, Lease, Listing, PageRequest, ProcessFilter,
    ProcessStore, StoreError, StoredProcess, Submission, SubmitOutcome, Writer,
};

#[async_trait]
impl ProcessStore for FsStore {
    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        let op = OpId::new(*new.process.id.as_uuid());
        self.write(op, move |state, now| state.submit(now, new.clone())).await
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let (by, room) = (by.clone(), room.clone());
        self.write(NO_OP, move |state, now| state.claim(now, &by, &room)).await
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.write(change.op, move |state, _| state.commit(change.clone())).await
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        let id = *id;
        self.write(op, move |state, _| state.enqueue_action(&id, op, action)).await
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let (by, live_stats) = (by.clone(), live_stats.to_vec());
        self.writer
            .apply(
                NO_OP,
                FileDurability::Light,
                move |state, _| Ok(state.update_live_stats(&by, &live_stats)),
            )
            .await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        let view = self.view().await?;
        Ok(ids.iter().map(|id| view.state.ledger.stored(id).cloned()).collect())
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        Ok(self.view().await?.state.ledger.list(filter, page))
    }
}

#[async_trait]
impl EventLog for FsStore {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        if !wait {
            return Ok(self.view().await?.state.ledger.events(after, limit));
        }
        self.parked(|view| {
            Some(view.state.ledger.events(after, limit)).filter(|page| !page.events.is_empty())
        })
        .await
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        Ok(self.view().await?.state.ledger.end())
    }
}
