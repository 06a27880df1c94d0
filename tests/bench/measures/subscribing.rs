//! Measures the effect on launches of subscribers that sleep, panic or never read.
//!
//! Everything around the engine is a fake, so that neither a disk nor a child process hides the effect.

use super::Found;
use crate::Failure;
use crate::figures::LAUNCH_RATIO;
use crate::sample::Sample;
use crate::stores;
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{Action, CommandSpec, NodeId, Spec, StopCause, Work};
use longhaul_engine::{Engine, EnginePorts, EngineSettings, Launch, Launcher};
use longhaul_ports::{Clock, NodeDescriptor};
use longhaul_testkit::fakes::{
    ChildScript, FakeEnvironmentStore, ScriptedSpawner, SequentialIds, VirtualClock,
};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Alternates rounds with and without subscribers, so that other load on the machine affects both kinds of rounds
/// equally.
pub(super) fn launches(_: &Path, quick: bool) -> Result<Found, Failure> {
    let (rounds, count) = if quick { (3, 300) } else { (9, 2_000) };
    let runtime = stores::runtime()?;
    let found = runtime.block_on(async {
        let (mut alone, mut beside) = (Sample::default(), Sample::default());
        for _ in 0..rounds {
            alone.add(p99(&engine().await?, count).await?);
            let engine = engine().await?;
            let mut guards = [
                engine.on_event(|_| std::thread::sleep(Duration::from_secs(60))),
                engine.on_event(|_| std::panic::resume_unwind(Box::new("on purpose"))),
            ];
            for guard in &mut guards {
                guard.listening().await;
            }
            let silent = engine.subscribe(None, 16).await?;
            beside.add(p99(&engine, count).await?);
            drop((guards, silent));
        }
        Ok(vec![(LAUNCH_RATIO, beside.median()? / alone.median()?)])
    });
    // Do not wait for the runtime, because one subscriber is still sleeping.
    runtime.shutdown_background();
    found
}

async fn engine() -> Result<Engine, Failure> {
    let clock = VirtualClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let spawner = ScriptedSpawner::casting(clock, |order| {
        ChildScript::of_words(&order.command.program, &order.command.args)
    });
    let parts = EnginePorts {
        store: Arc::new(MemoryStore::new(Arc::clone(&shared))),
        output: Arc::new(spawner.output()),
        artifacts: Arc::new(spawner.artifacts()),
        spawner: Arc::new(spawner),
        prober: Arc::new(longhaul_engine::ports::NoopProber),
        signer: Arc::new(longhaul_engine::ports::NoopSigner),
        environments: Arc::new(FakeEnvironmentStore::default()),
        clock: shared,
        ids: Arc::new(SequentialIds::default()),
    };
    let node =
        NodeDescriptor { id: NodeId::new("bench")?, home: None, boot: String::new(), version: String::new() };
    Ok(Engine::start(parts, EngineSettings::of(node)).await?)
}

/// Measures launches. Returns the 99th percentile of their durations in milliseconds.
async fn p99(engine: &Engine, count: u32) -> Result<f64, Failure> {
    let spec = Spec::of(Work::Command(Box::new(CommandSpec::of("run", &[], "/work"))));
    let mut sample = Sample::default();
    for _ in 0..count {
        let launch = Launch {
            spec: spec.clone(),
            parent: None,
            launcher: Launcher::Parent,
            captured: None,
            no_queue: false,
        };
        let began = Instant::now();
        let id = engine.launch(launch).await?.stored.process.id;
        sample.add_span(began.elapsed());
        // End each process before the next launch, because the fakes are slow with many live processes.
        engine.command(id, Action::Force { cause: StopCause::User }, None).await?;
        while !engine.process(id).await?.process.status().is_ended() {
            tokio::task::yield_now().await;
        }
    }
    Ok(sample.percentile(99)?)
}
