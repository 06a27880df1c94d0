//! Errors of the client.

use crate::manager_locator::StartError;
use longhaul_wire::api::{PROTOCOL, Problem};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Reason why a request to the manager failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The manager refused the request.
    #[error("{}", problem.title)]
    Problem {
        /// Response of the manager, which says why it refused the request.
        problem: Box<Problem>,
    },
    /// No manager answers at the socket.
    #[error("no manager answers at {}", socket.display())]
    Down {
        /// Path of the manager's socket.
        socket: PathBuf,
        /// State directory of the manager.
        state_dir: PathBuf,
        /// Reason why no manager could be started. `None` if the client did not try to start a manager.
        started: Option<StartError>,
        /// Error of the connection attempt.
        source: io::Error,
    },
    /// The caller has no permission to use the socket.
    #[error("you have no permission to use the manager at {}", socket.display())]
    Forbidden {
        /// Path of the manager's socket.
        socket: PathBuf,
        /// Error of the connection attempt.
        source: io::Error,
    },
    /// A program that is not a manager answers at the socket.
    #[error("the program that answers at {} is not a longhaul manager", socket.display())]
    Stranger {
        /// Path of the socket.
        socket: PathBuf,
    },
    /// The manager uses another version of the protocol.
    #[error("the manager uses protocol {theirs}, but this program uses protocol {PROTOCOL}")]
    Protocol {
        /// Protocol version of the manager.
        theirs: String,
        /// Version of the manager's program. `None` if the manager does not report it.
        manager: Option<String>,
    },
    /// The connection ended before the response was complete.
    #[error("the connection to the manager was lost")]
    Broken {
        /// Reason why the response is incomplete.
        why: String,
    },
    /// No response arrived in time.
    #[error("the manager did not answer within {} s", waited.as_secs())]
    Silent {
        /// Time that the client waited for the response.
        waited: Duration,
        /// Process id of the manager. Set only if a signal has stopped the manager.
        stopped: Option<u32>,
    },
    /// The request cannot be encoded as JSON.
    #[error("the request cannot be encoded as JSON")]
    NotJson {
        /// Error of the encoder.
        source: serde_json::Error,
    },
    /// A name or an id cannot be part of a request path.
    #[error("{path:?} is not a valid name or id")]
    InvalidPath {
        /// Path of the request.
        path: String,
        /// Reason why the path is invalid.
        why: String,
    },
}

impl ClientError {
    /// Returns the error code, which is the same in the CLI, HTTP and MCP.
    #[must_use]
    pub fn slug(&self) -> &str {
        match self {
            Self::Problem { problem } => &problem.slug,
            Self::Down { .. } => "manager_unreachable",
            Self::Forbidden { .. } => "not_authorised",
            Self::Stranger { .. } => "not_a_manager",
            Self::Protocol { .. } => "protocol_mismatch",
            Self::Broken { .. } => "connection_broken",
            Self::Silent { .. } => "manager_timeout",
            Self::NotJson { .. } | Self::InvalidPath { .. } => "invalid_request",
        }
    }

    /// Returns true if the failure is temporary, so that a manager may be available again soon.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Down { .. } | Self::Broken { .. } | Self::Silent { .. } => true,
            Self::Problem { problem } => problem.slug == "shutting_down",
            Self::Forbidden { .. }
            | Self::Stranger { .. }
            | Self::Protocol { .. }
            | Self::NotJson { .. }
            | Self::InvalidPath { .. } => false,
        }
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        Self::Problem { problem: Box::new(problem) }
    }
}
