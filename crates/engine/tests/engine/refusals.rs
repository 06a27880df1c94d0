//! Tests with a store that refuses some calls.

use crate::nodes::{Cluster, LEASE, Node, id};
use crate::queues::{key, keyed};
use crate::world::{command, seconds};
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{Action, Epoch, NodeId, PolicyVersion, Retention, Status, StopCause};
use longhaul_engine::ports::{
    ForgetOutcome, Lease, NodeDescriptor, Store, StoreCall, StoreDecorator, StoreError, StoreMethod,
    StoreRejection,
};
use longhaul_engine::{EngineError, EngineSettings, LaunchOutcome};
use longhaul_testkit::fakes::{ScriptedSpawner, SequentialIds};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A store that refuses the next calls of one method.
#[derive(Debug)]
struct RefusingStore {
    inner: Arc<dyn Store>,
    refused: Arc<Refusals>,
}

#[derive(Debug)]
struct Refusals {
    method: Mutex<StoreMethod>,
    left: AtomicU32,
    calls: AtomicU32,
}

impl Refusals {
    /// Refuses the next `count` calls of this method.
    fn refuse(&self, method: StoreMethod, count: u32) {
        *self.method.lock().unwrap() = method;
        self.calls.store(0, Ordering::Relaxed);
        self.left.store(count, Ordering::Relaxed);
    }

    /// Returns the number of calls of the method after that.
    fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl StoreDecorator for RefusingStore {
    type Inner = dyn Store;

    fn inner(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    fn forget<'s, 'n, 'async_trait>(
        &'s self,
        _node: &'n NodeId,
    ) -> Pin<Box<dyn Future<Output = Result<ForgetOutcome, StoreError>> + Send + 'async_trait>>
    where
        's: 'async_trait,
        'n: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async { Ok(ForgetOutcome::Unknown) })
    }

    async fn around<T: Send>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if call.method != *self.refused.method.lock().unwrap() {
            return work.await;
        }
        self.refused.calls.fetch_add(1, Ordering::Relaxed);
        let left = self.refused.left.load(Ordering::Relaxed);
        if left == 0 {
            return work.await;
        }
        self.refused.left.store(left - 1, Ordering::Relaxed);
        let policy = StoreRejection::StalePolicy { found: PolicyVersion::default() };
        Err(if call.method == StoreMethod::SetPolicy {
            StoreError::Refused(policy)
        } else if call.method == StoreMethod::Prune {
            StoreError::Unknown { op: None, source: "the test says so".into() }
        } else {
            StoreError::Fenced { node: id("a"), epoch: Epoch(1) }
        })
    }
}

async fn refusing(cluster: &Cluster) -> (Node, Arc<Refusals>) {
    let facts = NodeDescriptor { id: id("a"), home: None, boot: "b".to_owned(), version: "0".to_owned() };
    let spawner = Arc::new(ScriptedSpawner::new(cluster.clock.clone()));
    let refused = Arc::new(Refusals {
        method: Mutex::new(StoreMethod::Drain),
        left: AtomicU32::new(0),
        calls: AtomicU32::new(0),
    });
    let refusals = refused.clone();
    let node = cluster
        .start_on(EngineSettings::of(facts), spawner, Arc::new(SequentialIds::seeded(1)), |inner| {
            Arc::new(RefusingStore { inner, refused })
        })
        .await;
    cluster.pass(seconds(1)).await;
    (node, refusals)
}

fn fenced<T>(answer: &Result<T, EngineError>) -> bool {
    matches!(answer, Err(EngineError::Store { source: StoreError::Fenced { .. } }))
}

#[tokio::test(start_paused = true)]
async fn write_whose_lease_was_refused_is_tried_again_three_times_while_the_lease_is_valid() {
    let cluster = Cluster::new();
    let (a, refusals) = refusing(&cluster).await;
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(1)).await;
    refusals.refuse(StoreMethod::Commit, 3);
    a.tell(process, Action::Pause).await;
    assert_eq!((a.status(process).await, refusals.calls()), (Status::Paused, 4));
    refusals.refuse(StoreMethod::Commit, 4);
    let answer = a.engine.command(process, Action::Resume, None).await;
    assert!(fenced(&answer), "{answer:?}");
    assert_eq!((a.status(process).await, refusals.calls()), (Status::Paused, 4));
}

#[tokio::test(start_paused = true)]
async fn write_of_a_replaced_node_is_not_tried_again() {
    let cluster = Cluster::new();
    let (a, refusals) = refusing(&cluster).await;
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(1)).await;
    let _successor = cluster.node("a", 7).await;
    cluster.pass(seconds(10)).await;
    refusals.refuse(StoreMethod::Commit, 1);
    let answer = a.engine.command(process, Action::Pause, None).await;
    assert!(fenced(&answer), "{answer:?}");
    assert_eq!(refusals.calls(), 1);
    refusals.refuse(StoreMethod::Submit, 1);
    let refused = launch(&a).await;
    assert!(fenced(&refused), "{refused:?}");
    assert_eq!(refusals.calls(), 1);
}

