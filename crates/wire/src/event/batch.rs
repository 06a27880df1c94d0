//! The ends of a session, several at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Processes of a session that ended together, and how the session stands after that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BatchView {
    /// The session.
    pub session: String,
    /// What ended, in the order in which it became known. It is empty in the first notice of a stream, which says where
    /// the session stands.
    pub ended: Vec<EndedProcessView>,
    /// How many of `ended` have which status.
    pub counts: BTreeMap<String, u32>,
    /// How many processes of the session are not over.
    pub live_count: u32,
    /// Whether none is left.
    pub all_complete: bool,
    /// When the first of them ended; missing where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Events between the notice before and this one are not kept any more: ends may be missing.
    pub gap: bool,
    /// Ask for what comes after this to go on from here.
    pub cursor: String,
}

/// One process that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EndedProcessView {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How it ended: `completed`, `failed`, `timeout`, `cancelled`, `interrupted`.
    pub status: String,
    /// The code that its command exited with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended its command, by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// From the begin of its last attempt to its end, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// What the moment of the end is, where nobody saw it: `latest` (the command ended then or before, so that the duration
    /// is the longest possible one) or `given_up` (nobody knows when it ended).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at_precision: Option<String>,
}
