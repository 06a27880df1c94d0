//! A custom spawner whose commands are Rust functions on threads. It cannot pause or signal commands. It declares this
//! in its capabilities, so that the engine rejects such actions.
//!
//! Run the example with `cargo run -p longhaul --example own_spawner`, and the spawner suite with `cargo test -p
//! longhaul --example own_spawner`.

use async_trait::async_trait;
use longhaul_adapters::memory::MemoryStore;
use longhaul_adapters::os::OsOutput;
use longhaul_adapters::system::{FileEnvironmentStore, RandomIds, SystemClock};
use longhaul_domain::{
    Action, Capabilities, CommandSpec, Exit, ExitStatus, Interruption, NodeId, Observation, Spec,
    StartFailure, StartStage, StopCause, TreeUsage, Work,
};
use longhaul_engine::ports::{
    Adopted, AttemptKey, Clock, NodeDescriptor, SpawnError, Spawner, SpawnerEvent, StartRequest, StopRequest,
};
use longhaul_engine::{
    Engine, EnginePorts, EngineSettings, Launch, Launcher, Shutdown, WaitCondition, WaitMode,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// A command, which is a Rust function. The function must regularly check whether its stop was requested.
type Function = fn(&[String], &StopFlag) -> i32;

/// Flag that requests a function to stop, with the cause of the stop.
#[derive(Clone, Debug, Default)]
struct StopFlag(Arc<Mutex<Option<StopCause>>>);

impl StopFlag {
    fn cause(&self) -> Option<StopCause> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spawner that runs registered functions by name.
#[derive(Debug)]
struct ThreadSpawner {
    functions: BTreeMap<String, Function>,
    clock: Arc<dyn Clock>,
    running: Mutex<BTreeMap<AttemptKey, StopFlag>>,
    sender: mpsc::UnboundedSender<SpawnerEvent>,
    receiver: tokio::sync::Mutex<mpsc::UnboundedReceiver<SpawnerEvent>>,
}

impl ThreadSpawner {
    fn new(clock: Arc<dyn Clock>, functions: BTreeMap<String, Function>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { functions, clock, running: Mutex::default(), sender, receiver: receiver.into() }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, StopFlag>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop_flag(&self, key: AttemptKey) -> Result<StopFlag, SpawnError> {
        self.running().get(&key).cloned().ok_or(SpawnError::Unknown { key })
    }
}

#[async_trait]
impl Spawner for ThreadSpawner {
    fn capabilities(&self) -> Capabilities {
        Capabilities { exit_codes: true, ..Capabilities::NONE }
    }

    async fn start(&self, order: StartRequest) -> Result<(), SpawnError> {
        let (key, CommandSpec { program, args, .. }) = (order.key, order.command);
        let Some(function) = self.functions.get(&program).copied() else {
            let detail = format!("there is no function {program}");
            return Err(SpawnError::Refused {
                failure: StartFailure { stage: StartStage::Exec, errno: None, detail },
            });
        };
        let stop = match self.running().entry(key) {
            // This attempt has already been started, so it is not started again.
            Entry::Occupied(_) => return Ok(()),
            Entry::Vacant(new) => new.insert(StopFlag::default()).clone(),
        };
        let (sender, clock) = (self.sender.clone(), Arc::clone(&self.clock));
        let at = clock.now();
        let spawned = Observation::Spawned { attempt: key.attempt, pid: None, containment: None, at };
        // Sending fails only after the engine has shut down.
        let _ = sender.send(SpawnerEvent { id: key.id, observation: spawned });
        std::thread::spawn(move || {
            let status = ExitStatus::Code(function(&args, &stop));
            let exit = Exit { stopped: stop.cause(), ..Exit::of(status, clock.now()) };
            let observation = Observation::Exited { attempt: key.attempt, exit };
            let _ = sender.send(SpawnerEvent { id: key.id, observation });
        });
        Ok(())
    }

    async fn adopt(&self, key: AttemptKey, _command: &CommandSpec) -> Result<Adopted, SpawnError> {
        // Threads end together with their program, so no attempt of an earlier program run exists.
        let why = Interruption::SupervisorKilled {
            evidence: "threads do not outlive their program".to_owned(),
            unverified: false,
        };
        Ok(Adopted::Over(Observation::SupervisorLost { attempt: key.attempt, why }))
    }

    async fn stop(&self, key: AttemptKey, order: StopRequest) -> Result<(), SpawnError> {
        let stop = self.stop_flag(key)?;
        stop.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(order.cause);
        Ok(())
    }

    async fn pause(&self, key: AttemptKey) -> Result<(), SpawnError> {
        Err(SpawnError::Unreachable { key, what: "a thread cannot be halted".to_owned() })
    }

    async fn resume(&self, key: AttemptKey) -> Result<(), SpawnError> {
        self.stop_flag(key).map(|_| ())
    }

    async fn usage(&self, key: AttemptKey) -> Result<TreeUsage, SpawnError> {
        self.stop_flag(key).map(|_| TreeUsage { processes: 1, ..TreeUsage::default() })
    }

    async fn next(&self) -> SpawnerEvent {
        match self.receiver.lock().await.recv().await {
            Some(event) => event,
            // Unreachable: this spawner owns a sender, so the channel stays open.
            None => std::future::pending().await,
        }
    }

    async fn end_recorded(&self, key: AttemptKey) {
        self.running().remove(&key);
    }
}

/// Command that waits until its stop is requested.
fn idle(_: &[String], stop: &StopFlag) -> i32 {
    while stop.cause().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    0
}

/// Command that succeeds if its arguments are sorted.
fn sorted(args: &[String], _: &StopFlag) -> i32 {
    i32::from(!args.is_sorted())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::open(dir.path())?);
    let functions: [(&str, Function); 2] = [("idle", idle), ("sorted", sorted)];
    let functions = functions.map(|(name, function)| (name.to_owned(), function)).into();
    let parts = EnginePorts {
        store: Arc::new(MemoryStore::new(clock.clone())),
        spawner: Arc::new(ThreadSpawner::new(clock.clone(), functions)),
        output: Arc::new(OsOutput::open(&dir.path().join("attempts"))?),
        artifacts: Arc::new(longhaul_engine::ports::NoopArtifactStore),
        prober: Arc::new(longhaul_engine::ports::NoopProber),
        signer: Arc::new(longhaul_engine::ports::NoopSigner),
        environments: Arc::new(FileEnvironmentStore::open(dir.path())?),
        clock,
        ids: Arc::new(RandomIds),
    };
    let node = NodeDescriptor {
        id: NodeId::new("threads")?,
        home: None,
        boot: "b".to_owned(),
        version: "1".to_owned(),
    };
    let engine = Engine::start(parts, EngineSettings::of(node)).await?;
    let mut out = std::io::stdout();
    for words in [&["sorted", "a", "b"][..], &["sorted", "b", "a"], &["unknown"]] {
        let id = launch(&engine, words).await?;
        engine.wait(&[id], WaitCondition::Ended, WaitMode::All, None).await?;
        writeln!(out, "{} is {}", words.join(" "), engine.process(id).await?.process.status())?;
    }
    let id = launch(&engine, &["idle"]).await?;
    engine.wait(&[id], WaitCondition::Running, WaitMode::All, None).await?;
    if let Err(refused) = engine.command(id, Action::Pause, None).await {
        writeln!(out, "pause: {refused}")?;
    }
    engine.terminate(id, false, None).await?;
    engine.wait(&[id], WaitCondition::Ended, WaitMode::All, None).await?;
    writeln!(out, "idle is {}", engine.process(id).await?.process.status())?;
    engine.shut_down(Shutdown::StopAll).await?;
    Ok(())
}

async fn launch(engine: &Engine, words: &[&str]) -> Result<longhaul_domain::ProcessId, Box<dyn Error>> {
    let (program, args) = words.split_first().ok_or("there is no program")?;
    let spec = Spec::of(Work::Command(Box::new(CommandSpec::of(program, args, "/"))));
    let launch = Launch { spec, parent: None, launcher: Launcher::Parent, captured: None, no_queue: false };
    Ok(engine.launch(launch).await?.stored.process.id)
}

#[cfg(test)]
mod suite {
    use super::{Function, StopFlag, ThreadSpawner};
    use async_trait::async_trait;
    use longhaul_adapters::system::SystemClock;
    use longhaul_domain::CommandSpec;
    use longhaul_engine::ports::Spawner;
    use longhaul_testkit::suite::{SpawnerFixture, TestCommands};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    #[derive(Debug)]
    struct Functions {
        clock: Arc<SystemClock>,
    }

    /// Command that exits with a given code after a number of milliseconds, or earlier if its stop is requested.
    fn exit(args: &[String], stop: &StopFlag) -> i32 {
        let number = |place: usize| args.get(place).and_then(|arg| arg.parse().ok()).unwrap_or_default();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(number(0)) && stop.cause().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        i32::try_from(number(1)).unwrap_or(-1)
    }

    #[async_trait]
    impl TestCommands for Functions {
        fn exits(&self, after: Duration, code: u8) -> CommandSpec {
            CommandSpec::of("exit", &[&after.as_millis().to_string(), &code.to_string()], "/")
        }

        fn runs(&self) -> CommandSpec {
            CommandSpec::of("idle", &[], "/")
        }

        fn missing(&self) -> CommandSpec {
            CommandSpec::of("unknown", &[], "/")
        }

        async fn pass(&self, span: Duration) {
            tokio::time::sleep(span).await;
        }

        async fn reopen(&self) -> Arc<dyn Spawner> {
            let functions: [(&str, Function); 2] = [("exit", exit), ("idle", super::idle)];
            let functions = functions.map(|(name, function)| (name.to_owned(), function)).into();
            Arc::new(ThreadSpawner::new(self.clock.clone(), functions))
        }
    }

    fn open() -> SpawnerFixture {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock::open(dir.path()).unwrap());
        SpawnerFixture::new(Arc::new(Functions { clock })).guarded(dir)
    }

    longhaul_testkit::spawner_suite!(open);
}
