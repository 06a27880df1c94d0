//! Completions of a session, delivered in batches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Processes of a session that ended close together, and the state of the session after them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BatchView {
    /// Id of the session.
    pub session: String,
    /// Ended processes, in the order in which their ends became known. The first batch of a stream is empty and only
    /// reports the state of the session.
    pub ended: Vec<EndedProcessView>,
    /// Number of the processes in `ended` by status.
    pub counts: BTreeMap<String, u32>,
    /// Number of processes of the session that have not ended.
    pub live_count: u32,
    /// True if all processes of the session have ended.
    pub all_complete: bool,
    /// Time at which the first process of the batch ended; missing in an empty batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// True if events before this batch are no longer stored, so that completions may be missing.
    pub gap: bool,
    /// Cursor from which a reader continues after this batch.
    pub cursor: String,
}

/// Process that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EndedProcessView {
    /// Id of the process.
    pub id: String,
    /// Name of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Type of the process.
    #[serde(rename = "type")]
    pub kind: String,
    /// Ending: `completed`, `failed`, `timeout`, `cancelled` or `interrupted`.
    pub status: String,
    /// Exit code of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Number of the signal that killed the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// Error message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Time from the start of the last attempt to its end, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// Meaning of the end time if the end was not observed: `latest` (the command ended at that time or earlier, so the
    /// duration is the maximum) or `given_up` (the time of the end is not known).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at_precision: Option<String>,
}
