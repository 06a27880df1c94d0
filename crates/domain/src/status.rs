//! The status of a process and its role in slots and queues.

use std::fmt;
use std::str::FromStr;

/// The status of a process, as every interface shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The process is waiting for a slot, a start time, or its next attempt.
    Pending,
    /// A node has claimed the process, and the command is being started.
    Starting,
    /// The command or reported work is in progress, or the process is waiting for its descendants.
    Running,
    /// The command is halted with all its descendants until the process is resumed.
    Paused,
    /// The process was asked to end, and some of its commands may still be alive.
    Stopping,
    /// The process ended successfully.
    Completed,
    /// The process ended with an error.
    Failed,
    /// The process was stopped because it exceeded its timeout.
    Timeout,
    /// The process was stopped or removed from the queue by a request.
    Cancelled,
    /// The end of the process was not observed. The record contains the reason.
    Interrupted,
}

impl Status {
    /// All statuses, in the order in which a process passes through them.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Starting,
        Self::Running,
        Self::Paused,
        Self::Stopping,
        Self::Completed,
        Self::Failed,
        Self::Timeout,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// Returns the name of the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns true for the five final statuses.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Timeout | Self::Cancelled | Self::Interrupted => true,
            Self::Pending | Self::Starting | Self::Running | Self::Paused | Self::Stopping => false,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for a text that is not the name of a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no status {word:?}; the statuses are {}", Status::ALL.map(Status::as_str).join(", "))]
pub struct UnknownStatus {
    /// Text that was given.
    pub word: String,
}

impl FromStr for Status {
    type Err = UnknownStatus;

    /// Parses the name of a status; `error` is accepted as another name of `failed`.
    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        if word == "error" {
            return Ok(Self::Failed);
        }
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownStatus { word: word.to_owned() })
    }
}

/// The role of a process in slots and queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotState {
    /// The process is waiting in the queue and may be claimed.
    Waiting,
    /// The process holds a slot of its key and counts as live on its node.
    Holding,
    /// The process is live, but it is not in the queue and holds no slot: it is delayed, between attempts, waiting for
    /// its descendants, or reported work that was never queued.
    Idle,
    /// The process has ended.
    Ended,
}
