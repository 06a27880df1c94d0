//! Applies facts to a process.
//!
//! This code cannot fail and makes no decisions, because `decide` has already made all decisions.

use crate::condition::Conditions;
use crate::event::{Event, Fact};
use crate::id::NodeId;
use crate::outcome::ReportedOutcome;
use crate::process::{Cascade, Process};
use crate::spec::Work;
use crate::state::{AwaitingChildren, Ended, Execution, LateExit, OrphanStop, Pending, State, StopPhase};
use crate::time::Timestamp;

impl Process {
    /// Applies the facts of `events`, in order.
    pub fn evolve(&mut self, events: &[Event]) {
        for event in events {
            self.apply(event.at, &event.fact);
            // An exit may have an earlier time than events that were recorded before it.
            self.updated_at = self.updated_at.max(event.at);
        }
    }

    fn apply(&mut self, at: Timestamp, fact: &Fact) {
        match fact {
            Fact::Submitted
            | Fact::StageChanged { .. }
            | Fact::OutputMatched { .. }
            | Fact::TestsDoubted(_)
            | Fact::NodeLost { .. }
            | Fact::Restored { .. } => {}
            Fact::Claimed { attempt, node } => {
                self.attempt = *attempt;
                self.conditions = Conditions::default();
                self.reported = ReportedOutcome::default();
                self.tests = None;
                self.place(node, at);
            }
            Fact::Spawned { pid, containment, timeout_at } => {
                let execution = Execution { started_at: at, pid: *pid, containment: *containment };
                self.started_at = Some(at);
                self.never_ran = 0;
                match &mut self.state {
                    State::Stopping { execution: known, .. } => *known = Some(execution),
                    State::Pending(_)
                    | State::Starting { .. }
                    | State::Running { .. }
                    | State::Reported { .. }
                    | State::Paused { .. }
                    | State::CancelRequested { .. }
                    | State::AwaitingChildren(_)
                    | State::Ended(_) => self.state = State::Running { execution, timeout_at: *timeout_at },
                }
            }
            Fact::NeverRan => {
                self.conditions = Conditions::default();
                self.never_ran = self.never_ran.saturating_add(1);
                self.state = State::Pending(Pending::Queued);
            }
            Fact::BecameDue => self.state = State::Pending(Pending::Queued),
            Fact::RetryScheduled { due, after } => {
                self.conditions = Conditions::default();
                self.retries = self.retries.saturating_add(1);
                self.state = State::Pending(Pending::Retrying { at: *due, after: Box::new(after.clone()) });
            }
            Fact::OutcomeReported(report) => self.reported = self.reported.updated(report),
            Fact::TestsReported(report) => self.tests = Some(report.clone()),
            Fact::Paused { timeout_left } => {
                self.conditions = self.conditions.undisturbed();
                if let Some(execution) = self.state.execution().copied() {
                    self.state = State::Paused { execution, since: at, timeout_left: *timeout_left };
                }
            }
            Fact::Resumed { timeout_at } => {
                if let Some(execution) = self.state.execution().copied() {
                    self.state = State::Running { execution, timeout_at: *timeout_at };
                }
            }
            Fact::StopRequested { cause, kill_at, until } => {
                self.conditions = self.conditions.undisturbed();
                self.state = match &self.state {
                    State::Reported { slot } | State::CancelRequested { slot, .. } => {
                        State::CancelRequested { slot: *slot, cause: *cause, until: *until }
                    }
                    // The current stop continues in its present phase. Only its cause changes.
                    State::Stopping { execution, since, phase, .. } => {
                        State::Stopping { execution: *execution, cause: *cause, since: *since, phase: *phase }
                    }
                    before @ (State::Pending(_)
                    | State::Starting { .. }
                    | State::Running { .. }
                    | State::Paused { .. }
                    | State::AwaitingChildren(_)
                    | State::Ended(_)) => State::Stopping {
                        execution: before.execution().copied(),
                        cause: *cause,
                        since: at,
                        phase: StopPhase::Requested { kill_at: *kill_at },
                    },
                };
            }
            Fact::KillStarted { stuck_at } => self.hasten(StopPhase::Killing { stuck_at: *stuck_at }),
            Fact::BecameStuck => self.hasten(StopPhase::Stuck),
            Fact::AwaitingChildren { ending, live_stats } => {
                self.conditions = Conditions::default();
                let (ending, live_stats, containment) =
                    (ending.clone(), live_stats.clone(), self.state.containment());
                self.state = State::AwaitingChildren(Box::new(AwaitingChildren {
                    since: at,
                    ending,
                    live_stats,
                    containment,
                }));
            }
            Fact::CascadeStarted { cause, force } => {
                self.cascade = Some(Cascade { cause: *cause, force: *force });
            }
            Fact::CascadeEnded => self.cascade = None,
            Fact::Prioritized { priority } => self.priority = *priority,
            Fact::SessionEnded { cancel_at } => self.cancel_at = Some(*cancel_at),
            Fact::SessionKept => self.cancel_at = None,
            Fact::Ended { ending, live_stats } => {
                self.conditions = Conditions::default();
                self.state = State::Ended(Box::new(Ended {
                    at,
                    ending: ending.clone(),
                    live_stats: live_stats.clone(),
                    containment: self.state.containment(),
                    late: None,
                    orphan_stop: None,
                }));
            }
            Fact::ConditionStarted { condition } => {
                self.conditions = self.conditions.with(*condition, Some(at));
            }
            Fact::ConditionEnded { condition } => {
                self.conditions = self.conditions.with(*condition, None);
            }
            Fact::SignalSent { .. } => {}
            Fact::OrphanStopRequested { cause, force } => {
                if let State::Ended(ended) = &mut self.state {
                    ended.orphan_stop = Some(OrphanStop { cause: *cause, force: *force });
                }
            }
            Fact::LateExit { attempt, exit } => {
                if let State::Ended(ended) = &mut self.state {
                    ended.late = Some(LateExit { attempt: *attempt, exit: exit.clone() });
                }
            }
        }
    }

    fn place(&mut self, node: &NodeId, at: Timestamp) {
        match &self.spec.work {
            Work::Command(_) => {
                self.node = Some(node.clone());
                self.state = State::Starting { since: at };
            }
            Work::Reported(_) => {
                self.started_at = Some(at);
                self.state = State::Reported { slot: true };
            }
        }
    }

    const fn hasten(&mut self, to: StopPhase) {
        if let State::Stopping { phase, .. } = &mut self.state {
            *phase = to;
        }
    }
}
