//! A spawner whose processes follow a script.

use super::io::FakeIo;
use super::journal::{FakeCall, JournalEntry};
use super::script::{ChildScript, StartBehavior, StdinBehavior};
use super::world::FakeAttempts;
use super::{FakeArtifactStore, FakeOutput, VirtualClock, locked};
use async_trait::async_trait;
use longhaul_domain::{
    AwakeTime, Capabilities, CommandSpec, Deadline, ExitStatus, Interruption, Observation, PortHolder,
    ProcessId, Signal, SignalTarget, Stdin, TreeUsage,
};
use longhaul_ports::{
    Adopted, AttemptKey, Clock, LeaseEnd, ListeningPort, SpawnError, Spawner, SpawnerEvent, StartRequest,
    StopRequest, TreeSnapshot,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Runs scripted processes in virtual time.
///
/// The processes run on a simulated machine that outlives the manager. [`reopened`](Self::reopened) returns the spawner
/// for the next run of the manager, which finds the processes through `adopt`. Every state is computed from the clock
/// at the time of the request, so the same script always gives the same observations.
pub struct ScriptedSpawner {
    machine: Arc<FakeMachine>,
    capabilities: Capabilities,
    /// For each watched attempt, the number of its observations that this run of the manager has received.
    watched: Mutex<BTreeMap<AttemptKey, usize>>,
}

struct FakeMachine {
    clock: VirtualClock,
    output: FakeOutput,
    artifacts: FakeArtifactStore,
    world: Mutex<FakeAttempts>,
    senses: Mutex<FakeIo>,
    lease: Mutex<Option<LeaseEnd>>,
    /// Attempts for which `adopt` does not answer.
    unreachable: Mutex<BTreeSet<AttemptKey>>,
    casting: Box<dyn Fn(&StartRequest) -> ChildScript + Send + Sync>,
    changed: Notify,
}

impl ScriptedSpawner {
    /// Creates a spawner that reads each script from the command line of the process, with [`ChildScript::of_words`].
    #[must_use]
    pub fn new(clock: VirtualClock) -> Self {
        Self::casting(clock, |order| ChildScript::of_words(&order.command.program, &order.command.args))
    }

    /// Creates a spawner that calls this function with each start request to get the script of the process.
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
                artifacts: FakeArtifactStore::default(),
                casting: Box::new(casting),
                changed: Notify::new(),
            }),
            capabilities: Capabilities::ALL,
            watched: Mutex::default(),
        }
    }

    /// Replaces the capabilities of the spawner.
    #[must_use]
    pub fn with_capabilities(self, capabilities: Capabilities) -> Self {
        Self { capabilities, ..self }
    }

    /// Returns the spawner for the next run of the manager. The new spawner has the same processes, but does not watch
    /// any attempt yet.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self {
            machine: Arc::clone(&self.machine),
            capabilities: self.capabilities,
            watched: Mutex::default(),
        }
    }

    /// Returns the artifact store of the processes, with its in-memory tree of files.
    #[must_use]
    pub fn artifacts(&self) -> FakeArtifactStore {
        self.machine.artifacts.clone()
    }

    /// Returns the output log of the processes.
    #[must_use]
    pub fn output(&self) -> FakeOutput {
        self.machine.output.clone()
    }

    /// Returns every request to the processes and every action of the processes, in order.
    #[must_use]
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.machine.look(|world| world.journal().to_vec())
    }

    /// Returns every attempt that a later run of the manager tried to adopt, with the command in that request.
    #[must_use]
    pub fn adopted(&self) -> Vec<(AttemptKey, CommandSpec)> {
        self.machine.look(|world| world.adopted.clone())
    }

    /// Returns the number of times that a command of this process started to run.
    #[must_use]
    pub fn runs(&self, id: ProcessId) -> usize {
        let began = |entry: &&JournalEntry| entry.key.id == id && entry.act == FakeCall::Began;
        self.journal().iter().filter(began).count()
    }

    /// Returns the attempts that are starting or running now.
    #[must_use]
    pub fn live(&self) -> Vec<AttemptKey> {
        self.machine.look(|world| world.live().collect())
    }

    /// Returns the end of the node's lease that the manager reported last to the spawner.
    #[must_use]
    pub fn lease(&self) -> Option<LeaseEnd> {
        *locked(&self.machine.lease)
    }

    /// Sets the snapshot that all later inspections of this attempt return, instead of the snapshot from the script.
    pub fn show(&self, key: AttemptKey, look: TreeSnapshot) {
        locked(&self.machine.senses).set_look(key, look);
    }

    /// Sets the process that listens on a port.
    pub fn hold_port(&self, holder: PortHolder) {
        locked(&self.machine.senses).set_port_holder(holder);
    }

    /// Makes all inspections of process trees fail from now on, or succeed again.
    pub fn blind(&self, blind: bool) {
        locked(&self.machine.senses).set_blind(blind);
    }

    /// Returns the time and the attempt of every inspection so far.
    #[must_use]
    pub fn looked(&self) -> Vec<(AwakeTime, AttemptKey)> {
        locked(&self.machine.senses).looked()
    }

    /// Limits the input of this attempt to `room` more bytes.
    pub fn narrow_input(&self, key: AttemptKey, room: usize) {
        locked(&self.machine.senses).set_room(key, room);
    }

    /// Returns the bytes that were written to the input of this attempt.
    #[must_use]
    pub fn input(&self, key: AttemptKey) -> Vec<u8> {
        locked(&self.machine.senses).input(key).bytes
    }

    /// Returns the attempts whose start was requested while another attempt of the same process was still live.
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

    /// Makes a live attempt exit now, regardless of its script.
    pub fn exit(&self, key: AttemptKey, code: i32) {
        self.machine.change(|world| world.exit(key, ExitStatus::Code(code)));
    }

    /// Removes the supervisor of a live attempt, so that its exit is not observed.
    pub fn lose(&self, key: AttemptKey, why: &Interruption) {
        self.machine.change(|world| world.lose(key, why.clone()));
    }

    /// Makes `adopt` of this attempt wait without an answer, or makes it answer again.
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

    /// Simulates a reboot of the machine: every live attempt is lost, and its exit is not observed.
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

    /// Returns the earliest observation that this run of the manager has not received yet.
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

    /// Waits until a request may have changed the state, or until the time `next`.
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

    async fn port_holder(&self, port: u16, _addresses: &[IpAddr]) -> Option<PortHolder> {
        locked(&self.machine.senses).port_holder(port)
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
        // The simulated machine remembers all exits, even across runs of the manager.
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
