//! A store in a real Redis server that, for the simulation, answers immediately.
//!
//! No virtual time passes between a request and its answer, as with the in-memory store. The server uses the time of
//! the simulation, so a seed gives the same run on both stores.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use longhaul_adapters::redis::{Durability, LeaseTimes, RedisOptions, RedisStore};
use longhaul_domain::{
    ActionSeq, AttemptNo, LiveStats, NodeId, OpId, PendingAction, Policy, PolicyVersion, ProcessId,
    Retention, Revision, SlotKey,
};
use longhaul_engine::ports::{
    AttemptKey, Change, ClaimCapacity, EventCursor, EventLog, EventPage, ForgetOutcome, KnownNode, Lease,
    Listing, Maintenance, Membership, NodeAdvertisement, NodeDescriptor, NodeUpdates, OutputTail,
    OutputTails, PageRequest, PlacementClass, ProcessFilter, ProcessStore, PrunedBatch, QueueState, Queues,
    StoreError, StoredProcess, Submission, SubmitOutcome, Writer,
};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_tests::{Keeps, Redis};
use std::fmt;
use std::sync::{Arc, mpsc};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A Redis server that is killed when the value is dropped, and the connections to it.
pub(crate) struct Server {
    redis: Redis,
    _directory: TempDir,
    runtime: Runtime,
}

impl Server {
    /// Starts a Redis server. Returns `None` if the server program is not installed and need not be.
    pub(crate) fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let redis = Redis::start(directory.path(), Keeps::Nothing)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Some(Self { redis, _directory: directory, runtime: runtime.unwrap() })
    }

    /// Returns an empty store that takes the time from this clock.
    pub(crate) fn store(&self, clock: &VirtualClock, leases: Option<LeaseTimes>) -> RedisAtOnce {
        let url = format!("redis+unix://{}", self.redis.socket().display());
        let options = RedisOptions {
            durability: Durability::Cache,
            leases,
            clock: Some(Arc::new(clock.clone())),
            ..RedisOptions::at(url)
        };
        let store = at_once(&self.runtime.handle().clone(), async move {
            RedisStore::discard(&options).await?;
            RedisStore::open(options).await
        });
        RedisAtOnce {
            store: Arc::new(store.unwrap()),
            runtime: self.runtime.handle().clone(),
            changes: Arc::new(watch::Sender::new(0)),
        }
    }
}

/// A Redis store whose calls block until they have a complete answer.
#[derive(Clone)]
pub(crate) struct RedisAtOnce {
    store: Arc<RedisStore>,
    runtime: tokio::runtime::Handle,
    /// Number of calls that may have caused an update for which a node waits.
    changes: Arc<watch::Sender<u64>>,
}

impl RedisAtOnce {
    fn ask<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        ask: impl FnOnce(Arc<RedisStore>) -> F,
    ) -> T {
        at_once(&self.runtime, ask(self.store.clone()))
    }

    /// Calls the store, and then wakes the nodes that wait for changes.
    fn ask_and_wake<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        ask: impl FnOnce(Arc<RedisStore>) -> F,
    ) -> T {
        let answer = self.ask(ask);
        self.changes.send_modify(|count| *count += 1);
        answer
    }
}

impl fmt::Debug for RedisAtOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAtOnce").finish_non_exhaustive()
    }
}

/// Blocks this thread until other threads have run a future to its end in real time.
fn at_once<T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let (sender, reported) = mpsc::channel();
    runtime.spawn(async move { sender.send(work.await) });
    reported.recv().unwrap()
}

#[async_trait]
impl ProcessStore for RedisAtOnce {
    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        self.ask_and_wake(|store| async move { store.submit(new).await })
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let (by, room) = (by.clone(), room.clone());
        self.ask_and_wake(|store| async move { store.claim(&by, &room).await })
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.ask_and_wake(|store| async move { store.commit(change).await })
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        wish: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        let id = *id;
        self.ask_and_wake(|store| async move { store.enqueue_action(&id, op, wish).await })
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let (by, live_stats) = (by.clone(), live_stats.to_vec());
        self.ask(|store| async move { store.update_live_stats(&by, &live_stats).await })
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        let ids = ids.to_vec();
        self.ask(|store| async move { store.load(&ids).await })
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.ask(|store| async move { store.list(&filter, &page).await })
    }
}

#[async_trait]
impl Maintenance for RedisAtOnce {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        let by = by.clone();
        self.ask_and_wake(|store| async move { store.claim_due(&by, limit).await })
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let rule = *rule;
        self.ask_and_wake(|store| async move { store.prune(&rule, limit).await })
    }
}

#[async_trait]
impl Queues for RedisAtOnce {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        self.ask(|store| async move { store.policy().await })
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let policy = policy.clone();
        self.ask_and_wake(|store| async move { store.set_policy(expected, &policy).await })
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        let only = only.cloned();
        self.ask(|store| async move { store.queues(only.as_ref()).await })
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.ask(|store| async move { store.label_classes().await })
    }
}

#[async_trait]
impl EventLog for RedisAtOnce {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        let mut changes = self.changes.subscribe();
        loop {
            let page = self.ask(|store| async move { store.read(after, limit, false).await })?;
            if !wait || !page.events.is_empty() {
                return Ok(page);
            }
            changes.changed().await.unwrap();
        }
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        self.ask(|store| async move { store.end().await })
    }
}

#[async_trait]
impl OutputTails for RedisAtOnce {
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        let (by, tail) = (by.clone(), tail.clone());
        self.ask(|store| async move { store.store_tail(&by, key, &tail).await })
    }

    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        self.ask(|store| async move { store.load_tail(id).await })
    }
}

#[async_trait]
impl Membership for RedisAtOnce {
    fn leases_expire(&self) -> bool {
        self.store.leases_expire()
    }

    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        let me = me.clone();
        self.ask_and_wake(|store| async move { store.register(&me).await })
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let by = by.clone();
        self.ask(|store| async move { store.renew_lease(&by).await })
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let mut changes = self.changes.subscribe();
        loop {
            let by = by.clone();
            if let Some(calls) = self.ask(|store| async move { store.news(&by).await })? {
                return Ok(calls);
            }
            changes.changed().await.unwrap();
        }
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        let by = by.clone();
        self.ask_and_wake(|store| async move { store.leave(&by).await })
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        self.ask(|store| async move { store.nodes().await })
    }

    async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        let (by, offer) = (by.clone(), offer.clone());
        self.ask_and_wake(|store| async move { store.advertise(&by, &offer).await })
    }

    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.ask(|store| async move { store.list_nodes().await })
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        let node = node.clone();
        self.ask_and_wake(|store| async move { store.drain(&node, drain).await })
    }

    async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        let node = node.clone();
        self.ask_and_wake(|store| async move { store.forget(&node).await })
    }
}
