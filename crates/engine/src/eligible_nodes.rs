//! The nodes that may run what waits.

use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{NodeId, Placement};
use longhaul_ports::{KnownNode, Presence};

/// The nodes that are there, as of one moment: who looks at many processes asks for them once.
#[derive(Clone, Debug)]
pub struct EligibleNodes {
    /// Those that take work.
    pub(crate) nodes: Vec<KnownNode>,
    draining: Vec<KnownNode>,
}

impl EligibleNodes {
    /// Of a placement that no node takes, the nodes that would if they did not drain; none if there is one.
    #[must_use]
    pub fn lacking(&self, placement: &Placement) -> Option<Vec<NodeId>> {
        if fits_any(placement, &self.nodes) {
            return None;
        }
        let draining = self.draining.iter().filter(|node| node.fits(placement));
        Some(draining.map(|node| node.facts.id.clone()).collect())
    }
}

impl Engine {
    /// The nodes that are there now.
    ///
    /// # Errors
    /// If the store does not tell.
    pub async fn runners(&self) -> Result<EligibleNodes, EngineError> {
        self.core.runners().await
    }
}

impl EngineShared {
    /// What this node offers it knows of its own, whether or not the store keeps that.
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

/// Whether a node that takes work takes such waiters.
pub(crate) fn fits_any(placement: &Placement, nodes: &[KnownNode]) -> bool {
    nodes.iter().any(|node| node.fits(placement))
}
