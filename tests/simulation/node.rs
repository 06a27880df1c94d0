//! A node: a machine with its child processes, and the engines that run on it one after the other.

use crate::oracle::Oracle;
use crate::witness::Witness;
use futures_util::FutureExt;
use longhaul_domain::{NodeId, SlotState, Status, Timestamp};
use longhaul_engine::ports::{Clock, NodeDescriptor};
use longhaul_engine::{Engine, EngineError, EnginePorts, EngineSettings};
use longhaul_testkit::fakes::{
    ChildScript, FakeEnvironmentStore, FakeProber, FakeSigner, FaultPlan, FaultyEnvironmentStore,
    FaultyOutput, FaultySpawner, FaultyStore, RandomFaults, ScriptedSpawner, SequentialIds, VirtualClock,
};
use longhaul_tests::Chance;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// A node: the state that outlives its engines, and the current engine.
pub(crate) struct Node {
    pub(crate) settings: EngineSettings,
    pub(crate) spawner: Arc<ScriptedSpawner>,
    environments: Arc<FakeEnvironmentStore>,
    ids: Arc<SequentialIds>,
    chance: Chance,
    phase: Phase,
    /// Faults that affect the connection between this node and the store.
    wire: Arc<FaultPlan>,
    cut_until: Timestamp,
    /// Time since which the engine has been running without being frozen; `None` if it is not running or is frozen.
    pub(crate) at_work_since: Option<Timestamp>,
    /// Number of journal entries of this machine that were already checked.
    pub(crate) read: usize,
}

enum Phase {
    Down { until: Timestamp },
    Starting { trouble: Arc<FaultPlan>, start: JoinHandle<Result<Engine, EngineError>> },
    Up { trouble: Arc<FaultPlan>, engine: Engine },
}

/// State that the engines of all nodes share.
pub(crate) struct SharedState {
    pub(crate) clock: VirtualClock,
    pub(crate) store: Arc<Witness>,
    /// Signer of all launches, whichever node accepts them.
    pub(crate) signer: FakeSigner,
    pub(crate) oracle: Arc<Mutex<Oracle>>,
    /// True after all faults have been switched off.
    pub(crate) calm: bool,
    /// Maximum time between the end of one engine of a node and the start of the next, in milliseconds.
    pub(crate) longest_away: u64,
}

