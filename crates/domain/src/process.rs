//! The record of one process: its spec, its state, and the fields that a store indexes.

use crate::condition::{Condition, Conditions};
use crate::effect::Effect;
use crate::ending::{Ending, Interruption, StopCause};
use crate::event::{Event, Fact};
use crate::id::{
    AgentId, AttemptNo, Level, NodeId, Priority, ProcessId, ProcessName, ProjectName, SessionId, SlotKey,
};
use crate::input::DecisionContext;
use crate::launch_signature::LaunchSignature;
use crate::lineage::Lineage;
use crate::outcome::ReportedOutcome;
use crate::process_type::ProcessType;
use crate::spec::{Spec, Work};
use crate::state::{Pending, State, StopPhase};
use crate::status::{SlotState, Status};
use crate::test_report::TestReport;
use crate::time::{Deadline, Timestamp};
use std::sync::Arc;

/// One managed piece of work.
///
/// Only [`evolve`](Self::evolve) changes a process. Stores rebuild a process from the fields that they have stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Identifier of the process.
    pub id: ProcessId,
    /// Everything that the caller specified at the submission.
    pub spec: Arc<Spec>,
    /// Position of the process in its tree.
    pub lineage: Lineage,
    /// Signature of `id`, `spec` and `lineage`, created at the submission; `None` if launches are not signed.
    pub signature: Option<LaunchSignature>,
    /// Node that runs the process, or the label that a reporter gave. A retry of a command may run on another node.
    pub node: Option<NodeId>,
    /// Number of the latest attempt.
    pub attempt: AttemptNo,
    /// Number of retries that were used.
    pub retries: u32,
    /// Number of consecutive attempts that certainly never ran.
    pub never_ran: u32,
    /// Time at which the process was accepted.
    pub queued_at: Timestamp,
    /// Time at which the latest attempt started to run.
    pub started_at: Option<Timestamp>,
    /// Time of the latest event. A progress report without a new stage creates no event.
    pub updated_at: Timestamp,
    /// Current priority. It is the priority in the spec until the process is moved in its queue.
    pub priority: Priority,
    /// Cascade that is still in progress: the descendants must end, and some of them may still be alive.
    pub cascade: Option<Cascade>,
    /// Time at which the process will be cancelled because its session ended.
    pub cancel_at: Option<Timestamp>,
    /// Conditions that hold now, in addition to the status.
    pub conditions: Conditions,
    /// Result and error that the command of the latest attempt reported.
    pub reported: ReportedOutcome,
    /// Test results of the latest attempt; `None` if there are none.
    pub tests: Option<Box<TestReport>>,
    /// Current state.
    pub state: State,
}

/// The cancellation of all descendants of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cascade {
    /// Reason for the cancellation.
    pub cause: StopCause,
    /// True if the descendants are killed immediately, without a grace period.
    pub force: bool,
}

/// Number of consecutive attempts that never ran; when it is reached, the process fails.
pub const MAX_NEVER_RAN: u32 = 5;

impl Process {
    /// Accepts new work. Returns the process in its first state, and the `Submitted` event.
    #[must_use]
    pub fn submit(
        ctx: &DecisionContext,
        id: ProcessId,
        lineage: Lineage,
        spec: Arc<Spec>,
    ) -> (Self, Vec<Event>) {
        let (state, node, started_at) = match &spec.work {
            Work::Reported(reported) if !reported.queued => {
                (State::Reported { slot: false }, reported.node.clone(), Some(ctx.now))
            }
            Work::Reported(reported) => (waiting(&spec, ctx.now), reported.node.clone(), None),
            Work::Command(_) => (waiting(&spec, ctx.now), None, None),
        };
        let process = Self {
            id,
            priority: spec.priority,
            cascade: None,
            cancel_at: None,
            conditions: Conditions::default(),
            reported: ReportedOutcome::default(),
            tests: None,
            spec,
            lineage,
            signature: None,
            node,
            attempt: AttemptNo(0),
            retries: 0,
            never_ran: 0,
            queued_at: ctx.now,
            started_at,
            updated_at: ctx.now,
            state,
        };
        (process, vec![Event { at: ctx.now, fact: Fact::Submitted }])
    }

