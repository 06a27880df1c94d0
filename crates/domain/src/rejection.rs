//! The rejection of an action.

use crate::input::ActionKind;
use crate::status::Status;

/// The reason why an action was rejected. A rejected action changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The status of the process does not allow the action.
    #[error("cannot {} a process that is {from}", attempted.as_str())]
    InvalidStatusTransition {
        /// Status of the process.
        from: Status,
        /// Action that was rejected.
        attempted: ActionKind,
        /// True if the process is reported work, which the caller does itself.
        reported: bool,
    },
    /// The kind of work or the spawner does not support the action.
    #[error("cannot {} {what} (its status is {status})", attempted.as_str())]
    Unsupported {
        /// Status of the process.
        status: Status,
        /// Action that was rejected.
        attempted: ActionKind,
        /// Name of what does not support the action, such as "reported work".
        what: &'static str,
    },
}

impl Rejection {
    /// Returns the error code that all interfaces use for the rejection.
    #[must_use]
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::InvalidStatusTransition { .. } => "invalid_status_transition",
            Self::Unsupported { .. } => "unsupported",
        }
    }
}
