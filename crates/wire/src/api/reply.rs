//! The other requests and answers.

use crate::api::ProcessView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to a launch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Launched {
    /// The process.
    pub process: ProcessView,
    /// False if its launch key was taken before: this is the process that has it.
    pub created: bool,
}

/// The answer to a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Outcome {
    /// The process as it is now.
    pub process: ProcessView,
    /// Whether anything changed.
    pub changed: bool,
    /// Why nothing changed: `already_so` or `already_ended`.
    pub note: Option<String>,
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
}

/// Asks for an end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancelRequest {
    /// Kill at once instead of asking first.
    pub force: bool,
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
pub struct Version {
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
}
