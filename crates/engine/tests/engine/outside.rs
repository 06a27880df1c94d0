//! Tests of the engine with a failing spawner and a failing output log.

use crate::world::{World, command, reported, seconds};
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{Action, AttemptNo, PendingAction, ProcessId, SessionPolicy, Spec, Status, StopCause};
use longhaul_engine::ports::{
    AttemptKey, Clock, IdSource, NodeDescriptor, OutputError, OutputRead, OutputSource, ProcessStore, Store,
};
use longhaul_engine::{
    Engine, EngineError, EnginePorts, EngineSettings, FollowProgress, Launch, Launcher, WaitCondition,
    WaitMode,
};
use longhaul_testkit::fakes::{
    ChildScript, FakeCall, FakeEnvironmentStore, Fault, FaultPlan, FaultySpawner, FaultyStore, PortCall,
    ScriptedSpawner, SequentialIds, VirtualClock,
};
use std::sync::Arc;
use std::time::Duration;

/// An engine whose spawner and store have separate fault plans.
struct Shaky {
    clock: VirtualClock,
    spawner: Arc<ScriptedSpawner>,
    troubles: Arc<FaultPlan>,
    store: Arc<FaultyStore>,
    engine: Engine,
}

impl Shaky {
    async fn new() -> Self {
        let clock = VirtualClock::default();
        let reference: Arc<dyn Clock> = Arc::new(clock.clone());
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(reference.clone()));
        let store = Arc::new(FaultyStore::new(memory, reference.clone()));
        let spawner = Arc::new(ScriptedSpawner::casting(clock.clone(), |order| {
            ChildScript::of_words(&order.command.program, &order.command.args)
        }));
        let troubles = Arc::new(FaultPlan::new(reference.clone()));
        let parts = EnginePorts {
            store: store.clone(),
            output: Arc::new(spawner.output()),
            artifacts: Arc::new(spawner.artifacts()),
            spawner: Arc::new(FaultySpawner::sharing(spawner.clone(), troubles.clone())),
            prober: Arc::new(longhaul_engine::ports::NoopProber),
            signer: Arc::new(longhaul_engine::ports::NoopSigner),
            environments: Arc::new(FakeEnvironmentStore::default()),
            clock: reference,
            ids: Arc::new(SequentialIds::default()),
        };
        let node = NodeDescriptor {
            id: crate::world::node(),
            home: None,
            boot: "b".to_owned(),
            version: "0".to_owned(),
        };
        let engine = Engine::start(parts, EngineSettings::of(node)).await.unwrap();
        Self { clock, spawner, troubles, store, engine }
    }

    async fn launch(&self, words: &str) -> ProcessId {
        let launch = Launch {
            spec: command(words),
            parent: None,
            launcher: Launcher::Parent,
            captured: None,
            no_queue: false,
        };
        let id = self.engine.launch(launch).await.unwrap().stored.process.id;
        self.clock.settle().await;
        id
    }

    async fn status(&self, id: ProcessId) -> Status {
        self.engine.process(id).await.unwrap().process.status()
    }

    /// Returns true if the last call that paused or resumed the process was a pause.
    fn is_halted(&self, id: ProcessId) -> bool {
        let journal = self.spawner.journal();
        let last = journal.iter().rev().find(|entry| {
            entry.key.id == id && (entry.act == FakeCall::Paused || entry.act == FakeCall::Resumed)
        });
        last.is_some_and(|entry| entry.act == FakeCall::Paused)
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_recorded_as_running_is_not_paused_after_a_lost_answer() {
    let shaky = Shaky::new().await;
    let id = shaky.launch("run").await;
    shaky.troubles.fail_on(PortCall::Halt, 1, Fault::Unknown);
    // The second commit records the failed pause. The engine requests the pause again before that commit is done.
    shaky.store.fail_on(PortCall::Commit, 2, Fault::Late(seconds(2)));
    shaky.engine.command(id, Action::Pause, None).await.unwrap();
    shaky.clock.run_for(seconds(10)).await;
    let status = shaky.status(id).await;
    assert!([Status::Paused, Status::Running].contains(&status), "{status}");
    assert_eq!(shaky.is_halted(id), status == Status::Paused, "{:?}", shaky.spawner.journal());
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_durable_record_is_hidden_until_the_store_has_it() {
    let shaky = Shaky::new().await;
    let id = shaky.launch("exit 5 1000").await;
    shaky.clock.run_for(seconds(1) / 2).await;
    shaky.store.set_full(true);
    // More faults than there are retries within the duration of the test.
    for _ in 0..20 {
        shaky.troubles.fail_on(PortCall::KeepsEnd, 1, Fault::Unavailable);
    }
    let ids = [id];
    let wait = shaky.engine.wait(&ids, WaitCondition::Ended, WaitMode::All, Some(seconds(5)));
    let waited = shaky.clock.run_until(seconds(60), wait).await.unwrap().unwrap();
    assert_eq!((waited.timed_out, shaky.status(id).await), (true, Status::Running));
    shaky.store.set_full(false);
    shaky.clock.run_for(seconds(10)).await;
    assert_eq!(shaky.status(id).await, Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_end_after_a_refused_write_is_shown_as_soon_as_it_is_durable() {
    let shaky = Shaky::new().await;
    // The start is retried for several seconds. Later observations have to wait for it.
    for _ in 0..7 {
        shaky.store.fail_on(PortCall::Commit, 1, Fault::Unavailable);
    }
    shaky.troubles.fail_on(PortCall::KeepsEnd, 1, Fault::Unavailable);
    let id = shaky.launch("exit 5 1000").await;
    shaky.clock.run_for(seconds(2)).await;
    let stored = shaky.store.load(&[id]).await.unwrap().pop().flatten().unwrap();
    assert_eq!((stored.process.status(), shaky.status(id).await), (Status::Starting, Status::Failed));
    shaky.clock.run_for(seconds(10)).await;
    assert_eq!(shaky.status(id).await, Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_for_good_is_carried_out_all_the_same() {
    let shaky = Shaky::new().await;
    let (halts, leaves) = (shaky.launch("run").await, shaky.launch("run").await);
    let lose_the_answer = || {
        shaky.store.fail_on(PortCall::Commit, 1, Fault::Unknown);
        shaky.store.fail_on(PortCall::Commit, 1, Fault::Unavailable);
    };
    lose_the_answer();
    assert!(shaky.engine.command(halts, Action::Pause, None).await.is_err());
    lose_the_answer();
    let policy = Some(SessionPolicy::Grace(seconds(1)));
    assert!(shaky.engine.command(leaves, Action::EndSession { policy }, None).await.is_err());
    shaky.clock.run_for(seconds(5)).await;
    assert_eq!(shaky.status(halts).await, Status::Paused);
    assert!(shaky.is_halted(halts), "{:?}", shaky.spawner.journal());
    assert_eq!(shaky.status(leaves).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_pending_action_survives_every_failed_read_of_the_store() {
    for nth in 2..=8 {
        let mut world = World::new().await;
        let id = world.launch("run").await;
        world.settle().await;
        world.engine.abandon();
        world.settle().await;
        let policy = Some(SessionPolicy::Grace(seconds(1)));
        world.store.enqueue_action(&id, world.ids.op(), PendingAction::EndSession { policy }).await.unwrap();
        world.store.fail_on(PortCall::Read, nth, Fault::Unavailable);
        world.spawner = Arc::new(world.spawner.reopened());
        world.start().await;
        world.pass(seconds(5)).await;
        assert_eq!(world.status(id).await, Status::Cancelled, "without answer {nth}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_to_an_older_write_removes_no_deadline() {
    let world = World::new().await;
    let beating = reported(|reported| {
        reported.queued = true;
        reported.heartbeat = Some(Duration::from_millis(700));
    });
    let spec = Spec { not_before: Some(world.clock.now().plus(seconds(1))), ..beating };
    let id = world.launch_spec(spec).await;
    // The process becomes ready to run, and is claimed before the writer of that change has received its answer.
    world.store.fail_on(PortCall::Commit, 1, Fault::Unknown);
    world.store.fail_on(PortCall::Commit, 1, Fault::Late(Duration::from_millis(300)));
    world.pass(seconds(10)).await;
    assert_eq!(world.status(id).await, Status::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_under_way_is_not_asked_for_again() {
    let shaky = Shaky::new().await;
    shaky.troubles.fail_on(PortCall::Start, 1, Fault::Late(seconds(3)));
    let slow = shaky.launch("run").await;
    // The answer to the claim was lost, so the engine starts every process that the claim may have assigned to this
    // node. In the store, the process with the slow start looks like one of these processes.
    shaky.store.fail_on(PortCall::Claim, 1, Fault::Unknown);
    let spec = Spec { not_before: Some(shaky.clock.now().plus(seconds(1))), ..command("run") };
    let launch = Launch { spec, parent: None, launcher: Launcher::Parent, captured: None, no_queue: false };
    let later = shaky.engine.launch(launch).await.unwrap().stored.process.id;
    shaky.clock.run_for(seconds(10)).await;
    for id in [slow, later] {
        assert_eq!(shaky.status(id).await, Status::Running);
        let journal = shaky.spawner.journal();
        let acts: Vec<_> = journal.iter().filter(|entry| entry.key.id == id).map(|entry| entry.act).collect();
        assert_eq!(acts, [FakeCall::Ordered, FakeCall::Began]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_does_not_get_through_is_tried_until_it_does() {
    let shaky = Shaky::new().await;
    let id = shaky.launch("run").await;
    for _ in 0..3 {
        shaky.troubles.fail_on(PortCall::Stop, 1, Fault::Unavailable);
    }
    shaky.engine.command(id, Action::Cancel { cause: StopCause::User }, None).await.unwrap();
    shaky.clock.settle().await;
    assert_eq!(shaky.status(id).await, Status::Stopping);
    shaky.clock.run_for(seconds(3)).await;
    assert_eq!(shaky.status(id).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_retried_until_the_state_of_the_attempt_is_known() {
    let shaky = Shaky::new().await;
    let id = shaky.launch("run").await;
    shaky.troubles.fail_on(PortCall::Stop, 1, Fault::Unavailable);
    shaky.troubles.fail_on(PortCall::Adopt, 1, Fault::Unavailable);
    shaky.engine.command(id, Action::Cancel { cause: StopCause::User }, None).await.unwrap();
    shaky.clock.run_for(seconds(3)).await;
    assert_eq!(shaky.status(id).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn output_is_found_by_size_by_lines_and_by_time() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    let key = AttemptKey { id, attempt: AttemptNo(1) };
    let (output, engine) = (world.spawner.output(), &world.engine);
    output.write(key, OutputSource::Stdout, b"one\ntwo\n");
    world.pass(seconds(5)).await;
    let later = world.clock.now();
    output.write(key, OutputSource::Stderr, b"three\n");
    assert_eq!(engine.output_size(key).await.unwrap().end, 14);
    assert_eq!(engine.output_tail(key, 1, None).await.unwrap(), 8);
    assert_eq!(engine.output_tail(key, 1, Some(OutputSource::Stdout)).await.unwrap(), 4);
    assert_eq!(engine.output_since(key, later).await.unwrap(), 8);
    assert!(!engine.output_place(key).0.is_empty(), "a person can look there");
    let none = AttemptKey { id, attempt: AttemptNo(2) };
    let missing = |answer: Result<(), EngineError>| {
        assert!(
            matches!(&answer, Err(EngineError::Output { source: OutputError::Missing { .. } })),
            "{answer:?}"
        );
    };
    missing(engine.output_size(none).await.map(drop));
    missing(engine.output_tail(none, 1, None).await.map(drop));
    missing(engine.output_since(none, later).await.map(drop));
    let all = OutputRead { from: 0, limit: 100, only: None };
    missing(engine.output(none, all).await.map(drop));
}

#[tokio::test(start_paused = true)]
async fn a_follower_of_missing_output_is_notified_of_the_start() {
    let world = World::new().await;
    world.engine.hold_queue(&"k".parse().unwrap(), None).await.unwrap();
    let spec = Spec { key: "k".parse().ok(), ..command("run") };
    let id = world.launch_spec(spec).await;
    let follower = tokio::spawn({
        let engine = world.engine.clone();
        async move { engine.follow(id, AttemptNo(1), 0).await }
    });
    world.pass(seconds(5)).await;
    assert!(!follower.is_finished(), "there is nothing to report yet");
    world.engine.release_queue(&"k".parse().unwrap()).await.unwrap();
    let told = world.clock.run_until(Duration::from_secs(5), follower).await.unwrap().unwrap();
    assert_eq!(told.unwrap(), FollowProgress::Changed);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_arrives_after_its_resume_is_taken_back() {
    let shaky = Shaky::new().await;
    let id = shaky.launch("run").await;
    shaky.troubles.fail_on(PortCall::Halt, 1, Fault::Late(seconds(2)));
    let engine = shaky.engine.clone();
    let paused = tokio::spawn(async move { engine.command(id, Action::Pause, None).await });
    shaky.clock.settle().await;
    shaky.engine.command(id, Action::Resume, None).await.unwrap();
    shaky.clock.run_for(seconds(5)).await;
    paused.await.unwrap().unwrap();
    assert_eq!((shaky.status(id).await, shaky.is_halted(id)), (Status::Running, false));
}
