use super::writer::SyncMode;
use super::{SqliteStore, row};
use async_trait::async_trait;
use longhaul_domain::{ActionSeq, AttemptNo, LiveStats, OpId, PendingAction, ProcessId, Revision};
use longhaul_ports::{
    Change, ClaimCapacity, Lease, Listing, PageRequest, ProcessFilter, ProcessStore, StoreError,
    StoredProcess, Submission, SubmitOutcome, Writer,
};

/// Used for writes without an operation id. A caller that did not receive the reply lists the records instead of
/// repeating the write.
pub(super) const NO_OP: Option<OpId> = None;

#[async_trait]
impl ProcessStore for SqliteStore {
    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        let op = OpId::new(*new.process.id.as_uuid());
        self.write(op, move |ledger| ledger.submit(&new)).await
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let (by, room) = (by.clone(), room.clone());
        self.write(NO_OP, move |ledger| ledger.claim(&by, &room)).await
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.write(change.op, move |ledger| ledger.commit_change(&change)).await
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        let id = *id;
        self.write(op, move |ledger| ledger.enqueue_action(&id, op, &action)).await
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let (by, live_stats) = (by.clone(), live_stats.to_vec());
        let answers = self
            .writer
            .apply(NO_OP, SyncMode::Light, move |ledger| ledger.update_live_stats(&by, &live_stats));
        answers.await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |connection| ids.iter().map(|id| row::by_id(connection, id)).collect()).await
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |connection| super::list::page(connection, &filter, &page)).await
    }
}
