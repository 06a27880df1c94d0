//! Processes as the API shows them.

use super::{ListeningPortView, TestsView};
use longhaul_domain::Status;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Complete record of a process. Fields that do not apply are null, never missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessView {
    /// Id of the process, a UUID.
    pub id: String,
    /// Form of the work: `command` or `reported`.
    pub work: String,
    /// Type of the process, such as `build` or `custom`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name of the process.
    pub name: Option<String>,
    /// Project that the process belongs to.
    pub project: Option<String>,
    /// Session on whose behalf the process runs.
    pub session_id: Option<String>,
    /// Free text that describes the process.
    pub description: Option<String>,
    /// JSON object that the caller gave at the launch.
    pub metadata: Option<serde_json::Value>,
    /// Program and arguments; empty for reported work.
    pub command: Vec<String>,
    /// Working directory; null for reported work.
    pub directory: Option<String>,
    /// Source of the standard input: `null`, `file` or `pipe`; null for reported work.
    pub stdin: Option<String>,
    /// Status: `pending`, `starting`, `running`, `paused`, `stopping`, `completed`, `failed`, `timeout`, `cancelled` or
    /// `interrupted`.
    pub status: String,
    /// Reason why the process waits; null unless the status is `pending`.
    pub pending: Option<PendingView>,
    /// One sentence that explains the current status.
    pub reason: Option<String>,
    /// Current stage of the work, as last reported.
    pub stage: Option<String>,
    /// Progress in percent, 0 to 100; null for a command that has no known progress, because 0 would be a claim.
    pub progress: Option<f64>,
    /// Estimated remaining time, in milliseconds; null unless the process runs and the time can be estimated.
    pub eta_ms: Option<u64>,
    /// Basis of the estimate: `reported` (by the worker), `progress` (of this run) or `history` (the usual duration of
    /// earlier runs of the same project and name). Null without an estimate.
    pub eta_source: Option<String>,
    /// Number of the latest attempt; 0 before the first attempt.
    pub attempt: u32,
    /// Maximum number of attempts.
    pub max_attempts: u32,
    /// Node that runs the process, or the label that the reporter gave.
    pub node_id: Option<String>,
    /// Id of the parent; null for a root.
    pub parent_id: Option<String>,
    /// Id of the root of the tree; for a root its own id.
    pub root_id: String,
    /// Depth in the tree: 0 for a root.
    pub level: u8,
    /// Id of the earlier process that this process is a restart of.
    pub restarted_from: Option<String>,
    /// Action on live descendants when the process ends without being cancelled: `keep`, `cancel` or `wait`.
    pub children: String,
    /// Action on live descendants when the process fails, times out or is interrupted: `keep`, `cancel` or `wait`.
    pub children_on_failure: String,
    /// True while the descendants are being cancelled and not all have ended. No child can be added in this time.
    pub cancelling_descendants: bool,
    /// Action on the process when its session ends: `keep`, `cancel` or `grace`.
    pub on_session_end: String,
    /// Time that the process may still run after its session ended, in milliseconds; null unless `on_session_end` is
    /// `grace`.
    pub session_grace_ms: Option<u64>,
    /// Time at which the process is cancelled because its session has ended.
    pub cancel_at: Option<String>,
    /// Concurrency key.
    pub key: Option<String>,
    /// Priority in the queue; a higher value is served first. −100 to 100 as requested at the launch; higher only after
    /// a move to the front of the queue.
    pub priority: i32,
    /// Launch key: a second launch with this key in the same session returns this process.
    pub launch_key: Option<String>,
    /// Id of the agent that the process belongs to.
    pub agent_id: Option<String>,
    /// Type of the agent.
    pub agent_type: Option<String>,
    /// Capabilities of the agent.
    pub capabilities: Vec<String>,
    /// Id of the session message that requested the launch.
    pub parent_message_id: Option<String>,
    /// Prompt for the agent.
    pub prompt: Option<String>,
    /// Agent that does the work.
    pub agent: Option<String>,
    /// Model that the agent uses.
    pub model: Option<String>,
    /// Runner that built the command from the prompt; null if the launch gave the command itself.
    pub runner: Option<String>,
    /// Tokens that the agent used, if its output contains them.
    pub tokens: Option<TokensView>,
    /// Id that the agent's tool gave to its conversation or to the remote session.
    pub agent_session_id: Option<String>,
    /// PID of the command; null unless it runs, because the system may give the PID of an ended process to another one.
    pub pid: Option<u32>,
    /// Mechanism that keeps the descendants of the command together: `cgroup`, `subreaper` or `group`. The value is
    /// still present after the end.
    pub containment: Option<String>,
    /// Cause of the end. Null while the process is live, if it never ran, and if its exit was not observed. Values:
    /// - `itself`: the command exited on its own;
    /// - `user`, `timeout`, `parent`, `session`, `shutdown`, `limit`: a stop with this cause;
    /// - `cpu`, `memory`, `file_size`: the command exceeded this resource limit;
    /// - `outside`: a signal that longhaul did not send.
    pub ended_by: Option<String>,
    /// Exit of the command.
    pub exit: Option<ExitView>,
    /// Exit code; null if the command was killed by a signal.
    pub exit_code: Option<i32>,
    /// Error message if the process failed, timed out or was interrupted: the error that the command reported itself,
    /// else the first error in its output, else how it ended. For a cancelled process, the error that the command
    /// reported itself.
    pub error: Option<String>,
    /// First error in the output of the latest attempt, if the command failed and its output states one.
    pub first_error: Option<FirstErrorView>,
    /// True if the command failed and its output was not searched completely for the first error, so this record may
    /// lack an error.
    pub first_error_incomplete: bool,
    /// Test results of the latest attempt; null unless the command runs tests.
    pub tests: Option<TestsView>,
    /// Step of the start that failed; null unless the command could not be started.
    pub start_failure: Option<StartFailureView>,
    /// Result of the work, as reported by the command or the reporter; otherwise the result found in the output of the
    /// agent.
    pub result: Option<serde_json::Value>,
    /// Exit that became known too late to change the status.
    pub late_exit: Option<ExitView>,
    /// Conditions of the process: facts in addition to its status.
    /// - `idle`: no output and no report for some time.
    /// - `stalled`: no output, no report and no CPU use for some time, or no change of the known progress.
    /// - `waiting_for_input`: the command waits for input.
    /// - `stuck`: a stop was requested, but the process cannot be ended.
    /// - `cleaning_up`: the command has exited on its own, and its leftovers are being ended.
    /// - `supervisor_stopped`: the shim is stopped by a signal, so the output is not read until the shim continues.
    /// - `detached_children`: the command has exited, and descendants of it were left running as requested.
    /// - `waits_for_children`: the work is done, and the process ends when its descendants have ended.
    /// - `recovery_pending`: the manager was restarted and has not checked the process yet; the status may be outdated.
    /// - `unreachable`: the lease of its node has expired.
    /// - `orphaned`: the process was marked as interrupted while this node was away, but its command is still running
    ///   here.
    /// - `tree_unverified`: the process has ended, but descendants of it may still be alive.
    /// - `tests_doubtful`: the command succeeded, but its test results give a reason to doubt that; see `tests`.
    /// - `result_doubtful`: the command of an agent succeeded, but the agent reported an error, or its output contains no
    ///   result; see `reason`.
    /// - `stale`: the store does not respond, and this record may be outdated; see `stale_since`.
    /// - `local_only`: only this node knows the process, because it was accepted while the store did not respond.
    /// - `output_removed`: the output was deleted. Shown only if a single process is requested.
    pub conditions: Vec<String>,
    /// Time since which the store does not respond; the record is then this node's own copy. Null while the store
    /// responds.
    pub stale_since: Option<String>,
    /// True if the command is ready. Null unless the launch has a `ready_when`.
    pub ready: Option<bool>,
    /// Time without output and report, in milliseconds; null unless the process runs.
    pub idle_ms: Option<u64>,
    /// TCP addresses on which the process tree listens. Null if the process does not run here, and in lists unless
    /// usage was requested.
    pub listening_ports: Option<Vec<ListeningPortView>>,
    /// Time at which the launch was accepted.
    pub queued_at: String,
    /// Start time of the latest attempt.
    pub started_at: Option<String>,
    /// End time of the process.
    pub completed_at: Option<String>,
    /// Time of the last change of the record: of its status, conditions, stage or progress. New output does not change
    /// the record.
    pub updated_at: String,
    /// Meaning of `completed_at` if it is not the exact end time. `latest`: the end was not observed and was at
    /// `completed_at` or earlier, so `duration_ms` is the maximum. `given_up`: not known if the process has ended. Null
    /// while the process is live and if the end was observed.
    pub completed_at_precision: Option<String>,
    /// Time from the start of the latest attempt to its end, or until now, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Maximum run time, in milliseconds; null means no limit.
    pub timeout_ms: Option<u64>,
    /// Resource limits requested at the launch; null for reported work.
    pub limits: Option<LimitsView>,
    /// Current resource usage of the process tree; null unless usage was requested and the process runs here.
    pub usage: Option<TreeUsageView>,
    /// Size of the output of the latest attempt, in bytes.
    pub output_bytes: Option<u64>,
    /// Path of the output files on this node.
    pub log_path: Option<String>,
    /// Number of times that the record was written.
    pub revision: u64,
}

