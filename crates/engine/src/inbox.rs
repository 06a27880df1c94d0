//! Lanes for what was seen: in order per process, side by side for different ones.

use crate::engine::{ActionOutcome, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, AwakeTime, Deadline, Input, Observation, ProcessId};
use longhaul_ports::AttemptKey;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// Side by side, so that their commits share one write to the disk.
const LANES: usize = 16;
/// The first wait before an observation that could not be committed is tried again; it doubles.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The longest such wait.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Where observations and ticks are put in.
#[derive(Debug)]
pub(crate) struct InboxSender {
    entries: Vec<mpsc::UnboundedSender<(ProcessId, Input)>>,
}

/// Where they come out.
pub(crate) struct InboxReceiver {
    exits: Vec<mpsc::UnboundedReceiver<(ProcessId, Input)>>,
}

impl InboxSender {
    pub(crate) fn new() -> (Self, InboxReceiver) {
        let (entries, exits) = (0..LANES).map(|_| mpsc::unbounded_channel()).unzip();
        (Self { entries }, InboxReceiver { exits })
    }

    /// Puts in what was seen of a process.
    pub(crate) fn seen(&self, id: ProcessId, observation: Observation) {
        self.put(id, Input::Observation(observation));
    }

    /// Puts in that a deadline of a process has passed.
    pub(crate) fn tick(&self, id: ProcessId) {
        self.put(id, Input::Tick);
    }

    fn put(&self, id: ProcessId, input: Input) {
        let first = usize::from(id.as_uuid().as_bytes().first().copied().unwrap_or(0));
        if let Some(entry) = self.entries.get(first % LANES) {
            // The receiver is gone only when the engine is; recovery then sees the same again.
            let _ = entry.send((id, input));
        }
    }
}

impl InboxReceiver {
    /// One task a lane.
    pub(crate) fn work(self, core: &Arc<EngineShared>) -> Vec<JoinHandle<()>> {
        self.exits.into_iter().map(|exit| tokio::spawn(run(core.clone(), exit))).collect()
    }
}

/// Works off one lane. What the store refuses is tried again beside what comes after it, which may be for another place
/// or hold better: only what is behind in the same process waits for it.
async fn run(core: Arc<EngineShared>, mut exit: mpsc::UnboundedReceiver<(ProcessId, Input)>) {
    let mut owed = RetryQueue::default();
    loop {
        tokio::select! {
            biased;
            // What panics here ends the manager.
            Some(Ok(id)) = owed.trying.join_next() => owed.go_on(&core, id),
            arrived = exit.recv() => {
                let Some((id, input)) = arrived else { return };
                let mut digestion = PendingInput::of(id, input);
                if !owed.trying.is_empty() || !digestion.is_done(&core).await {
                    owed.put(&core, digestion);
                }
            }
        }
    }
}

/// What a lane owes to a store that refused some of it.
#[derive(Default)]
struct RetryQueue {
    /// The oldest of each process.
    trying: JoinSet<ProcessId>,
    /// What came after it, oldest first.
    behind: HashMap<ProcessId, VecDeque<PendingInput>>,
}

impl RetryQueue {
    fn put(&mut self, core: &Arc<EngineShared>, mut digestion: PendingInput) {
        // Whatever has to be written before it: whoever waits for the end need not wait for its record.
        digestion.note(core);
        match self.behind.get_mut(&digestion.id) {
            Some(behind) => behind.push_back(digestion),
            None => {
                self.behind.insert(digestion.id, VecDeque::new());
                self.trying.spawn(digestion.finish(core.clone()));
            }
        }
    }

    /// The oldest of a process came to its end.
    fn go_on(&mut self, core: &Arc<EngineShared>, id: ProcessId) {
        match self.behind.get_mut(&id).and_then(VecDeque::pop_front) {
            Some(next) => {
                self.trying.spawn(next.finish(core.clone()));
            }
            None => {
                self.behind.remove(&id);
            }
        }
    }
}

/// Brings one input to its end. What was seen is never dropped: until it can be committed it is tried again.
pub(crate) async fn commit_with_retry(core: &Arc<EngineShared>, id: ProcessId, input: Input) {
    let mut digestion = PendingInput::of(id, input);
    if !digestion.is_done(core).await {
        digestion.finish(core.clone()).await;
    }
}

/// An input on the way to its end.
struct PendingInput {
    id: ProcessId,
    input: Input,
    /// The attempt that it is the end of, until the end of its output is kept.
    over: Option<AttemptKey>,
    /// Before the next try.
    wait: Duration,
    /// Sees to it that the end is shown before it is recorded, and ends with this.
    noting: Option<JoinSet<()>>,
}

