//! Nodes.

use crate::api::Api;
use crate::convert;
use crate::error::ApiError;
use longhaul_domain::NodeId;
use longhaul_wire::api::{NodeListing, NodeView};

impl Api {
    /// Shows every node that shares the store.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn nodes(&self) -> Result<NodeListing, ApiError> {
        let engine = &self.engine;
        Ok(convert::nodes(&engine.nodes().await?, engine.node(), engine.now()))
    }

    /// Lets a node claim nothing from now on, or claim again; what it has goes on.
    ///
    /// # Errors
    /// No node is called so, or it is alone in its store.
    pub async fn drain_node(&self, node: &str, drain: bool) -> Result<NodeView, ApiError> {
        let node: NodeId = node.parse()?;
        Ok(convert::node(&self.engine.drain(&node, drain).await?, self.engine.node()))
    }

    /// Lets go of a node that is gone for good, and shows it as it was.
    ///
    /// # Errors
    /// No node is called so, or it is there or may come back in time.
    pub async fn forget_node(&self, node: &str) -> Result<NodeView, ApiError> {
        let node: NodeId = node.parse()?;
        Ok(convert::node(&self.engine.forget(&node).await?, self.engine.node()))
    }
}
