//! Decides what follows from an input: the whole lifecycle as one pure function.
//!
//! `decide` reads a process and changes nothing; [`Process::evolve`] applies the result. An action that the status does
//! not allow is rejected. An observation that comes too late changes nothing; the decision contains the reason.

use crate::condition::Condition;
use crate::effect::{Decision, Effect};
use crate::ending::{Ending, StopCause};
use crate::event::{Event, Fact};
use crate::input::{ActionKind, DecisionContext, Input, Observation};
use crate::process::Process;
use crate::progress::LiveStats;
use crate::rejection::Rejection;
use crate::spec::{ChildrenPolicy, Work};
use crate::state::{AwaitingChildren, Pending, State, StopPhase};
use crate::time::Timestamp;

mod action;
mod observation;

/// Input of a decision: the process, its live stats and the context.
pub(crate) struct Decider<'a> {
    process: &'a Process,
    ctx: &'a DecisionContext,
    live_stats: &'a LiveStats,
}

impl Process {
    /// Decides one input. Returns the events that follow and the effects that they require.
    ///
    /// `live_stats` are the latest known live stats. If the process ends, they are stored with its ending.
    ///
    /// # Errors
    /// Returns a [`Rejection`] if an action is not allowed; nothing changes in this case.
    pub fn decide(
        &self,
        ctx: &DecisionContext,
        live_stats: &LiveStats,
        input: &Input,
    ) -> Result<Decision, Rejection> {
        let decision = Decider { process: self, ctx, live_stats };
        match input {
            Input::Action(command) => decision.on_action(command),
            Input::Observation(Observation::ActionRequested(action)) => decision.on_action(&action.command()),
            Input::Observation(observation) => Ok(decision.on_observation(observation)),
            Input::Tick => Ok(decision.tick()),
        }
    }
}

