//! One process: what was asked, where it is in its life, and the flat facts that a store indexes.

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
use crate::process_type::ProcessType;
use crate::spec::{Spec, Work};
use crate::state::{Pending, State, StopPhase};
use crate::status::{SlotState, Status};
use crate::time::{Deadline, Timestamp};
use std::sync::Arc;

/// One managed piece of work.
///
/// Only [`evolve`](Self::evolve) changes one; stores rebuild it from the parts they kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its identity.
    pub id: ProcessId,
    /// What was asked for.
    pub spec: Arc<Spec>,
    /// Its place in its tree.
    pub lineage: Lineage,
    /// What vouches for these, fixed at the submit; none where the store is trusted with them.
    pub signature: Option<LaunchSignature>,
    /// Where it runs, or the label that a reporter gave. It never changes once the work was placed.
    pub node: Option<NodeId>,
    /// The latest attempt.
    pub attempt: AttemptNo,
    /// Retries spent.
    pub retries: u32,
    /// Attempts in a row that provably never ran.
    pub never_ran: u32,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// When the latest attempt began to run.
    pub started_at: Option<Timestamp>,
    /// How urgent it is now: as it was asked for, until it is moved.
    pub priority: Priority,
    /// Its descendants have to end, and not all are known to have.
    pub cascade: Option<Cascade>,
    /// Its session ended: when it is cancelled for that.
    pub cancel_at: Option<Timestamp>,
    /// What is true of it beside its status.
    pub conditions: Conditions,
    /// Where it is in its life.
    pub state: State,
}

/// The end of everything below a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cascade {
    /// Why.
    pub cause: StopCause,
    /// Without a grace.
    pub force: bool,
}

/// This many attempts in a row that never ran are a failure.
pub const MAX_NEVER_RAN: u32 = 5;

impl Process {
    /// Accepts new work: a process in its first state, and the event that says so.
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
            spec,
            lineage,
            signature: None,
            node,
            attempt: AttemptNo(0),
            retries: 0,
            never_ran: 0,
            queued_at: ctx.now,
            started_at,
            state,
        };
        (process, vec![Event { at: ctx.now, fact: Fact::Submitted }])
    }

    /// Where it stands, in one word.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.state.status()
    }

    /// When it ended, if it has.
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

    /// When to send it a tick; none if it waits for a fact instead.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Deadline> {
        match &self.state {
            State::Pending(Pending::Delayed { until: at } | Pending::Retrying { at, .. })
            | State::CancelRequested { until: at, .. } => Some(Deadline::At(*at)),
            // Its command has ended in time.
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

    /// When to send it a tick because its session ended; none while that is not so, and once it is told to end.
    #[must_use]
    pub const fn session_deadline(&self) -> Option<Timestamp> {
        match &self.state {
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. } => self.cancel_at,
            // Told to end, it only waits for those below it.
            State::AwaitingChildren(_) if self.cascade.is_some() => None,
            State::AwaitingChildren(_) => self.cancel_at,
            State::Stopping { .. } | State::CancelRequested { .. } | State::Ended(_) => None,
        }
    }

    /// When a reporter that gave its last sign of life at `last_heartbeat` must have given another; none without heartbeat.
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

    /// What its state wants done, derived from the record alone: recovery performs it again.
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

    /// Whether something of it may live on its node although it ended: it was called interrupted because the node was
    /// lost, and nothing was heard of it since.
    #[must_use]
    pub fn may_live_on(&self) -> bool {
        let State::Ended(ended) = &self.state else { return false };
        let lost = matches!(ended.ending, Ending::Interrupted { why: Interruption::NodeGone });
        lost && ended.late.is_none() && matches!(self.spec.work, Work::Command(_)) && self.node.is_some()
    }

    /// What has to be done about its descendants, derived from the record alone.
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

    /// When a row of it without owner wants a decision.
    ///
    /// One that has something to do about its descendants always does: their end may have been missed.
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

    /// The flat facts that a store compares, sorts and indexes.
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

/// The flat facts that a store compares, sorts and indexes; the rest of a record is opaque to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessHeader {
    /// Where it stands, in one word. For filters only: no store decides by it.
    pub status: Status,
    /// What to do with slot and queue.
    pub slot_state: SlotState,
    /// No child may join any more; see [`is_ending`](Self::is_ending) for whoever stands further below.
    pub closing: bool,
    /// The latest attempt.
    pub attempt: AttemptNo,
    /// Whose slots it uses.
    pub key: Option<SlotKey>,
    /// How urgent it is.
    pub priority: Priority,
    /// When a row without owner wants a decision. An ended one that still wants one is not let go.
    pub due: Option<Timestamp>,
    /// From the root down to the parent.
    pub ancestors: Vec<ProcessId>,
    /// Its depth.
    pub level: Level,
    /// Who asked.
    pub session: Option<SessionId>,
    /// What for.
    pub project: Option<ProjectName>,
    /// Its name.
    pub name: Option<ProcessName>,
    /// What sort of work it is.
    pub kind: ProcessType,
    /// Where it runs.
    pub node: Option<NodeId>,
    /// The agent behind it.
    pub agent: Option<AgentId>,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

impl ProcessHeader {
    /// Whether nobody may join anywhere below it: it is ending, or has ended and its descendants still have to.
    ///
    /// Below the living child of one whose work is over, work goes on.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        let is_over = matches!(self.slot_state, SlotState::Ended) && self.due.is_none();
        self.closing && !is_over
    }
}
