//! A store that fails when a test says so.

use super::faults::{Call, Fault};
use super::trouble::{Failed, Trouble};
use async_trait::async_trait;
use longhaul_domain::{
    AttemptNo, NodeId, OpId, Policy, PolicyVersion, ProcessId, Retention, Revision, SlotKey, Timestamp,
    Vitals, Wish, WishNo,
};
use longhaul_ports::{
    AttemptKey, Author, Calls, Change, Clock, Cursor, EventLog, EventPage, Filter, KeptTail, KnownNode,
    Lease, Listing, Membership, NodeFacts, NodeOffer, PageAsk, Parting, PlacementClass, ProcessStore,
    QueueView, Queues, Reconciled, Refusal, Room, Store, StoreError, Stored, Submission, Submitted, Swept,
    Tails, Upkeep,
};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A store that fails when a test says so, around one that works.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    trouble: Arc<Trouble>,
    unkept: AtomicBool,
}

impl FaultyStore {
    /// A store that does not fail yet; the clock is for calls that take long.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self::sharing(inner, Arc::new(Trouble::new(clock)))
    }

    /// A store that fails together with the other ports of one life.
    #[must_use]
    pub const fn sharing(inner: Arc<dyn Store>, trouble: Arc<Trouble>) -> Self {
        Self { inner, trouble, unkept: AtomicBool::new(false) }
    }

    /// As [`Trouble::fail`].
    pub fn fail(&self, nth: u32, fault: Fault) {
        self.trouble.fail(nth, fault);
    }

    /// As [`Trouble::fail_on`].
    pub fn fail_on(&self, call: Call, nth: u32, fault: Fault) {
        self.trouble.fail_on(call, nth, fault);
    }

    /// As [`Trouble::set_chaos`].
    pub fn set_chaos(&self, seed: u64, one_in: u32) {
        self.trouble.set_chaos(seed, one_in);
    }

    /// As [`Trouble::set_down`].
    pub fn set_down(&self, down: bool) {
        self.trouble.set_down(down);
    }

    /// As [`Trouble::set_full`].
    pub fn set_full(&self, full: bool) {
        self.trouble.set_full(full);
    }

    /// While it is unkept, what was claimed may be there for now only, and nobody is told more.
    pub fn set_unkept(&self, unkept: bool) {
        self.unkept.store(unkept, Ordering::Relaxed);
    }

    /// What was called so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.trouble.calls()
    }

    /// As [`Trouble::crashed`].
    pub async fn crashed(&self) {
        self.trouble.crashed().await;
    }

    async fn through<T>(
        &self,
        call: Call,
        op: OpId,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let error = |failed| match failed {
            Failed::Unavailable => StoreError::Unavailable { source: "the test says so".into() },
            Failed::Unknown => StoreError::Unknown { op, source: "the test says so".into() },
            Failed::ReadOnly => StoreError::ReadOnly { why: "the test says so".to_owned() },
            Failed::Full => StoreError::Refused(Refusal::Full),
        };
        self.trouble.through(call, work, error).await
    }
}

/// For calls that carry no op of their own.
const fn no_op() -> OpId {
    OpId::new(uuid::Uuid::nil())
}

#[async_trait]
impl ProcessStore for FaultyStore {
    async fn submit(&self, new: Submission) -> Result<Submitted, StoreError> {
        let op = OpId::new(*new.process.id.as_uuid());
        self.through(Call::Submit, op, self.inner.submit(new)).await
    }

    async fn claim(&self, by: &Lease, room: &Room) -> Result<Vec<Stored>, StoreError> {
        self.through(Call::Claim, no_op(), self.inner.claim(by, room)).await
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.through(Call::Commit, change.op, self.inner.commit(change)).await
    }

    async fn wish(&self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        self.through(Call::Wish, op, self.inner.wish(id, op, wish)).await
    }

