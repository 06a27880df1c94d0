//! The lease of this node and its current validity.

use longhaul_domain::{NodeId, Timestamp};
use longhaul_ports::{Lease, NodeUpdates};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// Length of a lease that is assumed until the store has reported the real length.
const DEFAULT_LEASE: Duration = Duration::from_secs(5);

/// The lease of this node. The lease changes when the node registers again.
#[derive(Debug)]
pub(crate) struct LeaseState {
    node: NodeId,
    held: watch::Sender<HeldLease>,
    /// Lock that lets only one check of a rejected lease run at a time.
    pub(crate) doubts: Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct HeldLease {
    lease: Lease,
    term: LeaseValidity,
    /// Length of the lease according to the last renewal.
    length: Duration,
    /// No process is claimed or started before this time, because other nodes may still be restoring lost records.
    held_until: Timestamp,
}

/// Validity of a lease, according to the clock of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseValidity {
    /// Leases of this store do not expire.
    Endless,
    /// The lease is valid at least until this time. The lease length is counted from the time before the renewal was
    /// sent.
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
    /// not be restored yet. Returns `None` if no such time applies.
    pub(crate) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.held.borrow().held_until).filter(|until| now < *until)
    }

    pub(crate) fn is_replaced(&self) -> bool {
        self.held.borrow().term == LeaseValidity::Replaced
    }

    /// Returns the time at which the lease expires. Returns `None` if it never expires, or if another manager has
    /// registered under the name of this node.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        match self.held.borrow().term {
            LeaseValidity::Until(until) => Some(until),
            LeaseValidity::Endless | LeaseValidity::Replaced => None,
        }
    }

    /// Extends the lease according to the answer to a renewal that was sent at `sent`.
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

    /// Returns the time at which a lease that was renewed at `sent` expires. The calculation uses the last known lease
    /// length.
    pub(crate) fn after(&self, sent: Timestamp) -> Timestamp {
        sent.plus(self.held.borrow().length)
    }

    /// Forbids claims and starts for one lease length. During this time, every live node renews its lease and can
    /// restore records.
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
        // The wait cannot fail, because `self` owns the sender.
        let _ = self.held.subscribe().wait_for(|held| held.term == LeaseValidity::Replaced).await;
    }

    /// Returns a receiver that is notified of all later changes of the lease.
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
        // The wait cannot fail while the engine is running, and all receivers end with the engine.
        let _ = self.held.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{Epoch, PolicyVersion};

    const LEASE_LENGTH: i64 = 8_000;

    fn lease(epoch: u64) -> Lease {
        Lease { node: NodeId::new("a").unwrap(), epoch: Epoch(epoch) }
    }

    /// Returns the answer to a lease renewal from a store whose clock differs from the clock of the node.
    fn answer() -> NodeUpdates {
        NodeUpdates {
            policy: PolicyVersion::default(),
            pending_actions: Vec::new(),
            due: None,
            now: Timestamp(500_000),
            lease_until: Some(Timestamp(500_000 + LEASE_LENGTH)),
            history: None,
        }
    }

    fn renewed(sent: i64) -> LeaseState {
        let state = LeaseState::new(lease(1), true, Timestamp(0));
        state.extend(&lease(1), Timestamp(sent), &answer());
        state
    }

    #[test]
    fn lease_is_valid_from_its_first_renewal_until_it_ends() {
        let state = LeaseState::new(lease(1), true, Timestamp(0));
        assert!(!state.may_claim(Timestamp(0)), "it was not renewed yet");
        let state = renewed(100);
        assert_eq!(state.until(), Some(Timestamp(100 + LEASE_LENGTH)));
        assert!(state.may_claim(Timestamp(100 + LEASE_LENGTH - 1)));
        assert!(!state.may_claim(Timestamp(100 + LEASE_LENGTH)));
    }

    #[test]
    fn answer_to_an_older_renewal_or_lease_changes_nothing() {
        let state = renewed(100);
        let changes = state.changes();
        state.extend(&lease(1), Timestamp(50), &answer());
        state.extend(&lease(1), Timestamp(100), &answer());
        state.extend(&lease(2), Timestamp(900), &answer());
        assert_eq!(state.until(), Some(Timestamp(100 + LEASE_LENGTH)));
        assert!(!changes.held.has_changed().unwrap(), "no task is woken without a reason");
        state.extend(&lease(1), Timestamp(101), &answer());
        assert!(changes.held.has_changed().unwrap());
    }

    #[test]
    fn after_data_loss_nothing_is_claimed_for_one_lease_length() {
        let state = renewed(0);
        state.hold(Timestamp(1_000));
        let until = Timestamp(1_000 + LEASE_LENGTH);
        state.hold(Timestamp(500));
        assert_eq!(state.held_until(Timestamp(1_000)), Some(until), "an earlier loss does not shorten it");
        state.extend(&lease(1), Timestamp(5_000), &answer());
        assert!(!state.may_claim(Timestamp(until.0 - 1)));
        assert_eq!(state.held_until(Timestamp(until.0 - 1)), Some(until));
        assert!(state.may_claim(until));
        assert_eq!(state.held_until(until), None);
    }

    #[tokio::test]
    async fn node_that_was_replaced_has_no_lease_any_more() {
        let state = renewed(0);
        assert!(!state.is_replaced());
        let replaced = async {
            state.replaced();
        };
        tokio::join!(biased; replaced, state.until_replaced());
        assert!(state.is_replaced());
        assert!(!state.may_claim(Timestamp(1)));
        assert_eq!(state.until(), None);
        state.extend(&lease(1), Timestamp(5_000), &answer());
        assert!(state.is_replaced(), "no answer brings it back");
    }

    #[test]
    fn wait_for_the_replacement_lasts_until_there_is_one() {
        let state = renewed(0);
        let mut waits = std::pin::pin!(state.until_replaced());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        state.replaced();
        assert!(waits.as_mut().poll(&mut context).is_ready());
    }
}
