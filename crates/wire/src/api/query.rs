//! Requests without a body. Over HTTP their fields are the query parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Filter and page of a list of processes. A filter that is left out selects all processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListRequest {
    /// Statuses to select; not together with `live`.
    #[serde(rename = "status")]
    pub statuses: Vec<String>,
    /// True to include ended processes. The default is true for the list of one session, and false otherwise.
    pub all: Option<bool>,
    /// True for live processes only, false for ended processes only.
    pub live: Option<bool>,
    /// Project of the processes.
    pub project: Option<String>,
    /// Session of the processes.
    pub session: Option<String>,
    /// Name of the processes.
    pub name: Option<String>,
    /// Node that runs the processes.
    pub node: Option<String>,
    /// Concurrency key of the processes.
    pub key: Option<String>,
    /// Depth in the tree: 0 for roots.
    pub level: Option<u8>,
    /// Id of the agent that the processes belong to.
    pub agent_id: Option<String>,
    /// Parent of the processes: an id, a unique prefix of an id, or a name.
    pub parent: Option<String>,
    /// Any process of a tree; selects all processes of that tree.
    pub tree: Option<String>,
    /// Type of the processes.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Type to leave out. By default, processes of hooks (`custom:hook`) are left out, unless the request asks for
    /// ended processes or has the filter `status`, `type`, `name`, `prefix`, `parent` or `tree`.
    pub not_type: Option<String>,
    /// Start of the id.
    pub prefix: Option<String>,
    /// True to include the resource usage of each process tree.
    pub usage: bool,
    /// Maximum number of processes on one page: 1 to 1,000; 50 by default.
    pub limit: Option<u32>,
    /// Cursor from the previous page.
    pub cursor: Option<String>,
}

/// Filter of the processes to count. A filter that is left out selects all processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StatsRequest {
    /// Session of the processes.
    pub session: Option<String>,
    /// Any process of a tree; selects all processes of that tree.
    pub tree: Option<String>,
    /// Project of the processes.
    pub project: Option<String>,
}

/// Request to wait until processes reach a state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WaitRequest {
    /// Processes to wait for: ids, unique prefixes or names; 1 to 1,000.
    #[serde(rename = "id")]
    pub ids: Vec<String>,
    /// State to wait for: `ended` (default), `tree_ended` (ended, and also every descendant that has to end with the
    /// process), `running` or `ready`.
    #[serde(rename = "for")]
    pub goal: Option<String>,
    /// `all` (default) to wait for all processes, `any` to wait for the first of them.
    pub mode: Option<String>,
    /// Maximum time to wait, in milliseconds; no limit by default.
    pub timeout_ms: Option<u64>,
}
