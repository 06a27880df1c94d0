//! Embeds an engine in a program, with the memory store.
//!
//! Run the example with `cargo run -p longhaul --example embed`.

use longhaul_adapters::memory::MemoryStore;
use longhaul_adapters::os::{ContainmentChoice, OsArtifacts, OsOptions, OsOutput, OsSpawner};
use longhaul_adapters::system::{FileEnvironmentStore, RandomIds, SystemClock};
use longhaul_domain::{CommandSpec, NodeId, Spec, Work};
use longhaul_engine::ports::{AttemptKey, Clock, NodeDescriptor, NoopSigner, OutputRead};
use longhaul_engine::{
    Engine, EnginePorts, EngineSettings, Launch, Launcher, Shutdown, WaitCondition, WaitMode,
};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    // Each command runs under its own shim. The shim is a second start of this program: in the shim, this call does not
    // return.
    longhaul_shim::run_if_asked();
    tokio::runtime::Runtime::new()?.block_on(embed())
}

async fn embed() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let engine = start(dir.path()).await?;
    let command = Box::new(CommandSpec::of("sh", &["-c", "echo hello from $0", "below"], "/"));
    let captured = Some(std::env::vars().collect());
    let spec = Spec::of(Work::Command(command));
    let launch = Launch { spec, parent: None, launcher: Launcher::Parent, captured, no_queue: false };
    let id = engine.launch(launch).await?.stored.process.id;
    let ended = engine.wait(&[id], WaitCondition::Ended, WaitMode::All, None).await?;
    for process in ended.processes.iter().map(|stored| &stored.process) {
        let key = AttemptKey { id, attempt: process.attempt };
        let page = engine.output(key, OutputRead { from: 0, limit: 1 << 16, only: None }).await?;
        for chunk in page.chunks {
            std::io::stdout().write_all(&chunk.bytes)?;
        }
        writeln!(std::io::stdout(), "it is {}", process.status())?;
    }
    engine.shut_down(Shutdown::StopAll).await?;
    Ok(())
}

/// Assembles the engine from its ports.
async fn start(dir: &std::path::Path) -> Result<Engine, Box<dyn Error>> {
    let clock = SystemClock::open(dir)?;
    let boot = clock.boot_id().to_owned();
    let spawner = OsSpawner::open(OsOptions {
        attempts_dir: dir.join("attempts"),
        shim: std::env::current_exe()?,
        anchor_ms: clock.anchor_ms(),
        boot_id: boot.clone(),
        containment: ContainmentChoice::Auto,
        adopt_orphans: false,
        open_files: None,
    })?;
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let parts = EnginePorts {
        store: Arc::new(MemoryStore::new(clock.clone())),
        prober: Arc::new(spawner.prober()),
        signer: Arc::new(NoopSigner),
        spawner: Arc::new(spawner),
        output: Arc::new(OsOutput::open(&dir.join("attempts"))?),
        artifacts: Arc::new(OsArtifacts::open(&dir.join("attempts"))?),
        environments: Arc::new(FileEnvironmentStore::open(dir)?),
        clock,
        ids: Arc::new(RandomIds),
    };
    let node = NodeDescriptor { id: NodeId::new("embedded")?, home: None, boot, version: "1".to_owned() };
    Ok(Engine::start(parts, EngineSettings::of(node)).await?)
}
