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
        self.write(op, move |core, now| core.submit(now, new.clone())).await
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let (by, room) = (by.clone(), room.clone());
        self.write(NO_OP, move |core, now| core.claim(now, &by, &room)).await
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.write(change.op, move |core, _| core.commit(change.clone())).await
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        let id = *id;
        self.write(op, move |core, _| core.enqueue_action(&id, op, action)).await
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let (by, live_stats) = (by.clone(), live_stats.to_vec());
        self.writer
            .apply(NO_OP, FileDurability::Light, move |core, _| Ok(core.update_live_stats(&by, &live_stats)))
            .await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        let book = self.book().await?;
        Ok(ids.iter().map(|id| book.core.ledger.stored(id).cloned()).collect())
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        Ok(self.book().await?.core.ledger.list(filter, page))
    }
}

#[async_trait]
impl EventLog for FsStore {
    async fn read(&self, after: Option<EventCursor>, most: u32, wait: bool) -> Result<EventPage, StoreError> {
        if !wait {
            return Ok(self.book().await?.core.ledger.events(after, most));
        }
        self.parked(|book| Some(book.core.ledger.events(after, most)).filter(|page| !page.events.is_empty()))
            .await
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        Ok(self.book().await?.core.ledger.end())
    }
}
