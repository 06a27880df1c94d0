//! The plain words for where a process stands.

use std::fmt;
use std::str::FromStr;

/// Where a process stands, as every face calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Waits: for a slot, a moment, or its next attempt.
    Pending,
    /// Claimed; the command is being started.
    Starting,
    /// At work.
    Running,
    /// Halted with all its descendants, until it is resumed.
    Paused,
    /// Told to end; its tree is not yet known to be empty.
    Stopping,
    /// Ended well.
    Completed,
    /// Ended with an error.
    Failed,
    /// Was stopped because the timeout was exceeded.
    Timeout,
    /// Was stopped, or taken from the queue, because someone asked.
    Cancelled,
    /// Its end was not seen; the reason is in the record.
    Interrupted,
}

impl Status {
    /// Every status, in the order of a life.
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

    /// The word for it.
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

    /// True for the five that are final.
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

/// A word that names no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no status {word:?}")]
pub struct UnknownStatus {
    /// The word.
    pub word: String,
}

impl FromStr for Status {
    type Err = UnknownStatus;

    /// Reads the word; `error` means `failed`.
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

/// What a store does with a process's slot and place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotState {
    /// Stands in the queue and may be claimed.
    Waiting,
    /// Holds a slot of its key, and counts as live on its node.
    Holding,
    /// Lives, but neither waits nor holds: delayed, between attempts, or reported work that never queued.
    Idle,
    /// Final.
    Ended,
}