impl Decider<'_> {
    fn event(&self, fact: Fact) -> Event {
        Event { at: self.ctx.now, fact }
    }

    /// Returns the time at which the work ended: the time of the exit, which may be reported much later, or the current
    /// time if there is no exit.
    fn moment_of(&self, ending: &Ending) -> Timestamp {
        let now = self.ctx.now;
        let began = self.process.started_at.unwrap_or(self.process.queued_at);
        ending.exit().map_or(now, |exit| exit.at.min(now).max(began))
    }

    fn ended(&self, ending: Ending) -> Decision {
        self.ended_with(ending, self.live_stats.clone())
    }

    /// Returns the decision that ends the process, and applies the policy for its descendants. If the process was
    /// stopped with its descendants, that cascade has already started and is not decided again.
    fn ended_with(&self, ending: Ending, live_stats: LiveStats) -> Decision {
        let at = self.moment_of(&ending);
        let by_itself = !self.stop_requested() && !matches!(ending, Ending::Cancelled { .. });
        let observation = !matches!(ending, Ending::Interrupted { .. });
        match self.process.spec.children_after(&ending) {
            ChildrenPolicy::Cancel if by_itself && self.process.cascade.is_none() => Decision {
                events: vec![
                    Event { at, fact: Fact::Ended { ending, live_stats } },
                    self.event(Fact::CascadeStarted { cause: StopCause::Parent, force: false }),
                ],
                effects: vec![Effect::Cascade { force: false }],
                note: None,
            },
            ChildrenPolicy::Wait if by_itself && observation => Decision {
                events: vec![Event { at, fact: Fact::AwaitingChildren { ending, live_stats } }],
                effects: vec![Effect::AwaitDescendants],
                note: None,
            },
            ChildrenPolicy::Keep | ChildrenPolicy::Cancel | ChildrenPolicy::Wait => Decision {
                events: vec![Event { at, fact: Fact::Ended { ending, live_stats } }],
                ..Decision::nothing()
            },
        }
    }

    fn stop_requested(&self) -> bool {
        match &self.process.state {
            State::CancelRequested { .. } => true,
            State::Stopping { cause, .. } => !matches!(cause, StopCause::Timeout),
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => false,
        }
    }

    /// Returns the event that ends a process whose own work ended earlier.
    fn released(&self, awaiting: &AwaitingChildren) -> Event {
        self.event(Fact::Ended { ending: awaiting.ending.clone(), live_stats: awaiting.live_stats.clone() })
    }

    /// Returns the decision after an attempt has ended: a retry if the policy allows one, and the end of the process if
    /// not.
    fn attempt_ended(&self, ending: Ending) -> Decision {
        let retry = &self.process.spec.retry;
        if retry.covers(&ending, self.process.retries) {
            let due = self.ctx.now.plus(retry.wait(self.process.retries, self.ctx.chance));
            let fact = Fact::RetryScheduled { due, after: ending };
            return Decision { events: vec![self.event(fact)], ..Decision::nothing() };
        }
        self.ended(ending)
    }

    fn stop(&self, cause: StopCause) -> Decision {
        let (kill_at, until) = match &self.process.spec.work {
            Work::Command(command) => (self.ctx.awake.plus(command.stop.total_grace()), self.ctx.now),
            Work::Reported(reported) => (self.ctx.awake, self.ctx.now.plus(reported.grace)),
        };
        let mut step = Decision {
            events: vec![self.event(Fact::StopRequested { cause, kill_at, until })],
            ..Decision::nothing()
        };
        if matches!(self.process.spec.work, Work::Command(_)) {
            step.effects.push(Effect::Stop { attempt: self.process.attempt, cause });
        }
        step
    }

    const fn stop_or_kill(&self, phase: StopPhase, cause: StopCause) -> Effect {
        let attempt = self.process.attempt;
        match phase {
            StopPhase::Requested { .. } => Effect::Stop { attempt, cause },
            StopPhase::Killing { .. } | StopPhase::Stuck => Effect::Kill { attempt, cause },
        }
    }

    fn kill_began(&self) -> Event {
        self.event(Fact::KillStarted { stuck_at: self.ctx.awake.plus(STUCK_AFTER) })
    }

    fn tick(&self) -> Decision {
        let attempt = self.process.attempt;
        if self.process.session_deadline().is_some_and(|cancel_at| cancel_at <= self.ctx.now) {
            return self.terminate(StopCause::Session, false);
        }
        match &self.process.state {
            State::Pending(Pending::Delayed { until: at } | Pending::Retrying { at, .. })
                if *at <= self.ctx.now =>
            {
                Decision { events: vec![self.event(Fact::BecameDue)], ..Decision::nothing() }
            }
            State::Running { timeout_at: Some(at), .. }
                if *at <= self.ctx.awake && !self.process.conditions.holds(Condition::CleaningUp) =>
            {
                self.stop(StopCause::Timeout)
            }
            State::Stopping { cause, phase: StopPhase::Requested { kill_at }, .. }
                if *kill_at <= self.ctx.awake =>
            {
                Decision {
                    events: vec![self.kill_began()],
                    effects: vec![Effect::Kill { attempt, cause: *cause }],
                    note: None,
                }
            }
            State::Stopping { phase: StopPhase::Killing { stuck_at }, .. } if *stuck_at <= self.ctx.awake => {
                Decision { events: vec![self.event(Fact::BecameStuck)], ..Decision::nothing() }
            }
            State::CancelRequested { cause, until, .. } if *until <= self.ctx.now => {
                self.ended(Ending::Cancelled { by: *cause, exit: None })
            }
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => Decision::nothing(),
        }
    }

    fn forbidden(&self, attempted: ActionKind) -> Rejection {
        let reported = matches!(self.process.spec.work, Work::Reported(_));
        Rejection::InvalidStatusTransition { from: self.process.status(), attempted, reported }
    }

    fn unsupported(&self, attempted: ActionKind, what: &'static str) -> Rejection {
        Rejection::Unsupported { status: self.process.status(), attempted, what }
    }
}

/// Time after SIGKILL at which the stop counts as stuck if the process tree is not empty.
const STUCK_AFTER: std::time::Duration = std::time::Duration::from_secs(2);

/// Returns the ending of a process that was stopped for this cause. A timeout has its own ending.
const fn stopped(cause: StopCause, exit: Option<crate::ending::Exit>) -> Ending {
    match cause {
        StopCause::Timeout => Ending::Timeout { exit },
        StopCause::User | StopCause::Parent | StopCause::Session | StopCause::Shutdown | StopCause::Limit => {
            Ending::Cancelled { by: cause, exit }
        }
    }
}
