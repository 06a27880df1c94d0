//! Nodes of a cluster: list, drain and removal.

use crate::api::Api;
use crate::convert;
use crate::error::ApiError;
use longhaul_domain::NodeId;
use longhaul_wire::api::{NodeListing, NodeView};

impl Api {
    /// Lists all nodes that share the store.
    ///
    /// # Errors
    /// Returns an error if the store does not respond.
    pub async fn nodes(&self) -> Result<NodeListing, ApiError> {
        let engine = &self.engine;
        Ok(convert::nodes(&engine.nodes().await?, engine.node(), engine.now()))
    }

    /// Drains a node, or ends its drain. A drained node claims no processes; its running processes continue.
    ///
    /// # Errors
    /// Returns an error if no node has this name, or if the store is not shared.
    pub async fn drain_node(&self, node: &str, drain: bool) -> Result<NodeView, ApiError> {
        let node: NodeId = node.parse()?;
        Ok(convert::node(&self.engine.drain(&node, drain).await?, self.engine.node()))
    }

    /// Removes a lost node from the cluster, and returns the last data about this node.
    ///
    /// # Errors
    /// Returns an error if no node has this name, or if the node is present or may still return in time.
    pub async fn forget_node(&self, node: &str) -> Result<NodeView, ApiError> {
        let node: NodeId = node.parse()?;
        Ok(convert::node(&self.engine.forget(&node).await?, self.engine.node()))
    }
}
