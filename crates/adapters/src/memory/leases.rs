//! Expiring leases of nodes, and other data about nodes.

use super::state::{MemoryState, Node, fenced};
use longhaul_domain::{NodeId, ProcessId, Timestamp};
use longhaul_ports::{
    ForgetOutcome, KnownNode, Lease, NodeAdvertisement, NodeDescriptor, PlacementClass, Presence, StoreError,
    StoreRejection,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Data about nodes that is not part of their registrations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    /// Lease duration and grace period. If `None`, leases never expire.
    terms: Option<LeaseSettings>,
    of: BTreeMap<NodeId, LeaseRow>,
    /// Time of the latest heartbeat that any node sent.
    last_heartbeat: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct LeaseSettings {
    lease: Duration,
    grace: Duration,
}

#[derive(Clone, Debug, Default)]
struct LeaseRow {
    /// Time at which the lease expires. Not used if leases never expire.
    until: Timestamp,
    lost: bool,
    draining: bool,
    offer: NodeAdvertisement,
}

impl Leases {
    pub(super) fn ending(lease: Duration, grace: Duration) -> Self {
        Self { terms: Some(LeaseSettings { lease, grace }), ..Self::default() }
    }

    pub(super) const fn end(&self) -> bool {
        self.terms.is_some()
    }

    /// Returns the time at which the lease of a node expires. Returns `None` if the lease never expires.
    pub(super) fn until(&self, node: &NodeId) -> Option<Timestamp> {
        self.terms?;
        self.of.get(node).map(|record| record.until)
    }

    /// Returns a new instance with the same settings but without nodes.
    pub(super) fn reset(&self) -> Self {
        Self { terms: self.terms, ..Self::default() }
    }

    /// Returns the time after the last heartbeat of a node at which its processes count as lost.
    pub(super) fn until_lost(&self) -> Duration {
        self.terms.map_or(Duration::ZERO, |terms| terms.lease.saturating_add(terms.grace))
    }

    fn lease(&self) -> Duration {
        self.terms.map_or(Duration::ZERO, |terms| terms.lease)
    }

    pub(super) fn is_lost(&self, node: &NodeId) -> bool {
        self.of.get(node).is_some_and(|record| record.lost)
    }

    pub(super) fn is_draining(&self, node: &NodeId) -> bool {
        self.of.get(node).is_some_and(|record| record.draining)
    }

    fn presence(&self, node: &Node) -> Presence {
        let (Some(terms), Some(record)) = (self.terms, self.of.get(&node.facts.id)) else {
            return if node.left { Presence::Left } else { Presence::Present { until: None } };
        };
        if record.lost {
            Presence::Lost { since: record.until }
        } else if node.left {
            Presence::Left
        } else {
            Presence::Unreachable { since: record.until, lost_at: record.until.plus(terms.grace) }
        }
    }

    fn presence_at(&self, now: Timestamp, node: &Node) -> Presence {
        match self.presence(node) {
            Presence::Unreachable { since, .. } if now < since => Presence::Present { until: Some(since) },
            found @ (Presence::Present { .. }
            | Presence::Unreachable { .. }
            | Presence::Lost { .. }
            | Presence::Left) => found,
        }
    }
}

impl MemoryState {
    /// Rejects a lease that is expired or is not the newest lease of its node.
    pub(crate) fn check_living(&self, now: Timestamp, lease: &Lease) -> Result<(), StoreError> {
        self.check(lease)?;
        let left = self.nodes.get(&lease.node).is_some_and(|node| node.left);
        match self.leases.until(&lease.node) {
            Some(until) if until <= now && !left => Err(fenced(lease)),
            Some(_) | None => Ok(()),
        }
    }

    /// Rejects a registration of this node name from a different state directory while the node owns processes,
    /// because only the earlier state directory can report what happened to these processes.
    pub(crate) fn check_home(&mut self, now: Timestamp, me: &NodeDescriptor) -> Result<(), StoreError> {
        let Some(node) = self.nodes.get(&me.id).filter(|node| !node.forgotten) else { return Ok(()) };
        let Some(home) = me.other_home(node.facts.home.as_ref()) else { return Ok(()) };
        let home = Box::new(home.clone());
        let open = self.rows.index().owned_by(&me.id).len();
        let free_in = match self.leases.presence_at(now, node) {
            Presence::Present { until: Some(until) } => {
                let heard = self.leases.lease().saturating_sub(until.since(now));
                return Err(StoreError::Refused(StoreRejection::NameTaken {
                    node: me.id.clone(),
                    home,
                    heard,
                }));
            }
            Presence::Present { until: None } | Presence::Left | Presence::Lost { .. } => None,
            Presence::Unreachable { lost_at, .. } if now < lost_at => Some(lost_at.since(now)),
            Presence::Unreachable { .. } => {
                self.take_from(now, &me.id);
                return Ok(());
            }
        };
        if open == 0 {
            return Ok(());
        }
        let open = u64::try_from(open).unwrap_or(u64::MAX);
        Err(StoreError::Refused(StoreRejection::NameHeld { node: me.id.clone(), home, open, free_in }))
    }

    /// Starts the lease of a node that has just registered.
    pub(super) fn begin_lease(&mut self, now: Timestamp, node: &NodeId) {
        self.restart_leases_after_silence(now);
        let record = self.leases.of.entry(node.clone()).or_default();
        record.lost = false;
        record.offer = NodeAdvertisement::default();
        self.prolong(now, node);
    }

    /// Records a heartbeat of a node.
    pub(crate) fn record_heartbeat(&mut self, now: Timestamp, by: &Lease) -> Result<(), StoreError> {
        self.check(by)?;
        self.restart_leases_after_silence(now);
        self.prolong(now, &by.node);
        Ok(())
    }

    fn prolong(&mut self, now: Timestamp, node: &NodeId) {
        if let (Some(terms), Some(record)) = (self.leases.terms, self.leases.of.get_mut(node)) {
            record.until = record.until.max(now.plus(terms.lease));
        }
        self.leases.last_heartbeat = Some(now);
    }

    /// Restarts every lease if no node has sent a heartbeat for a long time, because the store was then unreachable.
    fn restart_leases_after_silence(&mut self, now: Timestamp) {
        let (Some(terms), Some(last)) = (self.leases.terms, self.leases.last_heartbeat) else { return };
        if now.since(last) <= terms.lease {
            return;
        }
        for record in self.leases.of.values_mut().filter(|record| !record.lost) {
            record.until = record.until.max(now.plus(terms.lease));
        }
        self.leases.last_heartbeat = Some(now);
    }

    /// Ends the ownership of every node whose lease and grace period have expired.
    pub(super) fn take_from_lost(&mut self, now: Timestamp) {
        self.restart_leases_after_silence(now);
        let is_over = |node: &&Node| match self.leases.presence_at(now, node) {
            Presence::Unreachable { lost_at, .. } => lost_at <= now,
            Presence::Present { .. } | Presence::Lost { .. } | Presence::Left => false,
        };
        let over: Vec<NodeId> =
            self.nodes.values().filter(is_over).map(|node| node.facts.id.clone()).collect();
        for node in over {
            self.take_from(now, &node);
        }
    }

    /// Removes the owner from all processes of the node. From now on, writes with this lease are rejected.
    fn take_from(&mut self, now: Timestamp, node: &NodeId) {
        if let Some(known) = self.nodes.get_mut(node) {
            known.epoch = known.epoch.next();
        }
        if let Some(record) = self.leases.of.get_mut(node) {
            record.lost = true;
        }
        let owned: Vec<ProcessId> = self.rows.index().owned_by(node).values().copied().collect();
        for id in owned {
            self.rows.change(&id, |row| {
                row.stored.owner = None;
                row.orphaned = Some(now);
            });
        }
    }

    /// Returns the earliest time at which a node loses its processes, unless its lease is renewed before that time.
    pub(super) fn next_loss(&self) -> Option<Timestamp> {
        let lost_at = |node: &Node| match self.leases.presence(node) {
            Presence::Unreachable { lost_at, .. } => Some(lost_at),
            Presence::Present { .. } | Presence::Lost { .. } | Presence::Left => None,
        };
        let owns = |node: &&Node| !self.rows.index().owned_by(&node.facts.id).is_empty();
        self.nodes.values().filter(owns).filter_map(lost_at).min()
    }

    pub(crate) fn advertise(&mut self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        self.check(by)?;
        self.leases.of.entry(by.node.clone()).or_default().offer = offer.clone();
        Ok(())
    }

    pub(crate) fn list_nodes(&self, now: Timestamp) -> Vec<KnownNode> {
        let nodes = self.nodes.values().filter(|node| !node.forgotten);
        let known = nodes.map(|node| {
            let record = self.leases.of.get(&node.facts.id);
            KnownNode {
                facts: node.facts.clone(),
                epoch: node.epoch,
                offer: record.map(|record| record.offer.clone()).unwrap_or_default(),
                presence: self.leases.presence_at(now, node),
                draining: self.leases.is_draining(&node.facts.id),
            }
        });
        known.collect()
    }

    pub(crate) fn drain(&mut self, node: &NodeId, drain: bool) -> bool {
        let is_known = self.nodes.get(node).is_some_and(|known| !known.forgotten);
        if is_known {
            self.leases.of.entry(node.clone()).or_default().draining = drain;
            self.updates.for_one(node);
        }
        is_known
    }

    pub(crate) fn forget(&mut self, now: Timestamp, node: &NodeId) -> ForgetOutcome {
        let Some(known) = self.nodes.get(node).filter(|known| !known.forgotten) else {
            return ForgetOutcome::Unknown;
        };
        match self.leases.presence_at(now, known) {
            Presence::Present { .. } => return ForgetOutcome::Alive,
            Presence::Unreachable { lost_at, .. } if now < lost_at => return ForgetOutcome::Alive,
            Presence::Unreachable { .. } | Presence::Left => self.take_from(now, node),
            Presence::Lost { .. } => {}
        }
        self.leases.of.remove(node);
        if let Some(known) = self.nodes.get_mut(node) {
            known.forgotten = true;
        }
        ForgetOutcome::Forgotten
    }

    /// Returns the different label sets that waiting processes require of a node.
    pub(crate) fn label_classes(&self) -> Vec<PlacementClass> {
        let queues = self.rows.index().queues().values();
        let mut classes: Vec<PlacementClass> =
            queues.flat_map(|queue| queue.classes()).filter(|class| class.is_labelled()).cloned().collect();
        classes.sort();
        classes.dedup();
        classes
    }
}
