//! Kinds of events, and the mapping from recorded facts to them.

use longhaul_domain::{Condition, Ending, Fact, Work};
use std::fmt;
use std::str::FromStr;

/// Kind of an event that subscribers can receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// The process was accepted, or was put back into its queue.
    Queued,
    /// The process started.
    Started,
    /// The stage of the work changed, or the process is now waiting for its children.
    Progress,
    /// The process was paused.
    Paused,
    /// The process was resumed.
    Resumed,
    /// A stop of the process was requested, or the process cannot be killed.
    Stopping,
    /// The attempt failed, and a retry is scheduled.
    RetryScheduled,
    /// The process has written no output and used no CPU for some time.
    Stalled,
    /// The process has written no output for some time.
    Idle,
    /// The process is waiting for input.
    WaitingForInput,
    /// The process became ready.
    Ready,
    /// A watched pattern was found in the output.
    OutputMatched,
    /// The test results of an attempt are known.
    TestResults,
    /// The test results give a reason to doubt the success of a test run.
    TestWarning,
    /// The process completed or was cancelled.
    Stopped,
    /// The process failed, timed out or was interrupted.
    Failed,
    /// The node of the process was lost.
    NodeLost,
    /// The store had lost the latest record of the process. The node of the process has restored it.
    Restored,
    /// Some events are missing, because the log no longer stores them.
    Gap,
}

/// Priority of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventPriority {
    /// Normal priority: the event can be read later.
    Normal,
    /// High priority: the event needs attention at once.
    High,
}

impl EventKind {
    /// All kinds of events.
    pub const ALL: [Self; 19] = [
        Self::Queued,
        Self::Started,
        Self::Progress,
        Self::Paused,
        Self::Resumed,
        Self::Stopping,
        Self::RetryScheduled,
        Self::Stalled,
        Self::Idle,
        Self::WaitingForInput,
        Self::Ready,
        Self::OutputMatched,
        Self::TestResults,
        Self::TestWarning,
        Self::Stopped,
        Self::Failed,
        Self::NodeLost,
        Self::Restored,
        Self::Gap,
    ];

