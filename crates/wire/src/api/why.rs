//! Explanation of why a process waits.

use crate::api::{FirstErrorView, HoldView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Explanation of why a process waits. Fields that do not apply are null or empty, never missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WhyView {
    /// Id of the process.
    pub id: String,
    /// Name of the process.
    pub name: Option<String>,
    /// Status of the process.
    pub status: String,
    /// Code of the reason: `not_waiting`, `queued`, `held`, `node_full`, `settling`, `delayed`, `retry` or `no_node`.
    pub why: String,
    /// The reason as a sentence.
    pub reason: String,
    /// Concurrency key whose slot the process waits for.
    pub key: Option<String>,
    /// Position in the queue; 1 is next.
    pub position: Option<u32>,
    /// Number of processes before it in the queue.
    pub ahead: Option<u32>,
    /// Number of slots of the key, or for `node_full` the maximum number of roots of the node; null means no limit.
    pub slots: Option<u32>,
    /// Processes that hold the slots, in the order of their submission.
    pub holders: Vec<HolderView>,
    /// True if every slot is held by an ancestor of a waiting process. No process can start until the limit is raised
    /// or one of these ancestors ends.
    pub deadlocked: bool,
    /// Hold of the queue; null if the queue is not on hold.
    pub held: Option<HoldView>,
    /// Time at which the wait ends; null if it does not end at a fixed time.
    pub due_at: Option<String>,
    /// Number of the next attempt if the process waits for a retry.
    pub next_attempt: Option<u32>,
    /// Ending of the last attempt if the process waits for a retry.
    pub last_error: Option<String>,
    /// First error in the output, if the process failed and its output states one.
    pub first_error: Option<FirstErrorView>,
    /// Earlier attempts of the process, oldest first, as far as the event log still has them.
    pub earlier_attempts: Vec<EarlierAttemptView>,
    /// Placement of the process if no node can run it now.
    pub placement: Option<String>,
    /// Time at which the process was accepted.
    pub queued_at: String,
    /// Time at which the explanation was made.
    pub at: String,
}

/// Attempt that ended before a retry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EarlierAttemptView {
    /// Number of the attempt.
    pub attempt: u32,
    /// End time of the attempt.
    pub ended_at: String,
    /// Ending of the attempt, as a sentence.
    pub ending: String,
}

/// Process that holds a slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HolderView {
    /// Id of the process.
    pub id: String,
    /// Name of the process.
    pub name: Option<String>,
    /// Status of the process; null if unknown, such as for a deleted process.
    pub status: Option<String>,
    /// Start time of the latest attempt.
    pub started_at: Option<String>,
}
