//! The nodes that can run waiting processes.

use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{NodeId, Placement};
use longhaul_ports::{KnownNode, Presence};

/// The nodes that are present, at one moment. Load this once to examine many processes.
#[derive(Clone, Debug)]
pub struct EligibleNodes {
    /// Nodes that are not draining.
    pub(crate) nodes: Vec<KnownNode>,
    draining: Vec<KnownNode>,
}

impl EligibleNodes {
    /// Returns `None` if a node that is not draining fits the placement. Otherwise returns the draining nodes that fit.
    #[must_use]
    pub fn unavailable(&self, placement: &Placement) -> Option<Vec<NodeId>> {
        if fits_any(placement, &self.nodes) {
            return None;
        }
        let draining = self.draining.iter().filter(|node| node.fits(placement));
        Some(draining.map(|node| node.facts.id.clone()).collect())
    }
}

impl Engine {
    /// Returns the nodes that are present now.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot list the nodes.
    pub async fn runners(&self) -> Result<EligibleNodes, EngineError> {
        self.core.runners().await
    }
}

impl EngineShared {
    /// Returns the nodes that are present now. The offer of this node is taken from its settings, not from the store.
    pub(crate) async fn runners(&self) -> Result<EligibleNodes, EngineError> {
        let mut known = self.parts.store.list_nodes().await?;
        known.retain(|node| matches!(node.presence, Presence::Present { .. }));
        for node in known.iter_mut().filter(|node| node.facts.id == *self.here()) {
            node.offer = self.settings.offer.clone();
        }
        let (draining, nodes) = known.into_iter().partition(|node| node.draining);
        Ok(EligibleNodes { nodes, draining })
    }
}

/// Returns true if one of the nodes fits the placement.
pub(crate) fn fits_any(placement: &Placement, nodes: &[KnownNode]) -> bool {
    nodes.iter().any(|node| node.fits(placement))
}
