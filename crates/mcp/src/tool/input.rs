//! What the tools take.
//!
//! Every agent pays for every word of a description in every turn: no description repeats what a name or a bound says.
//! The bounds in the schemas are the ones that are checked.

use crate::calls::ProcessReference;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// The longest span that is taken, in seconds: 30 days.
pub(crate) const MAX_DURATION_SECS: f64 = 30.0 * 24.0 * 3_600.0;
/// The longest wait of one call, in seconds: below the minute after which many clients give up.
pub(crate) const MAX_WAIT_SECS: f64 = 55.0;
/// The longest wait for the end of what was just started, in seconds.
const MAX_START_WAIT_SECS: f64 = 30.0;
/// The types of processes that have no name of their own.
pub(crate) const TYPES: [&str; 6] = ["test_suite", "build", "server", "analysis", "custom", "jules_session"];

/// What `start_background_process` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartInput {
    /// Kind of work
    #[schemars(extend("enum" = TYPES))]
    pub(crate) process_type: String,
    /// Label; later calls may use it as process_id
    pub(crate) name: String,
    /// Shell command line; with args, the program alone
    pub(crate) command: String,
    /// Arguments of the program; no shell then
    pub(crate) args: Option<Vec<String>>,
    /// KILLS the process after this number of seconds; 0: never. Not a wait: see wait_seconds
    #[serde(default)]
    #[schemars(range(min = 0.0, max = MAX_DURATION_SECS))]
    pub(crate) timeout: f64,
    /// Kept in the record
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    /// Working directory; default: the client's (over HTTP required, absolute)
    pub(crate) cwd: Option<String>,
    /// Variables to add
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Parent process
    pub(crate) parent_id: Option<ProcessReference>,
    /// Session to start it in
    pub(crate) session_id: Option<String>,
    /// Processes with one key share its slots and queue for them
    pub(crate) concurrency_key: Option<String>,
    /// The same key never starts a second copy
    pub(crate) launch_key: Option<String>,
    /// Further attempts after a failure
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub(crate) retries: u32,
    /// Wait so long for its end; the answer has the output if it ends
    #[serde(default)]
    #[schemars(range(min = 0.0, max = MAX_START_WAIT_SECS))]
    pub(crate) wait_seconds: f64,
    /// pipe: for send_process_input
    #[serde(default)]
    pub(crate) stdin: StdinInput,
    pub(crate) ready_when: Option<ReadyWhenInput>,
    /// Condition idle after so long without output
    #[schemars(range(min = 0.0, max = MAX_DURATION_SECS))]
    pub(crate) idle_after_seconds: Option<f64>,
    /// Condition stalled after so long without output and CPU use
    #[schemars(range(min = 0.0, max = MAX_DURATION_SECS))]
    pub(crate) stall_after_seconds: Option<f64>,
}

/// What a command reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StdinInput {
    #[default]
    Null,
    Pipe,
}

/// How it is known to be ready; exactly one
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadyWhenInput {
    /// It listens on this port
    #[schemars(range(min = 1))]
    pub(crate) port: Option<u16>,
    /// This URL answers
    pub(crate) http: Option<String>,
    /// A line of output matches this regex
    pub(crate) log: Option<String>,
    /// This command succeeds
    pub(crate) command: Option<Vec<String>>,
}

impl fmt::Debug for StartInput {
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
pub(crate) struct ProcessInput {
    /// Id, unique prefix or name
    pub(crate) process_id: ProcessReference,
}

/// What `restart_process` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestartInput {
    /// Id, unique prefix or name
    pub(crate) process_id: ProcessReference,
    /// If it is live, stop it first
    #[serde(default)]
    pub(crate) stop: bool,
}

/// What `stop_background_process` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopInput {
    /// Id, unique prefix or name
    pub(crate) process_id: ProcessReference,
    /// Kill at once
    #[serde(default)]
    pub(crate) force: bool,
}

