//! A shared store that loses data: either all data, or all data since an earlier moment.
//!
//! The test runs several engines, each with an outbox for its own processes. At the end, every acknowledged launch must
//! exist, and no process may have run twice.

use crate::node::facts;
use futures_util::FutureExt;
use longhaul_adapters::memory::{MemorySnapshot, MemoryStore};
use longhaul_domain::{
    CommandSpec, LaunchKey, NodeId, Placement, Policy, ProcessId, RetryPolicy, SlotKey, Spec, Status, Work,
};
use longhaul_engine::ports::{Clock, EventCursor, EventLog, ProcessStore, Queues};
use longhaul_engine::{Engine, EnginePorts, EngineSettings, Launch, Launcher};
use longhaul_testkit::fakes::{
    ChildScript, FakeEnvironmentStore, FakeProber, FakeSigner, FaultPlan, FaultyStore, OutboxFake,
    ScriptedSpawner, SequentialIds, VirtualClock,
};
use longhaul_tests::{Chance, wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
/// Time in seconds after which all processes must have ended.
const REST: u64 = 400;
const SEEDS: u64 = 24;
/// Number of slots of the only limited concurrency key.
const SLOTS: u32 = 2;

struct Node {
    engine: Engine,
    store: Arc<OutboxFake>,
    spawner: Arc<ScriptedSpawner>,
    wire: Arc<FaultPlan>,
    cut_for: u64,
}

struct World {
    clock: VirtualClock,
    memory: MemoryStore,
    nodes: Vec<Node>,
    chance: Chance,
    acknowledged: Arc<Mutex<BTreeSet<ProcessId>>>,
    /// Specs with a launch key that were launched before. The test launches them again.
    keyed: Vec<Spec>,
    /// Ids of the processes that were acknowledged for each launch key.
    holders: Arc<Mutex<BTreeMap<LaunchKey, BTreeSet<ProcessId>>>>,
    dumps: Vec<MemorySnapshot>,
    highest: EventCursor,
    losses: u64,
    violations: Vec<String>,
    told: BTreeSet<ProcessId>,
    log: Vec<String>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut chance = Chance::seeded(seed);
        let clock = VirtualClock::default();
        let memory = MemoryStore::new(Arc::new(clock.clone())).with_leases(LEASE, GRACE);
        let (mut nodes, signer) = (Vec::new(), FakeSigner::default());
        for number in 0..2 + chance.below(3) {
            let Ok(id) = NodeId::new(&format!("n{number}")) else { continue };
            nodes.push(Node::start((&clock, &memory, &signer), &id, chance.draw()).await);
        }
        Self {
            clock,
            memory,
            nodes,
            chance,
            acknowledged: Arc::default(),
            keyed: Vec::new(),
            holders: Arc::default(),
            dumps: Vec::new(),
            highest: EventCursor(0),
            losses: 0,
            violations: Vec::new(),
            told: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    async fn step(&mut self) {
        for _ in 0..self.chance.below(4) {
            self.launch();
        }
        if self.chance.odds(3) {
            self.dumps.push(self.memory.snapshot());
        }
        if self.chance.odds(8) {
            self.lose();
        }
        if self.chance.odds(10) {
            self.cut_off();
        }
        self.second().await;
    }

    /// Cuts a node off from the store for less than a lease. After a longer time, its processes could be declared lost.
    fn cut_off(&mut self) {
        let place = self.chance.below(self.nodes.len() as u64);
        let seconds = 1 + self.chance.below(2);
        if let Some(node) = usize::try_from(place).ok().and_then(|place| self.nodes.get_mut(place)) {
            node.wire.set_down(true);
            node.cut_for = seconds;
        }
        self.note(&format!("n{place} is cut off for {seconds} s"));
        // While the node is cut off, it may accept launches that affect no other node.
        for _ in 0..self.chance.below(3) {
            let command = self.command();
            self.ask(place, Spec::of(Work::Command(Box::new(command))));
        }
    }

    fn lose(&mut self) {
        self.losses += 1;
        let dump = self.chance.pick(&self.dumps).filter(|_| self.chance.odds(2));
        self.note(if dump.is_some() { "the store is reset to a dump" } else { "the store loses everything" });
        match dump {
            Some(dump) => self.memory.go_back(&dump),
            None => self.memory.lose_everything(),
        }
        // Drop the earlier dumps: they belong to another incarnation of the store.
        self.dumps.clear();
        // Sometimes cut a node off, so that it notices the loss late.
        if self.chance.odds(2) {
            self.cut_off();
        }
    }

    fn launch(&mut self) {
        let place = self.chance.below(self.nodes.len() as u64);
        let command = self.command();
        let key = if self.chance.odds(2) { SlotKey::new("few").ok() } else { None };
        let placement = if self.chance.odds(2) { Placement::Anywhere } else { Placement::Here };
        // Let some processes be retried after an interruption. Such a process must not be given up because the store
        // has lost it.
        let again = u32::from(self.chance.odds(3));
        let retry = RetryPolicy { retries: again, after_interruption: again > 0, ..RetryPolicy::none() };
        let mut spec = Spec { key, placement, retry, ..Spec::of(Work::Command(Box::new(command))) };
        if self.chance.odds(2) {
            spec.launch_key = LaunchKey::new(&format!("launch-{}", self.keyed.len())).ok();
            // Do not restrict the placement: a launch that is repeated through another node counts as the same launch
            // only if any node may run it.
            spec.placement = Placement::Anywhere;
            self.keyed.push(spec.clone());
        }
        self.ask(place, spec);
        if let Some(again) = self.chance.pick(&self.keyed).filter(|_| self.chance.odds(2)) {
            let place = self.chance.below(self.nodes.len() as u64);
            self.ask(place, again);
        }
    }

    fn command(&mut self) -> CommandSpec {
        let moment = (200 + self.chance.below(12_000)).to_string();
        CommandSpec::of("exit", &["0", &moment], "/")
    }

    fn ask(&self, place: u64, spec: Spec) {
        let Some(node) = usize::try_from(place).ok().and_then(|place| self.nodes.get(place)) else { return };
        let (engine, acknowledged) = (node.engine.clone(), self.acknowledged.clone());
        let holders = self.holders.clone();
        tokio::spawn(async move {
            let launch_key = spec.launch_key.clone();
            let launch =
                Launch { spec, parent: None, launcher: Launcher::Parent, captured: None, no_queue: false };
            if let Ok(launched) = engine.launch(launch).await {
                let id = launched.stored.process.id;
                if let Some(key) = launch_key {
                    let mut holders = holders.lock().unwrap_or_else(PoisonError::into_inner);
                    holders.entry(key).or_default().insert(id);
                }
                acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
            }
        });
    }

    async fn second(&mut self) {
        for _ in 0..4 {
            self.clock.run_for(SECOND / 4).await;
            self.clock.settle().await;
            self.look();
        }
        for node in &mut self.nodes {
            node.cut_for = node.cut_for.saturating_sub(1);
            if node.cut_for == 0 {
                node.wire.set_down(false);
            }
        }
    }

    /// Checks that no process was started more than once, on all nodes together.
    fn look(&mut self) {
        let mut runs: BTreeMap<ProcessId, usize> = BTreeMap::new();
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for id in acknowledged {
            let begun: usize = self.nodes.iter().map(|node| node.spawner.runs(id)).sum();
            runs.insert(id, begun);
        }
        for (id, begun) in runs.into_iter().filter(|(_, begun)| *begun > 1) {
            if self.told.insert(id) {
                let what = self.story_of(id);
                self.violations.push(format!("{id} started {begun} times: {what}"));
            }
        }
    }

    /// Returns the log lines about a process, and those about all nodes.
    fn story_of(&self, id: ProcessId) -> String {
        let mut story = self.log.clone();
        for (number, node) in self.nodes.iter().enumerate() {
            let journal = node.spawner.journal();
            let of_it = journal.iter().filter(|entry| entry.key.id == id);
            story.extend(of_it.map(|entry| format!("n{number}: {entry:?}")));
        }
        let page = self.memory.read(None, u32::MAX, false).now_or_never();
        let events = page.and_then(Result::ok).map(|page| page.events).unwrap_or_default();
        let of_it = events.iter().filter(|logged| logged.id == id);
        story.extend(of_it.map(|logged| format!("/{} {:?}", logged.revision, logged.event)));
        story.join("\n    ")
    }

    fn note(&mut self, what: &str) {
        self.log.push(format!("{} {what}", self.clock.now().0));
    }

    async fn settle(&mut self) {
        for node in &mut self.nodes {
            node.cut_for = 0;
            node.wire.set_down(false);
        }
        for _ in 0..REST {
            self.second().await;
        }
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ids: Vec<ProcessId> = acknowledged.into_iter().collect();
        let found = self.memory.load(&ids).await.unwrap_or_default();
        for (id, found) in ids.iter().zip(found) {
            let begun: usize = self.nodes.iter().map(|node| node.spawner.runs(*id)).sum();
            match found {
                None => {
                    self.violations.push(format!("{id} was acknowledged and is lost; it ran {begun} times"))
                }
                Some(stored) if !stored.process.status().is_ended() => {
                    self.violations
                        .push(format!("{id} is still {}; it ran {begun} times", stored.process.status()));
                }
                Some(stored) if stored.process.status() == Status::Failed => {
                    self.violations.push(format!(
                        "{id} failed and its command exits with 0: {:?}",
                        stored.process.state
                    ));
                }
                Some(_) if begun != 1 => self.violations.push(format!("{id} ran {begun} times")),
                Some(_) => {}
            }
        }
        let holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (key, ids) in holders.iter().filter(|(_, ids)| ids.len() > 1) {
            self.violations.push(format!("the launch key {key} has several processes: {ids:?}"));
        }
        let policy = self.memory.policy().await.map(|(_, policy)| policy.slots.get("few").copied());
        if !matches!(policy, Ok(Some(SLOTS))) {
            self.violations.push(format!("the policy was not restored: {policy:?}"));
        }
        let end = self.memory.end().await.unwrap_or_default();
        if end < self.highest {
            self.violations.push(format!("the cursor went back to {end:?} from {:?}", self.highest));
        }
    }
}

impl Node {
    async fn start(
        (clock, memory, signer): (&VirtualClock, &MemoryStore, &FakeSigner),
        id: &NodeId,
        seed: u64,
    ) -> Self {
        let wire = Arc::new(FaultPlan::new(Arc::new(clock.clone())));
        let cut = Arc::new(FaultyStore::sharing(Arc::new(memory.clone()), wire.clone()));
        let clocked = Arc::new(clock.clone());
        let spawner = Arc::new(ScriptedSpawner::casting(clock.clone(), |order| {
            ChildScript::of_words(&order.command.program, &order.command.args)
        }));
        let store = OutboxFake::new(cut, Arc::new(memory.clone()), clocked.clone(), id.clone());
        let store = Arc::new(store.accepting_alone());
        let parts = EnginePorts {
            store: store.clone(),
            spawner: spawner.clone(),
            output: Arc::new(spawner.output()),
            artifacts: Arc::new(spawner.artifacts()),
            prober: Arc::new(FakeProber::new(clock.clone())),
            environments: Arc::new(FakeEnvironmentStore::default()),
            clock: clocked,
            signer: Arc::new(signer.clone()),
            ids: Arc::new(SequentialIds::seeded(seed)),
        };
        let policy = Policy { slots: [("few".to_owned(), SLOTS)].into(), ..Policy::default() };
        let settings = EngineSettings { policy: Some(policy), ..EngineSettings::of(facts(id)) };
        match Engine::start(parts, settings).await {
            Ok(engine) => Self { engine, store, spawner, wire, cut_for: 0 },
            Err(error) => panic!("{id} does not start: {error}"),
        }
    }
}

/// The result of running the simulation with one seed.
struct Played {
    losses: u64,
    accepted: usize,
    /// Number of launches that a node accepted while the store was unreachable.
    alone: u64,
    violations: Vec<String>,
}

fn play(seed: u64) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { panic!("seed {seed}: no runtime") };
    runtime.block_on(async {
        let mut world = World::new(seed).await;
        for _ in 0..20 + world.chance.below(40) {
            let end = world.memory.end().await.unwrap_or_default();
            world.highest = world.highest.max(end);
            world.step().await;
        }
        world.settle().await;
        let accepted = world.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len();
        let alone = world.nodes.iter().map(|node| node.store.accepted_alone()).sum();
        Played { losses: world.losses, accepted, alone, violations: world.violations }
    })
}

#[test]
fn lost_records_are_restored_and_nothing_runs_twice() {
    let first = wanted("LONGHAUL_SIM_FIRST").unwrap_or(1);
    let many = wanted("LONGHAUL_SIM_SEEDS").unwrap_or(SEEDS);
    let (mut losses, mut accepted, mut alone, mut failed) = (0, 0, 0, Vec::new());
    for seed in first..first + many {
        let played = play(seed);
        losses += played.losses;
        accepted += played.accepted;
        alone += played.alone;
        if !played.violations.is_empty() {
            failed.push(format!("seed {seed}:\n  {}", played.violations.join("\n  ")));
        }
        if failed.len() >= 3 {
            break;
        }
    }
    println!("{losses} losses, {accepted} launches, {alone} of them while the store was unreachable");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(losses > many && accepted > 0 && alone > 0, "the seeds covered nothing");
}
