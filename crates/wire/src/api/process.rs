//! A process as clients see it.

use super::ListeningPortView;
use longhaul_domain::Status;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The whole record of a process. Fields that do not apply are null, never missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessView {
    /// Its id, a UUID.
    pub id: String,
    /// `command` or `reported`.
    pub work: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub project: Option<String>,
    /// Who asked.
    pub session_id: Option<String>,
    /// A sentence about it.
    pub description: Option<String>,
    /// The caller's own JSON object.
    pub metadata: Option<serde_json::Value>,
    /// The command with its arguments.
    pub command: Vec<String>,
    /// The working directory.
    pub directory: Option<String>,
    /// What it reads from its standard input: `null`, `file` or `pipe`; null for reported work.
    pub stdin: Option<String>,
    /// `pending`, `starting`, `running`, `paused`, `stopping`, `completed`, `failed`, `timeout`, `cancelled`, `interrupted`.
    pub status: String,
    /// Why it waits, while it is pending.
    pub pending: Option<PendingView>,
    /// One sentence: why it stands where it stands.
    pub reason: Option<String>,
    /// What it is doing.
    pub stage: Option<String>,
    /// 0 to 100.
    pub progress: Option<f64>,
    /// How long the rest will take, in milliseconds: an estimate.
    pub eta_ms: Option<u64>,
    /// The latest attempt; 0 before the first.
    pub attempt: u32,
    /// How many attempts there may be.
    pub max_attempts: u32,
    /// Where it runs, or the label that its reporter gave.
    pub node_id: Option<String>,
    /// Whose child it is.
    pub parent_id: Option<String>,
    /// The top of its tree; itself for a root.
    pub root_id: String,
    /// Its depth: 0 for a root.
    pub level: u8,
    /// The process that it runs again.
    pub restarted_from: Option<String>,
    /// What becomes of its live descendants when it ends by itself: `keep`, `cancel` or `wait`.
    pub children: String,
    /// True while its descendants have to end and not all have; no child can join it any more.
    pub cancelling_descendants: bool,
    /// What becomes of it when its session ends: `keep`, `cancel` or `grace`.
    pub on_session_end: String,
    /// How long it may go on after the end of its session, in milliseconds; null unless that is `grace`.
    pub session_grace_ms: Option<u64>,
    /// Its session ended: when it is cancelled for that.
    pub cancel_at: Option<String>,
    /// Its concurrency key.
    pub key: Option<String>,
    /// How urgent it is: −100 to 100 as it was asked for, above that only by a move to the front of its queue.
    pub priority: i32,
    /// Its launch key.
    pub launch_key: Option<String>,
    /// The agent behind it.
    pub agent_id: Option<String>,
    /// The kind of agent.
    pub agent_type: Option<String>,
    /// What the agent can do.
    pub capabilities: Vec<String>,
    /// The message of the session that asked for it.
    pub parent_message_id: Option<String>,
    /// What an agent was told.
    pub prompt: Option<String>,
    /// Which agent a host is to run.
    pub agent: Option<String>,
    /// Which model a host is to use.
    pub model: Option<String>,
    /// The process id of the command while it runs.
    pub pid: Option<u32>,
    /// What keeps its descendants together, or did until it ended: `cgroup`, `subreaper`, `group`.
    pub containment: Option<String>,
    /// Who or what ended it: `itself`, a stop (`user`, `timeout`, `parent`, `session`, `shutdown`, `limit`), a limit that it
    /// exceeded (`cpu`, `memory`, `file_size`), or `outside`: a signal that no stop sent. Null while it lives, if it never
    /// ran, and where nobody saw its end.
    pub ended_by: Option<String>,
    /// How the command exited.
    pub exit: Option<ExitView>,
    /// The exit code, if it exited with one.
    pub exit_code: Option<i32>,
    /// What went wrong.
    pub error: Option<String>,
    /// Which step of its start failed, if it could not be started.
    pub start_failure: Option<StartFailureView>,
    /// What a reporter handed over at the end.
    pub result: Option<serde_json::Value>,
    /// An exit that became known too late to change the status.
    pub late_exit: Option<ExitView>,
    /// Facts beside the status: `idle`, `stalled`, `waiting_for_input`, `stuck`, `cleaning_up` (the command has ended by itself,
    /// and what it left behind is being ended), `supervisor_stopped` (somebody halted its supervisor, and its output is not
    /// read until that goes on), `detached_children`, `waits_for_children`, `recovery_pending` (the manager has begun again and
    /// does not know yet whether it still runs: the status is the one from before), `unreachable` (its node gives no sign of
    /// life), `is_orphaned` (it was called interrupted while this
    /// node was away, and goes on here), `tree_unverified` (it has ended, and nobody could verify that nothing of it lives), `stale` (the store does not answer, see `stale_since`), `local_only` (this node
    /// accepted it alone while the store is away, and no other node knows of it until the store is back); of one process
    /// that was asked for, `output_removed` as well.
    pub conditions: Vec<String>,
    /// Since when the store does not answer: the record is the one that this node keeps of its own work. Null while it
    /// answers.
    pub stale_since: Option<String>,
    /// Whether it does what it was started for; null unless its launch said how to find out.
    pub ready: Option<bool>,
    /// How long it has been without output and report, in milliseconds; null unless it runs.
    pub idle_ms: Option<u64>,
    /// Where its tree listens for TCP connections; null in lists, unless usage was asked for, and where it does not run.
    pub listening_ports: Option<Vec<ListeningPortView>>,
    /// When it was accepted.
    pub queued_at: String,
    /// When the latest attempt began.
    pub started_at: Option<String>,
    /// When it ended.
    pub completed_at: Option<String>,
    /// What `completed_at` means where it is not the moment of the end: `latest` (nobody saw the end, which was at that moment
    /// or before; `duration_ms` is the longest possible) or `given_up` (nobody knows whether the process has ended). Null
    /// while the process lives, and where somebody saw the end.
    pub completed_at_precision: Option<String>,
    /// From the begin of the latest attempt to its end, or until now, in milliseconds.
    pub duration_ms: Option<u64>,
    /// How long it may run, in milliseconds; null means as long as it likes.
    pub timeout_ms: Option<u64>,
    /// What an attempt may use up, as it was asked for; null for reported work.
    pub limits: Option<LimitsView>,
    /// What its whole tree uses now; null unless it was asked for and the process runs here.
    pub usage: Option<TreeUsageView>,
    /// Bytes of output of the latest attempt.
    pub output_bytes: Option<u64>,
    /// Where its output is kept.
    pub log_path: Option<String>,
    /// Counts the changes.
    pub revision: u64,
}

