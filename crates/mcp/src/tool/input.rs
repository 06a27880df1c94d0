//! What the tools take.
//!
//! Every word of a description is paid for by every agent in every turn: what a name says is not said again.

use crate::work::Reference;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// What `start_background_process` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// jules_session, test_suite, build, server, analysis, custom or custom:<name>
    pub(crate) process_type: String,
    pub(crate) name: String,
    /// Shell command line; with `args`, the program itself
    pub(crate) command: String,
    /// Arguments; no shell is used then
    pub(crate) args: Option<Vec<String>>,
    /// Seconds; 0 is none
    #[serde(default)]
    pub(crate) timeout: f64,
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    /// Working directory; the client's own by default
    pub(crate) cwd: Option<String>,
    /// Variables to add
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) parent_id: Option<Reference>,
    pub(crate) session_id: Option<String>,
    /// Processes with one key share its slots
    pub(crate) concurrency_key: Option<String>,
    /// The same key never starts a second copy
    pub(crate) launch_key: Option<String>,
    /// Further attempts after a failure
    #[serde(default)]
    pub(crate) retries: u32,
    /// Wait up to so long for its end (0..30)
    #[serde(default)]
    pub(crate) wait_seconds: f64,
    /// pipe: for send_process_input
    #[serde(default)]
    pub(crate) stdin: Stdin,
    pub(crate) ready_when: Option<ReadyWhen>,
    /// Idle after so long without output
    pub(crate) idle_after_seconds: Option<f64>,
    /// Stalled after so long without output and processor use
    pub(crate) stall_after_seconds: Option<f64>,
}

/// What a command reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stdin {
    #[default]
    Null,
    Pipe,
}

/// Exactly one
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadyWhen {
    /// It listens on this port
    pub(crate) port: Option<u16>,
    /// This URL answers
    pub(crate) http: Option<String>,
    /// A line of output matches this regex
    pub(crate) log: Option<String>,
    /// This command succeeds
    pub(crate) command: Option<Vec<String>>,
}

impl fmt::Debug for Start {
    /// Prints names of variables only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("process_type", &self.process_type)
            .field("name", &self.name)
            .field("command", &self.command)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Which process is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Id, unique prefix or name
    pub(crate) process_id: Reference,
}

/// What `stop_background_process` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    pub(crate) process_id: Reference,
    /// Kill at once
    #[serde(default)]
    pub(crate) force: bool,
}

/// What `list_background_processes` takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct List {
    /// running: all that live; failed: also timeout and interrupted
    pub(crate) filter_type: FilterType,
    pub(crate) process_type: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) parent_id: Option<Reference>,
    /// 1..100, by default 20
    pub(crate) limit: Option<u32>,
    /// next_cursor of the page before
    pub(crate) cursor: Option<String>,
}

/// Which processes are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FilterType {
    #[default]
    All,
    Running,
    Completed,
    Failed,
}

/// What `wait_for_process` takes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    /// 1..16
    pub(crate) process_ids: Vec<Reference>,
    #[serde(default)]
    pub(crate) until: Until,
    #[serde(default)]
    pub(crate) mode: Mode,
    /// Regex; for output_match
    pub(crate) pattern: Option<String>,
    /// By default 45, at most 55
    pub(crate) timeout_seconds: Option<f64>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Until {
    #[default]
    Ended,
    Running,
    Ready,
    OutputMatch,
}

/// Of how many processes it has to be true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    Any,
    #[default]
    All,
}

/// What `read_process_output` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Read {
    pub(crate) process_id: Reference,
    /// Go on from next_cursor; without any place: head and tail
    pub(crate) cursor: Option<String>,
    /// Stop here: the end of what was omitted
    pub(crate) to_cursor: Option<String>,
    pub(crate) from_line: Option<u64>,
    pub(crate) tail_lines: Option<u32>,
    #[serde(default)]
    pub(crate) stream: Stream,
    /// 150..8000, by default 1500
    pub(crate) max_tokens: Option<u32>,
    /// Keep ANSI codes and repeats
    #[serde(default)]
    pub(crate) raw: bool,
    /// Wait up to so long for more than the cursor has seen (0..55)
    #[serde(default)]
    pub(crate) wait_seconds: f64,
}

/// Which stream is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stream {
    #[default]
    Both,
    Stdout,
    Stderr,
}

/// What `search_process_output` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    pub(crate) process_id: Reference,
    /// Regex without look-around
    pub(crate) pattern: String,
    #[serde(default)]
    pub(crate) ignore_case: bool,
    /// Lines around each match (0..5)
    #[serde(default)]
    pub(crate) context: u32,
    /// By default 20, at most 100
    pub(crate) max_matches: Option<u32>,
    #[serde(default)]
    pub(crate) stream: Stream,
    /// Go on from next_cursor
    pub(crate) from_cursor: Option<String>,
}

/// What `send_process_input` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Send {
    pub(crate) process_id: Reference,
    /// As it is: end a line with \n
    #[serde(default)]
    pub(crate) text: String,
    /// End of input after it
    #[serde(default)]
    pub(crate) close: bool,
}

/// What `register_process` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Register {
    /// As for start_background_process
    pub(crate) process_type: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    pub(crate) parent_id: Option<Reference>,
    pub(crate) session_id: Option<String>,
    /// Interrupted after so long without a report
    pub(crate) heartbeat_seconds: Option<f64>,
}

/// What `report_progress` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    pub(crate) process_id: Reference,
    /// 0..100
    pub(crate) progress: Option<f64>,
    /// What it is doing
    pub(crate) stage: Option<String>,
}

/// What `complete_process` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Complete {
    pub(crate) process_id: Reference,
    /// Any JSON, at most 64 KiB
    pub(crate) result: Option<Value>,
}

/// What `fail_process` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fail {
    pub(crate) process_id: Reference,
    pub(crate) error: String,
}
