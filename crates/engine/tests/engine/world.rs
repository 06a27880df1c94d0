//! An engine with fakes for all its ports.

use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{
    Action, Capabilities, CommandSpec, NodeId, ProcessId, ProgressReport, ReportedSpec, RetryPolicy, Spec,
    Status, StopCause, Work,
};
use longhaul_engine::ports::{
    Clock, LaunchSigner, NodeDescriptor, NoopSigner, StartRequest, Store, StoredProcess,
};
use longhaul_engine::{
    Engine, EngineError, EnginePorts, EngineSettings, Launch, LaunchOutcome, Launcher, Shutdown,
    WaitCondition, WaitMode,
};
use longhaul_testkit::fakes::{
    ChildScript, FakeEnvironmentStore, FakeProber, FaultyStore, ScriptedSpawner, SequentialIds, VirtualClock,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Maximum number of events in the event log of a world.
pub(crate) const KEPT_EVENTS: u64 = 10_000;

/// The fakes that an engine uses. They survive crashes of the engine.
pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) spawner: Arc<ScriptedSpawner>,
    pub(crate) prober: FakeProber,
    pub(crate) ids: Arc<SequentialIds>,
    pub(crate) environments: Arc<FakeEnvironmentStore>,
    pub(crate) signer: Arc<dyn LaunchSigner>,
    pub(crate) orders: Arc<Mutex<Vec<StartRequest>>>,
    pub(crate) settings: EngineSettings,
    pub(crate) engine: Engine,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(adjust: impl FnOnce(&mut EngineSettings)) -> Self {
        Self::made(adjust, Capabilities::ALL, Arc::new(NoopSigner)).await
    }

    /// Creates a world whose spawner has only the given capabilities.
    pub(crate) async fn able(capabilities: Capabilities) -> Self {
        Self::made(|_| {}, capabilities, Arc::new(NoopSigner)).await
    }

    /// Creates a world in which launches must be signed.
    pub(crate) async fn trusting(signer: impl LaunchSigner) -> Self {
        Self::made(|_| {}, Capabilities::ALL, Arc::new(signer)).await
    }

    async fn made(
        adjust: impl FnOnce(&mut EngineSettings),
        capabilities: Capabilities,
        signer: Arc<dyn LaunchSigner>,
    ) -> Self {
        let clock = VirtualClock::default();
        let reference: Arc<dyn Clock> = Arc::new(clock.clone());
        let memory: Arc<dyn Store> =
            Arc::new(MemoryStore::new(reference.clone()).with_kept_events(KEPT_EVENTS));
        let store = Arc::new(FaultyStore::new(memory, reference));
        let descriptor =
            NodeDescriptor { id: node(), home: None, boot: "boot-1".to_owned(), version: "0".to_owned() };
        let mut settings = EngineSettings {
            socket: Some("/socket".to_owned()),
            hidden: vec!["SECRET".to_owned()],
            ..EngineSettings::of(descriptor)
        };
        adjust(&mut settings);
        let orders = Arc::new(Mutex::new(Vec::new()));
        let noted = orders.clone();
        let spawner = ScriptedSpawner::casting(clock.clone(), move |order| {
            noted.lock().unwrap().push(order.clone());
            ChildScript::of_words(&order.command.program, &order.command.args)
        });
        let spawner = Arc::new(spawner.with_capabilities(capabilities));
        let (ids, environments) =
            (Arc::new(SequentialIds::default()), Arc::new(FakeEnvironmentStore::default()));
        let prober = FakeProber::new(clock.clone());
        let parts = parts(&clock, &store, &spawner, &prober, &ids, &environments, &signer);
        let engine = Engine::start(parts, settings.clone()).await.unwrap();
        Self { clock, store, spawner, prober, ids, environments, signer, orders, settings, engine }
    }

    /// Kills the manager and starts another manager on the same store and attempts.
    pub(crate) async fn crash(&mut self) {
        self.engine.abandon();
        self.clock.settle().await;
        self.spawner = Arc::new(self.spawner.reopened());
        self.start().await;
    }

    pub(crate) async fn start(&mut self) {
        let (ids, environments, signer) = (&self.ids, &self.environments, &self.signer);
        let parts = parts(&self.clock, &self.store, &self.spawner, &self.prober, ids, environments, signer);
        let started = Engine::start(parts, self.settings.clone());
        let started = self.clock.run_until(Duration::from_secs(60), started).await;
        self.engine = started.expect("it starts").unwrap();
    }

    pub(crate) async fn launch(&self, words: &str) -> ProcessId {
        self.launch_spec(command(words)).await
    }

    pub(crate) async fn launch_spec(&self, spec: Spec) -> ProcessId {
        self.try_launch(spec).await.unwrap().stored.process.id
    }

    pub(crate) async fn try_launch(&self, spec: Spec) -> Result<LaunchOutcome, EngineError> {
        self.engine
            .launch(Launch {
                spec,
                parent: None,
                launcher: Launcher::Parent,
                captured: None,
                no_queue: false,
            })
            .await
    }

    pub(crate) async fn stored(&self, id: ProcessId) -> StoredProcess {
        self.engine.process(id).await.unwrap()
    }

    pub(crate) async fn status(&self, id: ProcessId) -> Status {
        self.stored(id).await.process.status()
    }

    pub(crate) async fn pass(&self, span: Duration) {
        self.clock.run_for(span).await;
    }

    pub(crate) async fn settle(&self) {
        self.clock.settle().await;
    }

    /// Advances virtual time until the process has ended, but by at most one day.
    pub(crate) async fn end(&self, id: ProcessId) -> Status {
        let ended = self.engine.wait(std::slice::from_ref(&id), WaitCondition::Ended, WaitMode::All, None);
        let waited = self.clock.run_until(Duration::from_secs(86_400), ended).await;
        waited.expect("the process ends within a day").unwrap().processes[0].process.status()
    }

    pub(crate) async fn ask(
        &self,
        id: ProcessId,
        command: Action,
    ) -> Result<longhaul_engine::ActionOutcome, EngineError> {
        self.engine.command(id, command, None).await
    }

    pub(crate) async fn cancel(&self, id: ProcessId) {
        self.ask(id, Action::Cancel { cause: StopCause::User }).await.unwrap();
    }

    pub(crate) async fn shut_down(&self, how: Shutdown) {
        let done = self.engine.shut_down(how);
        self.clock.run_until(Duration::from_secs(600), done).await.expect("it ends").unwrap();
    }
}

