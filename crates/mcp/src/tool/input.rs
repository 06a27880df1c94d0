//! Arguments of the tools.
//!
//! Agents pay for each word of a description in each turn, so no description repeats a name or a limit of the schema.
//! The schema limits are the enforced limits.

use crate::calls::ProcessReference;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Maximum duration, in seconds: 30 days.
pub(crate) const MAX_DURATION_SECS: f64 = 30.0 * 24.0 * 3_600.0;
/// Maximum wait of one call, in seconds. Many clients time out after a minute.
pub(crate) const MAX_WAIT_SECS: f64 = 55.0;
/// Maximum wait for the end of a started process, in seconds.
const MAX_START_WAIT_SECS: f64 = 30.0;
/// Process types without a custom name.
pub(crate) const TYPES: [&str; 6] = ["test_suite", "build", "server", "analysis", "custom", "jules_session"];

/// Arguments of `start_background_process`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartInput {
    /// Process type
    #[schemars(extend("enum" = TYPES))]
    pub(crate) process_type: String,
    /// Label; usable as process_id
    pub(crate) name: String,
    /// Shell command line; with args: only the program; with prompt: empty
    pub(crate) command: String,
    /// Program arguments; no shell is used
    pub(crate) args: Option<Vec<String>>,
    /// KILLS the process after this number of seconds; 0: never. Not a wait: see wait_seconds
    #[serde(default)]
    #[schemars(range(min = 0.0, max = MAX_DURATION_SECS))]
    pub(crate) timeout: f64,
    /// JSON data of the caller
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    /// Working directory; default: the client's (over HTTP required, absolute)
    pub(crate) cwd: Option<String>,
    /// Environment variables to add
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Parent process
    pub(crate) parent_id: Option<ProcessReference>,
    /// Session of the process
    pub(crate) session_id: Option<String>,
    /// Processes with the same key share its slots
    pub(crate) concurrency_key: Option<String>,
    /// A launch with the same key starts no copy
    pub(crate) launch_key: Option<String>,
    /// Retries after a failure
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub(crate) retries: u32,
    /// Seconds to wait for its end; the result then has the output
    #[serde(default)]
    #[schemars(range(min = 0.0, max = MAX_START_WAIT_SECS))]
    pub(crate) wait_seconds: f64,
    /// pipe: allows send_process_input
    #[serde(default)]
    pub(crate) stdin: StdinInput,
    pub(crate) ready_when: Option<ReadyWhenInput>,
    /// Files to keep at the end: globs relative to cwd
    #[serde(default)]
    pub(crate) artifacts: Vec<String>,
    /// Task for an agent that runs as this process
    pub(crate) prompt: Option<String>,
    /// Runner, such as claude, codex, gemini, jules
    pub(crate) agent: Option<String>,
    /// Model of the agent
    pub(crate) model: Option<String>,
    /// Id of the requesting message
    pub(crate) parent_message_id: Option<String>,
    /// Output to report as an event: NAME=REGEX
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub(crate) watch: Vec<String>,
    /// -100 to 100; higher values start first
    #[schemars(range(min = -100, max = 100))]
    pub(crate) priority: Option<i64>,
    /// Node that runs it; default: this one
    pub(crate) node_id: Option<String>,
    /// Agent it works for
    pub(crate) agent_id: Option<String>,
    /// Type of that agent
    pub(crate) agent_type: Option<String>,
    /// Abilities of that agent
    #[serde(default)]
    pub(crate) capabilities: Vec<String>,
    /// Seconds without output until idle
    #[schemars(range(min = 0.0, max = MAX_DURATION_SECS))]
    pub(crate) idle_after_seconds: Option<f64>,
    /// Seconds without output and CPU use until stalled
    #[schemars(range(min = 0.0, max = MAX_DURATION_SECS))]
    pub(crate) stall_after_seconds: Option<f64>,
    /// Progress detection: auto (bars in the output), fd, off or a regex with group percent
    pub(crate) progress: Option<String>,
}

/// Standard input of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StdinInput {
    #[default]
    Null,
    Pipe,
}

/// Readiness check; exactly one field
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadyWhenInput {
    /// TCP port to listen on
    #[schemars(range(min = 1))]
    pub(crate) port: Option<u16>,
    /// URL that must respond
    pub(crate) http: Option<String>,
    /// Regex that an output line must match
    pub(crate) log: Option<String>,
    /// Command that must succeed
    pub(crate) command: Option<Vec<String>>,
}

impl fmt::Debug for StartInput {
    /// Prints names of variables only; values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("process_type", &self.process_type)
            .field("name", &self.name)
            .field("command", &self.command)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Reference to one process.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProcessInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
}

/// Arguments of `restart_process`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestartInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
    /// Stop a live process first
    #[serde(default)]
    pub(crate) stop: bool,
    /// Run only its failed tests
    #[serde(default)]
    pub(crate) failed_tests: bool,
}

/// Arguments of `get_test_results`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestsInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
    /// List all tests; default: failures
    #[serde(default)]
    pub(crate) all: bool,
    /// Earlier run: list new, fixed and still failing tests
    pub(crate) compare_with: Option<ProcessReference>,
    /// Cursor of the previous page
    pub(crate) cursor: Option<String>,
    /// Result size; default 1500
    #[schemars(range(min = 150, max = 8_000))]
    pub(crate) max_tokens: Option<u32>,
}

/// Arguments of `stop_background_process`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
    /// Kill at once; no stop signal
    #[serde(default)]
    pub(crate) force: bool,
    /// Stop only this level of its tree; 0: root
    pub(crate) level: Option<u8>,
}

