//! Decisions on actions.

use super::{Decider, stopped};
use crate::effect::{Decision, Effect, NoOpReason};
use crate::ending::{Ending, Failure, Interruption, StopCause};
use crate::event::{Event, Fact};
use crate::id::Priority;
use crate::input::{Action, ActionKind};
use crate::json::JsonText;
use crate::outcome::ReportedOutcome;
use crate::progress::ProgressReport;
use crate::rejection::Rejection;
use crate::signal::{Signal, SignalTarget};
use crate::spec::{ChildrenPolicy, SessionPolicy, Work};
use crate::state::{Ended, OrphanStop, Pending, State, StopPhase};
use crate::time::AwakeTime;

impl Decider<'_> {
    pub(super) fn on_action(&self, command: &Action) -> Result<Decision, Rejection> {
        match command {
            Action::Progress(report) => self.progress(report),
            Action::ReportOutcome(report) => self.report_outcome(report),
            Action::Complete { result } => self.complete(result.as_ref()),
            Action::Fail { error } => self.fail(error),
            Action::Cancel { cause } => Ok(self.cancel(*cause)),
            Action::Force { cause } => Ok(self.force(*cause)),
            Action::Pause => self.pause(),
            Action::Resume => self.resume(),
            Action::Restart => self.restart(),
            Action::RetryNow => self.retry_now(),
            Action::Terminate { cause, force } => Ok(self.terminate(*cause, *force)),
            Action::Prioritize { priority } => self.prioritize(*priority),
            Action::Signal { signal, target } => self.signal(*signal, *target),
            Action::EndSession { policy } => Ok(self.end_session(*policy)),
        }
    }

    /// Accepts a report while the attempt is live. A report may arrive before the start of its attempt was observed.
    fn progress(&self, report: &ProgressReport) -> Result<Decision, Rejection> {
        match &self.process.state {
            State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. } => Ok(self.kept(report)),
            State::AwaitingChildren(_) => Err(self.over(ActionKind::Progress)),
            State::Pending(_) | State::Ended(_) => Err(self.forbidden(ActionKind::Progress)),
        }
    }

    /// Stores a progress report in the live stats. Only a new stage creates an event.
    pub(super) fn kept(&self, report: &ProgressReport) -> Decision {
        let mut step = Decision::nothing();
        if let Some(stage) = &report.stage
            && self.live_stats.stage.as_ref() != Some(stage)
        {
            step.events.push(self.event(Fact::StageChanged { stage: stage.clone() }));
        }
        step.effects.push(Effect::Keep { report: report.clone() });
        step
    }

    fn report_outcome(&self, report: &ReportedOutcome) -> Result<Decision, Rejection> {
        let kind = ActionKind::ReportOutcome;
        match &self.process.state {
            State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { .. } => {
                if self.process.reported.updated(report) == self.process.reported {
                    return Ok(Decision::noted(NoOpReason::NoChange));
                }
                let event = self.event(Fact::OutcomeReported(report.clone()));
                Ok(Decision { events: vec![event], ..Decision::nothing() })
            }
            State::AwaitingChildren(_) => Err(self.over(kind)),
            State::Pending(_) | State::Reported { .. } | State::CancelRequested { .. } | State::Ended(_) => {
                Err(self.forbidden(kind))
            }
        }
    }

    fn complete(&self, result: Option<&JsonText>) -> Result<Decision, Rejection> {
        self.only_reported(ActionKind::Complete)?;
        match &self.process.state {
            State::Reported { .. } | State::CancelRequested { .. } => {
                let mut live_stats = self.live_stats.clone();
                live_stats.progress = Some(crate::progress::Progress::DONE);
                let ending = Ending::Completed { exit: None, result: result.cloned() };
                Ok(self.ended_with(ending, live_stats))
            }
            State::AwaitingChildren(awaiting) => match &awaiting.ending {
                Ending::Completed { .. } => Ok(Decision::noted(NoOpReason::NoChange)),
                Ending::Failed { .. }
                | Ending::Timeout { .. }
                | Ending::Cancelled { .. }
                | Ending::Interrupted { .. } => Err(self.over(ActionKind::Complete)),
            },
            State::Ended(ended) => match &ended.ending {
                Ending::Completed { .. } => Ok(Decision::noted(NoOpReason::NoChange)),
                Ending::Failed { .. }
                | Ending::Timeout { .. }
                | Ending::Cancelled { .. }
                | Ending::Interrupted { .. } => Err(self.forbidden(ActionKind::Complete)),
            },
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { .. } => Err(self.forbidden(ActionKind::Complete)),
        }
    }

    /// If a cancel was requested before, the reported failure acknowledges the cancel.
    fn fail(&self, error: &str) -> Result<Decision, Rejection> {
        self.only_reported(ActionKind::Fail)?;
        match &self.process.state {
            State::Reported { .. } => {
                let failure = Failure::Reported { error: error.to_owned() };
                Ok(self.ended(Ending::Failed { failure }))
            }
            State::CancelRequested { cause, .. } => Ok(self.ended(stopped(*cause, None))),
            State::AwaitingChildren(awaiting) => match &awaiting.ending {
                Ending::Failed { .. } => Ok(Decision::noted(NoOpReason::NoChange)),
                Ending::Completed { .. }
                | Ending::Timeout { .. }
                | Ending::Cancelled { .. }
                | Ending::Interrupted { .. } => Err(self.over(ActionKind::Fail)),
            },
            State::Ended(ended) => match &ended.ending {
                Ending::Failed { .. } => Ok(Decision::noted(NoOpReason::NoChange)),
                Ending::Completed { .. }
                | Ending::Timeout { .. }
                | Ending::Cancelled { .. }
                | Ending::Interrupted { .. } => Err(self.forbidden(ActionKind::Fail)),
            },
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { .. } => Err(self.forbidden(ActionKind::Fail)),
        }
    }

    pub(super) fn cancel(&self, cause: StopCause) -> Decision {
        match &self.process.state {
            State::Pending(_) => self.ended(stopped(cause, None)),
            State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Reported { .. } => self.stop(cause),
            State::Stopping { cause: before, phase, .. } if self.outranks(cause, *before) => Decision {
                events: vec![self.cause_changed(cause, *phase)],
                effects: vec![self.stop_or_kill(*phase, cause)],
                note: None,
            },
            State::Stopping { .. } | State::CancelRequested { .. } => Decision::noted(NoOpReason::NoChange),
            State::AwaitingChildren(awaiting) => {
                Decision { events: vec![self.released(awaiting)], ..Decision::nothing() }
            }
            State::Ended(ended) => self.stop_rest(ended, cause, false),
        }
    }

    fn force(&self, cause: StopCause) -> Decision {
        let attempt = self.process.attempt;
        match &self.process.state {
            State::Pending(_) | State::Reported { .. } => self.ended(stopped(cause, None)),
            State::CancelRequested { cause, .. } => self.ended(stopped(*cause, None)),
            State::Starting { .. } | State::Running { .. } | State::Paused { .. } => {
                let began = Fact::StopRequested { cause, kill_at: self.ctx.awake, until: self.ctx.now };
                Decision {
                    events: vec![self.event(began), self.kill_began()],
                    effects: vec![Effect::Kill { attempt, cause }],
                    note: None,
                }
            }
            State::Stopping { cause: before, phase, .. } => {
                let mut step = Decision::nothing();
                let mut why = *before;
                if self.outranks(cause, why) {
                    step.events.push(self.cause_changed(cause, *phase));
                    why = cause;
                }
                match phase {
                    StopPhase::Requested { .. } => step.events.push(self.kill_began()),
                    StopPhase::Killing { .. } | StopPhase::Stuck => {}
                }
                step.effects.push(Effect::Kill { attempt, cause: why });
                step
            }
            State::AwaitingChildren(awaiting) => {
                Decision { events: vec![self.released(awaiting)], ..Decision::nothing() }
            }
            State::Ended(ended) => self.stop_rest(ended, cause, true),
        }
    }

    /// Handles the stop of an ended process, whose end is final. If its command may still be running as an orphan on a
    /// lost node, the orphan is stopped when that node returns.
    fn stop_rest(&self, ended: &Ended, cause: StopCause, force: bool) -> Decision {
        if !self.process.may_live_on() {
            return Decision::noted(NoOpReason::AlreadyEnded);
        }
        let attempt = self.process.attempt;
        match ended.orphan_stop {
            Some(OrphanStop { cause, force: before }) if before || !force => Decision {
                effects: vec![Effect::StopOrphan { attempt, cause, force: before }],
                note: Some(NoOpReason::NoChange),
                ..Decision::nothing()
            },
            Some(_) | None => Decision {
                events: vec![self.event(Fact::OrphanStopRequested { cause, force })],
                effects: vec![Effect::StopOrphan { attempt, cause, force }],
                note: Some(NoOpReason::OrphanStopRequested),
            },
        }
    }

    /// A paused process receives the signal when it is resumed. A stopping process may still handle it.
    fn signal(&self, signal: Signal, target: SignalTarget) -> Result<Decision, Rejection> {
        match &self.process.state {
            State::Running { .. } | State::Paused { .. } | State::Stopping { execution: Some(_), .. } => {
                if !self.ctx.capabilities.signals {
                    return Err(self.unsupported(ActionKind::Signal, "work on this spawner"));
                }
                Ok(Decision {
                    events: vec![self.event(Fact::SignalSent { signal, target })],
                    effects: vec![Effect::Signal { attempt: self.process.attempt, signal, target }],
                    note: None,
                })
            }
            State::AwaitingChildren(_) => Err(self.over(ActionKind::Signal)),
            State::Pending(_)
            | State::Starting { .. }
            | State::Stopping { execution: None, .. }
            | State::Reported { .. }
            | State::CancelRequested { .. }
            | State::Ended(_) => Err(self.not_haltable(ActionKind::Signal)),
        }
    }

    /// Ends the process and its descendants. The same commit records that no child may join any more. The cascade comes
    /// before the stop of the process itself, because descendants are stopped deepest first.
    pub(super) fn terminate(&self, cause: StopCause, force: bool) -> Decision {
        let mut step = match &self.process.state {
            // The process ends with its recorded ending as soon as its last descendant has ended.
            State::AwaitingChildren(_) => Decision::noted(NoOpReason::NoChange),
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::Ended(_) => {
                if force {
                    self.force(cause)
                } else {
                    self.cancel(cause)
                }
            }
        };
        let forced = self.process.cascade.map(|cascade| cascade.force);
        let under_way = forced.is_some_and(|forced| forced || !force);
        if !under_way {
            step.events.push(self.event(Fact::CascadeStarted { cause, force }));
            step.note = step.note.filter(|note| *note == NoOpReason::OrphanStopRequested);
        }
        step.effects.insert(0, Effect::Cascade { force: force || forced == Some(true) });
        step
    }

    fn prioritize(&self, priority: Priority) -> Result<Decision, Rejection> {
        match &self.process.state {
            State::Pending(_) if priority == self.process.priority => {
                Ok(Decision::noted(NoOpReason::NoChange))
            }
            State::Pending(_) => Ok(Decision {
                events: vec![self.event(Fact::Prioritized { priority })],
                ..Decision::nothing()
            }),
            State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Err(self.forbidden(ActionKind::Prioritize)),
        }
    }

    /// Ends the process with its descendants because its session has ended. The cascade skips descendants of another
    /// session.
    fn end_session(&self, policy: Option<SessionPolicy>) -> Decision {
        match &self.process.state {
            State::Ended(ended) => {
                // The own work of the process has ended, so a grace period has no effect.
                return match policy.unwrap_or(self.process.spec.on_session_end) {
                    SessionPolicy::Cancel => self.stop_rest(ended, StopCause::Session, false),
                    SessionPolicy::Keep | SessionPolicy::Grace(_) => {
                        Decision::noted(NoOpReason::AlreadyEnded)
                    }
                };
            }
            State::CancelRequested { .. } => return Decision::noted(NoOpReason::NoChange),
            State::Stopping { cause, .. } if !self.outranks(StopCause::Session, *cause) => {
                return Decision::noted(NoOpReason::NoChange);
            }
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::AwaitingChildren(_) => {}
        }
        match policy.unwrap_or(self.process.spec.on_session_end) {
            SessionPolicy::Keep if self.process.cancel_at.is_none() => {
                Decision::noted(NoOpReason::KeptByPolicy)
            }
            // A running grace period stays in force unless the caller requests the policy `keep` explicitly.
            SessionPolicy::Keep if policy.is_none() => Decision::noted(NoOpReason::NoChange),
            SessionPolicy::Keep => {
                Decision { events: vec![self.event(Fact::SessionKept)], ..Decision::nothing() }
            }
            SessionPolicy::Cancel => self.terminate(StopCause::Session, false),
            SessionPolicy::Grace(grace) => {
                let cancel_at = self.ctx.now.plus(grace);
                if self.process.cancel_at.is_some_and(|before| before <= cancel_at) {
                    return Decision::noted(NoOpReason::NoChange);
                }
                Decision { events: vec![self.event(Fact::SessionEnded { cancel_at })], ..Decision::nothing() }
            }
        }
    }

    /// Returns true if the new cause replaces the current one. Only a timeout is replaced: another attempt or a wait
    /// for descendants may follow a timeout, so a later request to end the process must take precedence.
    fn outranks(&self, cause: StopCause, before: StopCause) -> bool {
        let covers = |ending| self.process.spec.retry.covers(&ending, self.process.retries);
        let lost = Ending::Interrupted { why: Interruption::NodeGone };
        matches!(before, StopCause::Timeout)
            && !matches!(cause, StopCause::Timeout)
            && (matches!(
                self.process.spec.children_after(&Ending::Timeout { exit: None }),
                ChildrenPolicy::Wait
            ) || covers(Ending::Timeout { exit: None })
                || covers(lost))
    }

    /// Returns the event that changes the cause of a stop that is in progress. The grace period of the stop does not
    /// change.
    fn cause_changed(&self, cause: StopCause, phase: StopPhase) -> Event {
        self.event(Fact::StopRequested {
            cause,
            kill_at: match phase {
                StopPhase::Requested { kill_at } => kill_at,
                StopPhase::Killing { .. } | StopPhase::Stuck => self.ctx.awake,
            },
            until: self.ctx.now,
        })
    }

    fn pause(&self) -> Result<Decision, Rejection> {
        match &self.process.state {
            State::Running { timeout_at, .. } => {
                if !self.ctx.capabilities.pause {
                    return Err(self.unsupported(ActionKind::Pause, "work on this spawner"));
                }
                let timeout_left = timeout_at.map(|at| at.since(self.ctx.awake));
                Ok(Decision {
                    events: vec![self.event(Fact::Paused { timeout_left })],
                    effects: vec![Effect::Pause { attempt: self.process.attempt }],
                    note: None,
                })
            }
            State::Paused { .. } => Ok(Decision::noted(NoOpReason::NoChange)),
            State::AwaitingChildren(_) => Err(self.over(ActionKind::Pause)),
            State::Pending(_)
            | State::Starting { .. }
            | State::Reported { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::Ended(_) => Err(self.not_haltable(ActionKind::Pause)),
        }
    }

    fn resume(&self) -> Result<Decision, Rejection> {
        match &self.process.state {
            State::Paused { .. } => Ok(Decision {
                events: vec![self.event(Fact::Resumed { timeout_at: self.timeout_resumed() })],
                effects: vec![Effect::Resume { attempt: self.process.attempt }],
                note: None,
            }),
            State::Running { .. } => Ok(Decision::noted(NoOpReason::NoChange)),
            State::AwaitingChildren(_) => Err(self.over(ActionKind::Resume)),
            State::Pending(_)
            | State::Starting { .. }
            | State::Reported { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::Ended(_) => Err(self.not_haltable(ActionKind::Resume)),
        }
    }

    /// Returns the rejection of a pause, resume or signal. Reported work never supports these actions, so its rejection
    /// does not suggest a later try. For an ended process, the reason is the status.
    fn not_haltable(&self, verb: ActionKind) -> Rejection {
        match self.process.spec.work {
            Work::Reported(_) if !self.process.status().is_ended() => self.unsupported(verb, "reported work"),
            Work::Reported(_) | Work::Command(_) => self.forbidden(verb),
        }
    }

    /// Returns the time at which the timeout of a paused process expires if it is resumed now.
    pub(super) fn timeout_resumed(&self) -> Option<AwakeTime> {
        match &self.process.state {
            State::Paused { timeout_left, .. } => timeout_left.map(|left| self.ctx.awake.plus(left)),
            State::Running { timeout_at, .. } => *timeout_at,
            State::Pending(_)
            | State::Starting { .. }
            | State::Reported { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => None,
        }
    }

    fn restart(&self) -> Result<Decision, Rejection> {
        if matches!(self.process.spec.work, Work::Reported(_)) {
            return Err(self.unsupported(ActionKind::Restart, "reported work"));
        }
        if self.process.status().is_ended() {
            return Ok(Decision { effects: vec![Effect::Relaunch], ..Decision::nothing() });
        }
        Err(self.forbidden(ActionKind::Restart))
    }

    fn retry_now(&self) -> Result<Decision, Rejection> {
        match &self.process.state {
            State::Pending(Pending::Retrying { .. }) => {
                Ok(Decision { events: vec![self.event(Fact::BecameDue)], ..Decision::nothing() })
            }
            State::Pending(Pending::Queued | Pending::Delayed { .. })
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Err(self.forbidden(ActionKind::RetryNow)),
        }
    }

    fn over(&self, verb: ActionKind) -> Rejection {
        self.unsupported(verb, "a process whose own work has ended: it only waits for its children")
    }

    /// Rejects an action that only reported work supports, because the end of a command is observed.
    fn only_reported(&self, verb: ActionKind) -> Result<(), Rejection> {
        match self.process.spec.work {
            Work::Reported(_) => Ok(()),
            Work::Command(_) => {
                Err(self.unsupported(verb, "a command: its end is observed by its supervisor"))
            }
        }
    }
}
