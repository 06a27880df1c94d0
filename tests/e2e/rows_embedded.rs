//! Tests of requirements on the embedded engine, or on periods of days: Q5 and H7.

use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{CommandSpec, NodeId, ProcessId, Retention, Spec, Status, Work};
use longhaul_engine::ports::{Clock, NodeDescriptor};
use longhaul_engine::{
    Engine, EngineError, EnginePorts, EngineSettings, Launch, Launcher, SubscriptionItem, WaitCondition,
    WaitMode,
};
use longhaul_testkit::fakes::{FakeEnvironmentStore, ScriptedSpawner, SequentialIds, VirtualClock};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Creates an embedded engine that uses virtual time.
async fn host(adjust: impl FnOnce(&mut EngineSettings)) -> (Engine, VirtualClock) {
    let clock = VirtualClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let spawner = Arc::new(ScriptedSpawner::new(clock.clone()));
    let parts = EnginePorts {
        store: Arc::new(MemoryStore::new(shared.clone())),
        output: Arc::new(spawner.output()),
        artifacts: Arc::new(spawner.artifacts()),
        spawner,
        prober: Arc::new(longhaul_engine::ports::NoopProber),
        signer: Arc::new(longhaul_engine::ports::NoopSigner),
        environments: Arc::new(FakeEnvironmentStore::default()),
        clock: shared,
        ids: Arc::new(SequentialIds::default()),
    };
    let id = NodeId::new("here").unwrap();
    let mut settings =
        EngineSettings::of(NodeDescriptor { id, home: None, boot: "b".to_owned(), version: "0".to_owned() });
    adjust(&mut settings);
    (Engine::start(parts, settings).await.unwrap(), clock)
}

async fn launch(engine: &Engine, program: &str, args: &[&str]) -> ProcessId {
    let spec = Spec::of(Work::Command(Box::new(CommandSpec::of(program, args, "/"))));
    let launch = Launch { spec, parent: None, launcher: Launcher::Parent, captured: None, no_queue: false };
    engine.launch(launch).await.unwrap().stored.process.id
}

async fn end_of(engine: &Engine, clock: &VirtualClock, id: ProcessId) -> Status {
    let ids = [id];
    let waited = engine.wait(&ids, WaitCondition::Ended, WaitMode::All, None);
    let waited = clock.run_until(Duration::from_secs(60), waited).await.unwrap().unwrap();
    waited.processes.first().unwrap().process.status()
}

/// Waits for a notification about a process. The notification comes from a callback thread, which uses the real clock,
/// not the virtual one.
fn heard(from: &Receiver<(ProcessId, &'static str)>, id: ProcessId, fact: &str) {
    loop {
        let told = from.recv_timeout(Duration::from_secs(20)).unwrap();
        if told == (id, fact) {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn q5_callbacks_report_start_and_end_and_cannot_block_the_engine() {
    let (engine, clock) = host(|_| {}).await;
    let mut panicking = engine.on_event(|_| panic!("on purpose"));
    let (release, stuck) = channel::<()>();
    let mut sleeping = engine.on_event(move |_| assert!(stuck.recv().is_err()));
    let (tell, told) = channel();
    let mut telling = engine.on_event(move |notice| {
        if let SubscriptionItem::Event(logged) = notice {
            let _ = tell.send((logged.id, logged.event.fact.name()));
        }
    });
    for guard in [&mut panicking, &mut sleeping, &mut telling] {
        guard.listening().await;
    }
    let id = launch(&engine, "sleep", &["100"]).await;
    assert_eq!(end_of(&engine, &clock, id).await, Status::Completed);
    heard(&told, id, "spawned");
    heard(&told, id, "ended");
    let handle = engine.clone();
    let again = launch(&handle, "exit", &["3"]).await;
    assert_eq!(end_of(&handle, &clock, again).await, Status::Failed);
    heard(&told, again, "ended");
    drop(telling);
    drop(release);
    // A new engine with another store must have no record of the process.
    let (fresh, _) = host(|_| {}).await;
    assert!(matches!(fresh.process(id).await, Err(EngineError::NotFound { .. })));
}

#[tokio::test(start_paused = true)]
async fn h7_ended_records_are_pruned_automatically_and_live_ones_never() {
    let minute = Duration::from_secs(60);
    let rule = Retention { age: Some(minute), ..Retention::default() };
    let (engine, clock) = host(|settings| settings.retention = Some(rule)).await;
    let live = launch(&engine, "run", &[]).await;
    let ended = launch(&engine, "exit", &["0"]).await;
    assert_eq!(end_of(&engine, &clock, ended).await, Status::Completed);
    clock.run_for(minute / 2).await;
    assert!(engine.process(ended).await.is_ok(), "its retention period is not over");
    clock.run_for(minute * 3).await;
    assert!(matches!(engine.process(ended).await, Err(EngineError::NotFound { .. })));
    assert_eq!(engine.process(live).await.unwrap().process.status(), Status::Running);
    assert_eq!(engine.pruned_total(), 1, "the number of pruned records is reported");
    let (keeping, clock) = host(|settings| settings.retention = None).await;
    let kept = launch(&keeping, "exit", &["0"]).await;
    assert_eq!(end_of(&keeping, &clock, kept).await, Status::Completed);
    clock.run_for(minute * 60 * 24 * 30).await;
    assert!(keeping.process(kept).await.is_ok(), "pruning can be switched off");
}