    /// Returns the status of the process.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.state.status()
    }

    /// Returns the time at which the process ended, or `None` if it has not ended.
    #[must_use]
    pub const fn completed_at(&self) -> Option<Timestamp> {
        match &self.state {
            State::Ended(ended) => Some(ended.at),
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_) => None,
        }
    }

    /// Returns the latest of the times in the state of the process and the times in its record. If a record does not
    /// contain the time of its latest event, this value is used instead.
    #[must_use]
    pub fn latest_known_time(&self) -> Timestamp {
        let known = [Some(self.queued_at), self.started_at, self.completed_at()];
        known.into_iter().flatten().max().unwrap_or(self.queued_at)
    }

    /// Returns the time at which the process needs a tick. Returns `None` if the process is waiting for an observation
    /// or an action, not for a time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Deadline> {
        match &self.state {
            State::Pending(Pending::Delayed { until: at } | Pending::Retrying { at, .. })
            | State::CancelRequested { until: at, .. } => Some(Deadline::At(*at)),
            // The command has exited before its timeout. Only the cleanup of its leftovers is still in progress.
            State::Running { .. } if self.conditions.holds(Condition::CleaningUp) => None,
            State::Running { timeout_at, .. } => timeout_at.map(Deadline::Awake),
            State::Stopping { phase, .. } => match phase {
                StopPhase::Requested { kill_at } => Some(Deadline::Awake(*kill_at)),
                StopPhase::Killing { stuck_at } => Some(Deadline::Awake(*stuck_at)),
                StopPhase::Stuck => None,
            },
            State::Pending(Pending::Queued)
            | State::Starting { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => None,
        }
    }

    /// Returns the time at which the process needs a tick because its session ended. Returns `None` if its session has
    /// not ended, or if the process is stopping or has ended.
    #[must_use]
    pub const fn session_deadline(&self) -> Option<Timestamp> {
        match &self.state {
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. } => self.cancel_at,
            // The process was asked to end and is only waiting for its descendants.
            State::AwaitingChildren(_) if self.cascade.is_some() => None,
            State::AwaitingChildren(_) => self.cancel_at,
            State::Stopping { .. } | State::CancelRequested { .. } | State::Ended(_) => None,
        }
    }

    /// Returns the time by which the next heartbeat must arrive if the last one arrived at `last_heartbeat`. Returns
    /// `None` if no heartbeat is expected.
    #[must_use]
    pub fn heartbeat_due(&self, last_heartbeat: Option<Timestamp>) -> Option<Timestamp> {
        let Work::Reported(reported) = &self.spec.work else {
            return None;
        };
        match &self.state {
            State::Reported { .. } | State::CancelRequested { .. } => {
                let since = last_heartbeat.max(self.started_at)?;
                reported.heartbeat.map(|heartbeat| since.plus(heartbeat))
            }
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => None,
        }
    }

    /// Returns the effect that the current state requires. Recovery executes this effect again after a restart.
    #[must_use]
    pub fn wanted(&self) -> Option<Effect> {
        let attempt = self.attempt;
        match &self.state {
            State::Starting { .. } => Some(Effect::Spawn { attempt }),
            State::Running { .. } => Some(Effect::Resume { attempt }),
            State::Paused { .. } => Some(Effect::Pause { attempt }),
            State::Stopping { cause, phase, .. } => Some(match phase {
                StopPhase::Requested { .. } => Effect::Stop { attempt, cause: *cause },
                StopPhase::Killing { .. } | StopPhase::Stuck => Effect::Kill { attempt, cause: *cause },
            }),
            State::Ended(ended) => {
                let rest = ended.orphan_stop.filter(|_| self.may_live_on())?;
                Some(Effect::StopOrphan { attempt, cause: rest.cause, force: rest.force })
            }
            State::Pending(_)
            | State::Reported { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_) => None,
        }
    }

    /// Returns true if an ended process may have an orphan: the process was recorded as interrupted because its node
    /// was lost, and no exit was reported after that.
    #[must_use]
    pub fn may_live_on(&self) -> bool {
        let State::Ended(ended) = &self.state else { return false };
        let lost = matches!(ended.ending, Ending::Interrupted { why: Interruption::NodeGone });
        lost && ended.late.is_none() && matches!(self.spec.work, Work::Command(_)) && self.node.is_some()
    }

    /// Returns the effect on the descendants that the current state requires. Recovery executes this effect again after
    /// a restart.
    #[must_use]
    pub const fn wanted_below(&self) -> Option<Effect> {
        match (self.cascade, &self.state) {
            (Some(Cascade { force, .. }), _) => Some(Effect::Cascade { force }),
            (None, State::AwaitingChildren(_)) => Some(Effect::AwaitDescendants),
            (
                None,
                State::Pending(_)
                | State::Starting { .. }
                | State::Running { .. }
                | State::Reported { .. }
                | State::Paused { .. }
                | State::Stopping { .. }
                | State::CancelRequested { .. }
                | State::Ended(_),
            ) => None,
        }
    }

    /// Returns the time at which the process needs a decision while no node owns it.
    ///
    /// A process that must end its descendants or is waiting for them is always due, because the report about their end
    /// may have been missed.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        if self.wanted_below().is_some() {
            return Some(self.queued_at);
        }
        let own = match self.next_deadline() {
            Some(Deadline::At(at)) => Some(at),
            Some(Deadline::Awake(_)) | None => None,
        };
        own.into_iter().chain(self.session_deadline()).min()
    }

    /// Returns the fields that a store compares, sorts and indexes.
    #[must_use]
    pub fn head(&self) -> ProcessHeader {
        let slot_state = self.state.slot_state();
        ProcessHeader {
            status: self.status(),
            slot_state,
            closing: self.cascade.is_some()
                || matches!(self.status(), Status::Stopping)
                || self.status().is_ended(),
            attempt: self.attempt,
            key: self.spec.key.clone(),
            priority: self.priority,
            due: self.due(),
            ancestors: self.lineage.ancestors.clone(),
            level: self.lineage.level(),
            session: self.spec.session.clone(),
            project: self.spec.project.clone(),
            name: self.spec.name.clone(),
            kind: self.spec.kind.clone(),
            node: self.node.clone(),
            agent: self.spec.agent.agent_id.clone(),
            queued_at: self.queued_at,
            completed_at: self.completed_at(),
        }
    }
}

