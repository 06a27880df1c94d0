//! The lease of this node and its current validity.

use longhaul_domain::{NodeId, Timestamp};
use longhaul_ports::{Lease, NodeUpdates};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// Assumed length of a lease before the store has reported the real one.
const DEFAULT_LEASE: Duration = Duration::from_secs(5);

/// The lease of this node. The lease changes when the node registers again.
#[derive(Debug)]
pub(crate) struct LeaseState {
    node: NodeId,
    held: watch::Sender<HeldLease>,
    /// Serializes the checks of rejected leases.
    pub(crate) doubts: Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct HeldLease {
    lease: Lease,
    term: LeaseValidity,
    /// Length of the lease at the last renewal.
    length: Duration,
    /// No process is claimed or started before this time, because other nodes may still be restoring lost records.
    held_until: Timestamp,
}

/// Validity of a lease, by the clock of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseValidity {
    /// Leases of this store do not expire.
    Endless,
    /// The lease is valid at least until this time, which is counted from before the renewal was sent.
    Until(Timestamp),
    /// Another manager has registered under the name of this node.
    Replaced,
}

impl LeaseState {
    /// Creates the state of a new lease. If `ends` is true, the lease is valid only after its first renewal.
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

    /// Returns true if this node may claim and start processes now.
    pub(crate) fn may_claim(&self, now: Timestamp) -> bool {
        let held = self.held.borrow();
        match held.term {
            LeaseValidity::Endless => true,
            LeaseValidity::Until(until) => held.held_until <= now && now < until,
            LeaseValidity::Replaced => false,
        }
    }

    /// Returns the time until which this node must not claim, start or take over processes, because lost records may
    /// not be restored yet. Returns `None` without such a restriction.
    pub(crate) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.held.borrow().held_until).filter(|until| now < *until)
    }

    pub(crate) fn is_replaced(&self) -> bool {
        self.held.borrow().term == LeaseValidity::Replaced
    }

    /// Returns the time at which the lease expires. Returns `None` if it never expires or was taken by another manager.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        match self.held.borrow().term {
            LeaseValidity::Until(until) => Some(until),
            LeaseValidity::Endless | LeaseValidity::Replaced => None,
        }
    }

    /// Extends the lease after the answer to a renewal that was sent at `sent`.
    pub(crate) fn extend(&self, of: &Lease, sent: Timestamp, calls: &NodeUpdates) {
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

    /// Sets the new lease after this node has registered again.
    pub(crate) fn begin(&self, lease: Lease, until: Timestamp) {
        self.held.send_modify(|held| (held.lease, held.term) = (lease, LeaseValidity::Until(until)));
    }

    /// Returns the time at which a lease that was renewed at `sent` expires, by the last known lease length.
    pub(crate) fn after(&self, sent: Timestamp) -> Timestamp {
        sent.plus(self.held.borrow().length)
    }

    /// Forbids claims and starts for one lease length, in which every live node renews its lease and can restore
    /// records.
    pub(crate) fn hold(&self, now: Timestamp) {
        self.held.send_modify(|held| held.held_until = held.held_until.max(now.plus(held.length)));
    }

    /// Records that another manager has registered under the name of this node.
    pub(crate) fn replaced(&self) {
        tracing::error!("another manager registered with the name of this node: stopped claiming");
        self.held.send_modify(|held| held.term = LeaseValidity::Replaced);
    }

    /// Waits until another manager has registered under the name of this node.
    pub(crate) async fn until_replaced(&self) {
        // Cannot fail: `self` owns the sender.
        let _ = self.held.subscribe().wait_for(|held| held.term == LeaseValidity::Replaced).await;
    }

    /// Returns a receiver of all later changes.
    pub(crate) fn changes(&self) -> LeaseChanges {
        LeaseChanges { held: self.held.subscribe() }
    }
}

/// Receiver of lease changes.
#[derive(Debug)]
pub(crate) struct LeaseChanges {
    held: watch::Receiver<HeldLease>,
}

impl LeaseChanges {
    pub(crate) async fn next(&mut self) {
        // Cannot fail while the engine runs, and all receivers end with the engine.
        let _ = self.held.changed().await;
    }
}
