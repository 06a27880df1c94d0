//! The nodes of the store: who is there, who claims nothing, and who is let go of.

use crate::detached::run_to_completion;
use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::NodeId;
use longhaul_ports::{ForgetOutcome, KnownNode};

impl Engine {
    /// Every node that ever joined the store and was not forgotten, in the order of their names. A store of one machine
    /// knows those that run.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn nodes(&self) -> Result<Vec<KnownNode>, EngineError> {
        Ok(self.core.parts.store.list_nodes().await?)
    }

    /// Whether other machines may share the store, so that a process may run, and its output lie, on another node.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.core.parts.store.leases_expire()
    }

    /// Lets a node claim nothing from now on, or claim again, and gives it as it is then. What it has goes on.
    ///
    /// # Errors
    /// [`EngineError::NodeUnknown`], or [`EngineError::DrainUnsupported`] if the store is one of a single machine.
    pub async fn drain(&self, node: &NodeId, drain: bool) -> Result<KnownNode, EngineError> {
        let (core, named) = (self.core.clone(), node.clone());
        let done = run_to_completion(async move { Ok(core.parts.store.drain(&named, drain).await?) }).await?;
        let known = self.known(node).await?;
        if done { Ok(known) } else { Err(EngineError::DrainUnsupported { node: node.clone() }) }
    }

    /// Lets go of a node that left, or that gave no sign of life until its lease and its grace were over, and gives it as
    /// it was. What it owned is decided by the others.
    ///
    /// # Errors
    /// [`EngineError::NodeUnknown`], or [`EngineError::NodeAlive`] if it is there or may come back in time.
    pub async fn forget(&self, node: &NodeId) -> Result<KnownNode, EngineError> {
        let known = self.known(node).await?;
        let (core, named) = (self.core.clone(), node.clone());
        match run_to_completion(async move { Ok(core.parts.store.forget(&named).await?) }).await? {
            ForgetOutcome::Forgotten => Ok(known),
            // A store of one machine lists none but those that run.
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
