//! The lease under which this node works, as it is at the moment.

use longhaul_domain::{NodeId, Timestamp};
use longhaul_ports::{Lease, NodeUpdates};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// How long a lease lasts where that was not heard yet.
const DEFAULT_LEASE: Duration = Duration::from_secs(5);

/// The lease of this node: it changes when the node has to join anew.
#[derive(Debug)]
pub(crate) struct LeaseState {
    node: NodeId,
    held: watch::Sender<HeldLease>,
    /// Whoever finds a lease refused finds out why one after the other.
    pub(crate) doubts: Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct HeldLease {
    lease: Lease,
    term: LeaseValidity,
    /// How long a lease lasted last.
    length: Duration,
    /// Nothing is taken or started before: the store has lost what others may not have given back yet.
    held_until: Timestamp,
}

/// How long a lease counts, by the clock of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseValidity {
    /// The store ends none.
    Endless,
    /// Until then at least: counted from before the sign of life was sent.
    Until(Timestamp),
    /// Another manager works under the name of this node.
    Replaced,
}

impl LeaseState {
    /// A lease that was just given; if leases end here, it counts from the first sign of life that is answered.
    pub(crate) fn new(lease: Lease, ends: bool, now: Timestamp) -> Self {
        let term = if ends { LeaseValidity::Until(now) } else { LeaseValidity::Endless };
        Self {
            node: lease.node.clone(),
            held: watch::Sender::new(HeldLease { lease, term, length: DEFAULT_LEASE, held_until: now }),
            doubts: Mutex::default(),
        }
    }

    pub(crate) const fn node(&self) -> &NodeId {
        &self.node
    }

    pub(crate) fn lease(&self) -> Lease {
        self.held.borrow().lease.clone()
    }

    /// Whether this node may take and start something new now.
    pub(crate) fn is_living(&self, now: Timestamp) -> bool {
        let held = self.held.borrow();
        match held.term {
            LeaseValidity::Endless => true,
            LeaseValidity::Until(until) => held.held_until <= now && now < until,
            LeaseValidity::Replaced => false,
        }
    }

    /// Until when nothing is decided for others, because the store may not have back what it lost; none if it has.
    pub(crate) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.held.borrow().held_until).filter(|until| now < *until)
    }

    pub(crate) fn is_replaced(&self) -> bool {
        self.held.borrow().term == LeaseValidity::Replaced
    }

    /// When the lease is over for this node; none if it never is, or is no more its own.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        match self.held.borrow().term {
            LeaseValidity::Until(until) => Some(until),
            LeaseValidity::Endless | LeaseValidity::Replaced => None,
        }
    }

    /// A sign of life that was sent then was answered.
    pub(crate) fn prolong(&self, of: &Lease, sent: Timestamp, calls: &NodeUpdates) {
        let Some(store_until) = calls.lease_until else { return };
        let length = store_until.since(calls.now);
        let until = sent.plus(length);
        self.held.send_if_modified(|held| match held.term {
            LeaseValidity::Until(known) if held.lease == *of && known < until => {
                (held.term, held.length) = (LeaseValidity::Until(until), length);
                true
            }
            LeaseValidity::Until(_) | LeaseValidity::Endless | LeaseValidity::Replaced => false,
        });
    }

    /// The node joined anew, under a lease that counts until then.
    pub(crate) fn begin(&self, lease: Lease, until: Timestamp) {
        self.held.send_modify(|held| (held.lease, held.term) = (lease, LeaseValidity::Until(until)));
    }

    /// Until when a lease lasts after a sign of life that was sent then, as far as was heard.
    pub(crate) fn after(&self, sent: Timestamp) -> Timestamp {
        sent.plus(self.held.borrow().length)
    }

    /// Takes and starts nothing for as long as a lease lasts: in that time every node that is there has been heard.
    pub(crate) fn hold(&self, now: Timestamp) {
        self.held.send_modify(|held| held.held_until = held.held_until.max(now.plus(held.length)));
    }

    /// Another manager has joined under the name of this node.
    pub(crate) fn replaced(&self) {
        tracing::error!("another manager works under the name of this node: nothing more is claimed");
        self.held.send_modify(|held| held.term = LeaseValidity::Replaced);
    }

    /// Done once another manager has joined under the name of this node.
    pub(crate) async fn until_replaced(&self) {
        // The sender lives as long as the engine.
        let _ = self.held.subscribe().wait_for(|held| held.term == LeaseValidity::Replaced).await;
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self) -> LeaseChanges {
        LeaseChanges { held: self.held.subscribe() }
    }
}

/// Tells of every change of a tenure.
#[derive(Debug)]
pub(crate) struct LeaseChanges {
    held: watch::Receiver<HeldLease>,
}

impl LeaseChanges {
    pub(crate) async fn next(&mut self) {
        // The sender lives as long as the engine, and whoever listens ends with it.
        let _ = self.held.changed().await;
    }
}