    async fn touch(
        &self,
        by: &Author,
        vitals: &[(ProcessId, AttemptNo, Vitals)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.through(Call::Touch, no_op(), self.inner.touch(by, vitals)).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.through(Call::Read, no_op(), self.inner.load(ids)).await
    }

    async fn list(&self, filter: &Filter, page: &PageAsk) -> Result<Listing, StoreError> {
        self.through(Call::Read, no_op(), self.inner.list(filter, page)).await
    }

    async fn is_kept(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
        if self.unkept.load(Ordering::Relaxed) {
            return Err(StoreError::Unknown { op: no_op(), source: "a replica is away".into() });
        }
        self.inner.is_kept(id, attempt).await
    }

    fn away_since(&self) -> Option<Timestamp> {
        self.inner.away_since()
    }

    fn is_alone(&self, id: &ProcessId) -> bool {
        self.inner.is_alone(id)
    }

    async fn recall(&self, ids: &[ProcessId]) -> Vec<Option<Stored>> {
        self.inner.recall(ids).await
    }

    async fn recall_page(&self, filter: &Filter, page: &PageAsk) -> Option<Listing> {
        self.inner.recall_page(filter, page).await
    }
}

#[async_trait]
impl Upkeep for FaultyStore {
    async fn attention(&self, by: &Lease, most: u32) -> Result<Vec<Stored>, StoreError> {
        self.through(Call::Attention, no_op(), self.inner.attention(by, most)).await
    }

    async fn sweep(&self, rule: &Retention, most: u32) -> Result<Swept, StoreError> {
        self.through(Call::Sweep, no_op(), self.inner.sweep(rule, most)).await
    }

    async fn reconcile(&self, by: &Lease) -> Result<Reconciled, StoreError> {
        self.through(Call::Attention, no_op(), self.inner.reconcile(by)).await
    }
}

#[async_trait]
impl Queues for FaultyStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        self.through(Call::Queues, no_op(), self.inner.policy()).await
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        self.through(Call::SetPolicy, no_op(), self.inner.set_policy(expected, policy)).await
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueView>, StoreError> {
        self.through(Call::Queues, no_op(), self.inner.queues(only)).await
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.through(Call::Queues, no_op(), self.inner.label_classes()).await
    }
}

#[async_trait]
impl EventLog for FaultyStore {
    async fn read(&self, after: Option<Cursor>, most: u32, wait: bool) -> Result<EventPage, StoreError> {
        self.through(Call::Events, no_op(), self.inner.read(after, most, wait)).await
    }

    async fn end(&self) -> Result<Cursor, StoreError> {
        self.through(Call::Events, no_op(), self.inner.end()).await
    }
}

#[async_trait]
impl Tails for FaultyStore {
    async fn keep_tail(&self, by: &Lease, key: AttemptKey, tail: &KeptTail) -> Result<bool, StoreError> {
        self.through(Call::Tail, no_op(), self.inner.keep_tail(by, key, tail)).await
    }

    async fn kept_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, KeptTail)>, StoreError> {
        self.through(Call::Tail, no_op(), self.inner.kept_tail(id)).await
    }
}

#[async_trait]
impl Membership for FaultyStore {
    fn leases_end(&self) -> bool {
        self.inner.leases_end()
    }

    async fn register(&self, me: &NodeFacts) -> Result<Lease, StoreError> {
        self.through(Call::Register, no_op(), self.inner.register(me)).await
    }

    async fn beat(&self, by: &Lease) -> Result<Calls, StoreError> {
        self.through(Call::Beat, no_op(), self.inner.beat(by)).await
    }

    async fn called(&self, by: &Lease) -> Result<Calls, StoreError> {
        self.through(Call::Beat, no_op(), self.inner.called(by)).await
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.through(Call::Register, no_op(), self.inner.leave(by)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeFacts>, StoreError> {
        self.through(Call::Beat, no_op(), self.inner.nodes()).await
    }

    async fn announce(&self, by: &Lease, offer: &NodeOffer) -> Result<(), StoreError> {
        self.through(Call::Beat, no_op(), self.inner.announce(by, offer)).await
    }

    async fn known_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.through(Call::Beat, no_op(), self.inner.known_nodes()).await
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        self.through(Call::Register, no_op(), self.inner.drain(node, drain)).await
    }

    async fn forget(&self, node: &NodeId) -> Result<Parting, StoreError> {
        self.through(Call::Register, no_op(), self.inner.forget(node)).await
    }
}
