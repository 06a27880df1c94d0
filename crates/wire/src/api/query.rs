//! What is asked for without a body: over HTTP the fields are the parameters of the query.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which processes are listed. What is left out admits everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListRequest {
    /// Those in one of these statuses; not together with `live`.
    #[serde(rename = "status")]
    pub statuses: Vec<String>,
    /// Those that have ended as well.
    pub all: Option<bool>,
    /// Only those that live, or only those that do not.
    pub live: Option<bool>,
    /// What they are for.
    pub project: Option<String>,
    /// Who asked for them.
    pub session: Option<String>,
    /// Their name.
    pub name: Option<String>,
    /// Where they run.
    pub node: Option<String>,
    /// Their concurrency key.
    pub key: Option<String>,
    /// Their depth: 0 for roots.
    pub level: Option<u8>,
    /// The agent behind them.
    pub agent_id: Option<String>,
    /// Whose children they are.
    pub parent: Option<String>,
    /// Any member of the tree that they are in.
    pub tree: Option<String>,
    /// Their type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// A type that they are not of. Processes of hooks are listed then, unless it is `custom:hook`.
    pub not_type: Option<String>,
    /// What their id begins with.
    pub prefix: Option<String>,
    /// Find out what their trees use as well.
    pub usage: bool,
    /// The most on a page, 1 to 1,000; 50 by default.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// What is counted. What is left out admits everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StatsRequest {
    /// Who asked for them.
    pub session: Option<String>,
    /// Any member of the tree that they are in.
    pub tree: Option<String>,
    /// What they are for.
    pub project: Option<String>,
}

/// Whom to wait for, and until when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WaitRequest {
    /// The processes; 1 to 1,000.
    #[serde(rename = "id")]
    pub ids: Vec<String>,
    /// How far they have to get: `ended`, `tree_ended` (also every descendant that has to end with them), `running` or
    /// `ready`; `ended` by default.
    #[serde(rename = "for")]
    pub goal: Option<String>,
    /// How many of them: `all` or `any`; `all` by default.
    pub mode: Option<String>,
    /// For how long at most, in milliseconds; as long as it takes by default.
    pub timeout_ms: Option<u64>,
}
