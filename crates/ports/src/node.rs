//! Facts about nodes in addition to their leases: presence, advertised properties and drain state.

use crate::{NodeDescriptor, PlacementClass};
use longhaul_domain::{Capability, Epoch, NodeId, Placement, Timestamp};
use std::collections::BTreeSet;

/// A node with the facts that the store has recorded about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNode {
    /// Description from the latest registration of the node.
    pub facts: NodeDescriptor,
    /// Current epoch of the node, if the store records it. The epoch of a lost node is higher than that of its last
    /// lease.
    pub epoch: Epoch,
    /// Latest advertisement of the node under its current lease; empty until the node has advertised.
    pub offer: NodeAdvertisement,
    /// Presence of the node: present, unreachable, lost or left.
    pub presence: Presence,
    /// True if the node is drained: it claims no new processes and finishes the processes that it owns.
    pub draining: bool,
}

/// The properties of a node that other nodes use: labels, address and capacity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAdvertisement {
    /// Labels of the node, for processes that are placed by labels.
    pub labels: BTreeSet<Capability>,
    /// Address at which other nodes reach this node, to read the output of its processes and to write to their input.
    pub address: Option<String>,
    /// Maximum number of roots that the node runs at the same time; `None` means no limit.
    pub roots: Option<u32>,
}

/// Presence of a node in the cluster. All times are times of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The lease of the node is valid.
    Present {
        /// Time at which the lease ends unless it is renewed; `None` in a local store, where leases do not end.
        until: Option<Timestamp>,
    },
    /// The lease of the node has ended. The node cannot claim processes; the processes that it owns remain its own and
    /// keep their slots.
    Unreachable {
        /// Time at which the lease ended.
        since: Timestamp,
        /// Time at which the grace period ends. From then on, [`claim_due`](crate::Maintenance::claim_due) takes the
        /// processes of the node away from it.
        lost_at: Timestamp,
    },
    /// The node has lost the processes that it owned. Its epoch was raised, so that its last lease can no longer write.
    Lost {
        /// Time at which the lease ended.
        since: Timestamp,
    },
    /// The node left the cluster. The processes that it still owns wait for its next registration, without a time
    /// limit.
    Left,
}

/// Outcome of a request to forget a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgetOutcome {
    /// The node is no longer listed, and its processes have no owner.
    Forgotten,
    /// The node is present, or its grace period is not over, so nothing was changed.
    Alive,
    /// No node has this name.
    Unknown,
}

impl KnownNode {
    /// Creates the entry of a node for a store in which leases never end and that records no other facts about nodes.
    #[must_use]
    pub fn of(facts: NodeDescriptor) -> Self {
        Self {
            facts,
            epoch: Epoch(0),
            offer: NodeAdvertisement::default(),
            presence: Presence::Present { until: None },
            draining: false,
        }
    }

    /// Returns true if the node may run processes with this placement, now or as soon as it has capacity.
    #[must_use]
    pub fn fits(&self, placement: &Placement) -> bool {
        self.offer.fits(&self.facts.id, placement)
    }
}

impl NodeAdvertisement {
    /// Returns true if a node with this name and these labels may run processes with this placement. `Placement::Here`
    /// fits every node: it means the node that accepted the process, and that node has already pinned the process to
    /// itself.
    #[must_use]
    pub fn fits(&self, node: &NodeId, placement: &Placement) -> bool {
        match placement {
            Placement::Node(named) => named == node,
            Placement::Labels(labels) => labels.iter().all(|label| self.labels.contains(label)),
            Placement::Here | Placement::Anywhere => true,
        }
    }

    /// Returns true if a node with this name and these labels may run the waiting processes of a placement class.
    #[must_use]
    pub fn takes(&self, node: &NodeId, class: &PlacementClass) -> bool {
        match class {
            PlacementClass::Node(named) => named == node,
            PlacementClass::Shared(placement) => self.fits(node, placement),
        }
    }
}

impl Presence {
    /// Returns the time at which the lease of the node ended. Returns `None` if the lease is valid or the node left.
    #[must_use]
    pub const fn unreachable_since(&self) -> Option<Timestamp> {
        match self {
            Self::Unreachable { since, .. } | Self::Lost { since } => Some(*since),
            Self::Present { .. } | Self::Left => None,
        }
    }
}
