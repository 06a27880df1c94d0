//! Sessions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A session that has processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionView {
    /// Its id.
    pub session_id: String,
    /// How many of its processes are live.
    pub live: u64,
    /// How many of the newest 1,000 processes are its own and have ended.
    pub ended: u64,
    /// When the newest of these was accepted.
    pub last_queued_at: String,
}

/// The sessions that have processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionListing {
    /// Those with live processes and those of the newest 1,000 processes, the one with the newest process first.
    pub sessions: Vec<SessionView>,
    /// When the list was made.
    pub at: String,
    /// Since when the store does not answer: only work of this node is counted.
    pub stale_since: Option<String>,
}
