//! The watch over one attempt: a task that runs from the start or adoption of the attempt until the end of the attempt
//! is stored.

mod ask;
mod child;
mod cleanup;
mod halted;
mod input;
mod over;
mod start;
mod stopped_supervisor;
mod supervised;

pub(super) use ask::{AttemptRequest, PendingSignal};
pub(super) use start::WatchBegin;

use super::examine::{AttemptWithLeftovers, ExaminedAttempt, UnsupervisedAttempt, examine, steady_ms};
use super::input::{CommandInput, InputError};
use super::launch::TakeoverSpec;
use super::link::{CommandHandles, ShimLink};
use super::spawner::{SpawnerShared, WatchTable};
use super::{pidfd, takeover, translate};
use ask::{DoneReply, OutstandingRequest, TreeUsageWaiter};
use child::ShimChild;
use cleanup::LeftoverCleanup;
use longhaul_domain::{Interruption, Observation, StartFailure, StartStage};
use longhaul_ports::{Adopted, AttemptKey, SpawnerEvent, StopRequest};
use longhaul_shim::{ExitRecord, Identity, ProgramEnd};
use start::PendingStart;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;
pub(super) use stopped_supervisor::LastInspection;
use stopped_supervisor::{MissedExit, StoppedSupervisor};
use tokio::sync::{mpsc, oneshot, watch};

/// Delay before another try to read an attempt directory that could not be read.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Maximum number of tries to connect to a shim. Several may be needed, because a shim creates its lock before its
/// socket.
const MAX_CONNECT_ATTEMPTS: u32 = 500;
const CONNECT_RETRY_DELAY: Duration = Duration::from_millis(10);

/// The watch over one attempt.
#[derive(Debug)]
pub(super) struct AttemptWatch {
    pub(super) shared: Arc<SpawnerShared>,
    pub(super) key: AttemptKey,
    pub(super) asks: mpsc::UnboundedReceiver<AttemptRequest>,
    pub(super) conduct: TakeoverSpec,
    pub(super) held: CommandHandles,
    /// The strongest stop request since the manager started.
    pub(super) stop: Option<StopRequest>,
    /// True if the tree was paused and has not been resumed since.
    pub(super) is_halted: bool,
    /// Time at which this watch started, in steady milliseconds.
    since: u64,
    watches: Weak<WatchTable>,
    shim: Option<ShimChild>,
    identity: Option<Box<Identity>>,
    known: AttemptState,
    audience: WatchRecipient,
    finders: Vec<oneshot::Sender<Result<Adopted, String>>>,
    /// Requests that the shim has not answered yet, in the order in which they were sent.
    unanswered: VecDeque<OutstandingRequest>,
    /// Requests for the usage or inspection of the tree. They are waiting for the shim's list of nested managers.
    counters: Vec<TreeUsageWaiter>,
    /// Standard input of the command, as long as it can be written to.
    input: Option<Arc<CommandInput>>,
    /// Requests that are waiting for the shim to close the standard input.
    closers: Vec<DoneReply>,
    /// The pending start, until the command runs or has failed to start.
    starting: Option<Box<PendingStart>>,
    refused: Option<ShimRefusal>,
    /// Exit record of the command. Set while the leftovers of the command are being killed.
    cleanup: Option<LeftoverCleanup>,
    settled: bool,
    /// Notified when a child of this program has been stopped or continued by a signal.
    stopped_supervisor: watch::Receiver<()>,
    /// The shim. Set while the shim is stopped by a signal.
    halted: Option<StoppedSupervisor>,
    /// End of the command, if the command ended while a signal had stopped the shim.
    missed: Option<MissedExit>,
    /// True if the exit record was written durably, either by the shim or by this program acting as the shim.
    pub(super) durable: bool,
}

/// Reason why a shim did not start its command.
#[derive(Debug)]
struct ShimRefusal {
    /// True if the shim lacked a resource that may be available later.
    short: bool,
    /// Human-readable explanation.
    detail: String,
}

/// Last state of the attempt that this watch has a record of.
#[derive(Debug)]
enum AttemptState {
    Nothing,
    Running(Observation),
    Over(Observation),
}

/// The receivers of the next observation.
#[derive(Debug)]
enum WatchRecipient {
    /// Everyone who receives the events of the spawner.
    Everyone,
    /// Only the callers that requested the state of the attempt.
    Finders,
}

