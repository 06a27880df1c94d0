//! Children that follow a script.

use super::io::FakeIo;
use super::journal::{FakeCall, JournalEntry};
use super::script::{ChildScript, StartBehavior, StdinBehavior};
use super::world::FakeAttempts;
use super::{FakeOutput, VirtualClock, locked};
use async_trait::async_trait;
use longhaul_domain::{
    AwakeTime, Capabilities, CommandSpec, Deadline, ExitStatus, Interruption, Observation, ProcessId, Signal,
    SignalTarget, Stdin, TreeUsage,
};
use longhaul_ports::{
    Adopted, AttemptKey, Clock, LeaseEnd, ListeningPort, SpawnError, Spawner, SpawnerEvent, StartRequest,
    StopRequest, TreeSnapshot,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Runs scripted children in virtual time.
///
/// The children live on a machine of their own, which outlives the manager: [`reopened`](Self::reopened) is the spawner
/// of the manager's next life, which finds them by `adopt`. Everything is computed from the clock when it is asked for,
/// so the same script gives the same observations.
pub struct ScriptedSpawner {
    machine: Arc<FakeMachine>,
    capabilities: Capabilities,
    /// How much of what was seen of an attempt was handed out in this life.
    watched: Mutex<BTreeMap<AttemptKey, usize>>,
}

struct FakeMachine {
    clock: VirtualClock,
    output: FakeOutput,
    world: Mutex<FakeAttempts>,
    senses: Mutex<FakeIo>,
    lease: Mutex<Option<LeaseEnd>>,
    /// Attempts of which nothing is found out.
    unreachable: Mutex<BTreeSet<AttemptKey>>,
    casting: Box<dyn Fn(&StartRequest) -> ChildScript + Send + Sync>,
    changed: Notify,
}

impl ScriptedSpawner {
    /// Children whose scripts are written into their command lines, as [`ChildScript::of_words`] reads them.
    #[must_use]
    pub fn new(clock: VirtualClock) -> Self {
        Self::casting(clock, |order| ChildScript::of_words(&order.command.program, &order.command.args))
    }

    /// Children whose scripts a test decides by the order to start them.
    #[must_use]
    pub fn casting(
        clock: VirtualClock,
        casting: impl Fn(&StartRequest) -> ChildScript + Send + Sync + 'static,
    ) -> Self {
        let output = FakeOutput::new(clock.clone());
        Self {
            machine: Arc::new(FakeMachine {
                world: Mutex::new(FakeAttempts::new(clock.clone(), output.clone())),
                senses: Mutex::default(),
                lease: Mutex::default(),
                unreachable: Mutex::default(),
                clock,
                output,
                casting: Box::new(casting),
                changed: Notify::new(),
            }),
            capabilities: Capabilities::ALL,
            watched: Mutex::default(),
        }
    }

    /// The same with other capabilities.
    #[must_use]
    pub fn with_capabilities(self, capabilities: Capabilities) -> Self {
        Self { capabilities, ..self }
    }

    /// The spawner of the manager's next life: the same children, none of them watched yet.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self {
            machine: Arc::clone(&self.machine),
            capabilities: self.capabilities,
            watched: Mutex::default(),
        }
    }

    /// Where the children write.
    #[must_use]
    pub fn output(&self) -> FakeOutput {
        self.machine.output.clone()
    }

    /// Everything that was asked of the children and that they did, in order.
    #[must_use]
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.machine.look(|world| world.journal().to_vec())
    }

    /// Every attempt that another life of the manager asked for, with the command that it named.
    #[must_use]
    pub fn adopted(&self) -> Vec<(AttemptKey, CommandSpec)> {
        self.machine.look(|world| world.adopted.clone())
    }

    /// How often a command of this process began to run.
    #[must_use]
    pub fn runs(&self, id: ProcessId) -> usize {
        let began = |entry: &&JournalEntry| entry.key.id == id && entry.act == FakeCall::Began;
        self.journal().iter().filter(began).count()
    }

    /// Attempts that are starting or running now.
    #[must_use]
    pub fn live(&self) -> Vec<AttemptKey> {
        self.machine.look(|world| world.live().collect())
    }

    /// How long the lease of the node lasts, as whoever watches its attempts was told last.
    #[must_use]
    pub fn lease(&self) -> Option<LeaseEnd> {
        *locked(&self.machine.lease)
    }

    /// What looks into the tree of this attempt find from now on, whatever its script says.
    pub fn show(&self, key: AttemptKey, look: TreeSnapshot) {
        locked(&self.machine.senses).set_look(key, look);
    }

    /// Whether looks into trees come to nothing from now on.
    pub fn blind(&self, blind: bool) {
        locked(&self.machine.senses).set_blind(blind);
    }

    /// When each attempt was looked into.
    #[must_use]
    pub fn looked(&self) -> Vec<(AwakeTime, AttemptKey)> {
        locked(&self.machine.senses).looked()
    }

    /// The input of this attempt takes only so many bytes from now on.
    pub fn narrow_input(&self, key: AttemptKey, room: usize) {
        locked(&self.machine.senses).set_room(key, room);
    }

    /// What was written to the input of this attempt.
    #[must_use]
    pub fn input(&self, key: AttemptKey) -> Vec<u8> {
        locked(&self.machine.senses).input(key).bytes
    }

    /// Attempts whose start was ordered while another of the same process was not over.
    #[must_use]
    pub fn overlaps(&self) -> Vec<AttemptKey> {
        let mut live: BTreeMap<ProcessId, usize> = BTreeMap::new();
        let mut overlaps = Vec::new();
        for entry in self.journal() {
            let count = live.entry(entry.key.id).or_default();
            match entry.act {
                FakeCall::Ordered => {
                    if *count > 0 {
                        overlaps.push(entry.key);
                    }
                    *count += 1;
                }
                FakeCall::Ended => *count = count.saturating_sub(1),
                FakeCall::OrderedAgain
                | FakeCall::Began
                | FakeCall::StopAsked(_)
                | FakeCall::Paused
                | FakeCall::Resumed
                | FakeCall::Signalled { .. }
                | FakeCall::Adopted
                | FakeCall::Settled => {}
            }
        }
        overlaps
    }

    /// Lets a live attempt exit now, whatever its script says.
    pub fn exit(&self, key: AttemptKey, code: i32) {
        self.machine.change(|world| world.exit(key, ExitStatus::Code(code)));
    }

    /// Takes the supervisor of a live attempt away, so that nobody sees its end.
    pub fn lose(&self, key: AttemptKey, why: &Interruption) {
        self.machine.change(|world| world.lose(key, why.clone()));
    }

    /// Whether nobody can find out from now on what became of this attempt: `adopt` does not answer meanwhile.
    pub fn set_unreachable(&self, key: AttemptKey, unreachable: bool) {
        let mut all = locked(&self.machine.unreachable);
        if unreachable {
            all.insert(key)
        } else {
            all.remove(&key)
        };
        drop(all);
        self.machine.changed.notify_waiters();
    }

    /// Starts the machine anew: every live attempt is gone, and nobody saw its end.
    pub fn reboot(&self) {
        self.machine.change(|world| {
            for key in world.live().collect::<Vec<_>>() {
                world.lose(key, Interruption::Reboot);
            }
        });
    }

    fn is_watched(&self, key: AttemptKey) -> Result<(), SpawnError> {
        if locked(&self.watched).contains_key(&key) { Ok(()) } else { Err(SpawnError::Unknown { key }) }
    }

    /// What was seen first and not handed out yet.
    fn news(&self, world: &FakeAttempts) -> Option<SpawnerEvent> {
        let mut watched = locked(&self.watched);
        let (_, key, observation) = watched
            .iter()
            .filter_map(|(key, told)| {
                let (place, observation) = world.seen(*key).get(*told)?;
                Some((*place, *key, observation.clone()))
            })
            .min_by_key(|(place, ..)| *place)?;
        *watched.entry(key).or_default() += 1;
        Some(SpawnerEvent { id: key.id, observation })
    }
}

