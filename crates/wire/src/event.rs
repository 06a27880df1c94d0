//! Events as subscribers receive them. Streams, files and webhooks use the same envelope.
//!
//! The envelope is a CloudEvent (1.0, structured JSON). Its id is built from the process, the revision and an index.
//! Repeated deliveries of an event therefore have the same id. Its `cursor` is the position from which a reader
//! continues after the event.

mod batch;
mod kind;

pub use batch::{BatchView, EndedProcessView};
pub use kind::{EventKind, EventPriority, StartTrigger, UnknownEvent};

use crate::api::{FirstErrorView, TestsView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// CloudEvents version of the envelopes.
pub const SPEC_VERSION: &str = "1.0";
/// Media type of one envelope.
pub const ENVELOPE_TYPE: &str = "application/cloudevents+json";
/// Prefix of the CloudEvents type. The name of the event follows the prefix.
pub const TYPE_PREFIX: &str = "dev.longhaul.";
/// Maximum size of the output tail in an event, in bytes.
pub const MAX_TAIL_LEN: usize = 2_048;

/// Request for events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventsRequest {
    /// Cursor after which events are returned; `start` means the oldest stored event. Without a cursor, the events
    /// start now if `follow` is true, and with the oldest stored event otherwise.
    pub after: Option<String>,
    /// Session whose events are returned; all sessions if missing.
    pub session: Option<String>,
    /// Process whose events are returned: an id, a unique prefix of an id, or a name. All processes if missing.
    pub process: Option<String>,
    /// Types of events to return, such as `PROCESS_FAILED`; all types if empty.
    pub types: Vec<String>,
    /// True to keep the stream open for future events; false to end it after the newest stored event.
    pub follow: bool,
}

/// Event as a CloudEvent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Envelope {
    /// CloudEvents version: `1.0`.
    pub specversion: String,
    /// Id of the event: `<process>/<revision>/<index>`. A repeated delivery has the same id, so that duplicates can be
    /// detected.
    pub id: String,
    /// Node of the event: `/nodes/<node>`.
    pub source: String,
    /// CloudEvents type: `dev.longhaul.` and the name of the event.
    #[serde(rename = "type")]
    pub kind: String,
    /// Id of the process; missing in a `GAP` event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Time of the event.
    pub time: String,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// Name of the event, such as `PROCESS_STARTED`.
    pub event: String,
    /// `normal` or `high`.
    pub priority: String,
    /// Cursor from which a reader continues after this event.
    pub cursor: String,
    /// Revision of the process, with leading zeros so that it sorts as text; missing in a `GAP` event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// Details of the event.
    pub data: EventData,
}

/// Details of an event. Fields that do not apply are missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventData {
    /// Id of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// Type of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_type: Option<String>,
    /// Name of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Program and arguments, shortened if they are very long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Process id of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Session on whose behalf the process runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Id of the parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Project that the process belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Id of the agent that the process belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Status of the process after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Number of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Exit code of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Number of the signal that killed the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// Time from the start of the attempt to its end, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Meaning of the end time if the end was not observed: `latest` (the command ended at that time or earlier, so the
    /// duration is the maximum) or `given_up` (the time of the end is not known).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at_precision: Option<String>,
    /// Error message: the error that the command reported, else the first error in its output, else how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// First error in the output of a failed command, without its further lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_error: Option<FirstErrorView>,
    /// Test results of the attempt, with its first failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tests: Option<Box<TestsView>>,
    /// End of the output, at most 2 KiB, without terminal control sequences. All lines of the first error, such as a
    /// whole traceback, come before the end if the end does not contain them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Current stage of the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Progress in percent, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// Time at which the waiting process continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// Cause of the stop: `user`, `timeout`, `parent`, `session`, `shutdown` or `limit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Condition of the process that started, such as `idle` or `stuck`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Name of the pattern that was found in the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Byte offset of the start of the matching line in the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Matching line, shortened if it is long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// In a `GAP` event: cursor of the last event before the gap; missing if there was no event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// In a `GAP` event: cursor after which events are available again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl Envelope {
    /// Creates an envelope for this kind of event. It contains the fields that all envelopes have in common; its data
    /// is empty.
    #[must_use]
    pub fn of(kind: EventKind) -> Self {
        Self {
            specversion: SPEC_VERSION.to_owned(),
            kind: format!("{TYPE_PREFIX}{}", kind.as_str()),
            datacontenttype: "application/json".to_owned(),
            event: kind.as_str().to_owned(),
            priority: kind.urgency().as_str().to_owned(),
            ..Self::default()
        }
    }
}
