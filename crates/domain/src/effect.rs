//! Effects that the engine executes after a decision is durable. Each effect may be repeated for the same attempt,
//! except a signal: if a crash interrupts the effect, the signal is not sent again.

use crate::ending::StopCause;
use crate::id::AttemptNo;
use crate::progress::ProgressReport;
use crate::signal::{Signal, SignalTarget};

/// An effect that the engine executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Starts the command of this attempt, unless it was started before.
    Spawn {
        /// Attempt that is to be started.
        attempt: AttemptNo,
    },
    /// Stops the process tree of this attempt. If the start of the attempt is not confirmed yet, the tree is stopped as
    /// soon as it is confirmed.
    Stop {
        /// Attempt that is to be stopped.
        attempt: AttemptNo,
        /// Reason for the stop.
        cause: StopCause,
    },
    /// Kills the process tree of this attempt immediately.
    Kill {
        /// Attempt that is to be killed.
        attempt: AttemptNo,
        /// Reason for the stop.
        cause: StopCause,
    },
    /// Pauses the process tree of this attempt.
    Pause {
        /// Attempt that is to be paused.
        attempt: AttemptNo,
    },
    /// Resumes the process tree of this attempt.
    Resume {
        /// Attempt that is to be resumed.
        attempt: AttemptNo,
    },
    /// Sends a signal to this attempt, at most once.
    Signal {
        /// Attempt that receives the signal.
        attempt: AttemptNo,
        /// Signal that is to be sent.
        signal: Signal,
        /// Part of the process tree that receives the signal.
        target: SignalTarget,
    },
    /// Stops the orphan of this attempt. Only the node on which the attempt was started executes this effect.
    StopOrphan {
        /// Attempt that may be running as an orphan.
        attempt: AttemptNo,
        /// Reason for the stop.
        cause: StopCause,
        /// True if the orphan is killed immediately, without a grace period.
        force: bool,
    },
    /// Stores a report in the live stats.
    Keep {
        /// Progress report that is to be stored.
        report: ProgressReport,
    },
    /// Launches a new process with the same spec.
    Relaunch,
    /// Cancels all live descendants, deepest first, without waiting between the levels. Reports when no descendant is
    /// live.
    Cascade {
        /// True if the descendants are killed immediately, without a grace period.
        force: bool,
    },
    /// Reports when no descendant is live any more.
    AwaitDescendants,
}

impl Effect {
    /// Returns true for effects that only stop a process. The engine executes these effects even if the store cannot
    /// commit. A pause is not included: if a pause were executed without being recorded, all interfaces would show a
    /// paused process as running.
    #[must_use]
    pub const fn only_stops(&self) -> bool {
        match self {
            Self::Stop { .. } | Self::Kill { .. } | Self::StopOrphan { .. } => true,
            Self::Spawn { .. }
            | Self::Signal { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Keep { .. }
            | Self::Relaunch
            | Self::Cascade { .. }
            | Self::AwaitDescendants => false,
        }
    }
}

/// Result of a decision: events to commit, then effects to execute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Events that follow from the input.
    pub events: Vec<crate::event::Event>,
    /// Effects to execute as soon as the events are durable.
    pub effects: Vec<Effect>,
    /// Tells the caller why the input changed nothing. `None` if the input changed the state.
    pub note: Option<NoOpReason>,
}

impl Decision {
    /// Returns a decision that changes nothing.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { events: Vec::new(), effects: Vec::new(), note: None }
    }

    /// Returns a decision that changes nothing, with the reason for the caller.
    #[must_use]
    pub const fn noted(note: NoOpReason) -> Self {
        Self { events: Vec::new(), effects: Vec::new(), note: Some(note) }
    }
}

/// Reason why an input that was not rejected changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOpReason {
    /// The process already has the requested state.
    NoChange,
    /// The process has already ended.
    AlreadyEnded,
    /// The process has already ended, and the stop of its possible orphan was requested.
    OrphanStopRequested,
    /// The policy of the process keeps it running.
    KeptByPolicy,
    /// The process is being cancelled together with an ancestor, so its own policy has no effect.
    EndsWithAncestor,
    /// The observation comes too late or belongs to another attempt.
    Stale,
}