fn waiting(spec: &Spec, now: Timestamp) -> State {
    State::Pending(match spec.not_before {
        Some(until) if until > now => Pending::Delayed { until },
        Some(_) | None => Pending::Queued,
    })
}

/// The fields that a store compares, sorts and indexes. The rest of a record is opaque to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessHeader {
    /// Status of the process. Stores use the status only as a filter, never for decisions.
    pub status: Status,
    /// Role of the process in slots and queues.
    pub slot_state: SlotState,
    /// True if no new child may join. For processes further down the tree, see [`is_ending`](Self::is_ending).
    pub closing: bool,
    /// Number of the latest attempt.
    pub attempt: AttemptNo,
    /// Concurrency key whose slots the process uses.
    pub key: Option<SlotKey>,
    /// Current priority.
    pub priority: Priority,
    /// Time at which the process needs a decision while no node owns it. An ended process that needs a decision is not
    /// pruned.
    pub due: Option<Timestamp>,
    /// Ancestors of the process, from the root down to the parent.
    pub ancestors: Vec<ProcessId>,
    /// Depth of the process in its tree; 0 for a root.
    pub level: Level,
    /// Session on whose behalf the process runs.
    pub session: Option<SessionId>,
    /// Project that the process belongs to.
    pub project: Option<ProjectName>,
    /// Name that a user gave to the process.
    pub name: Option<ProcessName>,
    /// Process type.
    pub kind: ProcessType,
    /// Node that runs the process, or the label that a reporter gave.
    pub node: Option<NodeId>,
    /// Agent on whose behalf the process works.
    pub agent: Option<AgentId>,
    /// Time at which the process was accepted.
    pub queued_at: Timestamp,
    /// Time at which the process ended; `None` if it has not ended.
    pub completed_at: Option<Timestamp>,
}

impl ProcessHeader {
    /// Returns true if no process may join the tree anywhere below this process: this process is ending, or it has
    /// ended and its descendants still have to end.
    ///
    /// Returns false if the process has ended and nothing remains to be done. Its live children may then still launch
    /// processes.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        let is_over = matches!(self.slot_state, SlotState::Ended) && self.due.is_none();
        self.closing && !is_over
    }
}
