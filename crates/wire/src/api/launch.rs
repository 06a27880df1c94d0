//! Launch requests.

use super::{ReadyWhenRequest, WatchRequest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Launch of a new process. Exactly one of `command` and `reported` is required, except with a `prompt`. If a launch
/// with a `prompt` has neither of them, or has a `command` without a program, the runner of the agent builds the
/// command.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LaunchRequest {
    /// Command to execute.
    pub command: Option<CommandRequest>,
    /// Work that the caller does itself and reports.
    pub reported: Option<ReportedRequest>,
    /// Type of the process: `jules_session`, `test_suite`, `build`, `server`, `analysis`, `custom` (default) or
    /// `custom:<name>`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Name that can be used in place of the id.
    pub name: Option<String>,
    /// Project that the process belongs to.
    pub project: Option<String>,
    /// Session on whose behalf the process runs.
    pub session_id: Option<String>,
    /// Free text that describes the process.
    pub description: Option<String>,
    /// Any JSON object of the caller; at most 64 KiB.
    pub metadata: Option<serde_json::Value>,
    /// Parent process: an id, a unique prefix of an id, or a name.
    pub parent_id: Option<String>,
    /// Id of the process from whose command this launch is made, or `outside` if there is none; the parent by default.
    /// After an interruption, a restarted parent is expected to launch its children again only if they were launched
    /// from inside its command.
    pub launcher: Option<String>,
    /// Id of the agent that the process belongs to.
    pub agent_id: Option<String>,
    /// Type of the agent.
    pub agent_type: Option<String>,
    /// Capabilities of the agent.
    pub capabilities: Vec<String>,
    /// Id of the session message that requested this launch.
    pub parent_message_id: Option<String>,
    /// Prompt for the agent.
    pub prompt: Option<String>,
    /// Name of the agent. If longhaul runs the agent, this is the name of a runner in the configuration, and the
    /// default is the setting `runner.default`. Otherwise, any name is valid.
    pub agent: Option<String>,
    /// Model that the agent is to use.
    pub model: Option<String>,
    /// Concurrency key. Processes with the same key share a limited number of slots.
    pub key: Option<String>,
    /// Priority in the queue: −100 to 100, a higher value is served first; 0 by default.
    pub priority: Option<i64>,
    /// Launch key. A second launch with the same key in the same session returns the first process instead of starting
    /// a copy.
    pub launch_key: Option<String>,
    /// Delay before the start, in milliseconds.
    pub delay_ms: Option<u64>,
    /// Earliest start time, in RFC 3339; not together with `delay_ms`.
    pub not_before: Option<String>,
    /// Name of the node that runs the process; the node that receives the request by default. For another node, the
    /// environment must be declared, not captured. At most one of `node`, `node_labels` and `any_node`, and only for a
    /// command.
    pub node: Option<String>,
    /// Labels: any node that has all of them may run the process.
    pub node_labels: Vec<String>,
    /// True to let any node run the process.
    pub any_node: bool,
    /// Action on live descendants when the process ends without being cancelled: `keep`, `cancel` or `wait`. The default
    /// is the setting `children.on_end`.
    pub children: Option<String>,
    /// Action on live descendants when the process fails, times out or is interrupted: `keep`, `cancel` or `wait`. The
    /// default is `children` if given, and otherwise the setting `children.on_failure`.
    pub children_on_failure: Option<String>,
    /// Action on the process when its session ends: `keep`, `cancel` or `grace`.
    pub on_session_end: Option<String>,
    /// Time that the process may still run after its session ended, in milliseconds; only with `grace`. The default is
    /// the setting `session.grace`.
    pub session_grace_ms: Option<u64>,
    /// True to reject the launch if no slot is free, instead of waiting for a slot.
    pub no_queue: bool,
    /// Retries after a failure; no retries by default.
    pub retry: Option<RetryRequest>,
    /// Time without output or report after which the process counts as idle, in milliseconds; 0 means never. The
    /// default is the setting `monitor.idle_after`.
    pub idle_after_ms: Option<u64>,
    /// Time without output, report or CPU use, or without a change of known progress, after which the process counts as
    /// stalled, in milliseconds; 0 means never. The default is the setting `monitor.stall_after`.
    pub stall_after_ms: Option<u64>,
}

