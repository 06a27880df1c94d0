//! The inbox for observations. Observations of one process are handled in order, those of different processes
//! concurrently.

use crate::engine::{ActionOutcome, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, AwakeTime, Deadline, Input, Observation, ProcessId};
use longhaul_ports::AttemptKey;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// Number of lanes. Each lane handles its observations in order. Lanes run concurrently, so that their commits can
/// share one disk write.
const LANES: usize = 16;
/// Delay before the first retry of an observation that could not be committed; each further delay is twice as long.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Maximum delay between two retries of an observation.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Sending side of the inbox, for observations and ticks.
#[derive(Debug)]
pub(crate) struct InboxSender {
    entries: Vec<mpsc::UnboundedSender<(ProcessId, Input)>>,
}

/// Receiving side of the inbox.
pub(crate) struct InboxReceiver {
    exits: Vec<mpsc::UnboundedReceiver<(ProcessId, Input)>>,
}

impl InboxSender {
    pub(crate) fn new() -> (Self, InboxReceiver) {
        let (entries, exits) = (0..LANES).map(|_| mpsc::unbounded_channel()).unzip();
        (Self { entries }, InboxReceiver { exits })
    }

    /// Sends an observation of a process to the inbox.
    pub(crate) fn seen(&self, id: ProcessId, observation: Observation) {
        self.put(id, Input::Observation(observation));
    }

    /// Sends a tick for a process, because one of its deadlines has passed.
    pub(crate) fn tick(&self, id: ProcessId) {
        self.put(id, Input::Tick);
    }

    fn put(&self, id: ProcessId, input: Input) {
        let first = usize::from(id.as_uuid().as_bytes().first().copied().unwrap_or(0));
        if let Some(entry) = self.entries.get(first % LANES) {
            // Sending fails only if the engine has ended. Recovery then makes the observation again.
            let _ = entry.send((id, input));
        }
    }
}

impl InboxReceiver {
    /// Starts one task for each lane.
    pub(crate) fn work(self, core: &Arc<EngineShared>) -> Vec<JoinHandle<()>> {
        self.exits.into_iter().map(|exit| tokio::spawn(run(core.clone(), exit))).collect()
    }
}

/// Handles the observations of one lane. If a commit fails, it is retried in the background, so that it delays only
/// later observations of the same process.
async fn run(core: Arc<EngineShared>, mut exit: mpsc::UnboundedReceiver<(ProcessId, Input)>) {
    let mut owed = RetryQueue::default();
    loop {
        tokio::select! {
            biased;
            // A panic in this task ends the manager.
            Some(Ok(id)) = owed.trying.join_next() => owed.start_next(&core, id),
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

/// Inputs of one lane that were not committed at the first try.
#[derive(Default)]
struct RetryQueue {
    /// The retry tasks. Each process has one task, for its oldest input.
    trying: JoinSet<ProcessId>,
    /// The other inputs of each process, oldest first. They wait for the oldest input.
    behind: HashMap<ProcessId, VecDeque<PendingInput>>,
}

impl RetryQueue {
    fn put(&mut self, core: &Arc<EngineShared>, mut digestion: PendingInput) {
        // If the input ends an attempt, waiters get the end before the earlier inputs are committed.
        digestion.note(core);
        match self.behind.get_mut(&digestion.id) {
            Some(behind) => behind.push_back(digestion),
            None => {
                self.behind.insert(digestion.id, VecDeque::new());
                self.trying.spawn(digestion.finish(core.clone()));
            }
        }
    }

    /// Starts the next input of a process after the previous input was committed.
    fn start_next(&mut self, core: &Arc<EngineShared>, id: ProcessId) {
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

/// Commits one input and retries until the commit succeeds. An observation is never dropped.
pub(crate) async fn commit_with_retry(core: &Arc<EngineShared>, id: ProcessId, input: Input) {
    let mut digestion = PendingInput::of(id, input);
    if !digestion.is_done(core).await {
        digestion.finish(core.clone()).await;
    }
}

/// An input that is being committed.
struct PendingInput {
    id: ProcessId,
    input: Input,
    /// The attempt that this input ends; `None` if the input ends no attempt, or as soon as the output tail is stored.
    over: Option<AttemptKey>,
    /// Delay before the next try to commit the input.
    wait: Duration,
    /// Background task that shows the end of the attempt to waiters before the end is recorded. Dropping it aborts the
    /// task.
    noting: Option<JoinSet<()>>,
}

impl PendingInput {
    fn of(id: ProcessId, input: Input) -> Self {
        let over = last(&input).map(|attempt| AttemptKey { id, attempt });
        Self { id, input, over, wait: Duration::ZERO, noting: None }
    }

    /// Retries until the input is committed.
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

    /// Makes one try to commit the input. Returns true if no further try is needed.
    async fn is_done(&mut self, core: &Arc<EngineShared>) -> bool {
        let (id, input) = (self.id, &self.input);
        // Store the output tail before the end is visible: a program that reads the end may request the output when
        // this node is no longer reachable.
        if let Some(key) = self.over.take_if(|_| core.stores_tails())
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
                core.log_retry(Some(id), &error, "could not commit an observation; retrying");
                self.note(core);
                self.wait = self.wait.saturating_mul(2).clamp(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
                false
            }
        }
    }

    /// Shows an end that cannot be recorded now, and wakes the waiters. The end is shown only after the spawner has
    /// stored the exit durably, so that a crash cannot undo the end.
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
        core.notifier.changed(key.id);
    }
}

/// Stops the attempt of an observed start if its process has been assigned to another node or has ended. Returns true
/// if the attempt is stopped for this reason.
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

/// Returns the attempt that an observation ends, or `None` if the observation does not end an attempt.
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
        | Observation::OutputMatched { .. }
        | Observation::OutcomeRead { .. }
        | Observation::TestsCounted { .. }
        | Observation::TestsReported { .. }
        | Observation::ProgressObserved { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, lease, running};
    use longhaul_domain::{NodeId, Timestamp};
    use longhaul_ports::{Lease, StoredProcess};

    #[tokio::test(start_paused = true)]
    async fn start_that_came_too_late_is_stopped_in_a_shared_store() {
        let own = running(1, crate::fixtures::command());
        let there = Lease { node: NodeId::new("there").unwrap(), ..lease() };
        let elsewhere = StoredProcess { owner: Some(there), ..own.clone() };
        let spawned = |attempt| {
            let at = Timestamp(1);
            Input::Observation(Observation::Spawned { attempt, pid: None, containment: None, at })
        };
        let (first, second) = (own.process.attempt, own.process.attempt.next());
        let key = AttemptKey { id: own.process.id, attempt: first };
        for (leases, stored, attempt, late) in [
            (true, &own, first, false),
            (true, &own, second, true),
            (true, &elsewhere, first, true),
            (false, &elsewhere, first, false),
        ] {
            let fixture = Fixture::new(leases).await;
            let core = &fixture.engine.core;
            let answer = ActionOutcome { stored: stored.clone(), changed: false, note: None };
            assert_eq!(began_too_late(core, &answer, &spawned(attempt)), late);
            assert_eq!(core.copies.is_stopping(AttemptKey { attempt, ..key }), late);
            assert!(!began_too_late(core, &answer, &Input::Tick));
        }
    }
}
