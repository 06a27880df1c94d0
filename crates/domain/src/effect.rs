//! What the outside must do after a decision is durable. Each is safe to do again for the same attempt, except a signal:
//! what a crash cut off is not sent.

use crate::ending::StopCause;
use crate::id::AttemptNo;
use crate::progress::ProgressReport;
use crate::signal::{Signal, SignalTarget};

/// Something that the outside must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the command of this attempt, unless it was started already.
    Spawn {
        /// The attempt.
        attempt: AttemptNo,
    },
    /// Stop the tree of this attempt; if its start is unanswered, as soon as it is answered.
    Stop {
        /// The attempt.
        attempt: AttemptNo,
        /// Why.
        cause: StopCause,
    },
    /// Kill the tree of this attempt now.
    Kill {
        /// The attempt.
        attempt: AttemptNo,
        /// Why.
        cause: StopCause,
    },
    /// Halt the tree of this attempt.
    Pause {
        /// The attempt.
        attempt: AttemptNo,
    },
    /// Let the tree of this attempt go on.
    Resume {
        /// The attempt.
        attempt: AttemptNo,
    },
    /// Send a signal to this attempt: once, and never again.
    Signal {
        /// The attempt.
        attempt: AttemptNo,
        /// Which.
        signal: Signal,
        /// To whom.
        target: SignalTarget,
    },
    /// Stop what is left of this attempt, on its node and nowhere else.
    StopOrphan {
        /// The attempt.
        attempt: AttemptNo,
        /// Why.
        cause: StopCause,
        /// Without a grace.
        force: bool,
    },
    /// Keep a report among the vitals.
    Keep {
        /// The report.
        report: ProgressReport,
    },
    /// Launch the same details as a new process.
    Relaunch,
    /// Cancel every live descendant, deepest first, without waiting between them; tell when none is left.
    Cascade {
        /// Without a grace.
        force: bool,
    },
    /// Tell when no descendant lives any more.
    AwaitDescendants,
}

impl Effect {
    /// True for effects that only stop: they go ahead even when the store cannot commit. A pause that is recorded nowhere
    /// would halt work that every face calls running, so that it waits for the store.
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

/// What a decision comes to: facts to make durable, then things to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What becomes true.
    pub events: Vec<crate::event::Event>,
    /// What must be done once that is durable.
    pub effects: Vec<Effect>,
    /// What the caller should know besides.
    pub note: Option<NoOpReason>,
}

impl Decision {
    /// Nothing happens.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { events: Vec::new(), effects: Vec::new(), note: None }
    }

    /// Nothing happens, and the caller is told why.
    #[must_use]
    pub const fn noted(note: NoOpReason) -> Self {
        Self { events: Vec::new(), effects: Vec::new(), note: Some(note) }
    }
}

/// Why nothing happened although nothing was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOpReason {
    /// It is so already: the same was asked before.
    NoChange,
    /// It had ended already.
    AlreadyEnded,
    /// It had ended already, and what may be left of it was told to end.
    OrphanStopRequested,
    /// Its policy says that it goes on.
    KeptByPolicy,
    /// The process is cancelled together with an ancestor, whatever its own policy says.
    EndsWithAncestor,
    /// What was seen comes too late, or belongs to another attempt.
    Stale,
}
