//! All nodes of one seed, with their store and virtual time.

use crate::node::{Node, SharedState, facts};
use crate::oracle::Oracle;
use crate::redis::Server;
use crate::witness::{Sabotage, Witness};
use crate::workload::ask;
use longhaul_adapters::memory::MemoryStore;
use longhaul_adapters::redis::LeaseTimes;
use longhaul_domain::{Level, NodeId, Policy, TreeLimits};
use longhaul_engine::ports::{Clock, Store, WallTime};
use longhaul_engine::{Engine, EngineSettings};
use longhaul_testkit::fakes::{FakeSigner, VirtualClock};
use longhaul_tests::Chance;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// All nodes of one seed, with their store.
pub(crate) struct World {
    pub(crate) shared_state: SharedState,
    pub(crate) nodes: Vec<Node>,
    pub(crate) chance: Chance,
    pub(crate) crashes: u64,
    /// True if leases expire.
    leased: bool,
    wall: Wall,
}

/// Behavior of the wall clock in a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wall {
    /// The wall clock shows monotonic time.
    Steady,
    /// The wall clock is changed before each step.
    Wild,
}

/// Times in milliseconds that a wild wall clock shows: the start of 1970, five days before that, ten days after and
/// before the start of the simulation, and the far future.
const WILD: [i64; 5] = [0, -432_000_000, 1_700_864_000_000, 1_699_136_000_000, i64::MAX / 2];

/// Duration of a lease, and of the grace period after it.
const LEASE: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(10);

/// Kind of store that a seed runs on.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Memory,
    Redis(&'a Server),
}

impl Place<'_> {
    fn store(self, clock: &VirtualClock, leased: bool) -> Arc<dyn Store> {
        match self {
            Self::Memory => {
                let memory = MemoryStore::new(Arc::new(clock.clone()));
                Arc::new(if leased { memory.with_leases(LEASE, GRACE) } else { memory })
            }
            Self::Redis(server) => {
                let leases = leased.then_some(LeaseTimes { lease: LEASE, grace: GRACE });
                Arc::new(server.store(clock, leases))
            }
        }
    }
}

impl World {
    pub(crate) fn new(
        seed: u64,
        sabotage: Option<Sabotage>,
        leased: bool,
        place: Place<'_>,
        wall: Wall,
    ) -> Self {
        let mut chance = Chance::seeded(seed);
        let clock = VirtualClock::default();
        let tree = TreeLimits { max_level: Level(3), per_level: 3 };
        let roots = u32::try_from(2 + chance.below(5)).unwrap_or(2);
        let oracle = Arc::new(Mutex::new(Oracle::new(clock.clone(), tree, roots)));
        let store = Arc::new(Witness::new(place.store(&clock, leased), oracle.clone(), sabotage));
        let shared_state = SharedState {
            clock,
            store,
            signer: FakeSigner::default(),
            oracle,
            calm: false,
            longest_away: if leased { 40_000 } else { 4_000 },
        };
        let policy = Policy {
            slots: [("one".to_owned(), 1), ("two".to_owned(), 2)].into(),
            default_slots: 4,
            ..Policy::default()
        };
        let count = 1 + chance.below(5);
        let names = (1..=count).filter_map(|number| NodeId::new(&format!("n{number}")).ok());
        let nodes = names
            .map(|id| {
                let settings = EngineSettings {
                    max_parallel: roots,
                    tree,
                    policy: Some(policy.clone()),
                    ..EngineSettings::of(facts(&id))
                };
                Node::new(&shared_state, &id, settings, chance.fork())
            })
            .collect();
        Self { shared_state, nodes, chance, crashes: 0, leased, wall }
    }

    /// Performs one step: sends requests, sometimes injects a fault, lets time pass, and checks the conditions.
    pub(crate) async fn step(&mut self, number: u64) {
        if self.wall == Wall::Wild
            && let Some(shown) = WILD.iter().cycle().nth(usize::try_from(number).unwrap_or_default())
        {
            self.shared_state.clock.set_wall(WallTime(*shown));
        }
        let engines = self.engines();
        for _ in 0..=self.chance.below(3) {
            if let Some(engine) = self.chance.pick(&engines) {
                ask(&self.shared_state, &mut self.chance, &engine, number);
            }
        }
        if self.chance.odds(12) {
            let (reboot, place) = (self.chance.odds(4), self.chance.below(5));
            if let Some(node) = self.nodes.get_mut(usize::try_from(place).unwrap_or(0)) {
                node.kill(&self.shared_state, reboot);
            }
        }
        if self.leased {
            self.part();
        }
        if self.chance.odds(40) {
            self.shared_state.clock.suspend(Duration::from_millis(self.chance.below(5_000)));
        }
        let longest = if self.leased { 6_000 } else { 1_500 };
        let span = if self.chance.odds(3) { 0 } else { self.chance.below(longest) };
        self.pass(Duration::from_millis(span)).await;
    }

    /// Sometimes cuts a node off from the store or freezes it, possibly for longer than a lease.
    fn part(&mut self) {
        if self.chance.odds(4) {
            let place = self.chance.below(self.nodes.len() as u64);
            let span = Duration::from_millis(self.chance.below(60_000));
            let stands_still = self.chance.odds(2);
            if let Some(node) = self.nodes.get_mut(usize::try_from(place).unwrap_or(0)) {
                if stands_still {
                    node.freeze(&self.shared_state, span);
                } else {
                    node.cut_off(&self.shared_state, span);
                }
            }
        }
        if self.chance.odds(30) {
            self.shared_state.clock.suspend(Duration::from_millis(self.chance.below(60_000)));
        }
    }

    /// Lets time pass and restarts crashed nodes.
    pub(crate) async fn pass(&mut self, span: Duration) {
        self.shared_state.clock.run_for(span).await;
        for node in &mut self.nodes {
            self.crashes += u64::from(node.tick(&self.shared_state));
        }
        self.shared_state.clock.settle().await;
        self.check_machines();
    }

    /// Switches off all faults.
    pub(crate) fn calm(&mut self) {
        (self.shared_state.calm, self.shared_state.longest_away) = (true, 4_000);
        self.shared_state.with(|oracle| oracle.note("calm"));
        let now = self.shared_state.clock.now();
        for node in &mut self.nodes {
            node.calm(now);
        }
    }

    pub(crate) fn engines(&self) -> Vec<Engine> {
        self.nodes.iter().filter_map(Node::engine).cloned().collect()
    }
}
