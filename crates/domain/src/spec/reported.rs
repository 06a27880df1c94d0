//! The spec of work that the caller does itself.

use crate::id::NodeId;
use std::time::Duration;

/// Work that the caller does itself and reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedSpec {
    /// Name that the caller gives to the place of the work. A node with the same name does not become the owner.
    pub node: Option<NodeId>,
    /// True if the work waits for a slot of its key instead of starting immediately.
    pub queued: bool,
    /// Maximum time between two heartbeats; the process is interrupted if none arrives in time.
    pub heartbeat: Option<Duration>,
    /// Time within which the reporter must acknowledge a cancel. After that time, the process is recorded as cancelled.
    pub grace: Duration,
}

impl ReportedSpec {
    /// Default of `grace`.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(60);
}

impl Default for ReportedSpec {
    fn default() -> Self {
        Self { node: None, queued: false, heartbeat: None, grace: Self::DEFAULT_GRACE }
    }
}