/// The next stage in the work of a watch.
pub(super) enum WatchStage {
    /// Try to start the attempt.
    Starting,
    /// Examine the attempt directory.
    Examine,
    /// Receive messages from a live shim and forward requests to it.
    Supervised(Box<ShimLink>),
    /// Take over from a shim that is no longer running.
    Orphaned(Box<UnsupervisedAttempt>),
    /// Kill the leftovers of a command whose shim is no longer running.
    Unswept(Box<AttemptWithLeftovers>),
    /// Wait until the end of the attempt is stored.
    Over,
    /// End the watch.
    Left,
}

impl AttemptWatch {
    /// Creates a watch over an attempt whose state is not yet known.
    pub(super) fn new(
        shared: Arc<SpawnerShared>,
        watches: Weak<WatchTable>,
        key: AttemptKey,
        asks: mpsc::UnboundedReceiver<AttemptRequest>,
        conduct: TakeoverSpec,
    ) -> Self {
        let since = steady_ms(&shared.options);
        let stopped_supervisor = shared.reaper.halts();
        Self {
            shared,
            key,
            asks,
            conduct,
            held: CommandHandles::default(),
            stop: None,
            is_halted: false,
            since,
            watches,
            shim: None,
            identity: None,
            known: AttemptState::Nothing,
            audience: WatchRecipient::Everyone,
            finders: Vec::new(),
            unanswered: VecDeque::new(),
            counters: Vec::new(),
            input: None,
            closers: Vec::new(),
            starting: None,
            refused: None,
            cleanup: None,
            settled: false,
            stopped_supervisor,
            halted: None,
            missed: None,
            durable: false,
        }
    }

    /// Watches the attempt until its end is stored or the spawner is dropped.
    pub(super) async fn run(mut self, start: WatchBegin) {
        let mut stage = match start {
            WatchBegin::Start { order, answer } => {
                self.starting = Some(Box::new(PendingStart::new(order, answer)));
                WatchStage::Starting
            }
            WatchBegin::Adopt => {
                self.audience = WatchRecipient::Finders;
                WatchStage::Examine
            }
        };
        loop {
            stage = match stage {
                WatchStage::Starting => Box::pin(self.start()).await,
                WatchStage::Examine => Box::pin(self.examine()).await,
                WatchStage::Supervised(link) => self.follow(link).await,
                WatchStage::Orphaned(orphan) => Box::pin(takeover::stand_in(&mut self, *orphan)).await,
                WatchStage::Unswept(unswept) => Box::pin(takeover::finish_sweep(&mut self, *unswept)).await,
                WatchStage::Over => self.rest().await,
                WatchStage::Left => break,
            };
        }
        self.leave();
        let is_over = self.is_over();
        let Self { shared, key, mut shim, identity, .. } = self;
        // Wait until the shim has ended, however long that takes, so that it does not remain as a zombie.
        if is_over || shim.is_some() {
            supervised::end_of_shim(&shared, shim.as_mut(), identity.as_deref()).await;
        }
        if let Some(identity) = &identity {
            shared.reaper.release(identity.pid);
        }
        if is_over {
            over::remove_cgroup(&shared, key, identity.as_deref()).await;
        }
    }

    /// Makes the watch accept no further requests.
    fn leave(&mut self) {
        self.asks.close();
        // Close this handle of the input, so that a later watch of this attempt can end the input.
        self.input = None;
        if let Some(watches) = self.watches.upgrade() {
            watches.forget(self.key);
        }
    }

    /// Reports that the command is running, unless this was already reported.
    pub(super) fn see_start(&mut self, identity: &Identity) {
        if self.keep_identity(identity) {
            let spawned = translate::spawned(self.key, identity);
            self.set_state(AttemptState::Running(spawned));
        }
    }

    /// Reports that the command is running. If the command is already about to end, callers that requested the state
    /// wait for the end, because "running" would be outdated when they receive it.
    pub(super) fn note_running(&mut self, identity: &Identity) {
        let is_asked = matches!(self.audience, WatchRecipient::Finders);
        if is_asked && pidfd::is_ending(identity.pid, identity.start_time) {
            self.see_ending(identity);
        } else {
            self.see_start(identity);
        }
    }

    /// Records that the command is about to end. Callers that requested the state get no answer before the end is
    /// known.
    pub(super) fn see_ending(&mut self, identity: &Identity) {
        match self.audience {
            WatchRecipient::Everyone => self.see_start(identity),
            WatchRecipient::Finders => {
                self.keep_identity(identity);
            }
        }
    }

