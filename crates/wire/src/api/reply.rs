//! Requests and replies of actions, launches, sessions and reported work.

use crate::api::{Problem, ProcessView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reply to a launch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LaunchReply {
    /// Process of the launch.
    pub process: ProcessView,
    /// True if the process was created; false if `process` is an earlier process with the same launch key.
    pub created: bool,
    /// `created`, `already_running` or `already_ended`.
    pub outcome: String,
}

/// Reply to an action on one process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ActionReply {
    /// Process after the action.
    pub process: ProcessView,
    /// True if the action changed the process.
    pub changed: bool,
    /// Note about the result; null in the normal case.
    /// - `no_change`, `already_ended`, `kept_by_policy`, `ends_with_ancestor`: the reason why nothing changed.
    /// - `orphan_stop_requested`: the process had ended; if its command still runs on its node, it is stopped there.
    /// - `asked`: the node of the process received the action and did not finish it within one second.
    pub note: Option<String>,
}

/// Reply to an action on several processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutcomesReply {
    /// Outcome for each process that the action was sent to.
    pub outcomes: Vec<OutcomeView>,
}

/// Outcome of an action for one of several processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutcomeView {
    /// Id of the process.
    pub id: String,
    /// Process after the action; null if the action was rejected.
    pub process: Option<ProcessView>,
    /// True if the action changed the process.
    pub changed: bool,
    /// Note about the result; null in the normal case.
    /// - `no_change`, `already_ended`, `kept_by_policy`, `ends_with_ancestor`: the reason why nothing changed.
    /// - `orphan_stop_requested`: the process had ended; if its command still runs on its node, it is stopped there.
    /// - `asked`: the node of the process received the action and did not finish it within one second.
    pub note: Option<String>,
    /// Error if the action was rejected.
    pub problem: Option<Problem>,
}

/// List of processes, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessesReply {
    /// Processes, oldest first.
    pub processes: Vec<ProcessView>,
}

/// One page of processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessList {
    /// Processes, newest first.
    pub processes: Vec<ProcessView>,
    /// Cursor for the next page; null on the last page.
    pub cursor: Option<String>,
    /// Time at which the list was made.
    pub at: String,
    /// The later of two times: the latest change of any process, and the latest change of a process in this list. If
    /// the time is the same as in an earlier list, no process has started, changed its status or ended in between.
    pub last_changed: Option<String>,
    /// Time since which the store does not respond; the list then contains only this node's own copies of its own
    /// processes. Null while the store responds.
    pub stale_since: Option<String>,
    /// Ids of damaged records that may belong to the list. A request for one of these processes returns the cause of
    /// the damage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

/// Cancellation of a process and all its descendants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancelRequest {
    /// True to kill at once; false to send the stop signal first.
    pub force: bool,
    /// True to leave the descendants alone.
    pub no_descendants: bool,
}

/// Cancellation of all processes of one level and their descendants, in one tree or in all trees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancelLevelRequest {
    /// Level, 0 for roots; required.
    pub level: Option<u8>,
    /// Any process of the tree; all trees if missing.
    pub tree: Option<String>,
    /// True to kill at once; false to send the stop signal first.
    pub force: bool,
}

/// Pause or resumption of a process and all its descendants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PauseRequest {
    /// True to leave the descendants alone.
    pub no_descendants: bool,
}

/// Reply to a pause or resume: the fields of [`ActionReply`], and the outcomes for the descendants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PauseReply {
    /// Process after the action.
    pub process: ProcessView,
    /// True if the action changed the process.
    pub changed: bool,
    /// Note about the result, with the values of `note` in `ActionReply`.
    pub note: Option<String>,
    /// Outcome for each live descendant. A rejection by one of them does not affect the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub descendants: Vec<OutcomeView>,
}

/// Sending of a signal to a process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignalRequest {
    /// Signal name, with or without `SIG`, or a number from 1 to 64. Signals that kill, stop or continue a process are
    /// rejected; use `cancel`, `pause` and `resume` instead.
    pub signal: String,
    /// True to send the signal to the whole process tree; false for the main process only.
    pub tree: bool,
}

/// Change of the queue position of a waiting process. Exactly one field is required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PriorityRequest {
    /// New priority: −100 to 100, a higher value is served first.
    pub priority: Option<i64>,
    /// True to move the process before all others that wait for the same key.
    pub first: bool,
}

/// End of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EndSessionRequest {
    /// `keep`, `cancel` or `grace` for all processes of the session. Without it, each process follows the policy of its
    /// launch.
    pub policy: Option<String>,
    /// Time that the processes may still run, in milliseconds; only with `grace`. The default is the setting
    /// `session.grace`.
    pub grace_ms: Option<u64>,
}

/// Restart of an ended process; the request has no fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestartRequest {}

/// Progress report of a process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateRequest {
    /// Progress in percent, from 0 to 100. Lower progress than before is ignored, unless a new phase begins: the stage
    /// is new, or the progress was 100.
    pub progress: Option<f64>,
    /// Current stage of the work.
    pub stage: Option<String>,
    /// Remaining time in milliseconds, as the worker estimates it, at most 30 days. It counts down and replaces the
    /// estimate from the progress until the next report.
    pub eta_ms: Option<u64>,
    /// Result of a command that longhaul runs: any JSON of at most 64 KiB. An integer of more than 64 bits becomes a
    /// floating-point number. The status still comes from the exit code.
    pub result: Option<serde_json::Value>,
    /// Error message of a command that longhaul runs. It replaces the generated message if the process fails.
    pub error: Option<String>,
    /// Id of the agent's conversation, or of the remote session that the command created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_session_id: Option<String>,
    /// True if the command waits for input that does not come from its standard input, such as an answer in a remote
    /// session; false if it no longer waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for_input: Option<bool>,
    /// New status: `completed`, `failed` or `cancelled` ends the work; `running` changes nothing.
    pub status: Option<String>,
}

/// Successful end of reported work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompleteRequest {
    /// Result of the work: any JSON of at most 64 KiB. An integer of more than 64 bits becomes a floating-point number.
    pub result: Option<serde_json::Value>,
}

/// Failed end of reported work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FailRequest {
    /// Error message.
    pub error: String,
}

/// Reply to a wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WaitReply {
    /// Processes, in the order of the request.
    pub processes: Vec<ProcessView>,
    /// True if the time limit was reached first.
    pub timed_out: bool,
}

/// Version and identity of the manager.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VersionReply {
    /// Version of the program.
    pub version: String,
    /// Version of this API.
    pub protocol: u32,
    /// Process id of the manager.
    pub pid: u32,
    /// Path of the state directory.
    pub state_dir: String,
    /// Address of the store, without secrets.
    pub store: String,
    /// Name of the node.
    pub node_id: String,
    /// URLs at which the manager accepts connections over the network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<String>,
}
