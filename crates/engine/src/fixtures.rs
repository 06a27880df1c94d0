//! Records and an engine for unit tests.

use crate::engine::Engine;
use crate::parts::{EnginePorts, EngineSettings};
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{AttemptNo, Input, Observation};
use longhaul_domain::{
    AwakeTime, Capabilities, CommandSpec, DecisionContext, Epoch, Lineage, LiveStats, NodeId, Process,
    RandomBits, Revision, Seq, Spec, Timestamp, Work,
};
use longhaul_ports::{IdSource, Lease, NodeDescriptor, NoopProber, NoopSigner, StoredProcess};
use longhaul_testkit::fakes::{FakeEnvironmentStore, ScriptedSpawner, SequentialIds, VirtualClock};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn context() -> DecisionContext {
    DecisionContext {
        now: Timestamp(1_000),
        awake: AwakeTime(1_000),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    }
}

pub(crate) fn command() -> Spec {
    Spec::of(Work::Command(Box::new(CommandSpec::of("run", &["fast"], "/work"))))
}

pub(crate) fn lease() -> Lease {
    Lease { node: NodeId::new("here").unwrap(), epoch: Epoch(1) }
}

/// Returns the record of a waiting process. The number is the basis of its id and its sequence number.
pub(crate) fn waiting(number: u64, spec: Spec) -> StoredProcess {
    let id = SequentialIds::seeded(number).process();
    let (process, _) = Process::submit(&context(), id, Lineage::default(), Arc::new(spec));
    StoredProcess {
        process,
        revision: Revision(1),
        seq: Seq(number),
        owner: None,
        pending_actions: Vec::new(),
        live_stats: LiveStats::default(),
    }
}

/// Returns the record with its next revision after some observations, which this node made as the owner of the process.
pub(crate) fn after(stored: &StoredProcess, seen: &[Observation]) -> StoredProcess {
    let mut stored = stored.clone();
    for observation in seen {
        let input = Input::Observation(observation.clone());
        let step = stored.process.decide(&context(), &stored.live_stats, &input).unwrap();
        stored.process.evolve(&step.events);
        stored.revision = stored.revision.next();
    }
    stored.owner = Some(lease());
    stored
}

/// Returns the record of a process whose first attempt is running on this node.
pub(crate) fn running(number: u64, spec: Spec) -> StoredProcess {
    let attempt = AttemptNo(1);
    let claimed = Observation::Claimed { attempt, node: lease().node };
    let spawned = Observation::Spawned { attempt, pid: None, containment: None, at: Timestamp(1_000) };
    after(&waiting(number, spec), &[claimed, spawned])
}

/// An engine whose ports are fakes.
pub(crate) struct Fixture {
    pub(crate) clock: VirtualClock,
    pub(crate) spawner: Arc<ScriptedSpawner>,
    pub(crate) engine: Engine,
}

impl Fixture {
    /// Starts an engine. If `leases` is true, its store has expiring leases.
    pub(crate) async fn new(leases: bool) -> Self {
        let clock = VirtualClock::default();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let length = Duration::from_secs(5);
        let store = if leases { store.with_leases(length, length) } else { store };
        let spawner = Arc::new(ScriptedSpawner::new(clock.clone()));
        let parts = EnginePorts {
            store: Arc::new(store),
            spawner: spawner.clone(),
            output: Arc::new(spawner.output()),
            artifacts: Arc::new(spawner.artifacts()),
            prober: Arc::new(NoopProber),
            signer: Arc::new(NoopSigner),
            environments: Arc::new(FakeEnvironmentStore::default()),
            clock: Arc::new(clock.clone()),
            ids: Arc::new(SequentialIds::seeded(1_000)),
        };
        let node =
            NodeDescriptor { id: lease().node, home: None, boot: "b".to_owned(), version: "0".to_owned() };
        let engine = Engine::start(parts, EngineSettings::of(node)).await.unwrap();
        Self { clock, spawner, engine }
    }
}
