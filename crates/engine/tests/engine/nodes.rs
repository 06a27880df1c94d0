//! Tests with several engines that share one store with expiring leases.

use crate::world::{command, node, seconds};
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{
    Action, Capability, Ending, Fact, Interruption, NoOpReason, NodeId, Pending, Placement, ProcessId,
    Retention, RetryPolicy, SessionId, SessionPolicy, Signal, SignalTarget, Spec, State, Status, StopCause,
};
use longhaul_engine::ports::{
    AttemptKey, Clock, LeaseEnd, Maintenance, Membership, NodeAdvertisement, NodeDescriptor, Presence,
    StartRequest, Store, StoredProcess,
};
use longhaul_engine::{
    Engine, EngineError, EnginePorts, EngineSettings, InterruptedRestart, InterruptedRestartOptions, Launch,
    LaunchBlocked, Launcher, RestartScope, Shutdown, WaitCondition, WaitMode,
};
use longhaul_testkit::fakes::{
    ChildScript, FakeCall, FakeEnvironmentStore, FakeProber, Fault, FaultPlan, FaultySpawner, FaultyStore,
    PortCall, ScriptedSpawner, SequentialIds, VirtualClock,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const LEASE: Duration = Duration::from_secs(5);
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// A shared store, and the clock for the engines that use it.
pub(crate) struct Cluster {
    pub(crate) clock: VirtualClock,
    pub(crate) store: MemoryStore,
}

/// A node: its engine and the fakes of its machine.
pub(crate) struct Node {
    pub(crate) engine: Engine,
    /// Planned faults of the connection between the node and the store.
    pub(crate) trouble: Arc<FaultPlan>,
    /// Planned faults of the node's manager.
    pub(crate) life: Arc<FaultPlan>,
    pub(crate) spawner: Arc<ScriptedSpawner>,
    pub(crate) ids: Arc<SequentialIds>,
    pub(crate) settings: EngineSettings,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let clock = VirtualClock::default();
        let store = MemoryStore::new(Arc::new(clock.clone())).with_leases(LEASE, GRACE);
        Self { clock, store }
    }

    pub(crate) async fn node(&self, name: &str, seed: u64) -> Node {
        self.node_with(name, seed, NodeAdvertisement::default()).await
    }

    pub(crate) async fn node_with(&self, name: &str, seed: u64, offer: NodeAdvertisement) -> Node {
        let facts =
            NodeDescriptor { id: id(name), home: None, boot: "b".to_owned(), version: "0".to_owned() };
        let settings = EngineSettings { offer, ..EngineSettings::of(facts) };
        let spawner = Arc::new(ScriptedSpawner::new(self.clock.clone()));
        self.start(settings, spawner, Arc::new(SequentialIds::seeded(seed))).await
    }

    pub(crate) async fn start(
        &self,
        settings: EngineSettings,
        spawner: Arc<ScriptedSpawner>,
        ids: Arc<SequentialIds>,
    ) -> Node {
        self.start_on(settings, spawner, ids, |cut| cut).await
    }

    /// Starts a node that accesses the store through `layer`.
    pub(crate) async fn start_on(
        &self,
        settings: EngineSettings,
        spawner: Arc<ScriptedSpawner>,
        ids: Arc<SequentialIds>,
        layer: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
    ) -> Node {
        let trouble = Arc::new(FaultPlan::new(Arc::new(self.clock.clone())));
        let memory: Arc<dyn Store> = Arc::new(self.store.clone());
        let life = Arc::new(FaultPlan::new(Arc::new(self.clock.clone())));
        let cut: Arc<dyn Store> = layer(Arc::new(FaultyStore::sharing(memory, trouble.clone())));
        let store = Arc::new(FaultyStore::sharing(cut, life.clone()));
        let parts = EnginePorts {
            store,
            spawner: Arc::new(FaultySpawner::sharing(spawner.clone(), life.clone())),
            output: Arc::new(spawner.output()),
            artifacts: Arc::new(spawner.artifacts()),
            prober: Arc::new(FakeProber::new(self.clock.clone())),
            signer: Arc::new(longhaul_engine::ports::NoopSigner),
            environments: Arc::new(FakeEnvironmentStore::default()),
            clock: Arc::new(self.clock.clone()),
            ids: ids.clone(),
        };
        let engine = Engine::start(parts, settings.clone()).await.unwrap();
        Node { engine, trouble, life, spawner, ids, settings }
    }

    pub(crate) async fn pass(&self, span: Duration) {
        self.clock.run_for(span).await;
    }

    async fn presence(&self, name: &str) -> Presence {
        let known = self.store.list_nodes().await.unwrap();
        known.into_iter().find(|node| node.facts.id == id(name)).unwrap().presence
    }
}

impl Node {
    pub(crate) async fn launch(&self, spec: Spec) -> ProcessId {
        let launch =
            Launch { spec, parent: None, launcher: Launcher::Parent, captured: None, no_queue: false };
        self.engine.launch(launch).await.unwrap().stored.process.id
    }

    pub(crate) async fn stored(&self, id: ProcessId) -> StoredProcess {
        self.engine.process(id).await.unwrap()
    }

    pub(crate) async fn status(&self, id: ProcessId) -> Status {
        self.stored(id).await.process.status()
    }

    /// Disconnects the node from the store or connects it again. The engine and its commands continue to run.
    pub(crate) fn cut(&self, cut: bool) {
        self.trouble.set_down(cut);
    }

    pub(crate) async fn tell(&self, id: ProcessId, command: Action) {
        self.engine.command(id, command, None).await.unwrap();
    }
}