    /// Stores the identity of the command. Returns false if it was already stored.
    fn keep_identity(&mut self, identity: &Identity) -> bool {
        self.starting = None;
        if self.identity.is_some() {
            return false;
        }
        self.shared.reaper.claim(identity.pid);
        self.identity = Some(Box::new(identity.clone()));
        true
    }

    /// Reports how the attempt ended, unless this was already reported.
    pub(super) fn see_end(&mut self, record: &ExitRecord) {
        self.cleanup = None;
        let record = self.dated(record);
        let over = match (record.ending, self.refused.take()) {
            (ProgramEnd::NeverRan, Some(ShimRefusal { short: false, detail })) => {
                let failure = StartFailure { stage: StartStage::Supervisor, errno: None, detail };
                Observation::SpawnFailed { attempt: self.key.attempt, failure }
            }
            (_, _) => {
                let is_known = matches!(self.known, AttemptState::Running(_));
                let exit_unobserved = record.ended_at < self.since || record.undated && !is_known;
                translate::over(self.key, &record, &self.conduct.program, exit_unobserved)
            }
        };
        self.set_state(AttemptState::Over(over));
    }

    /// Reports that no program recorded how the attempt ended, unless an end was already reported. `is_verified` is
    /// true if certainly no process of the tree is alive.
    pub(super) fn see_loss(&mut self, mut why: Interruption, is_verified: bool) {
        if let Interruption::SupervisorKilled { unverified, .. } = &mut why {
            *unverified = !is_verified;
        }
        self.set_state(AttemptState::Over(translate::lost(self.key, why)));
    }

    /// Returns the identity of the command, or `None` if it is not yet known.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// Returns true if the end of the attempt was reported.
    pub(super) fn is_over(&self) -> bool {
        match self.known {
            AttemptState::Over(_) => true,
            AttemptState::Nothing | AttemptState::Running(_) => false,
        }
    }

    /// Stores this stop request if it is stronger than the previous one. If a signal has stopped the shim, continues
    /// the shim.
    pub(super) fn note_stop(&mut self, order: StopRequest) {
        self.wake_shim(order.force);
        match &mut self.stop {
            Some(before) => before.force |= order.force,
            None => self.stop = Some(order),
        }
    }

    /// Sends the state of the attempt to the caller as soon as the state is known.
    pub(super) fn find(&mut self, answer: oneshot::Sender<Result<Adopted, String>>) {
        match self.found() {
            Some(found) => {
                if let Err(Ok(Adopted::Alive(observation) | Adopted::Over(observation))) =
                    answer.send(Ok(found))
                {
                    // The caller is no longer waiting and will not repeat the request, so report the state as an event.
                    self.tell(&observation);
                }
            }
            None => self.finders.push(answer),
        }
    }

    fn tell(&self, observation: &Observation) {
        let seen = SpawnerEvent { id: self.key.id, observation: observation.clone() };
        drop(self.shared.seen.send(seen));
    }

    fn set_state(&mut self, known: AttemptState) {
        if self.is_over() {
            return;
        }
        let (AttemptState::Running(observation) | AttemptState::Over(observation)) = &known else {
            return;
        };
        match std::mem::replace(&mut self.audience, WatchRecipient::Everyone) {
            WatchRecipient::Everyone => self.tell(observation),
            WatchRecipient::Finders => {}
        }
        self.starting = None;
        self.known = known;
        for finder in std::mem::take(&mut self.finders) {
            self.find(finder);
        }
    }

    fn found(&self) -> Option<Adopted> {
        match &self.known {
            AttemptState::Nothing => None,
            AttemptState::Running(observation) => Some(Adopted::Alive(observation.clone())),
            AttemptState::Over(observation) => Some(Adopted::Over(observation.clone())),
        }
    }

