//! A store whose writes are timed, and counted.

use crate::metrics::{Metrics, Write};
use async_trait::async_trait;
use longhaul_domain::{
    AttemptNo, Event, Fact, NodeId, OpId, Policy, PolicyVersion, ProcessId, Retention, Revision, SlotKey,
    Standing, Timestamp, Vitals, Wish, WishNo,
};
use longhaul_engine::ports::{
    AttemptKey, Author, Calls, Change, Clock, Cursor, EventLog, EventPage, Filter, KeptTail, KnownNode,
    Lease, Listing, Membership, NodeFacts, NodeOffer, PageAsk, Parting, PlacementClass, ProcessStore,
    QueueView, Queues, Reconciled, Room, Store, StoreError, Stored, Submission, Submitted, Swept, Tails,
    Upkeep,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A store whose writes are timed, and from which it is known who lives; it does what the one inside does.
#[derive(Debug)]
pub struct Measured {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl Measured {
    /// Times the writes of a store. The clock is the one that its events are told by.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        // Others write there too.
        metrics.inner.is_shared.store(inner.leases_end(), Ordering::Relaxed);
        Self { inner, clock, metrics }
    }

    async fn timed<T>(
        &self,
        write: Write,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let done = work.await;
        self.metrics.wrote(write, begun.elapsed());
        if let Err(StoreError::Unknown { .. }) = done {
            self.metrics.doubt();
        }
        done
    }
}

#[async_trait]
impl ProcessStore for Measured {
    async fn submit(&self, new: Submission) -> Result<Submitted, StoreError> {
        let answer = self.timed(Write::Submit, self.inner.submit(new)).await?;
        if let Submitted::Waiting(stored) | Submitted::Claimed(stored) = &answer {
            self.metrics.roll().take(&stored.process, stored.revision);
        }
        Ok(answer)
    }

    async fn claim(&self, by: &Lease, room: &Room) -> Result<Vec<Stored>, StoreError> {
        let claimed = self.timed(Write::Claim, self.inner.claim(by, room)).await?;
        for stored in &claimed {
            self.metrics.roll().take(&stored.process, stored.revision);
        }
        Ok(claimed)
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        let exited_at = change.events.iter().find_map(exited_at);
        let next = change.next.clone();
        let revision = self.timed(Write::Commit, self.inner.commit(change)).await?;
        let before = self.metrics.roll().take(&next, revision);
        // What waited for its children told of its exit when its own work was over; what ended while no manager was there
        // is no measure of this one.
        if let Some(exited_at) = exited_at
            && before == Some(Standing::Holding)
        {
            self.metrics.tally().detection.take(self.clock.now().since(exited_at));
        }
        Ok(revision)
    }

    async fn wish(&self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        self.inner.wish(id, op, wish).await
    }

    async fn touch(
        &self,
        by: &Author,
        vitals: &[(ProcessId, AttemptNo, Vitals)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.inner.touch(by, vitals).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.inner.load(ids).await
    }

    async fn list(&self, filter: &Filter, page: &PageAsk) -> Result<Listing, StoreError> {
        self.inner.list(filter, page).await
    }

    async fn is_kept(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
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
impl Upkeep for Measured {
    async fn attention(&self, by: &Lease, most: u32) -> Result<Vec<Stored>, StoreError> {
        self.inner.attention(by, most).await
    }

    async fn sweep(&self, rule: &Retention, most: u32) -> Result<Swept, StoreError> {
        self.inner.sweep(rule, most).await
    }

    async fn reconcile(&self, by: &Lease) -> Result<Reconciled, StoreError> {
        self.inner.reconcile(by).await
    }
}

#[async_trait]
impl Queues for Measured {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        self.inner.policy().await
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        self.inner.set_policy(expected, policy).await
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueView>, StoreError> {
        self.inner.queues(only).await
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.inner.label_classes().await
    }
}

#[async_trait]
impl EventLog for Measured {
    async fn read(&self, after: Option<Cursor>, most: u32, wait: bool) -> Result<EventPage, StoreError> {
        self.inner.read(after, most, wait).await
    }

    async fn end(&self) -> Result<Cursor, StoreError> {
        self.inner.end().await
    }
}

#[async_trait]
impl Tails for Measured {
    async fn keep_tail(&self, by: &Lease, key: AttemptKey, tail: &KeptTail) -> Result<bool, StoreError> {
        self.inner.keep_tail(by, key, tail).await
    }

    async fn kept_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, KeptTail)>, StoreError> {
        self.inner.kept_tail(id).await
    }
}

#[async_trait]
impl Membership for Measured {
    fn leases_end(&self) -> bool {
        self.inner.leases_end()
    }

    async fn register(&self, me: &NodeFacts) -> Result<Lease, StoreError> {
        self.inner.register(me).await
    }

    async fn beat(&self, by: &Lease) -> Result<Calls, StoreError> {
        self.inner.beat(by).await
    }

    async fn called(&self, by: &Lease) -> Result<Calls, StoreError> {
        self.inner.called(by).await
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.inner.leave(by).await
    }

    async fn nodes(&self) -> Result<Vec<NodeFacts>, StoreError> {
        self.inner.nodes().await
    }

    async fn announce(&self, by: &Lease, offer: &NodeOffer) -> Result<(), StoreError> {
        self.inner.announce(by, offer).await
    }

    async fn known_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.inner.known_nodes().await
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        self.inner.drain(node, drain).await
    }

    async fn forget(&self, node: &NodeId) -> Result<Parting, StoreError> {
        self.inner.forget(node).await
    }
}

/// When the last attempt exited, if it tells of that.
fn exited_at(event: &Event) -> Option<Timestamp> {
    match &event.fact {
        Fact::Lingered { ending, .. } | Fact::Ended { ending, .. } => ending.exit().map(|_| event.at),
        Fact::Submitted
        | Fact::BecameDue
        | Fact::NeverRan
        | Fact::Claimed { .. }
        | Fact::Spawned { .. }
        | Fact::RetryScheduled { .. }
        | Fact::StageChanged { .. }
        | Fact::Paused { .. }
        | Fact::Resumed { .. }
        | Fact::StopBegan { .. }
        | Fact::KillBegan { .. }
        | Fact::BecameStuck
        | Fact::CascadeBegan { .. }
        | Fact::CascadeEnded
        | Fact::Prioritized { .. }
        | Fact::SessionEnded { .. }
        | Fact::SessionKept
        | Fact::ConditionBegan { .. }
        | Fact::ConditionEnded { .. }
        | Fact::OutputMatched { .. }
        | Fact::NodeLost { .. }
        | Fact::Signalled { .. }
        | Fact::RestTold { .. }
        | Fact::GivenBack { .. }
        | Fact::LateExit { .. } => None,
    }
}