    /// Returns the name of the event, such as `PROCESS_STARTED`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "PROCESS_QUEUED",
            Self::Started => "PROCESS_STARTED",
            Self::Progress => "PROCESS_PROGRESS",
            Self::Paused => "PROCESS_PAUSED",
            Self::Resumed => "PROCESS_RESUMED",
            Self::Stopping => "PROCESS_STOPPING",
            Self::RetryScheduled => "PROCESS_RETRY_SCHEDULED",
            Self::Stalled => "PROCESS_STALLED",
            Self::Idle => "PROCESS_IDLE",
            Self::WaitingForInput => "PROCESS_WAITING_FOR_INPUT",
            Self::Ready => "PROCESS_READY",
            Self::OutputMatched => "PROCESS_OUTPUT_MATCHED",
            Self::TestResults => "PROCESS_TEST_RESULTS",
            Self::TestWarning => "PROCESS_TEST_WARNING",
            Self::Stopped => "PROCESS_STOPPED",
            Self::Failed => "PROCESS_FAILED",
            Self::NodeLost => "NODE_LOST",
            Self::Restored => "PROCESS_RESTORED",
            Self::Gap => "GAP",
        }
    }

    /// Returns the priority of events of this kind.
    #[must_use]
    pub const fn urgency(self) -> EventPriority {
        match self {
            Self::Stopped
            | Self::Failed
            | Self::NodeLost
            | Self::Stalled
            | Self::WaitingForInput
            | Self::OutputMatched
            | Self::TestWarning
            | Self::Gap => EventPriority::High,
            Self::Queued
            | Self::Started
            | Self::Progress
            | Self::Paused
            | Self::Resumed
            | Self::Stopping
            | Self::RetryScheduled
            | Self::Idle
            | Self::Restored
            | Self::TestResults
            | Self::Ready => EventPriority::Normal,
        }
    }

    /// Returns true if events of this kind report the end of a process.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }

    /// Returns the kind of event for a fact. Returns `None` if the fact concerns only stores and engines.
    ///
    /// Reported work starts with its submission or, if it has to wait for a slot, with its claim. `work` is `None` if
    /// the spec of the process is no longer known.
    #[must_use]
    pub const fn of(fact: &Fact, work: Option<StartTrigger>) -> Option<Self> {
        match (fact, work) {
            (Fact::Submitted, Some(StartTrigger::AtOnce)) => Some(Self::Started),
            (Fact::Submitted, Some(StartTrigger::AtItsTurn | StartTrigger::WhenSpawned) | None) => {
                Some(Self::Queued)
            }
            (Fact::Claimed { .. }, Some(StartTrigger::AtItsTurn)) => Some(Self::Started),
            (Fact::Claimed { .. }, Some(StartTrigger::AtOnce | StartTrigger::WhenSpawned) | None) => None,
            (Fact::Spawned { .. }, _) => Some(Self::Started),
            (Fact::NeverRan | Fact::BecameDue, _) => Some(Self::Queued),
            (Fact::RetryScheduled { .. }, _) => Some(Self::RetryScheduled),
            (Fact::StageChanged { .. } | Fact::OutcomeReported(_) | Fact::AwaitingChildren { .. }, _) => {
                Some(Self::Progress)
            }
            (Fact::Paused { .. }, _) => Some(Self::Paused),
            (Fact::Resumed { .. }, _) => Some(Self::Resumed),
            (Fact::StopRequested { .. } | Fact::BecameStuck, _) => Some(Self::Stopping),
            (Fact::ConditionStarted { condition }, _) => Self::of_condition(*condition),
            (Fact::OutputMatched { .. }, _) => Some(Self::OutputMatched),
            (Fact::TestsReported(_), _) => Some(Self::TestResults),
            (Fact::TestsDoubted(_), _) => Some(Self::TestWarning),
            (Fact::NodeLost { .. }, _) => Some(Self::NodeLost),
            (Fact::Restored { .. }, _) => Some(Self::Restored),
            (Fact::Ended { ending, .. }, _) => Some(Self::of_ending(ending)),
            (
                Fact::KillStarted { .. }
                | Fact::CascadeStarted { .. }
                | Fact::CascadeEnded
                | Fact::Prioritized { .. }
                | Fact::SessionEnded { .. }
                | Fact::SessionKept
                | Fact::ConditionEnded { .. }
                | Fact::SignalSent { .. }
                | Fact::OrphanStopRequested { .. }
                | Fact::LateExit { .. },
                _,
            ) => None,
        }
    }

    /// Returns the kind of event for the start of a condition. Returns `None` for a condition that has no event of its
    /// own: a clean-up is reported together with the end of the attempt, and a stopped shim is not reported to
    /// subscribers.
    #[must_use]
    pub const fn of_condition(condition: Condition) -> Option<Self> {
        match condition {
            Condition::Ready => Some(Self::Ready),
            Condition::Idle => Some(Self::Idle),
            Condition::Stalled => Some(Self::Stalled),
            Condition::WaitingForInput => Some(Self::WaitingForInput),
            Condition::CleaningUp | Condition::SupervisorStopped => None,
        }
    }

    /// Returns the kind of event for a process that ended in this way.
    #[must_use]
    pub const fn of_ending(ending: &Ending) -> Self {
        match ending {
            Ending::Completed { .. } | Ending::Cancelled { .. } => Self::Stopped,
            Ending::Failed { .. } | Ending::Timeout { .. } | Ending::Interrupted { .. } => Self::Failed,
        }
    }
}

impl EventPriority {
    /// Returns the name of the priority.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// The event that counts as the start of the work of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTrigger {
    /// Reported work that does not wait starts with its submission.
    AtOnce,
    /// Reported work that waits for a slot starts with its claim.
    AtItsTurn,
    /// A command starts when it is spawned.
    WhenSpawned,
}

impl StartTrigger {
    /// Returns the event that counts as the start of this work.
    #[must_use]
    pub const fn of(work: &Work) -> Self {
        match work {
            Work::Command(_) => Self::WhenSpawned,
            Work::Reported(reported) if reported.queued => Self::AtItsTurn,
            Work::Reported(_) => Self::AtOnce,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Error for a text that is not the name of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown event type")]
pub struct UnknownEvent;

impl FromStr for EventKind {
    type Err = UnknownEvent;

    /// Parses the name of an event. Upper and lower case are equivalent.
    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownEvent)
    }
}
