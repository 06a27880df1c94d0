//! The words of events.

use longhaul_domain::{Condition, Ending, Fact, Work};
use std::fmt;
use std::str::FromStr;

/// What sort of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// It was accepted, or stands in its queue again.
    Queued,
    /// It began.
    Started,
    /// It does something else now.
    Progress,
    /// It is halted.
    Paused,
    /// It goes on.
    Resumed,
    /// It was told to end.
    Stopping,
    /// It failed and will be tried again.
    RetryScheduled,
    /// It neither writes anything nor computes.
    Stalled,
    /// It has written nothing for a time.
    Idle,
    /// It waits for somebody to type.
    WaitingForInput,
    /// It is ready to serve.
    Ready,
    /// A pattern that was watched for is in its output.
    OutputMatched,
    /// It completed, or was cancelled.
    Stopped,
    /// It failed, ran out of time, or its end was not seen.
    Failed,
    /// The node that had it went away and did not come back in time.
    NodeLost,
    /// The store had lost its record as it stood, and its node gave it back.
    GivenBack,
    /// Events are missing here: the log does not keep them any more.
    Gap,
}

/// How soon somebody wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventPriority {
    /// When there is time.
    Normal,
    /// Now.
    High,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 17] = [
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
        Self::Stopped,
        Self::Failed,
        Self::NodeLost,
        Self::GivenBack,
        Self::Gap,
    ];

    /// The word for it.
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
            Self::Stopped => "PROCESS_STOPPED",
            Self::Failed => "PROCESS_FAILED",
            Self::NodeLost => "NODE_LOST",
            Self::GivenBack => "PROCESS_RESTORED",
            Self::Gap => "GAP",
        }
    }

    /// How soon somebody wants to know.
    #[must_use]
    pub const fn urgency(self) -> EventPriority {
        match self {
            Self::Stopped
            | Self::Failed
            | Self::NodeLost
            | Self::Stalled
            | Self::WaitingForInput
            | Self::OutputMatched
            | Self::Gap => EventPriority::High,
            Self::Queued
            | Self::Started
            | Self::Progress
            | Self::Paused
            | Self::Resumed
            | Self::Stopping
            | Self::RetryScheduled
            | Self::Idle
            | Self::GivenBack
            | Self::Ready => EventPriority::Normal,
        }
    }

    /// Whether it is the end of a process.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }

    /// What subscribers are told of a fact; nothing of what only stores and engines care for.
    ///
    /// Reported work begins with its submit, or with its claim if it has to wait for its turn. Of a process whose work is
    /// not known any more `work` is none.
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
            (Fact::StageChanged { .. } | Fact::AwaitingChildren { .. }, _) => Some(Self::Progress),
            (Fact::Paused { .. }, _) => Some(Self::Paused),
            (Fact::Resumed { .. }, _) => Some(Self::Resumed),
            (Fact::StopRequested { .. } | Fact::BecameStuck, _) => Some(Self::Stopping),
            (Fact::ConditionStarted { condition }, _) => Self::of_condition(*condition),
            (Fact::OutputMatched { .. }, _) => Some(Self::OutputMatched),
            (Fact::NodeLost { .. }, _) => Some(Self::NodeLost),
            (Fact::Restored { .. }, _) => Some(Self::GivenBack),
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

    /// What subscribers are told when this begins to hold; nothing of what the end of the attempt tells as well, and nothing
    /// of its supervisor.
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

    /// What subscribers are told of an end.
    #[must_use]
    pub const fn of_ending(ending: &Ending) -> Self {
        match ending {
            Ending::Completed { .. } | Ending::Cancelled { .. } => Self::Stopped,
            Ending::Failed { .. } | Ending::Timeout { .. } | Ending::Interrupted { .. } => Self::Failed,
        }
    }
}

impl EventPriority {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// With which fact work begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTrigger {
    /// With its submit: reported work.
    AtOnce,
    /// With its claim: reported work that waits for a slot.
    AtItsTurn,
    /// When its command runs.
    WhenSpawned,
}

impl StartTrigger {
    /// With which fact this work begins.
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

/// A word that names no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown event type")]
pub struct UnknownEvent;

impl FromStr for EventKind {
    type Err = UnknownEvent;

    /// Reads its word, in capitals or not.
    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownEvent)
    }
}
