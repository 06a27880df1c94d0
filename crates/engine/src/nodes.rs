//! Operations on nodes: list, drain and forget.

use crate::detached::run_to_completion;
use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::NodeId;
use longhaul_ports::{ForgetOutcome, KnownNode};

impl Engine {
    /// Returns every node that ever registered and was not forgotten, in name order. A local store returns only running
    /// nodes.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn nodes(&self) -> Result<Vec<KnownNode>, EngineError> {
        Ok(self.core.parts.store.list_nodes().await?)
    }

    /// Returns true if the store is a shared store. With a shared store, a process may run on another node, which then
    /// stores the output.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.core.parts.store.leases_expire()
    }

    /// Drains a node or ends its drain, and returns the updated node. Processes that are running on the node continue.
    ///
    /// # Errors
    /// [`EngineError::NodeUnknown`], or [`EngineError::DrainUnsupported`] for a local store.
    pub async fn drain(&self, node: &NodeId, drain: bool) -> Result<KnownNode, EngineError> {
        let (core, named) = (self.core.clone(), node.clone());
        let done = run_to_completion(async move { Ok(core.parts.store.drain(&named, drain).await?) }).await?;
        let known = self.known(node).await?;
        if done { Ok(known) } else { Err(EngineError::DrainUnsupported { node: node.clone() }) }
    }

    /// Forgets a node that left, or whose lease and grace period have expired. Returns the node as it was before. The
    /// other nodes then handle the processes that the node owned.
    ///
    /// # Errors
    /// [`EngineError::NodeUnknown`], or [`EngineError::NodeAlive`] if the node is present or may still return in time.
    pub async fn forget(&self, node: &NodeId) -> Result<KnownNode, EngineError> {
        let known = self.known(node).await?;
        let (core, named) = (self.core.clone(), node.clone());
        match run_to_completion(async move { Ok(core.parts.store.forget(&named).await?) }).await? {
            ForgetOutcome::Forgotten => Ok(known),
            // A local store lists only running nodes.
            ForgetOutcome::Unknown if !self.core.parts.store.leases_expire() => {
                Err(EngineError::NodeAlive { node: node.clone() })
            }
            ForgetOutcome::Unknown => Err(EngineError::NodeUnknown { node: node.clone() }),
            ForgetOutcome::Alive => Err(EngineError::NodeAlive { node: node.clone() }),
        }
    }

    async fn known(&self, node: &NodeId) -> Result<KnownNode, EngineError> {
        let known = self.nodes().await?.into_iter().find(|known| known.facts.id == *node);
        known.ok_or_else(|| EngineError::NodeUnknown { node: node.clone() })
    }
}
