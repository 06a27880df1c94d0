//! Waits until processes reach a condition, such as their end.

use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::{Condition, Deadline, Process, ProcessId, Revision, Status};
use longhaul_ports::StoredProcess;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// The condition to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// The process has ended.
    #[default]
    Ended,
    /// The process and every descendant that its cascade cancels have ended.
    TreeEnded,
    /// The process is running, or has ended.
    Running,
    /// The process is ready, or has ended. Allowed only for commands with a readiness condition.
    Ready,
}

/// How many of the processes must reach the condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitMode {
    /// All processes.
    #[default]
    All,
    /// At least one process must reach the condition.
    Any,
}

/// Result of waiting for processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitOutcome {
    /// The processes, in the order of the given ids.
    pub processes: Vec<StoredProcess>,
    /// True if the time limit passed before the condition was reached.
    pub timed_out: bool,
}

impl Engine {
    /// Waits until the condition is reached or `total_grace` has passed. The call is cancel safe.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id; [`EngineError::Invalid`] for [`WaitCondition::Ready`] on a process
    /// without a readiness condition.
    pub async fn wait(
        &self,
        ids: &[ProcessId],
        goal: WaitCondition,
        mode: WaitMode,
        time_limit: Option<Duration>,
    ) -> Result<WaitOutcome, EngineError> {
        let core = &self.core;
        let deadline = time_limit.map(|time_limit| core.parts.clock.awake().plus(time_limit));
        let ear = core.notifier.subscribe(ids);
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
            // A process that has ended and reached the condition cannot change, so it is not loaded again.
            changed.retain(|id| {
                let has_ended = known.get(id).is_some_and(|stored| stored.process.status().is_ended());
                !(has_ended && reached.contains(id))
            });
        }
    }
}

impl Engine {
    /// Waits until a process has a later revision, and returns its record. Returns `None` if `total_grace` passes
    /// before that.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id; [`EngineError::Store`] if the store cannot be read.
    pub async fn wait_for_revision(
        &self,
        id: ProcessId,
        from: Revision,
        time_limit: Duration,
    ) -> Result<Option<StoredProcess>, EngineError> {
        let core = &self.core;
        let deadline = core.parts.clock.awake().plus(time_limit);
        let ear = core.notifier.subscribe(&[id]);
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

    /// Rejects a wait for readiness of a process that has no readiness condition.
    fn check(self, stored: &StoredProcess) -> Result<(), EngineError> {
        let process = &stored.process;
        let tells = process.spec.command().is_some_and(|command| command.ready_when.is_some());
        match self {
            Self::Ended | Self::TreeEnded | Self::Running => Ok(()),
            Self::Ready if tells || process.status().is_ended() => Ok(()),
            Self::Ready => Err(EngineError::Invalid {
                what: "goal",
                why: format!("process {} was launched without a readiness check", process.id),
                help: Some("launch the process with `ready_when`, or wait until it runs".to_owned()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, context, waiting};
    use longhaul_domain::{Action, Cascade, Input, StopCause};

    #[test]
    fn tree_has_ended_when_its_top_has_and_no_descendant_is_awaited() {
        let mut process = waiting(1, command()).process;
        assert!(!WaitCondition::TreeEnded.is_reached(&process));
        let cancel = Input::Action(Action::Cancel { cause: StopCause::User });
        let step = process.decide(&context(), &Default::default(), &cancel).unwrap();
        process.evolve(&step.events);
        assert!(WaitCondition::Ended.is_reached(&process) && WaitCondition::TreeEnded.is_reached(&process));
        process.cascade = Some(Cascade { force: false, cause: StopCause::User });
        assert!(WaitCondition::Ended.is_reached(&process) && !WaitCondition::TreeEnded.is_reached(&process));
    }
}
