//! Sessions and the list of sessions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Session that has processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionView {
    /// Id of the session.
    pub session_id: String,
    /// Number of live processes of the session.
    pub live: u64,
    /// Number of ended processes of the session among the newest 1,000 processes.
    pub ended: u64,
    /// Time at which the newest process of the session was accepted.
    pub last_queued_at: String,
}

/// List of sessions that have processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionListing {
    /// Sessions that have a live process or one of the newest 1,000 processes; the session with the newest process
    /// first.
    pub sessions: Vec<SessionView>,
    /// Time at which the list was made.
    pub at: String,
    /// Time since which the store does not respond; the list then counts only processes of this node. Null while the
    /// store responds.
    pub stale_since: Option<String>,
}