    /// Examines the attempt directory until the state of the attempt is known.
    async fn examine(&mut self) -> WatchStage {
        let mut tries = 0_u32;
        loop {
            let shared = Arc::clone(&self.shared);
            let (key, held) = (self.key, self.held.pidfd.as_ref().and_then(|fd| fd.try_clone().ok()));
            let seen = self.cleanup.as_ref().map(|cleanup| cleanup.record().clone());
            let look = move || examine(&shared.attempts, &shared.options, key, held, seen);
            let verdict = tokio::task::spawn_blocking(look).await;
            match verdict.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(ExaminedAttempt::Over { identity, record }) => {
                    let ran =
                        matches!(record.ending, ProgramEnd::Exited { .. } | ProgramEnd::Signaled { .. });
                    // Callers that requested the state receive the end of the attempt and not its start.
                    if let (Some(identity), true, WatchRecipient::Everyone) = (identity, ran, &self.audience)
                    {
                        self.see_start(&identity);
                    }
                    self.see_end(&record);
                    return WatchStage::Over;
                }
                Ok(ExaminedAttempt::Lost { why, identity }) => {
                    // Without an identity of the current boot, no process of the attempt can be alive.
                    let mut is_verified = true;
                    if let Some(identity) = identity {
                        match takeover::sweep(self, &identity).await {
                            Some(emptied) => is_verified = emptied.is_verified,
                            None => return WatchStage::Left,
                        }
                    }
                    self.see_loss(why, is_verified);
                    return WatchStage::Over;
                }
                Ok(ExaminedAttempt::Orphaned(orphan)) => return WatchStage::Orphaned(orphan),
                Ok(ExaminedAttempt::Unswept(unswept)) => return WatchStage::Unswept(unswept),
                Ok(ExaminedAttempt::Supervised) => match self.reach_shim().await {
                    Ok(link) => return WatchStage::Supervised(Box::new(link)),
                    Err(error) => {
                        // Two short periods without a connection are normal: a new shim creates its lock before its
                        // socket, and an ending shim closes its socket before it releases its lock.
                        tries = tries.saturating_add(1);
                        if tries < MAX_CONNECT_ATTEMPTS {
                            tokio::time::sleep(CONNECT_RETRY_DELAY).await;
                        } else {
                            let exceeds_retries = self
                                .exceeds_retries(&format!("the supervisor cannot be reached: {error}"))
                                .await;
                            if self.ends_deaf_shim(&error) {
                                tokio::time::sleep(CONNECT_RETRY_DELAY).await;
                            } else if exceeds_retries {
                                return WatchStage::Left;
                            }
                        }
                    }
                },
                Err(what) => {
                    if self.exceeds_retries(&what).await {
                        return WatchStage::Left;
                    }
                }
            }
        }
    }

    /// Connects to the shim. If a signal has stopped the shim and its command has ended, continues the shim first.
    async fn reach_shim(&mut self) -> std::io::Result<ShimLink> {
        self.look_at_shim();
        let directory = self.shared.attempts.attempt(self.key)?.ok_or(std::io::ErrorKind::NotFound)?;
        let link = ShimLink::new(directory.connect()?)?;
        link.greet().await?;
        Ok(link)
    }

    /// Answers all waiting requests with an error. Returns true if the watch must end, because the callers that adopt
    /// the attempt will repeat their requests. If the attempt already reports events, the watch continues and examines
    /// it again.
    async fn exceeds_retries(&mut self, what: &str) -> bool {
        while let Ok(ask) = self.asks.try_recv() {
            match ask {
                AttemptRequest::Find(answer) => self.finders.push(answer),
                AttemptRequest::Stop(order) => self.note_stop(order),
                AttemptRequest::Pause(answer)
                | AttemptRequest::Resume(answer)
                | AttemptRequest::Signal(_, answer)
                | AttemptRequest::CloseInput(answer)
                | AttemptRequest::Kept(answer) => {
                    drop(answer.send(Err(what.to_owned())));
                }
                AttemptRequest::Usage(answer) => drop(answer.send(Err(what.to_owned()))),
                AttemptRequest::Look(answer) => drop(answer.send(Err(what.to_owned()))),
                AttemptRequest::Input(answer) => drop(answer.send(Err(InputError::Failed(what.to_owned())))),
                AttemptRequest::Settle => self.settled = true,
            }
        }
        for finder in self.finders.drain(..) {
            if finder.send(Err(what.to_owned())).is_err() {
                // The caller is no longer waiting and will not repeat the request, so continue the watch and report
                // events.
                self.audience = WatchRecipient::Everyone;
            }
        }
        match self.audience {
            WatchRecipient::Finders => true,
            WatchRecipient::Everyone => {
                tracing::warn!(id = %self.key.id, attempt = %self.key.attempt, what, "could not inspect an attempt");
                let pause = if self.halted.is_some() { LastInspection::INTERVAL } else { RETRY_DELAY };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.unseen_end() => {}
                }
                self.asks.is_closed()
            }
        }
    }
}