/// Command to execute.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommandRequest {
    /// Program: a path, or a name that is searched in the `PATH` of the command's environment. Empty if the runner of an
    /// agent builds the command.
    pub program: String,
    /// Arguments, without the program.
    pub args: Vec<String>,
    /// Working directory, as an absolute path. The default for the command of a runner is the home directory of the
    /// manager's user.
    pub directory: String,
    /// Environment variables of the command.
    pub environment: EnvironmentRequest,
    /// Absolute path of a file for the standard input; the standard input is empty by default.
    pub stdin: Option<String>,
    /// True to keep the standard input open, so that input can be sent while the command runs; not together with
    /// `stdin`.
    pub stdin_pipe: bool,
    /// Maximum run time, in milliseconds; 0 means no limit.
    pub timeout_ms: u64,
    /// Time from the stop signal to SIGKILL, in milliseconds; 5,000 by default.
    pub grace_ms: Option<u64>,
    /// Number of the stop signal; 15 (SIGTERM) by default.
    pub stop_signal: Option<u8>,
    /// True to send SIGINT and wait two seconds before the stop signal, so that reports can be written. The default is
    /// true for test suites and false for other types.
    pub interrupt_first: Option<bool>,
    /// True to leave descendants alone that are still alive after the command exited.
    pub keep_leftovers: bool,
    /// Amount of output that is stored.
    pub output: OutputRequest,
    /// Resource limits of the command.
    pub limits: LimitsRequest,
    /// Condition under which the command counts as ready.
    pub ready_when: Option<ReadyWhenRequest>,
    /// Patterns to detect in the output; at most 16.
    pub watch: Vec<WatchRequest>,
    /// Source of test results. `detect` (the default): longhaul looks for test results if the type is `test_suite` or
    /// if the command runs a known test framework. `auto`: longhaul always looks for test results. `off`: never.
    /// `junit:PATH`: in addition to `auto`, longhaul reads the JUnit XML reports at this path, which is relative to the
    /// working directory and may contain `*` in names.
    pub report: Option<String>,
    /// Files to keep: patterns of paths in the working directory, such as `reports/**/*.xml`; at most 64. The matching
    /// files are copied when an attempt ends.
    pub artifacts: Vec<String>,
    /// Detection of the progress: `off`, `fd` (the command writes JSON lines to the descriptor in
    /// `LONGHAUL_PROGRESS_FD`), `auto` (like `fd`, and longhaul reads the progress bars of common programs in the
    /// output), or a regular expression with the group `percent` or the groups `done` and `total`. The default is the
    /// setting `progress.default`.
    pub progress: Option<String>,
}

/// Source of the environment variables of a command.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnvironmentRequest {
    /// Environment variables of the caller. Each distinct set is stored once, and only on the node that receives the
    /// request.
    pub captured: Option<BTreeMap<String, String>>,
    /// Variables that are part of the launch; they override captured variables.
    pub declared: BTreeMap<String, String>,
    /// Names of captured variables to leave out.
    pub removed: Vec<String>,
    /// True to leave out the defaults for non-interactive programs (`CI`, `PAGER=cat`, …).
    pub bare: bool,
}

/// Amount of output that is stored for one attempt.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutputRequest {
    /// Bytes to store from the start of the output; 1 MiB by default.
    pub head: Option<u64>,
    /// Bytes to store from the end of the output; 64 MiB by default.
    pub tail: Option<u64>,
}

/// Resource limits of one attempt. A limit that is missing is not set.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsRequest {
    /// CPU time, in seconds.
    pub cpu_seconds: Option<u64>,
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Number of open files.
    pub open_files: Option<u64>,
    /// Number of processes of the user.
    pub processes: Option<u64>,
    /// Size of each written file, in bytes.
    pub file_bytes: Option<u64>,
}

/// Work that the caller does itself and reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportedRequest {
    /// Label of the place where the work is done.
    pub node_id: Option<String>,
    /// True to wait as `pending` while no slot of the key is free; false to start without a slot.
    pub queued: bool,
    /// Time without a heartbeat after which the work counts as interrupted, in milliseconds; 0 or no value means never.
    pub heartbeat_ms: Option<u64>,
    /// Time that the reporter has to acknowledge a cancel, in milliseconds; 60,000 by default.
    pub grace_ms: Option<u64>,
}

/// Retries after a failure.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryRequest {
    /// Maximum number of retries; at most 100.
    pub retries: u32,
    /// Delay before the first retry, in milliseconds; 1,000 by default. The delay doubles with each retry.
    pub first_ms: Option<u64>,
    /// Maximum delay before a retry, in milliseconds; 60,000 by default.
    pub cap_ms: Option<u64>,
    /// Exit codes that are retried; empty means that every failure is retried.
    pub codes: Vec<i32>,
    /// True to retry after a timeout.
    pub after_timeout: bool,
    /// True to retry after an interruption. The work may then be done twice.
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
    /// Prints only the names of the variables, because their values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvironmentRequest")
            .field("captured", &self.captured.as_ref().map(|all| all.keys().collect::<Vec<_>>()))
            .field("declared", &self.declared.keys().collect::<Vec<_>>())
            .field("removed", &self.removed)
            .finish_non_exhaustive()
    }
}