/// Arguments of `list_background_processes`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListInput {
    /// running: all live; failed: also timeout and interrupted
    pub(crate) filter_type: FilterType,
    /// Type to list
    #[schemars(extend("enum" = TYPES))]
    pub(crate) process_type: Option<String>,
    /// Session to list
    pub(crate) session_id: Option<String>,
    /// Only children of this process
    pub(crate) parent_id: Option<ProcessReference>,
    /// Only the tree of this process
    pub(crate) tree: Option<ProcessReference>,
    /// Depth in the tree; 0: roots
    pub(crate) level: Option<u8>,
    /// Only of this agent
    pub(crate) agent_id: Option<String>,
    /// Page size; default 20
    #[schemars(range(min = 1, max = 100))]
    pub(crate) limit: Option<u32>,
    /// next_cursor of the previous page
    pub(crate) cursor: Option<String>,
}

/// Filter by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FilterType {
    #[default]
    All,
    Running,
    Completed,
    Failed,
}

/// Arguments of `wait_for_process`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitInput {
    /// Ids, unique prefixes or names
    #[schemars(length(min = 1, max = 16))]
    pub(crate) process_ids: Vec<ProcessReference>,
    /// Condition to wait for
    #[serde(default)]
    pub(crate) until: WaitUntil,
    /// Wait for any or all of them
    #[serde(default)]
    pub(crate) mode: WaitModeInput,
    /// Regex; for output_match
    pub(crate) pattern: Option<String>,
    /// Ends this wait, never a process. Default 45
    #[schemars(range(min = 0.0, max = MAX_WAIT_SECS))]
    pub(crate) timeout_seconds: Option<f64>,
}

/// Condition of a wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitUntil {
    #[default]
    Ended,
    Running,
    Ready,
    OutputMatch,
}

/// Number of processes that must meet the condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitModeInput {
    Any,
    #[default]
    All,
}

/// Arguments of `read_process_output`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
    /// Continue at next_cursor; default: head and tail
    pub(crate) cursor: Option<String>,
    /// End cursor; the end of an omitted part
    pub(crate) to_cursor: Option<String>,
    /// First line, counted from 1
    #[schemars(range(min = 1))]
    pub(crate) from_line: Option<u64>,
    /// Number of last lines to show
    pub(crate) tail_lines: Option<u32>,
    /// Output stream
    #[serde(default)]
    pub(crate) stream: StreamInput,
    /// Result size; default 1500
    #[schemars(range(min = 150, max = 8_000))]
    pub(crate) max_tokens: Option<u32>,
    /// Keep ANSI codes and repeats
    #[serde(default)]
    pub(crate) raw: bool,
    /// Seconds to wait for output after the cursor
    #[serde(default)]
    #[schemars(range(min = 0.0, max = MAX_WAIT_SECS))]
    pub(crate) wait_seconds: f64,
}

/// Output stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StreamInput {
    #[default]
    Both,
    Stdout,
    Stderr,
}

/// Arguments of `search_process_output`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
    /// Regex without look-around
    pub(crate) pattern: String,
    /// Ignore case
    #[serde(default)]
    pub(crate) ignore_case: bool,
    /// Lines around each match
    #[serde(default)]
    #[schemars(range(max = 5))]
    pub(crate) context: u32,
    /// Default: 20 matches
    #[schemars(range(min = 1, max = 100))]
    pub(crate) max_matches: Option<u32>,
    /// Output stream
    #[serde(default)]
    pub(crate) stream: StreamInput,
    /// Continue at next_cursor
    pub(crate) from_cursor: Option<String>,
}

/// Arguments of `read_artifacts`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArtifactsInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
    /// Path of a listed file
    pub(crate) path: Option<String>,
    /// Continue at next_offset
    #[serde(default)]
    pub(crate) offset: u64,
    /// Result size; default 1500
    #[schemars(range(min = 150, max = 8_000))]
    pub(crate) max_tokens: Option<u32>,
}

/// Arguments of `send_process_input`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
    /// Sent unchanged; end lines with \n
    #[serde(default)]
    pub(crate) text: String,
    /// Close stdin afterwards
    #[serde(default)]
    pub(crate) close: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterInput {
    /// Process type
    #[schemars(extend("enum" = TYPES))]
    pub(crate) process_type: String,
    /// Label; usable as process_id
    pub(crate) name: String,
    /// Subject of the work
    pub(crate) description: Option<String>,
    /// JSON data of the caller
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    /// Parent process
    pub(crate) parent_id: Option<ProcessReference>,
    /// Its session
    pub(crate) session_id: Option<String>,
    /// Machine; only recorded
    pub(crate) node_id: Option<String>,
    /// Agent that does the work
    pub(crate) agent_id: Option<String>,
    /// Kind of agent
    pub(crate) agent_type: Option<String>,
    /// Runner
    pub(crate) agent: Option<String>,
    /// Its model
    pub(crate) model: Option<String>,
    /// Its task
    pub(crate) prompt: Option<String>,
    /// Seconds without report until interrupted
    #[schemars(range(min = 0.0, max = MAX_DURATION_SECS))]
    pub(crate) heartbeat_seconds: Option<f64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
    /// Percent done
    #[schemars(range(min = 0.0, max = 100.0))]
    pub(crate) progress: Option<f64>,
    /// Current step
    pub(crate) stage: Option<String>,
    /// Estimated seconds left
    #[schemars(range(min = 0.0, max = MAX_DURATION_SECS))]
    pub(crate) eta_seconds: Option<f64>,
    /// Result of a command
    pub(crate) result: Option<Value>,
    /// Error of a command
    pub(crate) error: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
    /// Any JSON, at most 64 KiB
    pub(crate) result: Option<Value>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailInput {
    /// Id or name
    pub(crate) process_id: ProcessReference,
    /// Error message
    pub(crate) error: String,
}
