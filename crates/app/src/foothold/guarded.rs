//! A store that says nothing any more when its manager has lost its foothold.

use crate::compose::unnamed_write;
use crate::foothold::{Foothold, Loss};
use async_trait::async_trait;
use longhaul_domain::{
    AttemptNo, NodeId, OpId, Policy, PolicyVersion, ProcessId, Retention, Revision, SlotKey, Timestamp,
    Vitals, Wish, WishNo,
};
use longhaul_engine::ports::{
    AttemptKey, Author, Calls, Change, Cursor, EventLog, EventPage, Filter, KeptTail, KnownNode, Lease,
    Listing, Membership, NodeFacts, NodeOffer, PageAsk, Parting, PlacementClass, ProcessStore, QueueView,
    Queues, Reconciled, Room, Store, StoreError, Stored, Submission, Submitted, Swept, Tails, Upkeep,
};
use std::error::Error;
use std::sync::Arc;

/// A store that does what the one inside does, and whose writes are acknowledged only on the state directory and the
/// files that they were asked on.
#[derive(Debug)]
pub(crate) struct GuardedStore {
    inner: Arc<dyn Store>,
    foothold: Foothold,
}

impl GuardedStore {
    pub(crate) const fn new(inner: Arc<dyn Store>, foothold: Foothold) -> Self {
        Self { inner, foothold }
    }

    /// Why it says nothing.
    fn gone(&self) -> Box<dyn Error + Send + Sync> {
        self.foothold.loss().unwrap_or(Loss::StateDir).to_string().into()
    }

    /// A write: looked at before, so that nothing is begun in vain, and after, before anybody is told.
    async fn write<T>(
        &self,
        op: OpId,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if !self.foothold.holds() {
            return Err(StoreError::Unavailable { source: self.gone() });
        }
        let answer = work.await;
        if self.foothold.holds() { answer } else { Err(StoreError::Unknown { op, source: self.gone() }) }
    }

    /// A read: it promises nothing, so that what was seen of the path before is enough.
    async fn read<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let answer = work.await;
        if self.foothold.is_lost() { Err(StoreError::Unavailable { source: self.gone() }) } else { answer }
    }
}

#[async_trait]
impl ProcessStore for GuardedStore {
    async fn submit(&self, new: Submission) -> Result<Submitted, StoreError> {
        let op = OpId::new(*new.process.id.as_uuid());
        self.write(op, self.inner.submit(new)).await
    }

    async fn claim(&self, by: &Lease, room: &Room) -> Result<Vec<Stored>, StoreError> {
        self.write(unnamed_write(), self.inner.claim(by, room)).await
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.write(change.op, self.inner.commit(change)).await
    }

    async fn wish(&self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        self.write(op, self.inner.wish(id, op, wish)).await
    }

    async fn touch(
        &self,
        by: &Author,
        vitals: &[(ProcessId, AttemptNo, Vitals)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.write(unnamed_write(), self.inner.touch(by, vitals)).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.read(self.inner.load(ids)).await
    }

    async fn list(&self, filter: &Filter, page: &PageAsk) -> Result<Listing, StoreError> {
        self.read(self.inner.list(filter, page)).await
    }

    async fn is_kept(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
        self.read(self.inner.is_kept(id, attempt)).await
    }

    fn away_since(&self) -> Option<Timestamp> {
        self.inner.away_since()
    }

    fn is_alone(&self, id: &ProcessId) -> bool {
        self.inner.is_alone(id)
    }

    async fn recall(&self, ids: &[ProcessId]) -> Vec<Option<Stored>> {
        if self.foothold.is_lost() { vec![None; ids.len()] } else { self.inner.recall(ids).await }
    }

    async fn recall_page(&self, filter: &Filter, page: &PageAsk) -> Option<Listing> {
        if self.foothold.is_lost() { None } else { self.inner.recall_page(filter, page).await }
    }
}

#[async_trait]
impl Upkeep for GuardedStore {
    async fn attention(&self, by: &Lease, most: u32) -> Result<Vec<Stored>, StoreError> {
        self.read(self.inner.attention(by, most)).await
    }

    async fn sweep(&self, rule: &Retention, most: u32) -> Result<Swept, StoreError> {
        self.write(unnamed_write(), self.inner.sweep(rule, most)).await
    }

