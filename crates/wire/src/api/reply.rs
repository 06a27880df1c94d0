//! The other requests and answers.

use crate::api::{Problem, ProcessView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to a launch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LaunchReply {
    /// The process.
    pub process: ProcessView,
    /// False if its launch key was taken before: this is the process that has it.
    pub created: bool,
    /// `created`, `already_running` or `already_ended`.
    pub outcome: String,
}

/// The answer to a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ActionReply {
    /// The process as it is now.
    pub process: ProcessView,
    /// Whether anything changed.
    pub changed: bool,
    /// Why nothing changed: `no_change`, `already_ended` or `kept_by_policy`; or `orphan_stop_requested`: it had ended, and what may be left of
    /// it on its node is stopped there; or `asked`: its node was told, and has not done it within a second.
    pub note: Option<String>,
}

/// The answer to a command to many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutcomesReply {
    /// What came of it, one for each process that was told.
    pub outcomes: Vec<OutcomeView>,
}

/// What came of a command to one of many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutcomeView {
    /// The process that was told.
    pub id: String,
    /// The process as it is now; null if it was refused.
    pub process: Option<ProcessView>,
    /// Whether anything changed.
    pub changed: bool,
    /// Why nothing changed: `no_change`, `already_ended` or `kept_by_policy`; or `orphan_stop_requested`: it had ended, and what may be left of
    /// it on its node is stopped there; or `asked`: its node was told, and has not done it within a second.
    pub note: Option<String>,
    /// Why it was refused.
    pub problem: Option<Problem>,
}

/// Processes, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessesReply {
    /// The processes.
    pub processes: Vec<ProcessView>,
}

/// One page of processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessList {
    /// The processes, newest first.
    pub processes: Vec<ProcessView>,
    /// Hand this over to get the next page; null at the end.
    pub cursor: Option<String>,
    /// When this was true.
    pub at: String,
    /// Since when the store does not answer: what is listed is what this node keeps of its own work, and nothing else.
    /// Null while it answers.
    pub stale_since: Option<String>,
    /// Ids of processes that may belong here and whose records are damaged; a look at one tells what is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

/// Asks for the end of a process and of all its descendants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancelRequest {
    /// Kill at once instead of asking first.
    pub force: bool,
    /// Leave its descendants alone.
    pub no_descendants: bool,
}

/// Asks for the end of one level, of one tree or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancelLevelRequest {
    /// The level; 0 is that of the roots. There is no default.
    pub level: Option<u8>,
    /// Any member of the tree that is meant; all trees without it.
    pub tree: Option<String>,
    /// Kill at once instead of asking first.
    pub force: bool,
}

/// Asks for a pause of a process and of all its descendants, or for the end of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PauseRequest {
    /// Leave its descendants alone.
    pub no_descendants: bool,
}

/// The answer to a pause, or to its end: an [`ActionReply`], and what came of it for the descendants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PauseReply {
    /// The process as it stands now.
    pub process: ProcessView,
    /// Whether anything was changed.
    pub changed: bool,
    /// Why nothing was changed, or what is still to come.
    pub note: Option<String>,
    /// What came of it for each live descendant; a refusal of one does not hold up the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub descendants: Vec<OutcomeView>,
}

/// Sends a signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignalRequest {
    /// A name, with or without `SIG`, or a number from 1 to 64. None of those that kill, halt or let go on: `cancel`, `pause`
    /// and `resume` are for that.
    pub signal: String,
    /// To everything that its command started too, instead of to its main process alone.
    pub tree: bool,
}

/// Moves a process that waits: exactly one of both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PriorityRequest {
    /// −100 to 100, higher first.
    pub priority: Option<i64>,
    /// Before all others that wait for the same key.
    pub first: bool,
}

/// Ends a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EndSessionRequest {
    /// `keep`, `cancel` or `grace` for all its processes; without it each does as it was launched to.
    pub policy: Option<String>,
    /// How long they may go on, in milliseconds; only with `grace`, where `session.grace` says it otherwise.
    pub grace_ms: Option<u64>,
}

/// Asks for another run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestartRequest {}

/// Reports on work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateRequest {
    /// 0 to 100; what lies outside is moved to the nearer end.
    pub progress: Option<f64>,
    /// What it is doing.
    pub stage: Option<String>,
    /// `running` on a running one changes nothing; `completed`, `failed`, `cancelled` ask for that end.
    pub status: Option<String>,
}

/// Ends reported work well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompleteRequest {
    /// What came of it: any JSON of at most 64 KiB.
    pub result: Option<serde_json::Value>,
}

/// Ends reported work badly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FailRequest {
    /// Why.
    pub error: String,
}

/// The answer to a wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WaitReply {
    /// The processes, in the order in which they were named.
    pub processes: Vec<ProcessView>,
    /// True if the time was over first.
    pub timed_out: bool,
}

/// Who answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VersionReply {
    /// The version of the program.
    pub version: String,
    /// The version of this API.
    pub protocol: u32,
    /// The process id of the manager.
    pub pid: u32,
    /// Its state directory.
    pub state_dir: String,
    /// Its store, without secrets.
    pub store: String,
    /// The node it runs as.
    pub node_id: String,
    /// Where it can be asked over the network, as URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<String>,
}
