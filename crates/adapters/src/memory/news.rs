//! What is new for each node since it last waited for a call.

use super::ledger::{Ledger, Node};
use longhaul_domain::{Epoch, NodeId, Timestamp};
use longhaul_ports::{Calls, Lease, NodeFacts, PlacementClass};
use std::collections::BTreeMap;

/// Counts of what is new, for all nodes and for single ones. Only waiting for a call takes them in.
#[derive(Debug, Default)]
pub(super) struct News {
    for_all: u64,
    for_one: BTreeMap<NodeId, u64>,
    taken: BTreeMap<NodeId, u64>,
}

impl News {
    pub(super) fn for_all(&mut self) {
        self.for_all += 1;
    }

    pub(super) fn for_one(&mut self, node: &NodeId) {
        *self.for_one.entry(node.clone()).or_default() += 1;
    }

    /// A waiter concerns those who may run it.
    pub(super) fn waiter(&mut self, class: &PlacementClass) {
        match class {
            PlacementClass::Node(node) => self.for_one(node),
            PlacementClass::Shared(_) => self.for_all(),
        }
    }

    /// Whether there is something new; from here on it is not.
    pub(super) fn take(&mut self, node: &NodeId) -> bool {
        let now = self.for_all + self.for_one.get(node).copied().unwrap_or(0);
        let before = self.taken.insert(node.clone(), now);
        before.unwrap_or(0) < now
    }
}

impl Ledger {
    pub(super) fn register(&mut self, me: &NodeFacts) -> Lease {
        let node = self.nodes.entry(me.id.clone()).or_insert_with(|| Node {
            facts: me.clone(),
            epoch: Epoch(0),
            left: false,
        });
        node.facts = me.clone();
        node.epoch = node.epoch.next();
        node.left = false;
        let lease = Lease { node: me.id.clone(), epoch: node.epoch };
        for row in self.rows.values_mut() {
            if let Some(owner) = &mut row.stored.owner
                && owner.node == lease.node
            {
                owner.epoch = lease.epoch;
            }
        }
        lease
    }

    /// An older life that leaves late does not take the new one with it.
    pub(super) fn leave(&mut self, by: &Lease) {
        if let Some(node) = self.nodes.get_mut(&by.node)
            && node.epoch == by.epoch
        {
            node.left = true;
        }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &NodeFacts> {
        self.nodes.values().filter(|node| !node.left).map(|node| &node.facts)
    }

    pub(super) fn calls(&self, now: Timestamp, by: &Lease) -> Calls {
        let wishes = self.in_order().filter(|stored| {
            !stored.wishes.is_empty() && stored.owner.as_ref().is_some_and(|owner| owner.node == by.node)
        });
        Calls {
            now,
            lease_until: None,
            wishes: wishes.map(|stored| stored.process.id).collect(),
            due: self.next_due(),
            policy: self.policy.0,
        }
    }
}