    async fn reconcile(&self, by: &Lease) -> Result<Reconciled, StoreError> {
        self.write(unnamed_write(), self.inner.reconcile(by)).await
    }
}

#[async_trait]
impl Queues for GuardedStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        self.read(self.inner.policy()).await
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        self.write(unnamed_write(), self.inner.set_policy(expected, policy)).await
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueView>, StoreError> {
        self.read(self.inner.queues(only)).await
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.read(self.inner.label_classes()).await
    }
}

#[async_trait]
impl EventLog for GuardedStore {
    async fn read(&self, after: Option<Cursor>, most: u32, wait: bool) -> Result<EventPage, StoreError> {
        Self::read(self, self.inner.read(after, most, wait)).await
    }

    async fn end(&self) -> Result<Cursor, StoreError> {
        Self::read(self, self.inner.end()).await
    }
}

#[async_trait]
impl Tails for GuardedStore {
    async fn keep_tail(&self, by: &Lease, key: AttemptKey, tail: &KeptTail) -> Result<bool, StoreError> {
        self.write(unnamed_write(), self.inner.keep_tail(by, key, tail)).await
    }

    async fn kept_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, KeptTail)>, StoreError> {
        self.read(self.inner.kept_tail(id)).await
    }
}

#[async_trait]
impl Membership for GuardedStore {
    fn leases_end(&self) -> bool {
        self.inner.leases_end()
    }

    async fn register(&self, me: &NodeFacts) -> Result<Lease, StoreError> {
        self.write(unnamed_write(), self.inner.register(me)).await
    }

    async fn beat(&self, by: &Lease) -> Result<Calls, StoreError> {
        self.read(self.inner.beat(by)).await
    }

    async fn called(&self, by: &Lease) -> Result<Calls, StoreError> {
        self.read(self.inner.called(by)).await
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.write(unnamed_write(), self.inner.leave(by)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeFacts>, StoreError> {
        self.read(self.inner.nodes()).await
    }

    async fn announce(&self, by: &Lease, offer: &NodeOffer) -> Result<(), StoreError> {
        self.write(unnamed_write(), self.inner.announce(by, offer)).await
    }

    async fn known_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.read(self.inner.known_nodes()).await
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        self.write(unnamed_write(), self.inner.drain(node, drain)).await
    }

    async fn forget(&self, node: &NodeId) -> Result<Parting, StoreError> {
        self.write(unnamed_write(), self.inner.forget(node)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose;
    use crate::lock::ManagerLock;
    use crate::state_dir::StateDir;
    use longhaul_engine::ports::Clock;
    use longhaul_testkit::fakes::{Call, FaultyStore, VirtualClock};
    use std::path::Path;

    fn facts() -> NodeFacts {
        NodeFacts {
            id: NodeId::new("here").unwrap(),
            home: None,
            boot: "boot".to_owned(),
            version: "1".to_owned(),
        }
    }

    fn guarded(path: &Path) -> (Arc<FaultyStore>, GuardedStore, ManagerLock) {
        let state = StateDir::prepare(path).unwrap();
        let lock = ManagerLock::take(&state).unwrap();
        let foothold = Foothold::of(&state, &lock).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::default());
        let inner = Arc::new(FaultyStore::new(compose::empty_store(&clock), clock));
        (inner.clone(), GuardedStore::new(inner, foothold), lock)
    }

    #[tokio::test]
    async fn nothing_is_begun_without_a_foothold() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("state");
        let (inner, store, _lock) = guarded(&path);
        store.register(&facts()).await.unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        let refused = store.register(&facts()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        assert_eq!(inner.calls(), [Call::Register]);
        assert!(store.policy().await.is_err(), "and nothing is told");
    }

    #[tokio::test]
    async fn write_under_which_the_directory_went_away_is_not_acknowledged() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("state");
        let (_, store, _lock) = guarded(&path);
        let written = store.write(unnamed_write(), async {
            std::fs::rename(&path, top.path().join("aside")).unwrap();
            Ok(())
        });
        let answer = written.await;
        assert!(matches!(answer, Err(StoreError::Unknown { .. })), "{answer:?}");
    }
}
