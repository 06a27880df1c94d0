//! What became true. The record of a process is the fold of its events.

use crate::condition::Condition;
use crate::ending::{Ending, Exit, StopCause};
use crate::id::{AttemptNo, NodeId, Priority, Stage};
use crate::outcome::ReportedOutcome;
use crate::progress::LiveStats;
use crate::signal::{Signal, SignalTarget};
use crate::state::Containment;
use crate::time::{AwakeTime, Timestamp};

/// Something that became true of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub fact: Fact,
}

/// What became true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It was accepted. Always the first.
    Submitted,
    /// A node has it; the attempt begins.
    Claimed {
        /// Which attempt.
        attempt: AttemptNo,
        /// Which node.
        node: NodeId,
    },
    /// Its command runs.
    Spawned {
        /// The process id, if it has one.
        pid: Option<u32>,
        /// What keeps its descendants together.
        containment: Option<Containment>,
        /// When its time is over.
        timeout_at: Option<AwakeTime>,
    },
    /// The attempt never ran; it is back in its place.
    NeverRan,
    /// A moment that it waited for has come; it stands in the queue.
    BecameDue,
    /// The attempt failed and there will be another.
    RetryScheduled {
        /// When.
        due: Timestamp,
        /// How the attempt ended.
        after: Ending,
    },
    /// The worker does something else now.
    StageChanged {
        /// What.
        stage: Stage,
    },
    /// The command reported a result or an error of its work.
    OutcomeReported(ReportedOutcome),
    /// It is halted.
    Paused {
        /// What is left of its timeout.
        timeout_left: Option<std::time::Duration>,
    },
    /// It goes on.
    Resumed {
        /// When its time is over now.
        timeout_at: Option<AwakeTime>,
    },
    /// It was told to end. During a stop: the stop goes on for another cause, with the grace that it had.
    StopRequested {
        /// Why.
        cause: StopCause,
        /// The end of its grace; for reported work see `until`.
        kill_at: AwakeTime,
        /// When reported work counts as cancelled without an answer.
        until: Timestamp,
    },
    /// Its tree is being killed.
    KillStarted {
        /// The moment from which it counts as stuck.
        stuck_at: AwakeTime,
    },
    /// Killed, and still not empty.
    BecameStuck,
    /// Its own work is over; it ends when its descendants have.
    AwaitingChildren {
        /// How it ended.
        ending: Ending,
        /// Its last progress and stage.
        live_stats: LiveStats,
    },
    /// Its descendants were told to end; none can join any more.
    CascadeStarted {
        /// Why.
        cause: StopCause,
        /// Without a grace.
        force: bool,
    },
    /// None of its descendants lives any more.
    CascadeEnded,
    /// It was moved in its queue.
    Prioritized {
        /// How urgent it is now.
        priority: Priority,
    },
    /// Its session ended.
    SessionEnded {
        /// When it is cancelled for that.
        cancel_at: Timestamp,
    },
    /// It goes on after the end of its session: the moment at which it was to leave is taken back.
    SessionKept,
    /// It ended.
    Ended {
        /// How.
        ending: Ending,
        /// Its last progress and stage.
        live_stats: LiveStats,
    },
    /// Something holds of it from now on.
    ConditionStarted {
        /// What.
        condition: Condition,
    },
    /// Something holds of it no more.
    ConditionEnded {
        /// What.
        condition: Condition,
    },
    /// A line of its output matches a pattern that its launch asked to watch for.
    OutputMatched {
        /// The name of the pattern.
        pattern: String,
        /// The offset in the output at which the line begins.
        offset: u64,
        /// The line, without control characters and cut where it is long.
        line: String,
    },
    /// The node that had it is lost: its lease and the grace after it were over. What follows from that follows.
    NodeLost {
        /// Which node.
        node: NodeId,
    },
    /// A signal was sent to it.
    SignalSent {
        /// Which.
        signal: Signal,
        /// To whom.
        target: SignalTarget,
    },
    /// What may be left of it was told to end: it ended when its node was lost, and may live on there.
    OrphanStopRequested {
        /// Why.
        cause: StopCause,
        /// Without a grace.
        force: bool,
    },
    /// The store had lost the record as it stood, and its node gave it back.
    Restored {
        /// Which node.
        node: NodeId,
    },
    /// A truth that came too late to change anything.
    LateExit {
        /// Of which attempt.
        attempt: AttemptNo,
        /// The exit.
        exit: Exit,
    },
}

impl Fact {
    /// Returns the name of the fact, as in records and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Claimed { .. } => "claimed",
            Self::Spawned { .. } => "spawned",
            Self::NeverRan => "never_ran",
            Self::BecameDue => "became_due",
            Self::RetryScheduled { .. } => "retry_scheduled",
            Self::StageChanged { .. } => "stage_changed",
            Self::OutcomeReported(_) => "outcome_reported",
            Self::Paused { .. } => "paused",
            Self::Resumed { .. } => "resumed",
            Self::StopRequested { .. } => "stop_requested",
            Self::KillStarted { .. } => "kill_started",
            Self::BecameStuck => "became_stuck",
            Self::AwaitingChildren { .. } => "awaiting_children",
            Self::CascadeStarted { .. } => "cascade_started",
            Self::CascadeEnded => "cascade_ended",
            Self::Prioritized { .. } => "prioritized",
            Self::SessionEnded { .. } => "session_ended",
            Self::SessionKept => "session_kept",
            Self::Ended { .. } => "ended",
            Self::ConditionStarted { .. } => "condition_started",
            Self::ConditionEnded { .. } => "condition_ended",
            Self::OutputMatched { .. } => "output_matched",
            Self::NodeLost { .. } => "node_lost",
            Self::SignalSent { .. } => "signal_sent",
            Self::OrphanStopRequested { .. } => "orphan_stop_requested",
            Self::Restored { .. } => "restored",
            Self::LateExit { .. } => "late_exit",
        }
    }
}