/// Why a process waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PendingView {
    /// `queued`, `held`, `no_node`, `settling`, `delayed` or `retry`.
    pub why: String,
    /// When it is due, if it waits for a moment.
    pub due_at: Option<String>,
    /// How the last attempt ended, if it waits for a retry.
    pub last_error: Option<String>,
}

/// Which step of a start failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StartFailureView {
    /// `supervisor`, `seal`, `environment`, `program`, `directory`, `stdin`, `limits` or `exec`.
    pub stage: String,
    /// The operating system's error number.
    pub errno: Option<i32>,
}

/// How a command exited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ExitView {
    /// The code it exited with.
    pub code: Option<i32>,
    /// The signal that ended it, by number.
    pub signal: Option<u8>,
    /// Whether a core was dumped.
    pub core: bool,
    /// Why it was stopped: `user`, `timeout`, `parent`, `session`, `shutdown`, `limit`; null if it was not.
    pub stopped_by: Option<String>,
    /// The limit that ended it, as far as that can be told: `cpu`, `memory` or `file_size`.
    pub limit: Option<String>,
    /// The last signal that was needed to end its tree.
    pub last_signal: Option<u8>,
    /// Descendants that were killed after the command itself was gone.
    pub leftovers_killed: u32,
    /// Descendants that were alive when the command exited by itself.
    pub leftovers_found: u32,
    /// Bytes of output that could not be kept.
    pub dropped_bytes: u64,
    /// Whether it was paused when it ended.
    pub paused: bool,
    /// Whether somebody still held its output open when its end was told.
    pub output_open: bool,
    /// Whether no manager was there to see it end.
    pub exit_unobserved: bool,
    /// What it used.
    pub usage: UsageView,
}

/// What an attempt used up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UsageView {
    /// Processor time in its own code.
    pub user_ms: u64,
    /// Processor time in the kernel.
    pub system_ms: u64,
    /// The largest resident memory of one process.
    pub peak_memory_bytes: u64,
}

/// What an attempt may use up. Null is no limit of ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LimitsView {
    /// Processor seconds.
    pub cpu_seconds: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// Processes: of the tree where it is limited by `cgroup`, of the user by `rlimit`.
    pub processes: Option<u64>,
    /// Bytes of one written file.
    pub file_bytes: Option<u64>,
}

/// What the whole tree of a process uses at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TreeUsageView {
    /// Processes alive.
    pub processes: u32,
    /// Processor time, of those that ended as well as far as that is known.
    pub cpu_ms: u64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Bytes read from storage; null where that is not told.
    pub read_bytes: Option<u64>,
    /// Bytes written to storage; null where that is not told.
    pub written_bytes: Option<u64>,
    /// What keeps it within its limits: `rlimit` (each process by itself) or `cgroup` (the tree as a whole where the
    /// controller is delegated, each process for the rest).
    pub limited_by: String,
}

/// Returns the words that [`ProcessView::status`] may have.
#[must_use]
pub fn status_words() -> Vec<String> {
    Status::ALL.iter().map(ToString::to_string).collect()
}
