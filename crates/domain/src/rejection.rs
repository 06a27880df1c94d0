//! Why something that was asked is refused.

use crate::input::ActionKind;
use crate::status::Status;

/// A refusal: nothing was changed. It carries where the process stands and what was tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The status does not allow it.
    #[error("cannot {} a process that is {from}", attempted.as_str())]
    InvalidStatusTransition {
        /// Where it stands.
        from: Status,
        /// What was tried.
        attempted: ActionKind,
        /// Whether somebody else does the work and reports it.
        reported: bool,
    },
    /// This sort of work, or this spawner, cannot do it.
    #[error("cannot {} {what} (it is {status})", attempted.as_str())]
    Unsupported {
        /// Where it stands.
        status: Status,
        /// What was tried.
        attempted: ActionKind,
        /// What cannot do it.
        what: &'static str,
    },
}

impl Rejection {
    /// The word that every face uses for it.
    #[must_use]
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::InvalidStatusTransition { .. } => "invalid_status_transition",
            Self::Unsupported { .. } => "unsupported",
        }
    }
}