fn parts(
    clock: &VirtualClock,
    store: &Arc<FaultyStore>,
    spawner: &Arc<ScriptedSpawner>,
    prober: &FakeProber,
    ids: &Arc<SequentialIds>,
    environments: &Arc<FakeEnvironmentStore>,
    signer: &Arc<dyn LaunchSigner>,
) -> EnginePorts {
    EnginePorts {
        store: store.clone(),
        spawner: spawner.clone(),
        output: Arc::new(spawner.output()),
        artifacts: Arc::new(spawner.artifacts()),
        prober: Arc::new(prober.clone()),
        signer: signer.clone(),
        environments: environments.clone(),
        clock: Arc::new(clock.clone()),
        ids: ids.clone(),
    }
}

pub(crate) fn node() -> NodeId {
    NodeId::new("here").unwrap()
}

/// Returns the spec of a command whose arguments are its script.
pub(crate) fn command(words: &str) -> Spec {
    let mut words = words.split(' ');
    let program = words.next().unwrap();
    let args: Vec<&str> = words.collect();
    Spec::of(Work::Command(Box::new(CommandSpec::of(program, &args, "/work"))))
}

pub(crate) fn retrying(words: &str, retries: u32) -> Spec {
    Spec { retry: RetryPolicy { retries, ..RetryPolicy::none() }, ..command(words) }
}

pub(crate) fn with_timeout(words: &str, timeout: Duration) -> Spec {
    let mut spec = command(words);
    if let Work::Command(command) = &mut spec.work {
        command.timeout = Some(timeout);
    }
    spec
}

pub(crate) fn reported(adjust: impl FnOnce(&mut ReportedSpec)) -> Spec {
    let mut reported = ReportedSpec::default();
    adjust(&mut reported);
    Spec::of(Work::Reported(reported))
}

pub(crate) fn percent(percent: f64) -> Action {
    let progress = Some(longhaul_domain::Progress::from_percent(percent).unwrap());
    Action::Progress(ProgressReport { progress, ..ProgressReport::default() })
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns the time from start to end of an ended process.
pub(crate) async fn ran(world: &World, id: ProcessId) -> Duration {
    let process = world.stored(id).await.process;
    process.completed_at().unwrap().since(process.started_at.unwrap())
}