/// What `list_background_processes` takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListInput {
    /// running: all that live; failed: also timeout and interrupted
    pub(crate) filter_type: FilterType,
    /// Of this type alone
    #[schemars(extend("enum" = TYPES))]
    pub(crate) process_type: Option<String>,
    /// Of this session alone
    pub(crate) session_id: Option<String>,
    /// Children of this process alone
    pub(crate) parent_id: Option<ProcessReference>,
    /// Default 20
    #[schemars(range(min = 1, max = 100))]
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
pub(crate) struct WaitInput {
    /// Ids, unique prefixes or names
    #[schemars(length(min = 1, max = 16))]
    pub(crate) process_ids: Vec<ProcessReference>,
    /// What is waited for
    #[serde(default)]
    pub(crate) until: WaitUntil,
    /// any or all of them
    #[serde(default)]
    pub(crate) mode: WaitModeInput,
    /// Regex; for output_match
    pub(crate) pattern: Option<String>,
    /// Ends this wait, never a process. Default 45
    #[schemars(range(min = 0.0, max = MAX_WAIT_SECS))]
    pub(crate) timeout_seconds: Option<f64>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitUntil {
    #[default]
    Ended,
    Running,
    Ready,
    OutputMatch,
}

/// Of how many processes it has to be true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitModeInput {
    Any,
    #[default]
    All,
}

/// What `read_process_output` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadInput {
    /// Id, unique prefix or name
    pub(crate) process_id: ProcessReference,
    /// Go on from next_cursor; without any place: head and tail
    pub(crate) cursor: Option<String>,
    /// Stop here: the end of what was omitted
    pub(crate) to_cursor: Option<String>,
    /// Begin at this line, counted from 1
    #[schemars(range(min = 1))]
    pub(crate) from_line: Option<u64>,
    /// Return only this number of last lines
    pub(crate) tail_lines: Option<u32>,
    /// Which stream
    #[serde(default)]
    pub(crate) stream: StreamInput,
    /// Default 1500
    #[schemars(range(min = 150, max = 8_000))]
    pub(crate) max_tokens: Option<u32>,
    /// Keep ANSI codes and repeats
    #[serde(default)]
    pub(crate) raw: bool,
    /// Wait so long for more than the cursor has seen
    #[serde(default)]
    #[schemars(range(min = 0.0, max = MAX_WAIT_SECS))]
    pub(crate) wait_seconds: f64,
}

/// Which stream is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StreamInput {
    #[default]
    Both,
    Stdout,
    Stderr,
}

/// What `search_process_output` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchInput {
    /// Id, unique prefix or name
    pub(crate) process_id: ProcessReference,
    /// Regex without look-around
    pub(crate) pattern: String,
    /// Upper and lower case match
    #[serde(default)]
    pub(crate) ignore_case: bool,
    /// Lines around each match
    #[serde(default)]
    #[schemars(range(max = 5))]
    pub(crate) context: u32,
    /// Default 20
    #[schemars(range(min = 1, max = 100))]
    pub(crate) max_matches: Option<u32>,
    /// Which stream
    #[serde(default)]
    pub(crate) stream: StreamInput,
    /// Go on from next_cursor
    pub(crate) from_cursor: Option<String>,
}

/// What `send_process_input` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendInput {
    /// Id, unique prefix or name
    pub(crate) process_id: ProcessReference,
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
pub(crate) struct RegisterInput {
    /// Kind of work
    #[schemars(extend("enum" = TYPES))]
    pub(crate) process_type: String,
    /// Label; later calls may use it as process_id
    pub(crate) name: String,
    /// What it is about
    pub(crate) description: Option<String>,
    /// Kept in the record
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    /// Parent process
    pub(crate) parent_id: Option<ProcessReference>,
    /// Session to register it in
    pub(crate) session_id: Option<String>,
    /// Name of the machine that does the work; only recorded
    pub(crate) node_id: Option<String>,
    /// Id of the agent that does the work
    pub(crate) agent_id: Option<String>,
    /// Interrupted after so long without a report
    #[schemars(range(min = 0.0, max = MAX_DURATION_SECS))]
    pub(crate) heartbeat_seconds: Option<f64>,
}

/// What `report_progress` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportInput {
    /// Id, unique prefix or name
    pub(crate) process_id: ProcessReference,
    /// Percent
    #[schemars(range(min = 0.0, max = 100.0))]
    pub(crate) progress: Option<f64>,
    /// What it is doing
    pub(crate) stage: Option<String>,
}

/// What `complete_process` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteInput {
    /// Id, unique prefix or name
    pub(crate) process_id: ProcessReference,
    /// Any JSON, at most 64 KiB
    pub(crate) result: Option<Value>,
}

/// What `fail_process` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailInput {
    /// Id, unique prefix or name
    pub(crate) process_id: ProcessReference,
    /// Why it failed
    pub(crate) error: String,
}
