//! What a client may ask for at a launch.

use super::{ReadyWhenRequest, WatchRequest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Asks for a new process: exactly one of `command` and `reported`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LaunchRequest {
    /// A command to execute.
    pub command: Option<CommandRequest>,
    /// Work that the caller does itself and reports.
    pub reported: Option<ReportedRequest>,
    /// `jules_session`, `test_suite`, `build`, `server`, `analysis`, `custom` or `custom:<name>`; `custom` by default.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// A name that people may use in place of the id.
    pub name: Option<String>,
    /// What it is for.
    pub project: Option<String>,
    /// Who asks.
    pub session_id: Option<String>,
    /// A sentence about it.
    pub description: Option<String>,
    /// Any JSON object; at most 64 KiB.
    pub metadata: Option<serde_json::Value>,
    /// The process that it is a child of: an id, a unique prefix, or a name.
    pub parent_id: Option<String>,
    /// From inside of which process it is launched: the id of that process, or `outside` for none; the parent by
    /// default. When the parent is restarted after an interruption, it is expected to launch its children again only if
    /// they were launched from inside of it.
    pub launcher: Option<String>,
    /// The agent behind it.
    pub agent_id: Option<String>,
    /// The kind of agent.
    pub agent_type: Option<String>,
    /// What the agent can do.
    pub capabilities: Vec<String>,
    /// The message of the session that asked for it.
    pub parent_message_id: Option<String>,
    /// What an agent is told.
    pub prompt: Option<String>,
    /// Which agent a host is to run.
    pub agent: Option<String>,
    /// Which model a host is to use.
    pub model: Option<String>,
    /// Its concurrency key.
    pub key: Option<String>,
    /// −100 to 100, higher first; 0 by default.
    pub priority: Option<i64>,
    /// The same key in the same session never starts a second copy.
    pub launch_key: Option<String>,
    /// Not before so many milliseconds from now.
    pub delay_ms: Option<u64>,
    /// Not before this moment, in RFC 3339; not together with `delay_ms`.
    pub not_before: Option<String>,
    /// The node that runs it; the one that is asked by default. The environment has to be declared, not captured, for
    /// another one. At most one of `node`, `node_labels` and `any_node`, and only for a command.
    pub node: Option<String>,
    /// Any node that has all these labels runs it.
    pub node_labels: Vec<String>,
    /// Any node runs it.
    pub any_node: bool,
    /// What becomes of its live descendants when it ends by itself: `keep`, `cancel` or `wait`.
    pub children: Option<String>,
    /// What becomes of it when its session ends: `keep`, `cancel` or `grace`.
    pub on_session_end: Option<String>,
    /// How long it may go on after the end of its session, in milliseconds; only with `grace`, where
    /// `session.grace` says it otherwise.
    pub session_grace_ms: Option<u64>,
    /// Refuse it instead of letting it wait for a slot.
    pub no_queue: bool,
    /// Further attempts after a failure.
    pub retry: Option<RetryRequest>,
    /// After so many milliseconds without output or report it counts as idle; 0 for never, `monitor.idle_after` by
    /// default.
    pub idle_after_ms: Option<u64>,
    /// After so many milliseconds without output, report or use of the processor it counts as stalled; 0 for never,
    /// `monitor.stall_after` by default.
    pub stall_after_ms: Option<u64>,
}

/// A command to execute.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommandRequest {
    /// The program: a path, or a name that is searched in the `PATH` of its environment.
    pub program: String,
    /// Its arguments, without the program.
    pub args: Vec<String>,
    /// The absolute working directory.
    pub directory: String,
    /// Where its environment comes from.
    pub environment: EnvironmentRequest,
    /// The absolute path of a file for its standard input; nothing by default.
    pub stdin: Option<String>,
    /// Keep its standard input open, to write to it while it runs; not together with `stdin`.
    pub stdin_pipe: bool,
    /// How long it may run, in milliseconds; 0 means as long as it likes.
    pub timeout_ms: u64,
    /// From the stop signal to KILL, in milliseconds; 5,000 by default.
    pub grace_ms: Option<u64>,
    /// The stop signal, by number; 15 by default.
    pub stop_signal: Option<u8>,
    /// For test suites: INT and two seconds first; true by default for that type.
    pub interrupt_first: Option<bool>,
    /// Leave descendants alone that outlive the command.
    pub keep_leftovers: bool,
    /// How much of its output is kept.
    pub output: OutputRequest,
    /// What it may use up.
    pub limits: LimitsRequest,
    /// How it is found out that it does what it was started for.
    pub ready_when: Option<ReadyWhenRequest>,
    /// What to look for in its output; at most 16.
    pub watch: Vec<WatchRequest>,
}

/// Where the environment of a command comes from.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnvironmentRequest {
    /// The caller's own variables; kept once per distinct content, on this node only.
    pub captured: Option<BTreeMap<String, String>>,
    /// Variables that are part of the launch; they win.
    pub declared: BTreeMap<String, String>,
    /// Captured names to leave out.
    pub removed: Vec<String>,
    /// Leave out the non-interactive defaults (`CI`, `PAGER=cat`, …).
    pub bare: bool,
}

/// How much output of an attempt is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutputRequest {
    /// Bytes from the beginning; 1 MiB by default.
    pub head: Option<u64>,
    /// Bytes from the end; 64 MiB by default.
    pub tail: Option<u64>,
}

/// What an attempt may use up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsRequest {
    /// Processor seconds.
    pub cpu_seconds: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// Processes of the user.
    pub processes: Option<u64>,
    /// Bytes of one written file.
    pub file_bytes: Option<u64>,
}

/// Work that the caller does itself and reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportedRequest {
    /// Where it is done: a label.
    pub node_id: Option<String>,
    /// Wait for a slot of the key instead of starting at once.
    pub queued: bool,
    /// Without a sign of life for so many milliseconds it is interrupted.
    pub heartbeat_ms: Option<u64>,
    /// How long the reporter has to acknowledge a cancel, in milliseconds; 60,000 by default.
    pub grace_ms: Option<u64>,
}

/// Further attempts after a failure.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryRequest {
    /// How many; at most 100.
    pub retries: u32,
    /// The wait before the second attempt, in milliseconds; it doubles. 1,000 by default.
    pub first_ms: Option<u64>,
    /// The longest wait, in milliseconds. 60,000 by default.
    pub cap_ms: Option<u64>,
    /// Exit codes that are worth another attempt; empty means every failure.
    pub codes: Vec<i32>,
    /// Whether a timeout is.
    pub after_timeout: bool,
    /// Whether an interrupted attempt is; it may then run twice.
    pub after_interruption: bool,
}

impl std::fmt::Debug for CommandRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandRequest")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("directory", &self.directory)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for EnvironmentRequest {
    /// Prints names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvironmentRequest")
            .field("captured", &self.captured.as_ref().map(|all| all.keys().collect::<Vec<_>>()))
            .field("declared", &self.declared.keys().collect::<Vec<_>>())
            .field("removed", &self.removed)
            .finish_non_exhaustive()
    }
}
