//! What is known of a node beside its lease.

use crate::{NodeDescriptor, PlacementClass};
use longhaul_domain::{Capability, Epoch, NodeId, Placement, Timestamp};
use std::collections::BTreeSet;

/// A node as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNode {
    /// As it presented itself last.
    pub facts: NodeDescriptor,
    /// The number of its newest lease, as far as it is kept; that of a lost node is higher than the lease it had.
    pub epoch: Epoch,
    /// As it announced itself last under its newest lease; nothing before.
    pub offer: NodeAdvertisement,
    /// Whether it is there.
    pub presence: Presence,
    /// It claims nothing because somebody said so; what it has it keeps.
    pub draining: bool,
}

/// What a node offers to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAdvertisement {
    /// What it calls itself, for work that is placed by labels.
    pub labels: BTreeSet<Capability>,
    /// Where other nodes reach it: for output and input of what runs there.
    pub address: Option<String>,
    /// The most roots that it runs at once; none means as many as come.
    pub roots: Option<u32>,
}

/// Whether a node is there. All moments are the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Its lease lives.
    Present {
        /// When the lease ends unless it gives another sign of life; none in a store of one machine, where none does.
        until: Option<Timestamp>,
    },
    /// Its lease is over. Nothing is claimed for it; what it owns stays its own and keeps its slots.
    Unreachable {
        /// When the lease ended.
        since: Timestamp,
        /// When the grace is over: from then on [`claim_due`](crate::Maintenance::claim_due) takes from it what it owns.
        lost_at: Timestamp,
    },
    /// What it owned was taken from it; its epoch was raised, so that its last lease writes nothing any more.
    Lost {
        /// When the lease ended.
        since: Timestamp,
    },
    /// It left in good order. What it still owns waits for its next registration, however long that takes.
    Left,
}

/// What came of forgetting a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgetOutcome {
    /// It is listed no more, and what it owned has no owner.
    Forgotten,
    /// It is there, or may come back in time: nothing was changed.
    Alive,
    /// No node is called so.
    Unknown,
}

impl KnownNode {
    /// A node of a store whose leases never end, and which keeps nothing else of it.
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

    /// Whether it may run what is placed so, now or when it has room.
    #[must_use]
    pub fn fits(&self, placement: &Placement) -> bool {
        self.offer.fits(&self.facts.id, placement)
    }
}

impl NodeAdvertisement {
    /// Whether a node of this name that offers this may run what is placed so. What is placed here may run anywhere:
    /// whoever accepted it has pinned it if it belongs to one node.
    #[must_use]
    pub fn fits(&self, node: &NodeId, placement: &Placement) -> bool {
        match placement {
            Placement::Node(named) => named == node,
            Placement::Labels(labels) => labels.iter().all(|label| self.labels.contains(label)),
            Placement::Here | Placement::Anywhere => true,
        }
    }

    /// Whether a node of this name that offers this may run the waiters of a class.
    #[must_use]
    pub fn takes(&self, node: &NodeId, class: &PlacementClass) -> bool {
        match class {
            PlacementClass::Node(named) => named == node,
            PlacementClass::Shared(placement) => self.fits(node, placement),
        }
    }
}

impl Presence {
    /// Since when its lease is over; none while it lives, and for a node that left in good order.
    #[must_use]
    pub const fn unreachable_since(&self) -> Option<Timestamp> {
        match self {
            Self::Unreachable { since, .. } | Self::Lost { since } => Some(*since),
            Self::Present { .. } | Self::Left => None,
        }
    }
}