impl PendingInput {
    fn of(id: ProcessId, input: Input) -> Self {
        let over = last(&input).map(|attempt| AttemptKey { id, attempt });
        Self { id, input, over, wait: Duration::ZERO, noting: None }
    }

    /// Goes on until it is done.
    async fn finish(mut self, core: Arc<EngineShared>) -> ProcessId {
        loop {
            if !self.wait.is_zero() {
                let until: AwakeTime = core.parts.clock.awake().plus(self.wait);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
            if self.is_done(&core).await {
                return self.id;
            }
        }
    }

    /// Tries once.
    async fn is_done(&mut self, core: &Arc<EngineShared>) -> bool {
        let (id, input) = (self.id, &self.input);
        // Before the end is told: whoever hears of it may find the node gone when it asks for the output.
        if let Some(key) = self.over.take_if(|_| core.keeps_tails())
            && !core.store_tail(key).await
        {
            self.over = Some(key);
        }
        match core.turn(id, input, None).await {
            Ok(answer) if began_too_late(core, &answer, input) => true,
            Ok(_) | Err(EngineError::NotFound { .. } | EngineError::Rejected { .. }) => {
                if let Some(attempt) = last(input) {
                    if let Some(mut noting) = self.noting.take() {
                        noting.shutdown().await;
                    }
                    core.unrecorded.recorded(id, attempt);
                    core.settled(id, attempt).await;
                }
                true
            }
            Err(error) => {
                core.unanswered(Some(id), &error, "an observation waits until it can be committed");
                self.note(core);
                self.wait = self.wait.saturating_mul(2).clamp(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
                false
            }
        }
    }

    /// An end that cannot be recorded now is shown, and ends waits, once its spawner would tell it again whatever happens.
    fn note(&mut self, core: &Arc<EngineShared>) {
        if let Input::Observation(seen) = &self.input
            && let Some(attempt) = last_of(seen)
            && self.noting.is_none()
        {
            let noting = self.noting.insert(JoinSet::new());
            noting.spawn(note(core.clone(), AttemptKey { id: self.id, attempt }, seen.clone()));
        }
    }
}

async fn note(core: Arc<EngineShared>, key: AttemptKey, seen: Observation) {
    let mut pause = MIN_RETRY_DELAY;
    while !core.parts.spawner.exit_is_durable(key).await {
        core.parts.clock.sleep_until(Deadline::Awake(core.parts.clock.awake().plus(pause))).await;
        pause = pause.saturating_mul(2).min(MAX_RETRY_DELAY);
    }
    if core.unrecorded.note(key.id, key.attempt, &seen) {
        core.hub.changed(key.id);
    }
}

/// What begins after it was given to others, or after its end was told, is stopped at once.
fn began_too_late(core: &Arc<EngineShared>, answer: &ActionOutcome, input: &Input) -> bool {
    let Input::Observation(Observation::Spawned { attempt, .. }) = input else { return false };
    let stored = &answer.stored;
    let is_mine = stored.owner.as_ref().is_some_and(|owner| owner.node == *core.here());
    if !core.parts.store.leases_expire() || (is_mine && stored.process.attempt == *attempt) {
        return false;
    }
    core.end_copy(&stored.process, AttemptKey { id: stored.process.id, attempt: *attempt });
    true
}

const fn last(input: &Input) -> Option<AttemptNo> {
    match input {
        Input::Observation(observation) => last_of(observation),
        Input::Action(_) | Input::Tick => None,
    }
}

/// The attempt that an observation is the last of.
pub(crate) const fn last_of(observation: &Observation) -> Option<AttemptNo> {
    match observation {
        Observation::Exited { attempt, .. }
        | Observation::SpawnFailed { attempt, .. }
        | Observation::NeverRan { attempt }
        | Observation::AlreadyRan { attempt, .. }
        | Observation::SupervisorLost { attempt, .. } => Some(*attempt),
        Observation::Claimed { .. }
        | Observation::OwnerLost
        | Observation::ActionRequested(_)
        | Observation::Spawned { .. }
        | Observation::NodeLost { .. }
        | Observation::HeartbeatMissed { .. }
        | Observation::DescendantsEnded
        | Observation::PauseFailed { .. }
        | Observation::ConditionObserved { .. }
        | Observation::OutputMatched { .. } => None,
    }
}