async fn launch(node: &Node) -> Result<LaunchOutcome, EngineError> {
    node.engine
        .launch(longhaul_engine::Launch {
            spec: command("run"),
            parent: None,
            launcher: longhaul_engine::Launcher::Parent,
            captured: None,
            no_queue: false,
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn launch_whose_lease_was_refused_is_sent_again_while_the_lease_is_valid() {
    let cluster = Cluster::new();
    let (a, refusals) = refusing(&cluster).await;
    refusals.refuse(StoreMethod::Submit, 2);
    launch(&a).await.unwrap();
    assert_eq!(refusals.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn policy_that_others_keep_changing_is_changed_with_the_eighth_try_or_not_at_all() {
    let cluster = Cluster::new();
    let (a, refusals) = refusing(&cluster).await;
    refusals.refuse(StoreMethod::SetPolicy, 7);
    let policy = a.engine.set_slots("k", Some(3)).await.unwrap();
    assert_eq!((policy.slots.get("k"), refusals.calls()), (Some(&3), 8));
    refusals.refuse(StoreMethod::SetPolicy, 8);
    let refused = a.engine.set_slots("k", Some(4)).await;
    assert!(
        matches!(refused, Err(EngineError::Refused { refusal: StoreRejection::StalePolicy { .. } })),
        "{refused:?}"
    );
    assert_eq!(refusals.calls(), 8);
}

#[tokio::test(start_paused = true)]
async fn prune_without_an_answer_is_sent_six_times() {
    let cluster = Cluster::new();
    let (a, refusals) = refusing(&cluster).await;
    let process = a.launch(command("exit 0")).await;
    cluster.pass(seconds(2)).await;
    let everything = Retention { age: None, count: Some(0), before: None };
    refusals.refuse(StoreMethod::Prune, 6);
    let refused = a.engine.prune(&everything, None, false).await;
    assert!(matches!(refused, Err(EngineError::Store { source: StoreError::Unknown { .. } })), "{refused:?}");
    assert_eq!(refusals.calls(), 6);
    refusals.refuse(StoreMethod::Prune, 5);
    assert_eq!(a.engine.prune(&everything, None, false).await.unwrap().ids, [process]);
}

#[tokio::test(start_paused = true)]
async fn first_of_a_queue_is_moved_nowhere_and_one_that_runs_cannot_be_moved() {
    let cluster = Cluster::new();
    let (a, _refusals) = refusing(&cluster).await;
    a.engine.set_slots("k", Some(1)).await.unwrap();
    let holder = a.launch(keyed("run", "k")).await;
    let (first, second) = (a.launch(keyed("run", "k")).await, a.launch(keyed("run", "k")).await);
    cluster.pass(seconds(1)).await;
    let moved = a.engine.move_first(first).await.unwrap();
    assert!(!moved.changed);
    assert_eq!(moved.stored.revision, a.stored(first).await.revision);
    assert!(matches!(a.engine.move_first(holder).await, Err(EngineError::Rejected { .. })));
    assert!(a.engine.move_first(second).await.unwrap().changed);
    let queue = a.engine.queues(Some(&key("k"))).await.unwrap().pop().unwrap();
    assert_eq!(queue.waiters, [second, first]);
}

#[tokio::test(start_paused = true)]
async fn start_of_another_node_is_not_made_here_after_a_claim_without_an_answer() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    cluster.pass(seconds(1)).await;
    let slow = b.launch(command("slow 3000")).await;
    a.trouble.fail_on(longhaul_testkit::fakes::PortCall::Claim, 1, longhaul_testkit::fakes::Fault::Unknown);
    let own = b
        .launch(longhaul_domain::Spec {
            placement: longhaul_domain::Placement::Node(id("a")),
            ..command("run")
        })
        .await;
    cluster.pass(seconds(2)).await;
    assert_eq!((b.status(slow).await, b.status(own).await), (Status::Starting, Status::Running));
    assert_eq!(a.spawner.journal().iter().filter(|entry| entry.key.id == slow).count(), 0);
    cluster.pass(LEASE).await;
    assert_eq!((b.status(slow).await, a.spawner.runs(own)), (Status::Running, 1));
    let lease: Option<Lease> = b.stored(slow).await.owner;
    assert_eq!(lease.unwrap().node, id("b"));
    b.tell(slow, Action::Cancel { cause: StopCause::User }).await;
}

#[tokio::test(start_paused = true)]
async fn node_that_the_store_does_not_know_is_alive_in_a_local_store_and_unknown_in_a_shared_one() {
    let shared = Cluster::new();
    let clock = shared.clock.clone();
    let local = Cluster { store: MemoryStore::new(Arc::new(clock.clone())), clock };
    for (cluster, is_shared) in [(shared, true), (local, false)] {
        let (a, _refusals) = refusing(&cluster).await;
        let refused = a.engine.forget(&id("a")).await;
        if is_shared {
            assert!(matches!(refused, Err(EngineError::NodeUnknown { .. })), "{refused:?}");
        } else {
            assert!(matches!(refused, Err(EngineError::NodeAlive { .. })), "{refused:?}");
        }
    }
}
