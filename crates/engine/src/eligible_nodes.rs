//! The nodes that can run waiting processes.

use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{NodeId, Placement};
use longhaul_ports::{KnownNode, Presence};

/// The nodes that are present at one moment. Load this value one time to examine many processes.
#[derive(Clone, Debug)]
pub struct EligibleNodes {
    /// Present nodes that are not draining.
    pub(crate) nodes: Vec<KnownNode>,
    draining: Vec<KnownNode>,
}

impl EligibleNodes {
    /// Returns `None` if at least one node that is not draining fits the placement. If there is none, returns the
    /// draining nodes that fit.
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
    /// Returns the nodes that are currently present.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot list the nodes.
    pub async fn runners(&self) -> Result<EligibleNodes, EngineError> {
        self.core.runners().await
    }
}

impl EngineShared {
    /// Returns the nodes that are currently present. For this node, the advertised properties come from its own
    /// settings, not from the store.
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

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{Epoch, Timestamp};
    use longhaul_ports::{NodeAdvertisement, NodeDescriptor};

    pub(crate) fn known(name: &str) -> KnownNode {
        let facts = NodeDescriptor {
            id: NodeId::new(name).unwrap(),
            home: None,
            boot: "b".to_owned(),
            version: "0".to_owned(),
        };
        let presence = Presence::Unreachable { since: Timestamp(0), lost_at: Timestamp(0) };
        KnownNode { facts, epoch: Epoch(1), offer: NodeAdvertisement::default(), presence, draining: false }
    }

    #[test]
    fn draining_nodes_are_named_if_no_other_node_fits() {
        let placement = Placement::Node(NodeId::new("b").unwrap());
        let runners = EligibleNodes { nodes: vec![known("a")], draining: vec![known("b"), known("c")] };
        assert_eq!(runners.unavailable(&placement), Some(vec![NodeId::new("b").unwrap()]));
        assert_eq!(runners.unavailable(&Placement::Anywhere), None);
    }
}
