//! Events. The record of a process is the result of applying all its events in order.

use crate::condition::Condition;
use crate::ending::{Ending, Exit, StopCause};
use crate::id::{AttemptNo, NodeId, Priority, Stage};
use crate::outcome::ReportedOutcome;
use crate::progress::LiveStats;
use crate::signal::{Signal, SignalTarget};
use crate::state::Containment;
use crate::test_report::{TestDoubt, TestReport};
use crate::time::{AwakeTime, Timestamp};

/// A fact about a process, with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Time of the event.
    pub at: Timestamp,
    /// The fact.
    pub fact: Fact,
}

/// A fact about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The process was accepted. This is always the first event.
    Submitted,
    /// A node claimed the process, and a new attempt starts.
    Claimed {
        /// Number of the attempt that starts.
        attempt: AttemptNo,
        /// Node that claimed the process.
        node: NodeId,
    },
    /// The command was started.
    Spawned {
        /// Operating-system process id of the command; `None` if it is unknown or does not exist.
        pid: Option<u32>,
        /// Mechanism that contains the descendants of the command.
        containment: Option<Containment>,
        /// Time at which the timeout expires.
        timeout_at: Option<AwakeTime>,
    },
    /// The attempt never ran. The process is waiting again in its former place in the queue.
    NeverRan,
    /// The start time of a delayed process or of a retry has come, and the process is in the queue.
    BecameDue,
    /// The attempt failed and a retry is scheduled.
    RetryScheduled {
        /// Time of the next attempt.
        due: Timestamp,
        /// How the failed attempt ended.
        after: Ending,
    },
    /// The worker reported a new stage.
    StageChanged {
        /// New stage.
        stage: Stage,
    },
    /// The command reported a result or an error of its work.
    OutcomeReported(ReportedOutcome),
    /// The test results of an attempt became known. They replace earlier test results of the process.
    TestsReported(Box<TestReport>),
    /// The test results give a reason to doubt the success of the attempt. The test results in the record contain this
    /// reason too.
    TestsDoubted(TestDoubt),
    /// The process was paused.
    Paused {
        /// Time that remained until the timeout.
        timeout_left: Option<std::time::Duration>,
    },
    /// The process was resumed.
    Resumed {
        /// Time at which the timeout now expires.
        timeout_at: Option<AwakeTime>,
    },
    /// The process was asked to end. If it is stopping already, the stop continues with a new cause and the same grace
    /// period.
    StopRequested {
        /// Cause of the stop.
        cause: StopCause,
        /// End of the grace period; reported work uses `until` instead.
        kill_at: AwakeTime,
        /// Time at which reported work counts as cancelled if its reporter does not acknowledge the cancel.
        until: Timestamp,
    },
    /// The process tree is being killed.
    KillStarted {
        /// Time at which the stop counts as stuck.
        stuck_at: AwakeTime,
    },
    /// The process tree was killed but still contains live processes.
    BecameStuck,
    /// The own work of the process has ended. The process ends as soon as its descendants have ended.
    AwaitingChildren {
        /// How the own work ended.
        ending: Ending,
        /// Live stats of the process at this time.
        live_stats: LiveStats,
    },
    /// The descendants were asked to end, and no child can join any more.
    CascadeStarted {
        /// Cause of the cascade.
        cause: StopCause,
        /// True if the descendants are killed immediately, without a grace period.
        force: bool,
    },
    /// No descendant is live any more.
    CascadeEnded,
    /// The process was moved in its queue.
    Prioritized {
        /// New priority.
        priority: Priority,
    },
    /// The session of the process ended.
    SessionEnded {
        /// Time at which the process will be cancelled because of the end of its session.
        cancel_at: Timestamp,
    },
    /// The process continues after the end of its session; its scheduled cancel was withdrawn.
    SessionKept,
    /// The process ended.
    Ended {
        /// How the process ended.
        ending: Ending,
        /// Live stats of the process at this time.
        live_stats: LiveStats,
    },
    /// A condition started.
    ConditionStarted {
        /// Condition that started.
        condition: Condition,
    },
    /// A condition ended.
    ConditionEnded {
        /// Condition that no longer holds.
        condition: Condition,
    },
    /// A line of the output matches a watch pattern of the launch.
    OutputMatched {
        /// Name of the pattern.
        pattern: String,
        /// Byte offset in the output at which the line starts.
        offset: u64,
        /// Text of the line, without control characters and truncated if too long.
        line: String,
    },
    /// The node of the process is lost: its lease and the grace period after it have expired. Further events record the
    /// consequences.
    NodeLost {
        /// Name of the node that is lost.
        node: NodeId,
    },
    /// A signal was sent to the process.
    SignalSent {
        /// Signal that was sent.
        signal: Signal,
        /// Part of the process tree that received the signal.
        target: SignalTarget,
    },
    /// The stop of a possible orphan was requested: the process was recorded as ended when its node was lost, and its
    /// command may still be running on that node.
    OrphanStopRequested {
        /// Cause of the stop.
        cause: StopCause,
        /// True if the orphan is killed immediately, without a grace period.
        force: bool,
    },
    /// The store had lost the record, and a node restored it in this state.
    Restored {
        /// Node that restored the record.
        node: NodeId,
    },
    /// An exit was reported after the end was recorded. The ending stays unchanged.
    LateExit {
        /// Number of the attempt whose command exited.
        attempt: AttemptNo,
        /// Details of the exit.
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
            Self::TestsReported(_) => "tests_reported",
            Self::TestsDoubted(_) => "tests_doubted",
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
