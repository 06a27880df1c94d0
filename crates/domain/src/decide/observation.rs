//! Decisions on observations. An observation that comes too late or belongs to another attempt changes nothing.

use super::{Decider, stopped};
use crate::condition::Condition;
use crate::effect::{Decision, Effect, NoOpReason};
use crate::ending::{Ending, Exit, ExitStatus, Failure, Interruption, StartFailure, StopCause};
use crate::event::{Event, Fact};
use crate::id::{AttemptNo, NodeId};
use crate::input::Observation;
use crate::process::MAX_NEVER_RAN;
use crate::spec::Work;
use crate::state::{Containment, Pending, State};
use crate::time::Timestamp;

mod output;

impl Decider<'_> {
    pub(super) fn on_observation(&self, observation: &Observation) -> Decision {
        match observation {
            Observation::Claimed { attempt, node } => self.claimed(*attempt, node),
            Observation::OwnerLost => self.orphaned(),
            Observation::NodeLost { why } => self.node_lost(why),
            // This input cannot occur, because the caller has already decided the requested action.
            Observation::ActionRequested(_) => Decision::noted(NoOpReason::Stale),
            Observation::Spawned { attempt, pid, containment, at } => {
                self.of(*attempt, || self.spawned(*pid, *containment, *at))
            }
            Observation::SpawnFailed { attempt, failure } => self.of(*attempt, || self.spawn_failed(failure)),
            Observation::NeverRan { attempt } => self.of(*attempt, || self.never_ran()),
            Observation::AlreadyRan { attempt, earlier, exit } => {
                self.of(*attempt, || self.already_ran(*earlier, exit.as_ref()))
            }
            Observation::Exited { attempt, exit } => self.exited(*attempt, exit),
            Observation::SupervisorLost { attempt, why } => self.of(*attempt, || self.node_lost(why)),
            Observation::HeartbeatMissed { last } => self.heartbeat_missed(*last),
            Observation::DescendantsEnded => self.descendants_ended(),
            Observation::PauseFailed { attempt } => self.of(*attempt, || self.pause_failed()),
            Observation::ConditionObserved { attempt, condition, holds, at } => {
                self.of(*attempt, || self.noticed(*condition, *holds, *at))
            }
            Observation::OutputMatched { attempt, pattern, offset, line, at } => self.of(*attempt, || {
                let (pattern, line) = (pattern.clone(), line.clone());
                self.output_matched(Fact::OutputMatched { pattern, offset: *offset, line }, *at)
            }),
            Observation::OutcomeRead { attempt, outcome, stage } => {
                self.of(*attempt, || self.outcome_read(outcome, stage.as_ref()))
            }
            Observation::TestsCounted { attempt, tally } => self.of(*attempt, || self.tests_counted(*tally)),
            Observation::TestsReported { attempt, report } => {
                self.of(*attempt, || self.tests_reported(report))
            }
            Observation::ProgressObserved { attempt, report, at } => {
                self.of(*attempt, || self.progress_observed(report, *at))
            }
        }
    }

    /// Ignores the observation unless it belongs to the current attempt.
    fn of(&self, attempt: AttemptNo, decide: impl FnOnce() -> Decision) -> Decision {
        if attempt == self.process.attempt { decide() } else { Decision::noted(NoOpReason::Stale) }
    }

    fn claimed(&self, attempt: AttemptNo, node: &NodeId) -> Decision {
        match &self.process.state {
            State::Pending(Pending::Queued) if attempt > self.process.attempt => Decision {
                events: vec![self.event(Fact::Claimed { attempt, node: node.clone() })],
                effects: match &self.process.spec.work {
                    Work::Command(_) => vec![Effect::Spawn { attempt }],
                    Work::Reported(_) => Vec::new(),
                },
                note: None,
            },
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    /// The stop was requested before the start was confirmed, so the attempt is stopped now.
    fn spawned(&self, pid: Option<u32>, containment: Option<Containment>, at: Timestamp) -> Decision {
        let timeout = match &self.process.spec.work {
            Work::Command(command) => command.timeout,
            Work::Reported(_) => None,
        };
        let timeout_at = timeout.map(|timeout| self.ctx.awake.plus(timeout));
        let spawned = Event { at, fact: Fact::Spawned { pid, containment, timeout_at } };
        match &self.process.state {
            State::Starting { .. } => Decision { events: vec![spawned], ..Decision::nothing() },
            State::Stopping { execution: None, cause, phase, .. } => Decision {
                events: vec![spawned],
                effects: vec![self.stop_or_kill(*phase, *cause)],
                note: None,
            },
            State::Pending(_)
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    fn spawn_failed(&self, failure: &StartFailure) -> Decision {
        match &self.process.state {
            State::Starting { .. } => self.ended(Ending::Failed { failure: Failure::Start(failure.clone()) }),
            State::Stopping { execution: None, cause, .. } => self.ended(stopped(*cause, None)),
            State::Running { .. } | State::Paused { .. } | State::Stopping { .. } => self.record_lost(),
            State::Pending(_)
            | State::Reported { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    fn never_ran(&self) -> Decision {
        match &self.process.state {
            State::Starting { .. } => {
                let times = self.process.never_ran.saturating_add(1);
                if times >= MAX_NEVER_RAN {
                    return self.ended(Ending::Failed { failure: Failure::NeverRan { times } });
                }
                Decision { events: vec![self.event(Fact::NeverRan)], ..Decision::nothing() }
            }
            State::Stopping { execution: None, cause, .. } => self.ended(stopped(*cause, None)),
            State::Running { .. } | State::Paused { .. } | State::Stopping { .. } => self.record_lost(),
            State::Pending(_)
            | State::Reported { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    /// Interrupts the process, because an earlier attempt has run whose record the store has lost. If the exit of that
    /// attempt is known, it is added as a late exit.
    fn already_ran(&self, earlier: AttemptNo, exit: Option<&Exit>) -> Decision {
        match &self.process.state {
            State::Starting { .. } | State::Stopping { execution: None, .. } => {
                let found = format!("attempt {earlier} ran, but the store lost its record");
                let why = Interruption::RecordLost { found };
                let mut step = self.ended(Ending::Interrupted { why });
                let late = exit.map(|exit| Fact::LateExit { attempt: earlier, exit: exit.clone() });
                step.events.extend(late.map(|late| self.event(late)));
                step
            }
            State::Running { .. } | State::Paused { .. } | State::Stopping { .. } => self.record_lost(),
            State::Pending(_)
            | State::Reported { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    /// Interrupts the process: its attempt ran, but the spawner has lost its own record of the attempt.
    fn record_lost(&self) -> Decision {
        let found = "the attempt ran, but its files are missing on its node".to_owned();
        self.node_lost(&Interruption::RecordLost { found })
    }

    fn exited(&self, attempt: AttemptNo, exit: &Exit) -> Decision {
        if let State::Ended(ended) = &self.process.state {
            let news = attempt == self.process.attempt
                && matches!(self.process.spec.work, Work::Command(_))
                && ended.late.is_none()
                && matches!(ended.ending, Ending::Interrupted { .. });
            if !news {
                return Decision::noted(NoOpReason::Stale);
            }
            let fact = Fact::LateExit { attempt, exit: exit.clone() };
            return Decision { events: vec![self.event(fact)], ..Decision::nothing() };
        }
        if let Some(cause) = exit.stopped
            && ends_the_process(cause)
            && self.is_past(attempt)
        {
            // A stop had ended this attempt, but the node was lost before the stop or the end was recorded. The process
            // would have been retried.
            return self.cancel(cause);
        }
        let began = self.unreported_start(exit);
        let mut step = self.of(attempt, || self.exited_now(exit));
        if !step.events.is_empty() {
            step.events.splice(..0, began);
        }
        step
    }

    /// Returns true if an attempt after `attempt` has started or is scheduled.
    const fn is_past(&self, attempt: AttemptNo) -> bool {
        let present = self.process.attempt.0;
        attempt.0 < present
            || (attempt.0 == present && present > 0 && matches!(self.process.state, State::Pending(_)))
    }

    /// Returns the start event of an attempt whose exit was observed before its start.
    fn unreported_start(&self, exit: &Exit) -> Option<Event> {
        let claimed = match &self.process.state {
            State::Starting { since } => *since,
            State::Stopping { execution: None, .. } => self.process.queued_at,
            State::Pending(_)
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => return None,
        };
        let at = exit.started_at?.min(exit.at).min(self.ctx.now).max(claimed);
        Some(Event { at, fact: Fact::Spawned { pid: None, containment: None, timeout_at: None } })
    }

    fn exited_now(&self, exit: &Exit) -> Decision {
        match &self.process.state {
            State::Starting { .. } | State::Running { .. } | State::Paused { .. } => {
                self.attempt_ended(ending_of(exit, exit.stopped))
            }
            State::Stopping { cause, since, .. } => {
                // The manager may decide to stop a command that has already exited: while the leftovers are cleaned up or
                // the results are collected, or because the manager was suspended. The stop did not end such a command.
                let by_itself = exit.stopped.is_none() && exit.at < *since;
                match cause {
                    StopCause::Timeout if by_itself => self.attempt_ended(ending_of(exit, None)),
                    StopCause::Timeout => {
                        self.attempt_ended(ending_of(exit, Some(exit.stopped.unwrap_or(*cause))))
                    }
                    StopCause::User
                    | StopCause::Parent
                    | StopCause::Session
                    | StopCause::Shutdown
                    | StopCause::Limit => self.ended(ending_of(exit, (!by_itself).then_some(*cause))),
                }
            }
            State::Pending(_)
            | State::Reported { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    /// Decides the loss of the node. The event about the loss precedes the events that follow from the loss.
    fn orphaned(&self) -> Decision {
        let mut step = self.node_lost(&Interruption::NodeGone);
        if !step.events.is_empty()
            && let Some(node) = &self.process.node
        {
            step.events.insert(0, self.event(Fact::NodeLost { node: node.clone() }));
        }
        step
    }

    /// Decides what follows when the owner, its machine or the shim is lost, so that the end of the attempt was not
    /// observed.
    fn node_lost(&self, why: &Interruption) -> Decision {
        let interrupted = Ending::Interrupted { why: why.clone() };
        match &self.process.state {
            State::Starting { .. } | State::Running { .. } | State::Paused { .. } => {
                self.attempt_ended(interrupted)
            }
            State::Stopping { cause, .. } => match cause {
                StopCause::Timeout => self.attempt_ended(interrupted),
                StopCause::User
                | StopCause::Parent
                | StopCause::Session
                | StopCause::Shutdown
                | StopCause::Limit => self.ended(interrupted),
            },
            State::Pending(_)
            | State::Reported { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    fn heartbeat_missed(&self, last: Timestamp) -> Decision {
        match &self.process.state {
            State::Reported { .. } | State::CancelRequested { .. } => {
                self.ended(Ending::Interrupted { why: Interruption::HeartbeatMissed { last } })
            }
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    fn descendants_ended(&self) -> Decision {
        let mut step = Decision::nothing();
        if self.process.cascade.is_some() {
            step.events.push(self.event(Fact::CascadeEnded));
        }
        if let State::AwaitingChildren(awaiting) = &self.process.state {
            step.events.push(self.released(awaiting));
        }
        if step.events.is_empty() { Decision::noted(NoOpReason::Stale) } else { step }
    }

    /// Records that a condition started or ended. Conditions describe work in progress, so they are ignored while the
    /// process is paused or stopping.
    fn noticed(&self, condition: Condition, holds: bool, at: Timestamp) -> Decision {
        if !self.can_be(condition) || self.is_cleaning_up() {
            return Decision::noted(NoOpReason::Stale);
        }
        let is_final = matches!(condition, Condition::Ready) && !holds;
        if is_final || self.process.conditions.holds(condition) == holds {
            return Decision::noted(NoOpReason::NoChange);
        }
        let at = self.moment_seen(at);
        let fact =
            if holds { Fact::ConditionStarted { condition } } else { Fact::ConditionEnded { condition } };
        Decision { events: vec![Event { at, fact }], ..Decision::nothing() }
    }

    /// Returns the time to record for an observation of a running attempt, which may be reported later: not in the
    /// future and not before the start.
    fn moment_seen(&self, at: Timestamp) -> Timestamp {
        let began = self.process.started_at.unwrap_or(self.process.queued_at);
        at.min(self.ctx.now).max(began)
    }

    /// Returns true if the command has exited and its leftovers are being stopped. During that time, no condition
    /// starts.
    const fn is_cleaning_up(&self) -> bool {
        self.process.conditions.holds(Condition::CleaningUp)
    }

    fn can_be(&self, condition: Condition) -> bool {
        match &self.process.state {
            State::Running { .. } => match condition {
                Condition::Ready => {
                    self.process.spec.command().is_some_and(|command| command.ready_when.is_some())
                }
                Condition::Idle
                | Condition::Stalled
                | Condition::WaitingForInput
                | Condition::CleaningUp
                | Condition::SupervisorStopped => true,
            },
            State::Paused { .. } => matches!(condition, Condition::CleaningUp | Condition::SupervisorStopped),
            State::Reported { .. } => match condition {
                Condition::Idle | Condition::Stalled => true,
                Condition::Ready
                | Condition::WaitingForInput
                | Condition::CleaningUp
                | Condition::SupervisorStopped => false,
            },
            State::Pending(_)
            | State::Starting { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => false,
        }
    }

    /// Records matching output, even of a paused or stopping command.
    fn output_matched(&self, fact: Fact, at: Timestamp) -> Decision {
        match &self.process.state {
            State::Running { .. } | State::Paused { .. } | State::Stopping { execution: Some(_), .. } => {
                Decision { events: vec![Event { at: self.moment_seen(at), fact }], ..Decision::nothing() }
            }
            State::Pending(_)
            | State::Starting { .. }
            | State::Reported { .. }
            | State::Stopping { execution: None, .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }

    fn pause_failed(&self) -> Decision {
        match &self.process.state {
            // A repeated request to pause may have succeeded. Resume the process, because no other code would resume
            // it.
            State::Paused { .. } => Decision {
                events: vec![self.event(Fact::Resumed { timeout_at: self.timeout_resumed() })],
                effects: vec![Effect::Resume { attempt: self.process.attempt }],
                note: None,
            },
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::noted(NoOpReason::Stale),
        }
    }
}

/// Returns true if the process ends with an attempt that was stopped for this cause.
const fn ends_the_process(cause: StopCause) -> bool {
    match cause {
        StopCause::User | StopCause::Parent | StopCause::Session => true,
        // A timeout, a shutdown of the manager and the loss of a node concern the attempt, not the process.
        StopCause::Timeout | StopCause::Shutdown | StopCause::Limit => false,
    }
}

/// Returns the ending that follows from an exit. The stop that caused the exit determines it; without a stop, the exit
/// code does.
fn ending_of(exit: &Exit, cause: Option<StopCause>) -> Ending {
    match (cause, exit.status) {
        (Some(cause), _) => stopped(cause, Some(exit.clone())),
        (None, ExitStatus::Code(0)) => Ending::Completed { exit: Some(exit.clone()), result: None },
        (None, ExitStatus::Code(_) | ExitStatus::Signal { .. }) => {
            Ending::Failed { failure: Failure::Exit(exit.clone()) }
        }
    }
}
