//! Nodes as clients see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The nodes that share a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeListing {
    /// Every node that ever joined and was not forgotten, in the order of their names; a store of one machine knows
    /// those that run.
    pub nodes: Vec<NodeView>,
    /// When this was true.
    pub at: String,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeView {
    /// Its name, unique among all that share the store.
    pub id: String,
    /// Whether it is the one that answers.
    pub own: bool,
    /// `here`, `unreachable` (its lease is over, and it may come back), `lost` (what it ran was taken from it) or `left`.
    pub presence: String,
    /// It claims nothing because somebody said so; what it has goes on.
    pub draining: bool,
    /// What it calls itself, for work that is placed by labels.
    pub labels: Vec<String>,
    /// Where other nodes reach it.
    pub address: Option<String>,
    /// The most roots that it runs at once; null means as many as come.
    pub roots: Option<u32>,
    /// The version of its program.
    pub version: String,
    /// When its lease ends, or ended, unless it gives a sign of life; null where leases never end.
    pub lease_until: Option<String>,
    /// When what it runs is given up, unless it comes back before; null unless it is unreachable.
    pub lost_at: Option<String>,
}
