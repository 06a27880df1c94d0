//! Lanes for what was seen: in order per process, side by side for different ones.

use crate::engine::{Answer, Core};
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, Awake, Deadline, Input, Observation, ProcessId};
use longhaul_ports::AttemptKey;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Side by side, so that their commits share one write to the disk.
const LANES: usize = 16;
/// The first wait before an observation that could not be committed is tried again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Where observations and ticks are put in.
#[derive(Debug)]
pub(crate) struct Lanes {
    entries: Vec<mpsc::UnboundedSender<(ProcessId, Input)>>,
}

/// Where they come out.
pub(crate) struct Inbox {
    exits: Vec<mpsc::UnboundedReceiver<(ProcessId, Input)>>,
}

/// Where those of one lane come out, and who came out while another waited.
struct Lane {
    exit: mpsc::UnboundedReceiver<(ProcessId, Input)>,
    behind: VecDeque<(ProcessId, Input)>,
}

impl Lanes {
    pub(crate) fn new() -> (Self, Inbox) {
        let (entries, exits) = (0..LANES).map(|_| mpsc::unbounded_channel()).unzip();
        (Self { entries }, Inbox { exits })
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

impl Inbox {
    /// One task a lane.
    pub(crate) fn work(self, core: &Arc<Core>) -> Vec<JoinHandle<()>> {
        self.exits.into_iter().map(|exit| tokio::spawn(run(core.clone(), exit))).collect()
    }
}

async fn run(core: Arc<Core>, exit: mpsc::UnboundedReceiver<(ProcessId, Input)>) {
    let mut lane = Lane { exit, behind: VecDeque::new() };
    while let Some((id, input)) = lane.next().await {
        digest_before(&core, id, &input, Some(&mut lane)).await;
    }
}

impl Lane {
    async fn next(&mut self) -> Option<(ProcessId, Input)> {
        match self.behind.pop_front() {
            Some(first) => Some(first),
            None => self.exit.recv().await,
        }
    }

    /// Waits, and tells meanwhile of the ends that come out.
    async fn wait(&mut self, core: &Core, until: Awake) {
        let mut pause = core.parts.clock.sleep_until(Deadline::Awake(until));
        loop {
            tokio::select! {
                () = &mut pause => return,
                Some((id, input)) = self.exit.recv() => {
                    tell_end(core, id, &input);
                    self.behind.push_back((id, input));
                }
            }
        }
    }
}

/// Whoever waits for an end need not wait for its record.
fn tell_end(core: &Core, id: ProcessId, input: &Input) {
    if let Input::Observation(seen) = input
        && last_of(seen).is_some()
        && core.unrecorded.note(id, seen)
    {
        core.hub.changed(id);
    }
}

/// Brings one input to its end. What was seen is never dropped: until it can be committed it is tried again.
pub(crate) async fn digest(core: &Arc<Core>, id: ProcessId, input: &Input) {
    digest_before(core, id, input, None).await;
}

/// The same before those of a lane.
async fn digest_before(core: &Arc<Core>, id: ProcessId, input: &Input, mut lane: Option<&mut Lane>) {
    let mut wait = FIRST_WAIT;
    let mut over = last(input).map(|attempt| AttemptKey { id, attempt });
    loop {
        // Before the end is told: whoever hears of it may find the node gone when it asks for the output.
        if let Some(key) = over.take_if(|_| core.keeps_tails())
            && !core.keep_tail(key).await
        {
            over = Some(key);
        }
        match core.turn(id, input, None).await {
            Ok(answer) if began_too_late(core, &answer, input) => return,
            Ok(_) | Err(EngineError::NotFound { .. } | EngineError::Rejected { .. }) => {
                if let Some(attempt) = last(input) {
                    core.unrecorded.recorded(id);
                    core.settled(id, attempt).await;
                }
                return;
            }
            Err(error) => {
                core.unanswered(Some(id), &error, "an observation waits until it can be committed");
                tell_end(core, id, input);
                let until: Awake = core.parts.clock.awake().plus(wait);
                match lane.as_deref_mut() {
                    Some(lane) => lane.wait(core, until).await,
                    None => core.parts.clock.sleep_until(Deadline::Awake(until)).await,
                }
                wait = wait.saturating_mul(2).min(LONGEST_WAIT);
            }
        }
    }
}

/// What begins after it was given to others, or after its end was told, is stopped at once.
fn began_too_late(core: &Arc<Core>, answer: &Answer, input: &Input) -> bool {
    let Input::Observation(Observation::Spawned { attempt, .. }) = input else { return false };
    let stored = &answer.stored;
    let is_mine = stored.owner.as_ref().is_some_and(|owner| owner.node == *core.here());
    if !core.parts.store.leases_end() || (is_mine && stored.process.attempt == *attempt) {
        return false;
    }
    core.end_copy(&stored.process, AttemptKey { id: stored.process.id, attempt: *attempt });
    true
}

const fn last(input: &Input) -> Option<AttemptNo> {
    match input {
        Input::Observation(observation) => last_of(observation),
        Input::Command(_) | Input::Tick => None,
    }
}

/// The attempt that an observation is the last of.
pub(crate) const fn last_of(observation: &Observation) -> Option<AttemptNo> {
    match observation {
        Observation::Exited { attempt, .. }
        | Observation::SpawnFailed { attempt, .. }
        | Observation::NeverRan { attempt }
        | Observation::SupervisorLost { attempt, .. } => Some(*attempt),
        Observation::Claimed { .. }
        | Observation::Orphaned
        | Observation::Wished(_)
        | Observation::Spawned { .. }
        | Observation::NodeLost { .. }
        | Observation::HeartbeatMissed { .. }
        | Observation::DescendantsEnded
        | Observation::PauseFailed { .. }
        | Observation::Noticed { .. }
        | Observation::OutputMatched { .. } => None,
    }
}
