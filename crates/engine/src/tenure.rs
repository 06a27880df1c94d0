//! The lease under which this node works, as it is at the moment.

use longhaul_domain::{NodeId, Timestamp};
use longhaul_ports::{Calls, Lease};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// How long a lease lasts where that was not heard yet.
const USUAL: Duration = Duration::from_secs(5);

/// The lease of this node: it changes when the node has to join anew.
#[derive(Debug)]
pub(crate) struct Tenure {
    node: NodeId,
    held: watch::Sender<Held>,
    /// Whoever finds a lease refused finds out why one after the other.
    pub(crate) doubts: Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    lease: Lease,
    term: Term,
    /// How long a lease lasted last.
    length: Duration,
    /// Nothing is taken or started before: the store has lost what others may not have given back yet.
    held_until: Timestamp,
}

/// How long a lease counts, by the clock of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// The store ends none.
    Endless,
    /// Until then at least: counted from before the sign of life was sent.
    Until(Timestamp),
    /// Another manager works under the name of this node.
    Replaced,
}

impl Tenure {
    /// A lease that was just given; if leases end here, it counts from the first sign of life that is answered.
    pub(crate) fn new(lease: Lease, ends: bool, now: Timestamp) -> Self {
        let term = if ends { Term::Until(now) } else { Term::Endless };
        Self {
            node: lease.node.clone(),
            held: watch::Sender::new(Held { lease, term, length: USUAL, held_until: now }),
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
            Term::Endless => true,
            Term::Until(until) => held.held_until <= now && now < until,
            Term::Replaced => false,
        }
    }

    /// Until when nothing is decided for others, because the store may not have back what it lost; none if it has.
    pub(crate) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.held.borrow().held_until).filter(|until| now < *until)
    }

    pub(crate) fn is_replaced(&self) -> bool {
        self.held.borrow().term == Term::Replaced
    }

    /// When the lease is over for this node; none if it never is, or is no more its own.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        match self.held.borrow().term {
            Term::Until(until) => Some(until),
            Term::Endless | Term::Replaced => None,
        }
    }

    /// A sign of life that was sent then was answered.
    pub(crate) fn prolong(&self, of: &Lease, sent: Timestamp, calls: &Calls) {
        let Some(store_until) = calls.lease_until else { return };
        let length = store_until.since(calls.now);
        let until = sent.plus(length);
        self.held.send_if_modified(|held| match held.term {
            Term::Until(known) if held.lease == *of && known < until => {
                (held.term, held.length) = (Term::Until(until), length);
                true
            }
            Term::Until(_) | Term::Endless | Term::Replaced => false,
        });
    }

    /// The node joined anew, under a lease that counts until then.
    pub(crate) fn begin(&self, lease: Lease, until: Timestamp) {
        self.held.send_modify(|held| (held.lease, held.term) = (lease, Term::Until(until)));
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
        self.held.send_modify(|held| held.term = Term::Replaced);
    }

    /// Done once another manager has joined under the name of this node.
    pub(crate) async fn until_replaced(&self) {
        // The sender lives as long as the engine.
        let _ = self.held.subscribe().wait_for(|held| held.term == Term::Replaced).await;
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self) -> Changes {
        Changes { held: self.held.subscribe() }
    }
}

/// Tells of every change of a tenure.
#[derive(Debug)]
pub(crate) struct Changes {
    held: watch::Receiver<Held>,
}

impl Changes {
    pub(crate) async fn next(&mut self) {
        // The sender lives as long as the engine, and whoever listens ends with it.
        let _ = self.held.changed().await;
    }
}
