//! Waits: parked until something is true of processes.

use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::{Condition, Deadline, Process, ProcessId, Revision, Status};
use longhaul_ports::StoredProcess;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// What to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// It has ended.
    #[default]
    Ended,
    /// It has ended, and so has every descendant that has to end with it.
    TreeEnded,
    /// It runs, or has ended.
    Running,
    /// It is ready, or has ended. Only for commands that were launched with a way to find that out.
    Ready,
}

/// Of how many processes it has to be true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitMode {
    /// Of all.
    #[default]
    All,
    /// Of one.
    Any,
}

/// What a wait came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitOutcome {
    /// The processes, in the order in which they were named.
    pub processes: Vec<StoredProcess>,
    /// True if the time was over first.
    pub timed_out: bool,
}

impl Engine {
    /// Parks until the goal is reached, or the patience is over. It costs nothing meanwhile; dropping it ends it.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id; [`EngineError::Invalid`] for one that never tells that it is ready.
    pub async fn wait(
        &self,
        ids: &[ProcessId],
        goal: WaitCondition,
        mode: WaitMode,
        patience: Option<Duration>,
    ) -> Result<WaitOutcome, EngineError> {
        let core = &self.core;
        let deadline = patience.map(|patience| core.parts.clock.awake().plus(patience));
        let ear = core.hub.subscribe(ids);
        let (mut known, mut reached) = (HashMap::with_capacity(ids.len()), HashSet::new());
        let mut changed: BTreeSet<ProcessId> = ids.iter().copied().collect();
        let waited = |known: HashMap<ProcessId, StoredProcess>, timed_out| {
            let processes = ids.iter().filter_map(|id| known.get(id).cloned()).collect();
            WaitOutcome { processes, timed_out }
        };
        loop {
            let changed_ids: Vec<ProcessId> = changed.into_iter().collect();
            for stored in core.load_or_recall_all(&changed_ids).await? {
                goal.check(&stored)?;
                let id = stored.process.id;
                if goal.is_reached(&stored.process) {
                    reached.insert(id)
                } else {
                    reached.remove(&id)
                };
                known.insert(id, stored);
            }
            let enough = match mode {
                WaitMode::All => reached.len() == known.len(),
                WaitMode::Any => known.is_empty() || !reached.is_empty(),
            };
            if enough {
                return Ok(waited(known, false));
            }
            changed = match deadline {
                None => ear.next().await,
                Some(deadline) => {
                    if deadline <= core.parts.clock.awake() {
                        return Ok(waited(known, true));
                    }
                    tokio::select! {
                        changed = ear.next() => changed,
                        () = core.parts.clock.sleep_until(Deadline::Awake(deadline)) => BTreeSet::new(),
                    }
                }
            };
            // A process that has ended and reached the goal needs no further look: an end is final.
            changed.retain(|id| {
                let has_ended = known.get(id).is_some_and(|stored| stored.process.status().is_ended());
                !(has_ended && reached.contains(id))
            });
        }
    }
}

impl Engine {
    /// Parks until a process is past a revision, and gives it as it is then; none if the patience is over first.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id; [`EngineError::Store`] if the store cannot be read.
    pub async fn moved_on(
        &self,
        id: ProcessId,
        from: Revision,
        patience: Duration,
    ) -> Result<Option<StoredProcess>, EngineError> {
        let core = &self.core;
        let deadline = core.parts.clock.awake().plus(patience);
        let ear = core.hub.subscribe(&[id]);
        loop {
            let stored = core.load(id).await?;
            if stored.revision > from {
                return Ok(Some(stored));
            }
            if deadline <= core.parts.clock.awake() {
                return Ok(None);
            }
            tokio::select! {
                () = ear.changed() => {}
                () = core.parts.clock.sleep_until(Deadline::Awake(deadline)) => {}
            }
        }
    }
}

impl WaitCondition {
    fn is_reached(self, process: &Process) -> bool {
        let status = process.status();
        match self {
            Self::Ended => status.is_ended(),
            Self::TreeEnded => status.is_ended() && process.cascade.is_none(),
            Self::Running => {
                matches!(status, Status::Running | Status::Paused | Status::Stopping) || status.is_ended()
            }
            Self::Ready => process.conditions.holds(Condition::Ready) || status.is_ended(),
        }
    }

    /// Nobody waits for what never comes.
    fn check(self, stored: &StoredProcess) -> Result<(), EngineError> {
        let process = &stored.process;
        let tells = process.spec.command().is_some_and(|command| command.ready_when.is_some());
        match self {
            Self::Ended | Self::TreeEnded | Self::Running => Ok(()),
            Self::Ready if tells || process.status().is_ended() => Ok(()),
            Self::Ready => Err(EngineError::Invalid {
                what: "goal",
                why: format!("process {} was not launched to tell when it is ready", process.id),
                help: Some("launch it with `ready_when`, or wait for it to run".to_owned()),
            }),
        }
    }
}
