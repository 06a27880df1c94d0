//! Nodes of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nodes that share a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeListing {
    /// Nodes in the order of their names: all that ever joined and were not forgotten; in a local store, those that
    /// run.
    pub nodes: Vec<NodeView>,
    /// Time at which the list was made.
    pub at: String,
}

/// Node that shares the store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeView {
    /// Name of the node, unique among all nodes that share the store.
    pub id: String,
    /// True for the node that sends this reply.
    pub own: bool,
    /// `here`, `unreachable` (its lease has expired, and it may return), `lost` (its processes were taken away from it)
    /// or `left`.
    pub presence: String,
    /// True if the node is drained: it finishes its own processes and claims no new ones.
    pub draining: bool,
    /// Labels of the node, used to place processes.
    pub labels: Vec<String>,
    /// Address at which other nodes reach the node.
    pub address: Option<String>,
    /// Maximum number of roots that the node runs at the same time; null means no limit.
    pub roots: Option<u32>,
    /// Version of the longhaul program on the node.
    pub version: String,
    /// Time at which the lease of the node ends unless it is renewed, or has ended; null if leases do not end.
    pub lease_until: Option<String>,
    /// Time at which the processes of an unreachable node are marked as interrupted unless the node returns; null
    /// unless the node is unreachable.
    pub lost_at: Option<String>,
}
