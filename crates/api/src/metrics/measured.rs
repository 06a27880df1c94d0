//! A store whose writes are timed.

use crate::metrics::{Metrics, Write};
use async_trait::async_trait;
use longhaul_domain::{
    AttemptNo, OpId, Policy, PolicyVersion, ProcessId, Retention, Revision, SlotKey, Vitals, Wish, WishNo,
};
use longhaul_engine::ports::{
    Author, Calls, Change, Cursor, EventLog, EventPage, Filter, Lease, Listing, Membership, NodeFacts,
    PageAsk, ProcessStore, QueueView, Queues, Room, Store, StoreError, Stored, Submission, Submitted, Swept,
    Upkeep,
};
use std::sync::Arc;
use std::time::Instant;

/// A store whose writes are timed; it does what the one inside does.
#[derive(Debug)]
pub struct Measured {
    inner: Arc<dyn Store>,
    metrics: Metrics,
}

impl Measured {
    /// Times the writes of a store.
    #[must_use]
    pub const fn new(inner: Arc<dyn Store>, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }

    async fn timed<T>(&self, write: Write, work: impl Future<Output = T> + Send) -> T {
        let begun = Instant::now();
        let done = work.await;
        self.metrics.wrote(write, begun.elapsed());
        done
    }
}

#[async_trait]
impl ProcessStore for Measured {
    async fn submit(&self, new: Submission) -> Result<Submitted, StoreError> {
        self.timed(Write::Submit, self.inner.submit(new)).await
    }

    async fn claim(&self, by: &Lease, room: &Room) -> Result<Vec<Stored>, StoreError> {
        self.timed(Write::Claim, self.inner.claim(by, room)).await
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.timed(Write::Commit, self.inner.commit(change)).await
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
}

#[async_trait]
impl Upkeep for Measured {
    async fn attention(&self, by: &Lease, most: u32) -> Result<Vec<Stored>, StoreError> {
        self.inner.attention(by, most).await
    }

    async fn sweep(&self, rule: &Retention, most: u32) -> Result<Swept, StoreError> {
        self.inner.sweep(rule, most).await
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
impl Membership for Measured {
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
}