/// Tokens that an agent used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokensView {
    /// Input tokens, without the tokens that were read from a cache.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Input tokens that were read from a cache.
    pub cached: u64,
}

/// Reason why a process waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PendingView {
    /// Code of the reason: `queued`, `held`, `no_node`, `settling`, `delayed` or `retry`.
    pub why: String,
    /// Time at which the wait ends; null if it does not end at a fixed time.
    pub due_at: Option<String>,
    /// Ending of the last attempt if the process waits for a retry.
    pub last_error: Option<String>,
}

/// Step of a start that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StartFailureView {
    /// Code of the step: `supervisor`, `signature`, `environment`, `program`, `directory`, `stdin`, `limits` or `exec`.
    pub stage: String,
    /// Error number (`errno`) of the operating system.
    pub errno: Option<i32>,
}

/// First error that a failed command printed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FirstErrorView {
    /// Kind of the error, such as `compile_error`, `exception`, `test_failure` or `disk_full`.
    pub kind: String,
    /// Error in one line.
    pub message: String,
    /// Source file, as the output names it.
    pub file: Option<String>,
    /// Line in that file; the first line is 1.
    pub line: Option<u32>,
    /// Column in that line; the first column is 1.
    pub column: Option<u32>,
    /// Stream that contains the error: `stdout` or `stderr`; null for a failed test that the output does not contain.
    pub stream: Option<String>,
    /// Byte offset of the first line of the error in the output of the attempt; null for a failed test that the output
    /// does not contain.
    pub offset: Option<u64>,
    /// All lines of the error, such as a whole traceback; null if the error has a single line, and in lists.
    pub detail: Option<String>,
    /// Process that listened on the port of the error when the command ended. Missing if the process is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_holder: Option<PortHolderView>,
}