impl FakeMachine {
    fn look<T>(&self, look: impl FnOnce(&FakeAttempts) -> T) -> T {
        let mut world = locked(&self.world);
        world.catch_up();
        look(&world)
    }

    fn change<T>(&self, change: impl FnOnce(&mut FakeAttempts) -> T) -> T {
        let mut world = locked(&self.world);
        world.catch_up();
        let answer = change(&mut world);
        drop(world);
        self.changed.notify_waiters();
        answer
    }

    /// Returns when something may have happened.
    async fn moved(&self, changed: impl Future<Output = ()>, next: Option<longhaul_domain::AwakeTime>) {
        match next {
            Some(at) => tokio::select! {
                biased;
                () = changed => {}
                () = self.clock.sleep_until(Deadline::Awake(at)) => {}
            },
            None => changed.await,
        }
    }
}

impl fmt::Debug for ScriptedSpawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedSpawner")
            .field("live", &self.live())
            .field("watched", &locked(&self.watched).keys())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Spawner for ScriptedSpawner {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn start(&self, order: StartRequest) -> Result<(), SpawnError> {
        let key = order.key;
        if self.machine.look(|world| world.knows(key)) {
            locked(&self.watched).entry(key).or_default();
            self.machine.change(|world| world.note(key, FakeCall::OrderedAgain));
            return Ok(());
        }
        let script = (self.machine.casting)(&order);
        if let StartBehavior::Refused(failure) = script.answer {
            return Err(SpawnError::Refused { failure });
        }
        locked(&self.watched).entry(key).or_default();
        self.machine.change(|world| world.order(key, order.command, script));
        Ok(())
    }

    async fn adopt(&self, key: AttemptKey, command: &CommandSpec) -> Result<Adopted, SpawnError> {
        self.machine.change(|world| {
            world.note(key, FakeCall::Adopted);
            world.adopted.push((key, command.clone()));
            if !world.knows(key) {
                world.rule_out(key);
            }
        });
        loop {
            let changed = self.machine.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (found, next) = self.machine.look(|world| {
                let seen = world.seen(key);
                let found = seen.last().map(|(_, observation)| (seen.len(), observation.clone()));
                (found, world.next_moment())
            });
            let is_reachable = !locked(&self.machine.unreachable).contains(&key);
            if let Some((told, observation)) = found.filter(|_| is_reachable) {
                locked(&self.watched).insert(key, told);
                return Ok(if matches!(observation, Observation::Spawned { .. }) {
                    Adopted::Alive(observation)
                } else {
                    Adopted::Over(observation)
                });
            }
            self.machine.moved(changed, next.filter(|_| is_reachable)).await;
        }
    }

    async fn stop(&self, key: AttemptKey, order: StopRequest) -> Result<(), SpawnError> {
        self.is_watched(key)?;
        self.machine.change(|world| world.stop(key, order));
        Ok(())
    }

    async fn pause(&self, key: AttemptKey) -> Result<(), SpawnError> {
        self.is_watched(key)?;
        if self.machine.change(|world| world.set_halted(key, true)) {
            return Ok(());
        }
        let what = "it does not run".to_owned();
        Err(SpawnError::Unreachable { key, what })
    }

    async fn resume(&self, key: AttemptKey) -> Result<(), SpawnError> {
        self.is_watched(key)?;
        if self.machine.change(|world| world.set_halted(key, false)) {
            return Ok(());
        }
        let what = "it does not run".to_owned();
        Err(SpawnError::Unreachable { key, what })
    }

    async fn signal(&self, key: AttemptKey, signal: Signal, target: SignalTarget) -> Result<(), SpawnError> {
        self.is_watched(key)?;
        if self.machine.change(|world| world.signal(key, signal, target)) {
            return Ok(());
        }
        let what = "it does not run".to_owned();
        Err(SpawnError::Unreachable { key, what })
    }

    async fn usage(&self, key: AttemptKey) -> Result<TreeUsage, SpawnError> {
        self.is_watched(key)?;
        Ok(TreeUsage { processes: 1, ..TreeUsage::default() })
    }

    async fn inspect(&self, key: AttemptKey) -> Result<TreeSnapshot, SpawnError> {
        self.is_watched(key)?;
        let now = self.machine.clock.now();
        let shown = locked(&self.machine.senses).look(key, self.machine.clock.awake());
        if locked(&self.machine.senses).is_blind() {
            let what = "the test says so".to_owned();
            return Err(SpawnError::Unreachable { key, what });
        }
        let input = locked(&self.machine.senses).input(key);
        let scripted = self.machine.look(|world| {
            let (script, command, began) = world.alive(key)?;
            let waits = match script.reads {
                StdinBehavior::Never => false,
                StdinBehavior::Once => input.bytes.is_empty() && !input.closed,
                StdinBehavior::Echoes => !input.closed,
            };
            let listening = script.listens.iter().filter(|(_, after)| began.plus(*after) <= now);
            Some(TreeSnapshot {
                waits_for_input: waits && command.stdin == Stdin::Pipe,
                listening: listening
                    .map(|(port, _)| ListeningPort { port: *port, address: Ipv4Addr::LOCALHOST.into() })
                    .collect(),
                ..TreeSnapshot::default()
            })
        });
        let what = "it does not run".to_owned();
        let scripted = scripted.ok_or(SpawnError::Unreachable { key, what })?;
        Ok(shown.unwrap_or(scripted))
    }

    async fn write_input(&self, key: AttemptKey, bytes: Vec<u8>, close: bool) -> Result<usize, SpawnError> {
        self.is_watched(key)?;
        let reads = self.machine.look(|world| {
            let (script, command, _) = world.alive(key)?;
            (command.stdin == Stdin::Pipe).then_some(script.reads)
        });
        let reads = reads.ok_or(SpawnError::InputClosed { key })?;
        let taken = locked(&self.machine.senses).write(key, &bytes, close);
        let taken = taken.ok_or(SpawnError::InputClosed { key })?;
        if reads == StdinBehavior::Echoes {
            let closed = locked(&self.machine.senses).input(key).closed;
            self.machine.change(|world| {
                world.say(key, bytes.get(..taken).unwrap_or_default());
                if closed {
                    world.exit(key, ExitStatus::Code(0));
                }
            });
        }
        Ok(taken)
    }

    async fn set_lease_end(&self, until: LeaseEnd) {
        *locked(&self.machine.lease) = Some(until);
    }

    async fn next(&self) -> SpawnerEvent {
        loop {
            let changed = self.machine.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (news, next) = self.machine.look(|world| (self.news(world), world.next_moment()));
            if let Some(seen) = news {
                return seen;
            }
            self.machine.moved(changed, next).await;
        }
    }

    async fn exit_is_durable(&self, key: AttemptKey) -> bool {
        // The machine remembers, whoever watches it.
        self.is_watched(key).is_ok()
            && self.machine.look(|world| {
                let last = world.seen(key).last().map(|(_, observation)| observation);
                last.is_some_and(|last| !matches!(last, Observation::Spawned { .. }))
            })
    }

    async fn end_recorded(&self, key: AttemptKey) {
        locked(&self.watched).remove(&key);
        self.machine.change(|world| world.note(key, FakeCall::Settled));
    }
}
