//! Counters that show which nodes have updates that they have not received yet.

use super::state::{LedgerState, Node};
use longhaul_domain::{Epoch, NodeId, Timestamp};
use longhaul_ports::{Lease, NodeDescriptor, NodeUpdates, PlacementClass, StoreError};
use std::collections::BTreeMap;

/// Counters of updates for all nodes and for single nodes. Only `wait_for_work` marks updates as received.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpdateCounters {
    for_all: u64,
    for_one: BTreeMap<NodeId, u64>,
    taken: BTreeMap<NodeId, u64>,
}

impl UpdateCounters {
    pub(crate) fn for_all(&mut self) {
        self.for_all += 1;
    }

    pub(crate) fn for_one(&mut self, node: &NodeId) {
        *self.for_one.entry(node.clone()).or_default() += 1;
    }

    /// Counts a new waiting process as an update for each node that may run it.
    pub(crate) fn note_waiter(&mut self, class: &PlacementClass) {
        match class {
            PlacementClass::Node(node) => self.for_one(node),
            PlacementClass::Shared(_) => self.for_all(),
        }
    }

    /// Returns true if there are new updates for the node, and marks them as received.
    pub(crate) fn take(&mut self, node: &NodeId) -> bool {
        let now = self.for_all + self.for_one.get(node).copied().unwrap_or(0);
        let before = self.taken.insert(node.clone(), now);
        before.unwrap_or(0) < now
    }
}

impl LedgerState {
    pub(crate) fn register(&mut self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        self.check_home(me)?;
        let node = self.nodes.entry(me.id.clone()).or_insert_with(|| Node {
            facts: me.clone(),
            epoch: Epoch(0),
            left: false,
        });
        node.facts = me.clone();
        node.epoch = node.epoch.next();
        node.left = false;
        let lease = Lease { node: me.id.clone(), epoch: node.epoch };
        self.renew(&lease);
        if self.has_work_for(&lease) {
            self.updates.for_one(&lease.node);
        }
        Ok(lease)
    }

    /// Returns true if there is work for the node of a new lease. Ignores which updates an earlier lease of the node
    /// received.
    fn has_work_for(&self, lease: &Lease) -> bool {
        let index = self.rows.index();
        let mut owned = index.owned_by(&lease.node).values().filter_map(|id| self.stored(id));
        index.first_due().is_some()
            || index.queues().values().any(|queue| queue.first(|_| true).is_some())
            || owned.any(|own| !own.pending_actions.is_empty())
    }

    /// Removes the counters of a lease. Does nothing if the node has a newer lease.
    pub(crate) fn leave(&mut self, by: &Lease) {
        if let Some(node) = self.nodes.get_mut(&by.node)
            && node.epoch == by.epoch
        {
            node.left = true;
        }
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &NodeDescriptor> {
        self.nodes.values().filter(|node| !node.left).map(|node| &node.facts)
    }

    pub(crate) fn calls(&self, now: Timestamp, by: &Lease) -> NodeUpdates {
        let index = self.rows.index();
        let owned = index.owned_by(&by.node).values().filter_map(|id| self.stored(id));
        NodeUpdates {
            now,
            lease_until: None,
            pending_actions: owned
                .filter(|own| !own.pending_actions.is_empty())
                .map(|own| own.process.id)
                .collect(),
            due: index.first_due(),
            policy: self.policy.0,
            history: None,
        }
    }
}