impl SharedState {
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Oracle) -> T) -> T {
        look(&mut self.oracle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Node {
    pub(crate) fn new(
        shared_state: &SharedState,
        id: &NodeId,
        settings: EngineSettings,
        mut chance: Chance,
    ) -> Self {
        let (oracle, here) = (shared_state.oracle.clone(), id.clone());
        let spawner = ScriptedSpawner::casting(shared_state.clock.clone(), move |order| {
            let mut oracle = oracle.lock().unwrap_or_else(PoisonError::into_inner);
            let name = oracle.name(order.key.id);
            let recorded = oracle.lives.get(&order.key.id).is_some_and(|life| {
                let status = life.process.status();
                life.process.attempt == order.key.attempt
                    && life.process.state.slot_state() == SlotState::Holding
                    && life.owner.as_ref() == Some(&here)
                    && matches!(status, Status::Starting | Status::Stopping)
            });
            if !recorded && !oracle.lost.contains(&order.key) {
                let attempt = order.key.attempt;
                oracle.violated(format_args!("{name}: attempt {attempt} starts on {here} without a record"));
            }
            ChildScript::of_words(&order.command.program, &order.command.args)
        });
        Self {
            settings,
            spawner: Arc::new(spawner),
            environments: Arc::default(),
            ids: Arc::new(SequentialIds::seeded(chance.draw())),
            chance,
            phase: Phase::Down { until: shared_state.clock.now() },
            wire: Arc::new(FaultPlan::new(Arc::new(shared_state.clock.clone()))),
            cut_until: shared_state.clock.now(),
            at_work_since: None,
            read: 0,
        }
    }

    pub(crate) const fn id(&self) -> &NodeId {
        &self.settings.node.id
    }

    pub(crate) const fn engine(&self) -> Option<&Engine> {
        match &self.phase {
            Phase::Up { engine, .. } => Some(engine),
            Phase::Down { .. } | Phase::Starting { .. } => None,
        }
    }

    /// Kills the manager. If the machine reboots, kills all commands too.
    pub(crate) fn kill(&mut self, shared_state: &SharedState, reboot: bool) {
        shared_state.with(|oracle| oracle.note(format_args!("{} is killed, reboot: {reboot}", self.id())));
        match &self.phase {
            Phase::Up { trouble, .. } | Phase::Starting { trouble, .. } => trouble.kill(),
            Phase::Down { .. } => {}
        }
        if reboot {
            self.spawner.reboot();
            self.settings.node.boot.push('+');
        }
    }

    /// Cuts the node off from the store for a while. Its child processes and its manager keep running.
    pub(crate) fn cut_off(&mut self, shared_state: &SharedState, span: Duration) {
        shared_state.with(|oracle| oracle.note(format_args!("{} is cut off for {span:?}", self.id())));
        self.wire.set_down(true);
        self.cut_until = shared_state.clock.now().plus(span);
    }

    /// Freezes the manager for a while. The child processes keep running.
    pub(crate) fn freeze(&mut self, shared_state: &SharedState, span: Duration) {
        shared_state.with(|oracle| oracle.note(format_args!("{} is frozen for {span:?}", self.id())));
        match &self.phase {
            Phase::Up { trouble, .. } | Phase::Starting { trouble, .. } => {
                trouble.freeze(shared_state.clock.now().plus(span));
            }
            Phase::Down { .. } => {}
        }
    }

    /// Switches off all faults of the current engine.
    pub(crate) fn calm(&mut self, now: Timestamp) {
        self.wire.set_down(false);
        self.cut_until = now;
        match &self.phase {
            Phase::Up { trouble, .. } | Phase::Starting { trouble, .. } => {
                trouble.set_chaos(0, 0);
                trouble.freeze(now);
            }
            Phase::Down { .. } => {}
        }
    }

    /// Advances the node: cleans up a crashed engine, completes a start, or starts the next engine. Returns true if an
    /// engine has ended.
    pub(crate) fn tick(&mut self, shared_state: &SharedState) -> bool {
        let id = self.id().clone();
        let now = shared_state.clock.now();
        if self.cut_until <= now {
            self.wire.set_down(false);
        }
        let is_at_work = match &self.phase {
            Phase::Up { trouble, .. } => !trouble.is_dead() && !trouble.is_frozen(),
            Phase::Starting { .. } | Phase::Down { .. } => false,
        };
        self.at_work_since = self.at_work_since.filter(|_| is_at_work).or(is_at_work.then_some(now));
        match &mut self.phase {
            Phase::Up { trouble, engine } if trouble.is_dead() => {
                shared_state.with(|oracle| oracle.note(format_args!("{id} is down")));
                engine.abandon();
                self.bury(shared_state);
                true
            }
            Phase::Up { .. } => false,
            Phase::Starting { trouble, start } if trouble.is_dead() => {
                shared_state.with(|oracle| oracle.note(format_args!("{id} went down during its start")));
                start.abort();
                self.bury(shared_state);
                true
            }
            Phase::Starting { trouble, start } => {
                match start.now_or_never() {
                    Some(Ok(Ok(engine))) => {
                        shared_state.with(|oracle| oracle.note(format_args!("{id} is up")));
                        self.phase = Phase::Up { trouble: trouble.clone(), engine };
                    }
                    Some(Ok(Err(error))) => {
                        shared_state.with(|oracle| oracle.note(format_args!("{id} cannot start: {error}")));
                        trouble.kill();
                        self.bury(shared_state);
                    }
                    Some(Err(error)) => {
                        shared_state
                            .with(|oracle| oracle.violated(format_args!("{id} failed to start: {error}")));
                        trouble.kill();
                        self.bury(shared_state);
                    }
                    None => {}
                }
                false
            }
            Phase::Down { until } => {
                if *until <= shared_state.clock.now() {
                    self.begin(shared_state);
                }
                false
            }
        }
    }

    fn bury(&mut self, shared_state: &SharedState) {
        self.spawner = Arc::new(self.spawner.reopened());
        let away = Duration::from_millis(self.chance.below(shared_state.longest_away));
        self.phase = Phase::Down { until: shared_state.clock.now().plus(away) };
    }

    fn begin(&mut self, shared_state: &SharedState) {
        let trouble = Arc::new(FaultPlan::mortal(Arc::new(shared_state.clock.clone())));
        if !shared_state.calm {
            trouble.set_mischief(self.random_faults());
        }
        let cut = Arc::new(FaultyStore::sharing(shared_state.store.clone(), self.wire.clone()));
        let parts = EnginePorts {
            store: Arc::new(FaultyStore::sharing(cut, trouble.clone())),
            spawner: Arc::new(FaultySpawner::sharing(self.spawner.clone(), trouble.clone())),
            output: Arc::new(FaultyOutput::sharing(Arc::new(self.spawner.output()), trouble.clone())),
            artifacts: Arc::new(self.spawner.artifacts()),
            prober: Arc::new(FakeProber::new(shared_state.clock.clone())),
            signer: Arc::new(shared_state.signer.clone()),
            environments: Arc::new(FaultyEnvironmentStore::sharing(
                self.environments.clone(),
                trouble.clone(),
            )),
            clock: Arc::new(shared_state.clock.clone()),
            ids: self.ids.clone(),
        };
        shared_state.with(|oracle| oracle.note(format_args!("{} starts", self.id())));
        let start = tokio::spawn(Engine::start(parts, self.settings.clone()));
        self.phase = Phase::Starting { trouble, start };
    }

    /// Returns random faults for the next engine. Some engines get no faults.
    fn random_faults(&mut self) -> RandomFaults {
        RandomFaults {
            seed: self.chance.draw(),
            one_in: [0, 200, 50, 20, 8]
                .get(usize::try_from(self.chance.below(5)).unwrap_or(0))
                .copied()
                .unwrap_or(0),
            late: Duration::from_millis(self.chance.below(3_000)),
            crash_in: [0, 4, 10]
                .get(usize::try_from(self.chance.below(3)).unwrap_or(0))
                .copied()
                .unwrap_or(0),
        }
    }
}

pub(crate) fn facts(id: &NodeId) -> NodeDescriptor {
    NodeDescriptor { id: id.clone(), home: None, boot: "boot".to_owned(), version: "0".to_owned() }
}