pub(crate) fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub(crate) fn anywhere(words: &str) -> Spec {
    Spec { placement: Placement::Anywhere, ..command(words) }
}

/// Returns the spec of a command that is retried on another node if its node is lost.
pub(crate) fn requeued(words: &str) -> Spec {
    let retry = RetryPolicy {
        retries: 3,
        first: Duration::from_millis(100),
        after_interruption: true,
        ..RetryPolicy::none()
    };
    Spec { retry, ..anywhere(words) }
}

fn placed(labels: &[&str], words: &str) -> Spec {
    let labels = labels.iter().map(|label| Capability::new(label).unwrap()).collect();
    Spec { placement: Placement::Labels(labels), ..command(words) }
}

pub(crate) fn ending(stored: &StoredProcess) -> Ending {
    let State::Ended(ended) = &stored.process.state else {
        unreachable!("the process has not ended: {:?}", stored.process.state)
    };
    ended.ending.clone()
}

#[tokio::test(start_paused = true)]
async fn a_node_is_forgotten_when_it_is_lost_and_not_before() {
    let cluster = Cluster::new();
    let a = cluster.node("a", 1).await;
    let b = cluster.node("b", 2).await;
    b.cut(true);
    cluster.pass(seconds(7)).await;
    for name in ["a", "b"] {
        let refused = a.engine.forget(&id(name)).await;
        assert!(matches!(refused, Err(EngineError::NodeAlive { .. })), "{name}: {refused:?}");
    }
    cluster.pass(seconds(30)).await;
    let gone = a.engine.forget(&id("b")).await.unwrap();
    assert!(gone.presence.unreachable_since().is_some(), "{gone:?}");
    let left: Vec<NodeId> = a.engine.nodes().await.unwrap().into_iter().map(|node| node.facts.id).collect();
    assert_eq!(left, [id("a")]);
    assert!(matches!(a.engine.forget(&id("b")).await, Err(EngineError::NodeUnknown { .. })));
    assert!(matches!(a.engine.drain(&id("b"), true).await, Err(EngineError::NodeUnknown { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_leaves_new_work_to_another() {
    let cluster = Cluster::new();
    let a = cluster.node("a", 1).await;
    let b = cluster.node("b", 2).await;
    assert!(a.engine.drain(&id("b"), true).await.unwrap().draining);
    let taken = b.launch(anywhere("run")).await;
    cluster.pass(seconds(1)).await;
    assert_eq!(b.stored(taken).await.owner.unwrap().node, id("a"));
    assert!(!a.engine.drain(&id("b"), false).await.unwrap().draining);
    let own = b.launch(anywhere("run")).await;
    cluster.pass(seconds(1)).await;
    assert_eq!(b.stored(own).await.owner.unwrap().node, id("b"));
}

#[tokio::test(start_paused = true)]
async fn a_captured_environment_goes_to_no_other_node() {
    let cluster = Cluster::new();
    let a = cluster.node("a", 1).await;
    let launch = |placement| Launch {
        launcher: Launcher::Parent,
        spec: Spec { placement, ..command("run") },
        parent: None,
        captured: Some(vec![("A".to_owned(), "1".to_owned())]),
        no_queue: false,
    };
    let label = Capability::new("gpu").unwrap();
    for elsewhere in [Placement::Node(id("b")), Placement::Labels(vec![label]), Placement::Anywhere] {
        let refused = a.engine.launch(launch(elsewhere)).await;
        assert!(matches!(refused, Err(EngineError::EnvironmentNotPortable { .. })), "{refused:?}");
    }
    for here in [Placement::Here, Placement::Node(id("a"))] {
        assert!(a.engine.launch(launch(here)).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_there_keeps_its_lease() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(120)).await;
    assert!(matches!(cluster.presence("a").await, Presence::Present { .. }));
    assert_eq!(a.status(process).await, Status::Running);
    let more = b.launch(command("exit 0 100")).await;
    cluster.pass(seconds(1)).await;
    assert_eq!(b.status(more).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn work_of_a_lost_node_is_interrupted_once_lease_and_grace_are_over() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(3)).await;
    assert_eq!(b.engine.unreachable_since(&b.stored(process).await), None);
    a.cut(true);
    cluster.pass(LEASE + GRACE - seconds(1)).await;
    let stored = b.stored(process).await;
    assert_eq!(stored.process.status(), Status::Running, "the grace is not over");
    assert!(b.engine.unreachable_since(&stored).is_some(), "its state is unknown");
    cluster.pass(seconds(2)).await;
    assert_eq!(ending(&b.stored(process).await), Ending::Interrupted { why: Interruption::NodeGone });
    assert_eq!(a.spawner.live().len(), 1, "processes that did not opt in keep running");
    let page = b.engine.log(None, 100, false).await.unwrap();
    let told = |fact: &Fact| matches!(fact, Fact::NodeLost { node } if *node == id("a"));
    assert!(page.events.iter().any(|logged| logged.id == process && told(&logged.event.fact)));
}

#[tokio::test(start_paused = true)]
async fn work_of_a_node_that_left_is_unreachable_once_a_lease_would_be_over() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = b.launch(command("run")).await;
    cluster.pass(seconds(2)).await;
    b.engine.shut_down(Shutdown::Leave).await.unwrap();
    cluster.pass(seconds(3)).await;
    let unreachable = async || a.engine.unreachable_since(&a.stored(process).await);
    assert_eq!(unreachable().await, None, "the node may return soon");
    cluster.pass(seconds(5)).await;
    assert!(unreachable().await.is_some());
    assert_eq!(a.status(process).await, Status::Running);
    let again = cluster.start(b.settings.clone(), Arc::new(b.spawner.reopened()), b.ids.clone()).await;
    cluster.pass(seconds(3)).await;
    assert_eq!(unreachable().await, None);
    assert_eq!(again.status(process).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_may_run_again_stops_on_its_node_before_it_runs_on_another_node() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(requeued("run")).await;
    let stays = a.launch(command("run")).await;
    cluster.pass(seconds(3)).await;
    assert_eq!(a.spawner.live().len(), 2);
    a.cut(true);
    cluster.pass(LEASE + seconds(1)).await;
    let left: Vec<ProcessId> = a.spawner.live().into_iter().map(|key| key.id).collect();
    assert_eq!(left, [stays], "only what runs again elsewhere is stopped at the end of the lease");
    assert_eq!(b.spawner.live(), []);
    cluster.pass(GRACE + seconds(1)).await;
    let stored = b.stored(process).await;
    assert_eq!(stored.process.status(), Status::Running);
    assert_eq!(stored.owner.unwrap().node, id("b"));
    assert_eq!(b.spawner.live(), [AttemptKey { id: process, attempt: stored.process.attempt }]);
    assert_eq!(stored.process.attempt.0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_stubborn_copy_is_killed_before_the_grace_is_over() {
    let cluster = Cluster::new();
    let (a, _b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let mut spec = requeued("stubborn");
    if let longhaul_domain::Work::Command(command) = &mut spec.work {
        command.stop.grace = seconds(3600);
    }
    a.launch(spec).await;
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(LEASE + GRACE - seconds(1)).await;
    assert_eq!(a.spawner.live(), []);
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_costs_nothing() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(requeued("run")).await;
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(LEASE - seconds(2)).await;
    a.cut(false);
    cluster.pass(seconds(60)).await;
    let stored = b.stored(process).await;
    assert_eq!((stored.process.status(), stored.process.attempt.0), (Status::Running, 1));
    assert_eq!(a.spawner.live().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_stopped_during_a_short_outage_are_retried() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(requeued("run")).await;
    let stays = a.launch(command("run")).await;
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(LEASE + seconds(4)).await;
    a.cut(false);
    cluster.pass(seconds(20)).await;
    let stored = b.stored(process).await;
    assert_eq!((stored.process.status(), stored.process.attempt.0), (Status::Running, 2));
    assert_eq!((b.status(stays).await, b.stored(stays).await.process.attempt.0), (Status::Running, 1));
    assert_eq!(a.spawner.live().len() + b.spawner.live().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_works_on() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(seconds(60)).await;
    assert_eq!(b.status(process).await, Status::Interrupted);
    a.cut(false);
    cluster.pass(seconds(3)).await;
    assert!(matches!(cluster.presence("a").await, Presence::Present { .. }));
    let again = a.launch(command("exit 0 500")).await;
    cluster.pass(seconds(2)).await;
    assert_eq!(b.status(again).await, Status::Completed);
    assert!(
        a.spawner.live().into_iter().all(|key| key.id == process),
        "only the unreachable process may still run"
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_that_the_store_has_lost_continues() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(seconds(60)).await;
    assert_eq!(b.status(process).await, Status::Interrupted);
    let everything = Retention { age: Some(Duration::ZERO), ..Retention::default() };
    assert_eq!(cluster.store.prune(&everything, 10).await.unwrap().ids, [process]);
    a.cut(false);
    cluster.pass(seconds(30)).await;
    assert!(matches!(cluster.presence("a").await, Presence::Present { .. }));
    assert_eq!(a.spawner.live().iter().map(|key| key.id).collect::<Vec<_>>(), [process]);
}

#[tokio::test(start_paused = true)]
async fn the_late_exit_of_an_interrupted_process_is_added_to_its_record() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("exit 3 90000")).await;
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(seconds(60)).await;
    a.cut(false);
    cluster.pass(seconds(60)).await;
    let stored = b.stored(process).await;
    let State::Ended(ended) = &stored.process.state else { unreachable!("{:?}", stored.process.state) };
    assert_eq!(stored.process.status(), Status::Interrupted);
    assert!(ended.late.is_some(), "the end became known later");
}

#[tokio::test(start_paused = true)]
async fn an_end_within_the_grace_period_is_recorded_unchanged() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("exit 0 6000")).await;
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(seconds(8)).await;
    a.cut(false);
    cluster.pass(seconds(8)).await;
    assert_eq!(b.status(process).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_node_without_lease_claims_nothing_and_claims_again_when_it_has_one() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    a.cut(true);
    cluster.pass(LEASE + seconds(2)).await;
    let pinned = Spec { placement: Placement::Node(id("a")), ..command("exit 0 100") };
    let process = b.launch(pinned).await;
    cluster.pass(seconds(2)).await;
    assert_eq!(b.status(process).await, Status::Pending);
    a.cut(false);
    cluster.pass(seconds(3)).await;
    assert_eq!(b.status(process).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn of_two_managers_with_one_name_the_older_stops_claiming() {
    let cluster = Cluster::new();
    let old = cluster.node("a", 1).await;
    cluster.pass(seconds(2)).await;
    let new = cluster.node("a", 2).await;
    cluster.pass(seconds(5)).await;
    let launched = new.launch(command("exit 0 100")).await;
    cluster.pass(seconds(2)).await;
    assert_eq!(new.status(launched).await, Status::Completed);
    assert_eq!(new.spawner.runs(launched), 1);
    assert_eq!(old.spawner.runs(launched), 0);
    let launch = Launch {
        spec: command("run"),
        parent: None,
        launcher: Launcher::Parent,
        captured: None,
        no_queue: false,
    };
    let refused = old.engine.launch(launch).await;
    cluster.pass(seconds(5)).await;
    assert_eq!(old.spawner.live(), [], "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_manager_takes_no_work_from_its_successor() {
    let cluster = Cluster::new();
    let old = cluster.node("a", 1).await;
    let process = old.launch(requeued("run")).await;
    cluster.pass(seconds(2)).await;
    let new = cluster
        .start(old.settings.clone(), Arc::new(old.spawner.reopened()), Arc::new(SequentialIds::seeded(9)))
        .await;
    cluster.pass(seconds(30)).await;
    assert_eq!((new.status(process).await, new.spawner.live().len()), (Status::Running, 1));
    assert_eq!(new.stored(process).await.process.attempt.0, 1);
}

#[tokio::test(start_paused = true)]
async fn work_by_labels_runs_where_they_fit() {
    let cluster = Cluster::new();
    let labels = ["gpu", "big"].map(|label| Capability::new(label).unwrap());
    let plain = cluster.node("plain", 1).await;
    let strong = cluster
        .node_with("strong", 2, NodeAdvertisement { labels: labels.into(), ..NodeAdvertisement::default() })
        .await;
    let gpu = plain.launch(placed(&["gpu"], "exit 0 100")).await;
    let both = plain.launch(placed(&["big", "gpu"], "exit 0 100")).await;
    let nowhere = plain.launch(placed(&["gpu", "arm"], "exit 0 100")).await;
    let here = strong.launch(placed(&["big"], "exit 0 100")).await;
    cluster.pass(seconds(3)).await;
    for process in [gpu, both, here] {
        let stored = plain.stored(process).await;
        assert_eq!(stored.process.status(), Status::Completed, "{:?}", stored.process.spec.placement);
        assert_eq!(stored.process.node, Some(id("strong")));
    }
    assert_eq!(plain.status(nowhere).await, Status::Pending);
    let why = plain.engine.why(nowhere).await.unwrap();
    assert!(matches!(why, longhaul_engine::WaitReason::NoNode { .. }), "{why:?}");
}

#[tokio::test(start_paused = true)]
async fn a_draining_node_takes_nothing_new() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let runs = a.launch(anywhere("run")).await;
    cluster.pass(seconds(1)).await;
    cluster.store.drain(&id("a"), true).await.unwrap();
    let process = a.launch(anywhere("exit 0 100")).await;
    cluster.pass(seconds(2)).await;
    assert_eq!(a.stored(process).await.process.node, Some(id("b")));
    assert_eq!(a.status(runs).await, Status::Running);
    let pinned = a.launch(command("exit 0 100")).await;
    cluster.pass(seconds(2)).await;
    assert_eq!(b.status(pinned).await, Status::Pending);
    let why = b.engine.why(pinned).await.unwrap();
    assert!(
        matches!(&why, longhaul_engine::WaitReason::NoNode { draining, .. } if *draining == [id("a")]),
        "{why:?}"
    );
    let at_once = Launch {
        spec: command("exit 0 100"),
        parent: None,
        launcher: Launcher::Parent,
        captured: None,
        no_queue: true,
    };
    let refused = a.engine.launch(at_once).await.unwrap_err();
    let EngineError::CannotStartNow { standstill } = refused else { unreachable!("{refused:?}") };
    assert_eq!(standstill, LaunchBlocked::Drains { node: id("a") });
    cluster.store.drain(&id("a"), false).await.unwrap();
    cluster.pass(seconds(3)).await;
    assert_eq!(b.status(pinned).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_notified_of_an_end_on_another_node() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("exit 0 2500")).await;
    let began = cluster.clock.now();
    let ids = [process];
    let waiting = b.engine.wait(&ids, WaitCondition::Ended, WaitMode::All, None);
    let waited = cluster.clock.run_until(seconds(60), waiting).await.expect("it ends").unwrap();
    assert_eq!(waited.processes[0].process.status(), Status::Completed);
    assert!(cluster.clock.now().since(began) < seconds(3), "the change is reported at once");
}

#[tokio::test(start_paused = true)]
async fn actions_reach_processes_on_another_node() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(1)).await;
    b.tell(process, Action::Pause).await;
    cluster.pass(Duration::from_millis(100)).await;
    assert_eq!(b.status(process).await, Status::Paused);
    b.tell(process, Action::Resume).await;
    cluster.pass(Duration::from_millis(100)).await;
    assert_eq!(b.status(process).await, Status::Running);
    b.tell(process, Action::Cancel { cause: StopCause::User }).await;
    cluster.pass(seconds(1)).await;
    assert_eq!(b.status(process).await, Status::Cancelled);
    assert_eq!(a.spawner.live(), []);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_a_tree_on_several_nodes() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let root = a.launch(command("run")).await;
    cluster.pass(seconds(1)).await;
    let launch = |spec| Launch {
        spec,
        parent: Some(root),
        launcher: Launcher::Parent,
        captured: None,
        no_queue: false,
    };
    let child = b.engine.launch(launch(command("run"))).await.unwrap().stored.process.id;
    let other = a.engine.launch(launch(command("run"))).await.unwrap().stored.process.id;
    cluster.pass(seconds(1)).await;
    assert_eq!((a.spawner.live().len(), b.spawner.live().len()), (2, 1));
    b.engine.terminate(root, false, None).await.unwrap();
    cluster.pass(seconds(2)).await;
    for process in [root, child, other] {
        assert_eq!(a.status(process).await, Status::Cancelled);
    }
    assert!(a.stored(root).await.process.cascade.is_none(), "the end of all processes is known");
}

#[tokio::test(start_paused = true)]
async fn an_action_with_a_lost_notification_is_executed_at_the_next_renewal() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(2)).await;
    // The node receives the pending action, but the commit that executes the action fails.
    a.trouble.fail_on(PortCall::Commit, 1, Fault::Unavailable);
    b.tell(process, Action::Pause).await;
    cluster.pass(seconds(2)).await;
    assert_eq!(b.status(process).await, Status::Paused);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_a_node_learns_of_too_late_does_not_start() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    cluster.pass(seconds(1)).await;
    a.trouble.fail_on(PortCall::Claim, 1, Fault::Slow(seconds(30)));
    let process = b.launch(Spec { placement: Placement::Node(id("a")), ..command("run") }).await;
    cluster.pass(Duration::from_millis(10)).await;
    assert_eq!(b.status(process).await, Status::Starting, "the claim is made, and its answer is on its way");
    a.cut(true);
    cluster.pass(seconds(60)).await;
    assert_eq!(b.status(process).await, Status::Interrupted);
    a.cut(false);
    cluster.pass(seconds(10)).await;
    assert_eq!(a.spawner.runs(process), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_starts_after_the_loss_of_its_node_is_stopped() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    cluster.pass(seconds(1)).await;
    // The manager stalls after it has checked its lease and before it starts the attempt.
    a.life.fail_on(PortCall::Start, 1, Fault::Late(seconds(2)));
    let process = a.launch(requeued("run")).await;
    cluster.pass(seconds(1)).await;
    a.life.freeze(cluster.clock.now().plus(seconds(40)));
    cluster.pass(seconds(39)).await;
    let stored = b.stored(process).await;
    assert_eq!((stored.process.status(), stored.process.attempt.0), (Status::Running, 2));
    cluster.pass(seconds(10)).await;
    assert_eq!(a.spawner.runs(process), 1, "the restart began when the node resumed");
    assert_eq!(a.spawner.live(), []);
    assert_eq!(b.spawner.live().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_node_stops_its_old_attempts_when_it_continues() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(requeued("run")).await;
    cluster.pass(seconds(2)).await;
    a.life.freeze(cluster.clock.now().plus(seconds(40)));
    cluster.pass(seconds(39)).await;
    assert_eq!((a.spawner.live().len(), b.spawner.live().len()), (1, 1), "no node could stop it");
    cluster.pass(seconds(8)).await;
    assert_eq!((a.spawner.live().len(), b.spawner.live().len()), (0, 1));
    assert_eq!(b.stored(process).await.process.attempt.0, 2);
}

#[tokio::test(start_paused = true)]
async fn copies_that_outlived_their_manager_are_stopped_when_it_comes_back() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let (process, kept) = (a.launch(requeued("run")).await, a.launch(command("exit 0 60000")).await);
    cluster.pass(seconds(2)).await;
    a.engine.abandon();
    cluster.pass(seconds(30)).await;
    assert_eq!((a.spawner.live().len(), b.spawner.live().len()), (2, 1));
    let again = cluster.start(a.settings.clone(), Arc::new(a.spawner.reopened()), a.ids.clone()).await;
    cluster.pass(seconds(8)).await;
    let left: Vec<ProcessId> = again.spawner.live().into_iter().map(|key| key.id).collect();
    assert_eq!(left, [kept], "only the process that continues elsewhere is stopped");
    assert_eq!((b.status(process).await, b.stored(process).await.process.attempt.0), (Status::Running, 2));
    cluster.pass(seconds(60)).await;
    let stored = b.stored(kept).await;
    let State::Ended(ended) = &stored.process.state else { unreachable!("{:?}", stored.process.state) };
    assert!(ended.late.is_some(), "the end became known later");
}

#[tokio::test(start_paused = true)]
async fn an_old_attempt_of_a_cancelled_process_is_stopped_when_its_node_returns() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(Spec { placement: Placement::Here, ..requeued("run") }).await;
    cluster.pass(seconds(2)).await;
    a.engine.abandon();
    cluster.pass(seconds(30)).await;
    assert_eq!((a.spawner.live().len(), b.status(process).await), (1, Status::Pending));
    b.tell(process, Action::Cancel { cause: StopCause::User }).await;
    assert_eq!(ending(&b.stored(process).await), Ending::Cancelled { by: StopCause::User, exit: None });
    let again = cluster.start(a.settings.clone(), Arc::new(a.spawner.reopened()), a.ids.clone()).await;
    cluster.pass(seconds(8)).await;
    assert_eq!(again.spawner.live(), [], "its end was not observed, so it may be an orphan here");
    assert_eq!(b.status(process).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn an_action_for_a_lost_process_invents_no_end() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let (process, other) = (a.launch(command("run")).await, a.launch(command("run")).await);
    cluster.pass(seconds(2)).await;
    a.cut(true);
    cluster.pass(LEASE + seconds(1)).await;
    b.tell(process, Action::Cancel { cause: StopCause::User }).await;
    b.tell(other, Action::Terminate { cause: StopCause::User, force: true }).await;
    cluster.pass(GRACE + seconds(5)).await;
    for process in [process, other] {
        let stored = b.stored(process).await;
        assert_eq!(ending(&stored), Ending::Interrupted { why: Interruption::NodeGone });
        assert_eq!(stored.pending_actions, []);
    }
    assert_eq!(b.spawner.journal(), [], "no action is taken on another machine");
}

#[tokio::test(start_paused = true)]
async fn retries_wait_for_a_pinned_node_to_come_back() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(Spec { placement: Placement::Here, ..requeued("run") }).await;
    cluster.pass(seconds(2)).await;
    a.cut(true);
    cluster.pass(seconds(30)).await;
    let stored = b.stored(process).await;
    assert!(matches!(stored.process.state, State::Pending(Pending::Queued)), "{:?}", stored.process.state);
    a.cut(false);
    cluster.pass(seconds(5)).await;
    assert_eq!((b.status(process).await, a.spawner.live().len()), (Status::Running, 1));
    assert_eq!(a.spawner.overlaps(), []);
}

#[tokio::test(start_paused = true)]
async fn reported_work_is_watched_when_its_node_is_lost() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let spec = crate::world::reported(|reported| reported.heartbeat = Some(seconds(20)));
    let process = a.launch(spec).await;
    cluster.pass(seconds(2)).await;
    a.engine.abandon();
    cluster.pass(seconds(30)).await;
    assert_eq!(b.status(process).await, Status::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_loses_no_node() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let (here, there) = (a.launch(command("run")).await, b.launch(command("run")).await);
    cluster.pass(seconds(2)).await;
    a.cut(true);
    b.cut(true);
    cluster.pass(seconds(600)).await;
    b.cut(false);
    cluster.pass(seconds(2)).await;
    a.cut(false);
    cluster.pass(seconds(30)).await;
    assert_eq!((a.status(here).await, a.status(there).await), (Status::Running, Status::Running));
    assert_eq!((a.spawner.live().len(), b.spawner.live().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_not_yet_recorded_as_lost_continues_on_its_node() {
    let cluster = Cluster::new();
    let a = cluster.node("a", 1).await;
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(2)).await;
    a.engine.abandon();
    // Another node takes the process over, and fails before it records a decision.
    let other = NodeDescriptor { id: id("b"), home: None, boot: "b".to_owned(), version: "0".to_owned() };
    let lease = cluster.store.register(&other).await.unwrap();
    for _ in 0..(LEASE + GRACE).as_secs() + 1 {
        cluster.pass(seconds(1)).await;
        cluster.store.renew_lease(&lease).await.unwrap();
    }
    let due = cluster.store.claim_due(&lease, 10).await.unwrap();
    assert!(due.iter().any(|stored| stored.process.id == process && stored.owner.is_none()), "{due:?}");
    let again = cluster.start(a.settings.clone(), Arc::new(a.spawner.reopened()), a.ids.clone()).await;
    cluster.pass(seconds(10)).await;
    assert_eq!(again.status(process).await, Status::Interrupted);
    assert_eq!(again.spawner.live().len(), 1, "no stop was requested");
}

#[tokio::test(start_paused = true)]
async fn a_crashed_node_that_comes_back_in_time_keeps_its_work() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(2)).await;
    a.engine.abandon();
    cluster.pass(LEASE + seconds(3)).await;
    let again = cluster.start(a.settings.clone(), Arc::new(a.spawner.reopened()), a.ids.clone()).await;
    cluster.pass(seconds(30)).await;
    assert_eq!((b.status(process).await, again.spawner.live().len()), (Status::Running, 1));
    assert_ne!(node(), id("a"));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_takes_effect_although_its_node_is_lost() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let cause = StopCause::User;
    let orders = [
        Action::Cancel { cause },
        Action::Force { cause },
        Action::Terminate { cause, force: false },
        Action::Terminate { cause, force: true },
    ];
    let mut asked = Vec::new();
    for _ in &orders {
        asked.push(a.launch(requeued("run")).await);
    }
    cluster.pass(seconds(2)).await;
    a.cut(true);
    cluster.pass(LEASE + seconds(1)).await;
    for (process, order) in asked.iter().zip(orders) {
        b.tell(*process, order).await;
    }
    cluster.pass(GRACE + seconds(30)).await;
    for process in asked {
        let stored = b.stored(process).await;
        assert_eq!(stored.process.status(), Status::Cancelled, "{:?}", stored.process.state);
        assert_eq!((stored.process.attempt.0, stored.pending_actions), (1, vec![]));
        assert_eq!(b.spawner.runs(process), 0, "the process is not run again");
    }
}

/// Cancels a process on a disconnected node. The node carries the stop out but cannot record it.
async fn stopped_in_vain(cluster: &Cluster, a: &Node, process: ProcessId) {
    cluster.pass(seconds(2)).await;
    a.cut(true);
    cluster.pass(seconds(1)).await;
    let answer = a.engine.command(process, Action::Cancel { cause: StopCause::User }, None).await;
    assert!(matches!(answer, Err(EngineError::StopUnrecorded { .. })), "{answer:?}");
    cluster.pass(seconds(1)).await;
    assert_eq!(a.spawner.live(), []);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_a_lost_node_could_not_record_ends_the_new_attempt() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(requeued("run")).await;
    stopped_in_vain(&cluster, &a, process).await;
    cluster.pass(LEASE + GRACE + seconds(2)).await;
    assert_eq!((b.status(process).await, b.stored(process).await.process.attempt.0), (Status::Running, 2));
    a.cut(false);
    cluster.pass(seconds(10)).await;
    assert_eq!(b.status(process).await, Status::Cancelled);
    assert_eq!(b.spawner.live(), []);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_a_lost_node_could_not_record_ends_the_waiting_process() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(Spec { placement: Placement::Here, ..requeued("run") }).await;
    stopped_in_vain(&cluster, &a, process).await;
    cluster.pass(LEASE + GRACE + seconds(5)).await;
    assert_eq!(b.status(process).await, Status::Pending);
    a.cut(false);
    cluster.pass(seconds(10)).await;
    assert_eq!((b.status(process).await, a.spawner.runs(process)), (Status::Cancelled, 1));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_a_killed_manager_was_stopping_is_not_started_on_another_node() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(requeued("run")).await;
    stopped_in_vain(&cluster, &a, process).await;
    a.engine.abandon();
    cluster.pass(LEASE + GRACE + seconds(5)).await;
    assert_eq!(b.status(process).await, Status::Running);
    let _again = cluster.start(a.settings.clone(), Arc::new(a.spawner.reopened()), a.ids.clone()).await;
    cluster.pass(seconds(10)).await;
    assert_eq!(b.status(process).await, Status::Cancelled);
}

/// Returns an orphan: a process without retries that was recorded as interrupted while its node was unreachable. The
/// node has been connected again.
async fn living_on(cluster: &Cluster, a: &Node) -> ProcessId {
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(LEASE + GRACE + seconds(5)).await;
    a.cut(false);
    cluster.pass(seconds(5)).await;
    process
}

async fn ended_late(cluster: &Cluster, b: &Node, process: ProcessId) {
    cluster.pass(seconds(10)).await;
    let stored = b.stored(process).await;
    let State::Ended(ended) = &stored.process.state else { unreachable!("{:?}", stored.process.state) };
    assert_eq!(ended.ending, Ending::Interrupted { why: Interruption::NodeGone }, "the ending is final");
    let late = ended.late.as_ref().unwrap();
    assert_eq!(late.exit.stopped, Some(StopCause::User));
    assert_eq!(stored.pending_actions, []);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_stopped_by_a_cancel_on_any_node() {
    for asks_its_own in [true, false] {
        let cluster = Cluster::new();
        let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
        let process = living_on(&cluster, &a).await;
        let stored = b.stored(process).await;
        assert_eq!((stored.process.status(), a.spawner.live().len()), (Status::Interrupted, 1));
        assert!(a.engine.is_orphaned(&stored) && !b.engine.is_orphaned(&stored));
        let asked = if asks_its_own { &a } else { &b };
        let answer = asked.engine.terminate(process, false, None).await.unwrap();
        assert_eq!((answer.changed, answer.note), (true, Some(NoOpReason::OrphanStopRequested)));
        cluster.pass(seconds(2)).await;
        assert_eq!(a.spawner.live(), [], "requested from the own node: {asks_its_own}");
        ended_late(&cluster, &b, process).await;
        assert!(!a.engine.is_orphaned(&b.stored(process).await));
        let again = asked.engine.terminate(process, true, None).await.unwrap();
        assert_eq!((again.changed, again.note), (false, Some(NoOpReason::AlreadyEnded)));
    }
}

#[tokio::test(start_paused = true)]
async fn interrupted_work_that_was_cancelled_since_is_not_brought_back() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = living_on(&cluster, &a).await;
    a.engine.terminate(process, false, None).await.unwrap();
    let revival =
        b.engine.restart_interrupted(RestartScope::All, InterruptedRestartOptions::default()).await.unwrap();
    assert_eq!(
        (revival.launched.len(), skipped(&revival)),
        (0, vec![process]),
        "the process received a stop request"
    );
    ended_late(&cluster, &b, process).await;
    let revival =
        b.engine.restart_interrupted(RestartScope::All, InterruptedRestartOptions::default()).await.unwrap();
    assert_eq!((revival.launched.len(), skipped(&revival)), (0, vec![process]), "the end is known");
    let named = b
        .engine
        .restart_interrupted(RestartScope::These(&[process]), InterruptedRestartOptions::default())
        .await
        .unwrap();
    assert_eq!((named.launched.len(), skipped(&named)), (1, Vec::new()), "a named process is acted on");
}

fn skipped(revival: &InterruptedRestart) -> Vec<ProcessId> {
    revival.skipped.iter().map(|skipped| skipped.stored.process.id).collect()
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_stopped_when_its_node_returns() {
    for restarts in [true, false] {
        let cluster = Cluster::new();
        let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
        let process = a.launch(command("run")).await;
        cluster.pass(seconds(3)).await;
        if restarts {
            a.engine.abandon()
        } else {
            a.cut(true)
        }
        cluster.pass(LEASE + GRACE + seconds(5)).await;
        b.tell(process, Action::Cancel { cause: StopCause::User }).await;
        cluster.pass(seconds(30)).await;
        assert_eq!(a.spawner.live().len(), 1, "no node can reach it");
        let _again;
        if restarts {
            _again = cluster.start(a.settings.clone(), Arc::new(a.spawner.reopened()), a.ids.clone()).await;
        } else {
            a.cut(false);
        }
        cluster.pass(seconds(10)).await;
        assert_eq!(a.spawner.live(), [], "restarts: {restarts}");
        ended_late(&cluster, &b, process).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_tree_stops_its_orphans() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let root = b.launch(command("run")).await;
    let launch = Launch {
        spec: command("run"),
        parent: Some(root),
        launcher: Launcher::Parent,
        captured: None,
        no_queue: false,
    };
    let child = a.engine.launch(launch).await.unwrap().stored.process.id;
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(LEASE + GRACE + seconds(5)).await;
    a.cut(false);
    cluster.pass(seconds(5)).await;
    assert_eq!((b.status(child).await, a.spawner.live().len()), (Status::Interrupted, 1));
    b.engine.terminate(root, false, None).await.unwrap();
    cluster.pass(seconds(10)).await;
    assert_eq!((b.status(root).await, a.spawner.live().len()), (Status::Cancelled, 0));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_stops_its_orphans() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let session = SessionId::new("s").unwrap();
    let of = |on_session_end| Spec { session: Some(session.clone()), on_session_end, ..command("run") };
    let (goes, stays) = (a.launch(of(SessionPolicy::Cancel)).await, a.launch(of(SessionPolicy::Keep)).await);
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(LEASE + GRACE + seconds(5)).await;
    a.cut(false);
    cluster.pass(seconds(5)).await;
    let told = b.engine.end_session(&session, None).await.unwrap();
    assert_eq!(told.iter().map(|told| told.id).collect::<Vec<_>>(), [goes]);
    cluster.pass(seconds(5)).await;
    assert_eq!(a.spawner.live().iter().map(|key| key.id).collect::<Vec<_>>(), [stays]);
    b.engine.end_session(&session, Some(SessionPolicy::Cancel)).await.unwrap();
    cluster.pass(seconds(5)).await;
    assert_eq!(a.spawner.live(), []);
}

#[tokio::test(start_paused = true)]
async fn a_signal_reaches_work_on_another_node_once() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(2)).await;
    let (signal, target) = (Signal::named("USR1").unwrap(), SignalTarget::Tree);
    b.tell(process, Action::Signal { signal, target }).await;
    cluster.pass(seconds(5)).await;
    let acts: Vec<FakeCall> = a.spawner.journal().into_iter().map(|entry| entry.act).collect();
    let sent = |act: &&FakeCall| **act == FakeCall::Signalled { signal, target };
    assert_eq!(acts.iter().filter(sent).count(), 1, "{acts:?}");
    assert_eq!(b.status(process).await, Status::Running);
}

/// Stores a pending action for a node whose manager is not running, and then starts its next manager.
async fn asked_while_away(cluster: &Cluster, order: Action) -> (Node, ProcessId) {
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let process = b.launch(command("exit 0 60000")).await;
    cluster.pass(seconds(2)).await;
    b.engine.abandon();
    a.tell(process, order).await;
    let again = cluster.start(b.settings.clone(), Arc::new(b.spawner.reopened()), b.ids.clone()).await;
    cluster.pass(seconds(5)).await;
    assert_eq!(again.stored(process).await.pending_actions, []);
    (again, process)
}

/// Returns the number of spawner calls of one kind for a process.
fn times(node: &Node, process: ProcessId, act: FakeCall) -> usize {
    node.spawner.journal().iter().filter(|entry| entry.key.id == process && entry.act == act).count()
}

#[tokio::test(start_paused = true)]
async fn a_pause_during_the_absence_of_a_node_takes_effect_when_it_returns() {
    let cluster = Cluster::new();
    let (b, process) = asked_while_away(&cluster, Action::Pause).await;
    assert_eq!(b.status(process).await, Status::Paused);
    let told = b.engine.log(None, 100, false).await.unwrap().events;
    assert!(!told.iter().any(|told| matches!(told.event.fact, Fact::Resumed { .. })), "{told:?}");
    assert_eq!(times(&b, process, FakeCall::Resumed), 0);
    cluster.pass(seconds(120)).await;
    b.tell(process, Action::Resume).await;
    cluster.pass(seconds(60)).await;
    assert_eq!(b.status(process).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_signal_during_the_absence_of_a_node_arrives_once_when_it_returns() {
    let cluster = Cluster::new();
    let (signal, target) = (Signal::named("USR1").unwrap(), SignalTarget::Tree);
    let (b, process) = asked_while_away(&cluster, Action::Signal { signal, target }).await;
    assert_eq!(times(&b, process, FakeCall::Signalled { signal, target }), 1);
    assert_eq!(b.status(process).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_may_run_again_ends_with_the_lease_even_without_its_manager() {
    let cluster = Cluster::new();
    let orders = Arc::new(Mutex::new(Vec::new()));
    let seen = orders.clone();
    let casting = move |order: &StartRequest| {
        seen.lock().unwrap().push((order.key, order.leased));
        ChildScript::of_words(&order.command.program, &order.command.args)
    };
    let spawner = Arc::new(ScriptedSpawner::casting(cluster.clock.clone(), casting));
    let facts = NodeDescriptor { id: id("a"), home: None, boot: "b".to_owned(), version: "0".to_owned() };
    let ids = Arc::new(SequentialIds::seeded(1));
    let a = cluster.start(EngineSettings::of(facts), spawner, ids).await;
    let (opted, other) = (a.launch(requeued("run")).await, a.launch(command("run")).await);
    let last = Spec { retry: RetryPolicy { retries: 0, ..requeued("run").retry }, ..anywhere("run") };
    let last = a.launch(last).await;
    cluster.pass(seconds(3)).await;
    let leased: Vec<(ProcessId, bool)> =
        orders.lock().unwrap().iter().map(|(key, leased)| (key.id, *leased)).collect();
    for expected in [(opted, true), (other, false), (last, false)] {
        assert!(leased.contains(&expected), "{leased:?}");
    }
    let now = cluster.clock.now();
    let Some(LeaseEnd::At(until)) = a.spawner.lease() else { panic!("{:?}", a.spawner.lease()) };
    assert!(until > now && until <= now.plus(LEASE), "{until:?} at {now:?}");
    a.cut(true);
    cluster.pass(seconds(3)).await;
    assert_eq!(a.spawner.lease(), Some(LeaseEnd::At(until)), "the lease was not renewed");
    a.cut(false);
    cluster.pass(seconds(3)).await;
    a.engine.shut_down(Shutdown::Leave).await.unwrap();
    assert_eq!(a.spawner.lease(), Some(LeaseEnd::Never), "the node keeps its processes");
}
