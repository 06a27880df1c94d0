//! What follows from a command.

use super::{Decision, stopped};
use crate::effect::{Effect, Note, Step};
use crate::ending::{Ending, Failure, Interruption, StopCause};
use crate::event::{Event, Fact};
use crate::id::Priority;
use crate::input::{Command, Verb};
use crate::json::JsonText;
use crate::progress::Report;
use crate::rejection::Rejection;
use crate::signal::{Signal, SignalTarget};
use crate::spec::{ChildrenPolicy, SessionPolicy, Work};
use crate::state::{Ended, Pending, RestTold, State, Urgency};
use crate::time::Awake;

impl Decision<'_> {
    pub(super) fn asked(&self, command: &Command) -> Result<Step, Rejection> {
        match command {
            Command::Progress(report) => self.progress(report),
            Command::Complete { result } => self.complete(result.as_ref()),
            Command::Fail { error } => self.fail(error),
            Command::Cancel { cause } => Ok(self.cancel(*cause)),
            Command::Force { cause } => Ok(self.force(*cause)),
            Command::Pause => self.pause(),
            Command::Resume => self.resume(),
            Command::Restart => self.restart(),
            Command::RetryNow => self.retry_now(),
            Command::Terminate { cause, force } => Ok(self.terminate(*cause, *force)),
            Command::Prioritize { priority } => self.prioritize(*priority),
            Command::Signal { signal, target } => self.signal(*signal, *target),
            Command::EndSession { policy } => Ok(self.end_session(*policy)),
        }
    }

    /// A report is kept while anything of the attempt is alive: it may arrive before the start was noted.
    fn progress(&self, report: &Report) -> Result<Step, Rejection> {
        match &self.process.state {
            State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::Withdrawing { .. } => {
                let mut step = Step::nothing();
                if let Some(stage) = &report.stage
                    && self.vitals.stage.as_ref() != Some(stage)
                {
                    step.events.push(self.event(Fact::StageChanged { stage: stage.clone() }));
                }
                step.effects.push(Effect::Keep { report: report.clone() });
                Ok(step)
            }
            State::Lingering(_) => Err(self.over(Verb::Progress)),
            State::Pending(_) | State::Ended(_) => Err(self.forbidden(Verb::Progress)),
        }
    }

    fn complete(&self, result: Option<&JsonText>) -> Result<Step, Rejection> {
        self.only_reported(Verb::Complete)?;
        match &self.process.state {
            State::Reported { .. } | State::Withdrawing { .. } => {
                let mut vitals = self.vitals.clone();
                vitals.progress = Some(crate::progress::Progress::DONE);
                let ending = Ending::Completed { exit: None, result: result.cloned() };
                Ok(self.ended_with(ending, vitals))
            }
            State::Lingering(lingering) => match &lingering.ending {
                Ending::Completed { .. } => Ok(Step::noted(Note::AlreadySo)),
                Ending::Failed { .. }
                | Ending::Timeout { .. }
                | Ending::Cancelled { .. }
                | Ending::Interrupted { .. } => Err(self.over(Verb::Complete)),
            },
            State::Ended(ended) => match &ended.ending {
                Ending::Completed { .. } => Ok(Step::noted(Note::AlreadySo)),
                Ending::Failed { .. }
                | Ending::Timeout { .. }
                | Ending::Cancelled { .. }
                | Ending::Interrupted { .. } => Err(self.forbidden(Verb::Complete)),
            },
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { .. } => Err(self.forbidden(Verb::Complete)),
        }
    }

    /// A reporter that fails after it was asked to end has acknowledged the cancel.
    fn fail(&self, error: &str) -> Result<Step, Rejection> {
        self.only_reported(Verb::Fail)?;
        match &self.process.state {
            State::Reported { .. } => {
                let failure = Failure::Reported { error: error.to_owned() };
                Ok(self.ended(Ending::Failed { failure }))
            }
            State::Withdrawing { cause, .. } => Ok(self.ended(stopped(*cause, None))),
            State::Lingering(lingering) => match &lingering.ending {
                Ending::Failed { .. } => Ok(Step::noted(Note::AlreadySo)),
                Ending::Completed { .. }
                | Ending::Timeout { .. }
                | Ending::Cancelled { .. }
                | Ending::Interrupted { .. } => Err(self.over(Verb::Fail)),
            },
            State::Ended(ended) => match &ended.ending {
                Ending::Failed { .. } => Ok(Step::noted(Note::AlreadySo)),
                Ending::Completed { .. }
                | Ending::Timeout { .. }
                | Ending::Cancelled { .. }
                | Ending::Interrupted { .. } => Err(self.forbidden(Verb::Fail)),
            },
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { .. } => Err(self.forbidden(Verb::Fail)),
        }
    }

    pub(super) fn cancel(&self, cause: StopCause) -> Step {
        match &self.process.state {
            State::Pending(_) => self.ended(stopped(cause, None)),
            State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Reported { .. } => self.stop(cause),
            State::Stopping { cause: before, urgency, .. } if self.outranks(cause, *before) => Step {
                events: vec![self.cause_changed(cause, *urgency)],
                effects: vec![self.stop_or_kill(*urgency, cause)],
                note: None,
            },
            State::Stopping { .. } | State::Withdrawing { .. } => Step::noted(Note::AlreadySo),
            State::Lingering(lingering) => Step { events: vec![self.released(lingering)], ..Step::nothing() },
            State::Ended(ended) => self.stop_rest(ended, cause, false),
        }
    }

    fn force(&self, cause: StopCause) -> Step {
        let attempt = self.process.attempt;
        match &self.process.state {
            State::Pending(_) | State::Reported { .. } => self.ended(stopped(cause, None)),
            State::Withdrawing { cause, .. } => self.ended(stopped(*cause, None)),
            State::Starting { .. } | State::Running { .. } | State::Paused { .. } => {
                let began = Fact::StopBegan { cause, kill_at: self.ctx.awake, until: self.ctx.now };
                Step {
                    events: vec![self.event(began), self.kill_began()],
                    effects: vec![Effect::Kill { attempt, cause }],
                    note: None,
                }
            }
            State::Stopping { cause: before, urgency, .. } => {
                let mut step = Step::nothing();
                let mut why = *before;
                if self.outranks(cause, why) {
                    step.events.push(self.cause_changed(cause, *urgency));
                    why = cause;
                }
                match urgency {
                    Urgency::Asked { .. } => step.events.push(self.kill_began()),
                    Urgency::Killing { .. } | Urgency::Stuck => {}
                }
                step.effects.push(Effect::Kill { attempt, cause: why });
                step
            }
            State::Lingering(lingering) => Step { events: vec![self.released(lingering)], ..Step::nothing() },
            State::Ended(ended) => self.stop_rest(ended, cause, true),
        }
    }

    /// Ended is final; what may live on of it on a node that was lost and is back is stopped there.
    fn stop_rest(&self, ended: &Ended, cause: StopCause, force: bool) -> Step {
        if !self.process.may_live_on() {
            return Step::noted(Note::AlreadyEnded);
        }
        let attempt = self.process.attempt;
        match ended.rest {
            Some(RestTold { cause, force: before }) if before || !force => Step {
                effects: vec![Effect::StopRest { attempt, cause, force: before }],
                note: Some(Note::AlreadySo),
                ..Step::nothing()
            },
            Some(_) | None => Step {
                events: vec![self.event(Fact::RestTold { cause, force })],
                effects: vec![Effect::StopRest { attempt, cause, force }],
                note: Some(Note::RestTold),
            },
        }
    }

    /// What is halted gets it when it goes on, and what is told to end may still have something to say.
    fn signal(&self, signal: Signal, target: SignalTarget) -> Result<Step, Rejection> {
        match &self.process.state {
            State::Running { .. } | State::Paused { .. } | State::Stopping { execution: Some(_), .. } => {
                if !self.ctx.capabilities.signals {
                    return Err(self.unsupported(Verb::Signal, "work on this spawner"));
                }
                Ok(Step {
                    events: vec![self.event(Fact::Signalled { signal, target })],
                    effects: vec![Effect::Signal { attempt: self.process.attempt, signal, target }],
                    note: None,
                })
            }
            State::Lingering(_) => Err(self.over(Verb::Signal)),
            State::Pending(_)
            | State::Starting { .. }
            | State::Stopping { execution: None, .. }
            | State::Reported { .. }
            | State::Withdrawing { .. }
            | State::Ended(_) => Err(self.not_haltable(Verb::Signal)),
        }
    }

    /// The mark comes with the same commit, so that no child can join in between, and the descendants are told before
    /// the process itself: signals leave deepest first.
    pub(super) fn terminate(&self, cause: StopCause, force: bool) -> Step {
        let mut step = match &self.process.state {
            // It ends as it did when the last of them has ended.
            State::Lingering(_) => Step::noted(Note::AlreadySo),
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::Withdrawing { .. }
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
            step.events.push(self.event(Fact::CascadeBegan { cause, force }));
            step.note = step.note.filter(|note| *note == Note::RestTold);
        }
        step.effects.insert(0, Effect::Cascade { force: force || forced == Some(true) });
        step
    }

    fn prioritize(&self, priority: Priority) -> Result<Step, Rejection> {
        match &self.process.state {
            State::Pending(_) if priority == self.process.priority => Ok(Step::noted(Note::AlreadySo)),
            State::Pending(_) => {
                Ok(Step { events: vec![self.event(Fact::Prioritized { priority })], ..Step::nothing() })
            }
            State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::Withdrawing { .. }
            | State::Lingering(_)
            | State::Ended(_) => Err(self.forbidden(Verb::Prioritize)),
        }
    }

    /// Its descendants go with it, except those of another session: whoever performs the cascade leaves them alone.
    fn end_session(&self, policy: Option<SessionPolicy>) -> Step {
        match &self.process.state {
            State::Ended(ended) => {
                // Nothing is left that could wait for the end of a grace.
                return match policy.unwrap_or(self.process.spec.on_session_end) {
                    SessionPolicy::Cancel => self.stop_rest(ended, StopCause::Session, false),
                    SessionPolicy::Keep | SessionPolicy::Grace(_) => Step::noted(Note::AlreadyEnded),
                };
            }
            State::Withdrawing { .. } => return Step::noted(Note::AlreadySo),
            State::Stopping { cause, .. } if !self.outranks(StopCause::Session, *cause) => {
                return Step::noted(Note::AlreadySo);
            }
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::Lingering(_) => {}
        }
        match policy.unwrap_or(self.process.spec.on_session_end) {
            SessionPolicy::Keep if self.process.leave_by.is_none() => Step::noted(Note::GoesOn),
            // A grace that it was given before stands until somebody takes it back in so many words.
            SessionPolicy::Keep if policy.is_none() => Step::noted(Note::AlreadySo),
            SessionPolicy::Keep => Step { events: vec![self.event(Fact::SessionKept)], ..Step::nothing() },
            SessionPolicy::Cancel => self.terminate(StopCause::Session, false),
            SessionPolicy::Grace(grace) => {
                let leave_by = self.ctx.now.plus(grace);
                if self.process.leave_by.is_some_and(|before| before <= leave_by) {
                    return Step::noted(Note::AlreadySo);
                }
                Step { events: vec![self.event(Fact::SessionEnded { leave_by })], ..Step::nothing() }
            }
        }
    }

    /// A timeout that is followed by another attempt, or by a wait for the descendants, ends only the attempt: whoever
    /// asks for the end of the process meanwhile must not see it go on.
    fn outranks(&self, cause: StopCause, before: StopCause) -> bool {
        let covers = |ending| self.process.spec.retry.covers(&ending, self.process.retries);
        let lost = Ending::Interrupted { why: Interruption::NodeGone };
        matches!(before, StopCause::Timeout)
            && !matches!(cause, StopCause::Timeout)
            && (matches!(self.process.spec.children, ChildrenPolicy::Wait)
                || covers(Ending::Timeout { exit: None })
                || covers(lost))
    }

    /// A stop under way that goes on for another cause, with the grace that it has.
    fn cause_changed(&self, cause: StopCause, urgency: Urgency) -> Event {
        self.event(Fact::StopBegan {
            cause,
            kill_at: match urgency {
                Urgency::Asked { kill_at } => kill_at,
                Urgency::Killing { .. } | Urgency::Stuck => self.ctx.awake,
            },
            until: self.ctx.now,
        })
    }

    fn pause(&self) -> Result<Step, Rejection> {
        match &self.process.state {
            State::Running { timeout_at, .. } => {
                if !self.ctx.capabilities.pause {
                    return Err(self.unsupported(Verb::Pause, "work on this spawner"));
                }
                let timeout_left = timeout_at.map(|at| at.since(self.ctx.awake));
                Ok(Step {
                    events: vec![self.event(Fact::Paused { timeout_left })],
                    effects: vec![Effect::Pause { attempt: self.process.attempt }],
                    note: None,
                })
            }
            State::Paused { .. } => Ok(Step::noted(Note::AlreadySo)),
            State::Lingering(_) => Err(self.over(Verb::Pause)),
            State::Pending(_)
            | State::Starting { .. }
            | State::Reported { .. }
            | State::Stopping { .. }
            | State::Withdrawing { .. }
            | State::Ended(_) => Err(self.not_haltable(Verb::Pause)),
        }
    }

    fn resume(&self) -> Result<Step, Rejection> {
        match &self.process.state {
            State::Paused { .. } => Ok(Step {
                events: vec![self.event(Fact::Resumed { timeout_at: self.timeout_resumed() })],
                effects: vec![Effect::Resume { attempt: self.process.attempt }],
                note: None,
            }),
            State::Running { .. } => Ok(Step::noted(Note::AlreadySo)),
            State::Lingering(_) => Err(self.over(Verb::Resume)),
            State::Pending(_)
            | State::Starting { .. }
            | State::Reported { .. }
            | State::Stopping { .. }
            | State::Withdrawing { .. }
            | State::Ended(_) => Err(self.not_haltable(Verb::Resume)),
        }
    }

    /// Reported work can never be halted or signalled, so a later try is not worth hinting at; only its end is a better reason.
    fn not_haltable(&self, verb: Verb) -> Rejection {
        match self.process.spec.work {
            Work::Reported(_) if !self.process.status().is_ended() => self.unsupported(verb, "reported work"),
            Work::Reported(_) | Work::Command(_) => self.forbidden(verb),
        }
    }

    /// When the time of a paused process is over if it goes on now.
    pub(super) fn timeout_resumed(&self) -> Option<Awake> {
        match &self.process.state {
            State::Paused { timeout_left, .. } => timeout_left.map(|left| self.ctx.awake.plus(left)),
            State::Running { timeout_at, .. } => *timeout_at,
            State::Pending(_)
            | State::Starting { .. }
            | State::Reported { .. }
            | State::Stopping { .. }
            | State::Withdrawing { .. }
            | State::Lingering(_)
            | State::Ended(_) => None,
        }
    }

    fn restart(&self) -> Result<Step, Rejection> {
        if matches!(self.process.spec.work, Work::Reported(_)) {
            return Err(self.unsupported(Verb::Restart, "reported work"));
        }
        if self.process.status().is_ended() {
            return Ok(Step { effects: vec![Effect::Relaunch], ..Step::nothing() });
        }
        Err(self.forbidden(Verb::Restart))
    }

    fn retry_now(&self) -> Result<Step, Rejection> {
        match &self.process.state {
            State::Pending(Pending::Retrying { .. }) => {
                Ok(Step { events: vec![self.event(Fact::BecameDue)], ..Step::nothing() })
            }
            State::Pending(Pending::Queued | Pending::Delayed { .. })
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::Withdrawing { .. }
            | State::Lingering(_)
            | State::Ended(_) => Err(self.forbidden(Verb::RetryNow)),
        }
    }

    fn over(&self, verb: Verb) -> Rejection {
        self.unsupported(verb, "a process whose own work is over: it only waits for its children")
    }

    /// The end of a command is seen, not reported.
    fn only_reported(&self, verb: Verb) -> Result<(), Rejection> {
        match self.process.spec.work {
            Work::Reported(_) => Ok(()),
            Work::Command(_) => Err(self.unsupported(verb, "a command: its end is observed")),
        }
    }
}
