use super::writer::Effort;
use super::{FsStore, NO_OP};
use async_trait::async_trait;
use longhaul_domain::{AttemptNo, OpId, ProcessId, Revision, Vitals, Wish, WishNo};
use longhaul_ports::{
    Author, Change, Cursor, EventLog, EventPage, Filter, Lease, Listing, PageAsk, ProcessStore, Room,
    StoreError, Stored, Submission, Submitted,
};

#[async_trait]
impl ProcessStore for FsStore {
    async fn submit(&self, new: Submission) -> Result<Submitted, StoreError> {
        let op = OpId::new(*new.process.id.as_uuid());
        self.write(op, move |core, now| core.submit(now, new.clone())).await
    }

    async fn claim(&self, by: &Lease, room: &Room) -> Result<Vec<Stored>, StoreError> {
        let (by, room) = (by.clone(), room.clone());
        self.write(NO_OP, move |core, now| core.claim(now, &by, &room)).await
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.write(change.op, move |core, _| core.commit(change.clone())).await
    }

    async fn wish(&self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        let id = *id;
        self.write(op, move |core, _| core.wish(&id, op, wish)).await
    }

    async fn touch(
        &self,
        by: &Author,
        vitals: &[(ProcessId, AttemptNo, Vitals)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let (by, vitals) = (by.clone(), vitals.to_vec());
        self.writer.apply(NO_OP, Effort::Light, move |core, _| Ok(core.touch(&by, &vitals))).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<Stored>>, StoreError> {
        let book = self.book().await?;
        Ok(ids.iter().map(|id| book.core.ledger.stored(id).cloned()).collect())
    }

    async fn list(&self, filter: &Filter, page: &PageAsk) -> Result<Listing, StoreError> {
        Ok(self.book().await?.core.ledger.list(filter, page))
    }
}

#[async_trait]
impl EventLog for FsStore {
    async fn read(&self, after: Option<Cursor>, most: u32, wait: bool) -> Result<EventPage, StoreError> {
        if !wait {
            return Ok(self.book().await?.core.ledger.events(after, most));
        }
        self.parked(|book| Some(book.core.ledger.events(after, most)).filter(|page| !page.events.is_empty()))
            .await
    }

    async fn end(&self) -> Result<Cursor, StoreError> {
        Ok(self.book().await?.core.ledger.end())
    }
}
