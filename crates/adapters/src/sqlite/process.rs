use super::writer::Effort;
use super::{SqliteStore, row};
use async_trait::async_trait;
use longhaul_domain::{AttemptNo, OpId, ProcessId, Revision, Vitals, Wish, WishNo};
use longhaul_ports::{
    Author, Change, Filter, Lease, Listing, PageAsk, ProcessStore, Room, StoreError, Stored, Submission,
    Submitted,
};

/// Steps that carry no op: whoever lost their answer lists what there is.
pub(super) const NO_OP: Option<OpId> = None;

#[async_trait]
impl ProcessStore for SqliteStore {
    async fn submit(&self, new: Submission) -> Result<Submitted, StoreError> {
        let op = OpId::new(*new.process.id.as_uuid());
        self.write(op, move |ledger| ledger.submit(&new)).await
    }

    async fn claim(&self, by: &Lease, room: &Room) -> Result<Vec<Stored>, StoreError> {
        let (by, room) = (by.clone(), room.clone());
        self.write(NO_OP, move |ledger| ledger.claim(&by, &room)).await
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.write(change.op, move |ledger| ledger.commit_change(&change)).await
    }

    async fn wish(&self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        let id = *id;
        self.write(op, move |ledger| ledger.wish(&id, op, &wish)).await
    }

    async fn touch(
        &self,
        by: &Author,
        vitals: &[(ProcessId, AttemptNo, Vitals)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let (by, vitals) = (by.clone(), vitals.to_vec());
        let answers = self.writer.apply(NO_OP, Effort::Light, move |ledger| ledger.touch(&by, &vitals));
        answers.await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<Stored>>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |connection| ids.iter().map(|id| row::by_id(connection, id)).collect()).await
    }

    async fn list(&self, filter: &Filter, page: &PageAsk) -> Result<Listing, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |connection| super::list::page(connection, &filter, &page)).await
    }
}