/// Process of the operating system that listens on a TCP port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PortHolderView {
    /// Number of the port.
    pub port: u16,
    /// Id of the process.
    pub pid: u32,
    /// Name of the program.
    pub name: String,
}

/// Exit of a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ExitView {
    /// Exit code; null if a signal killed the command.
    pub code: Option<i32>,
    /// Number of the signal that killed the command; null if the command exited with a code.
    pub signal: Option<u8>,
    /// True if a core dump was written.
    pub core: bool,
    /// Cause of the stop: `user`, `timeout`, `parent`, `session`, `shutdown` or `limit`; null if the command was not
    /// stopped.
    pub stopped_by: Option<String>,
    /// Resource limit that ended the command, as far as it can be determined: `cpu`, `memory` or `file_size`.
    pub limit: Option<String>,
    /// Number of the last signal that was needed to end the process tree.
    pub last_signal: Option<u8>,
    /// Number of descendants that were killed after the command had exited.
    pub leftovers_killed: u32,
    /// Number of descendants that were alive when the command exited on its own.
    pub leftovers_found: u32,
    /// Bytes of output that could not be stored.
    pub dropped_bytes: u64,
    /// True if the process was paused when it ended.
    pub paused: bool,
    /// True if some program still had the output open when the end was recorded.
    pub output_open: bool,
    /// True if no manager was running when the command exited.
    pub exit_unobserved: bool,
    /// Resources that the attempt used.
    pub usage: UsageView,
}

/// Resources that an attempt used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UsageView {
    /// CPU time in user mode, in milliseconds.
    pub user_ms: u64,
    /// CPU time in the kernel, in milliseconds.
    pub system_ms: u64,
    /// Largest resident memory of a single process, in bytes.
    pub peak_memory_bytes: u64,
}

/// Resource limits of an attempt. Null means that longhaul sets no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LimitsView {
    /// CPU time, in seconds.
    pub cpu_seconds: Option<u64>,
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Number of open files.
    pub open_files: Option<u64>,
    /// Number of processes: of the process tree if limited by `cgroup`, of the user if limited by `rlimit`.
    pub processes: Option<u64>,
    /// Size of each written file, in bytes.
    pub file_bytes: Option<u64>,
}

/// Current resource usage of a whole process tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TreeUsageView {
    /// Number of live operating system processes.
    pub processes: u32,
    /// CPU time, in milliseconds; includes ended processes as far as their time is known.
    pub cpu_ms: u64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Bytes read from storage; null if unknown.
    pub read_bytes: Option<u64>,
    /// Bytes written to storage; null if unknown.
    pub written_bytes: Option<u64>,
    /// Mechanism that enforces the limits: `rlimit` (each process separately) or `cgroup` (the whole tree for each
    /// delegated controller, each process separately for the rest).
    pub limited_by: String,
}

/// Returns all values that [`ProcessView::status`] can have.
#[must_use]
pub fn status_words() -> Vec<String> {
    Status::ALL.iter().map(ToString::to_string).collect()
}
