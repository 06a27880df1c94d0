//! What became true, as subscribers are told: one envelope for streams, files and webhooks.
//!
//! The envelope is a CloudEvent (1.0, structured JSON). Its id is the place of the event in the life of its process, so
//! it is the same for ever, whoever tells it and however often; its `cursor` is where to go on after it.

mod batch;
mod kind;

pub use batch::{BatchView, EndedProcessView};
pub use kind::{EventKind, EventPriority, StartTrigger, UnknownEvent};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of CloudEvents that envelopes follow.
pub const SPEC_VERSION: &str = "1.0";
/// The media type of one envelope.
pub const ENVELOPE_TYPE: &str = "application/cloudevents+json";
/// What stands before the word of an event in the type of its envelope.
pub const TYPE_PREFIX: &str = "dev.longhaul.";
/// The most bytes of output that an event shows.
pub const MAX_TAIL_LEN: usize = 2_048;

/// Asks for events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventsRequest {
    /// Only what comes after this cursor. Without one: from now on if `follow` is set, else from the oldest event kept,
    /// which is also what `start` means.
    pub after: Option<String>,
    /// Of this session only.
    pub session: Option<String>,
    /// Of this process only: an id, a unique prefix, or a name.
    pub process: Option<String>,
    /// Of these types only, such as `PROCESS_FAILED`; all without one.
    pub types: Vec<String>,
    /// Go on with what happens from now on, instead of ending after the newest.
    pub follow: bool,
}

/// One event, as a CloudEvent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Envelope {
    /// The version of CloudEvents.
    pub specversion: String,
    /// `<process>/<revision>/<index>`: the same for ever, so that an event that comes twice can be told.
    pub id: String,
    /// `/nodes/<node>`: where it happened.
    pub source: String,
    /// `dev.longhaul.` and the word of the event.
    #[serde(rename = "type")]
    pub kind: String,
    /// The id of the process; missing for a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it became true.
    pub time: String,
    /// `application/json`.
    pub datacontenttype: String,
    /// The word of the event, such as `PROCESS_STARTED`.
    pub event: String,
    /// `normal` or `high`.
    pub priority: String,
    /// Ask for what comes after this to go on from here.
    pub cursor: String,
    /// The revision of the process, in digits that sort as text; missing for a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// What is known about it.
    pub data: EventData,
}

/// What is known about an event. What does not apply is missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventData {
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its command with its arguments, cut where it is very long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The process id of its command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Whose child it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The agent behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Its status after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Which attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The code that the command exited with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended the command, by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// From the begin of the attempt to its end, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// What the moment of the end is, where nobody saw it: `latest` (the command ended then or before, so that the duration
    /// is the longest possible one) or `given_up` (nobody knows when it ended).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at_precision: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The end of its output, at most 2 KiB, without what a terminal would obey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
    /// What it is doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// When it goes on by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// Why it was told to end: `user`, `timeout`, `parent`, `session`, `shutdown`, `limit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The fact beside its status that began, such as `idle` or `stuck`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The name of the pattern that was found in its output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Where in its output that line begins, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The line that it was found in, cut where it is long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// Of a gap: the cursor of the last event that was told; missing if none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Of a gap: the cursor after which events are told again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl Envelope {
    /// An envelope of this kind with what is the same in all, and nothing in it.
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
