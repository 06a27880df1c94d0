//! The nodes of a store, and the leases that fence them.

use crate::{ForgetOutcome, History, KnownNode, NodeAdvertisement, StoreError};
use async_trait::async_trait;
use longhaul_domain::{Epoch, NodeId, PolicyVersion, ProcessId, Timestamp};
use std::fmt::Debug;

/// Nodes join, give signs of life, and are called.
///
/// In a store of one machine leases never end. A store of many machines ends them. All of them go by one clock, that of
/// the database: a registration and each beat make a lease last for the store's lease time from then on. Once it is over ([`Presence::Unreachable`]),
/// nothing is claimed for the node, and it keeps what it owns: its writes under that lease still count, and a beat or a
/// registration brings it back with everything. When the grace is over too, the next [`claim_due`](crate::Maintenance) of any
/// node takes from it what it owns: those rows have no owner and are due, keep their slots until they are decided, and
/// the epoch of the node is raised in the same step, so that its old lease is fenced in every call
/// ([`Presence::Lost`]). Taking twice is taking once. A beat that comes before anybody took anything is in time.
///
/// A silence of everybody is the store's, not theirs: if no node at all gave a sign of life for a whole lease time,
/// every lease that nobody has acted upon begins anew with the first sign, so that a store which was away takes nothing
/// from anybody.
///
/// [`Presence::Unreachable`]: crate::Presence::Unreachable
/// [`Presence::Lost`]: crate::Presence::Lost
#[async_trait]
pub trait Membership: Debug + Send + Sync + 'static {
    /// Whether leases end here, as they do in a store of many machines. The answer never changes.
    fn leases_expire(&self) -> bool {
        false
    }

    /// Joins with a new epoch, higher than any before; the older one of this node is fenced from here on, and what the
    /// node still owns belongs to the new lease. That it drains stays as it was; what it offers has to be
    /// [announced](Self::advertise) anew.
    ///
    /// Only the [home](NodeHome) that started an attempt can find it again, so the store keeps the home of each node and
    /// refuses a registration that names another one while the node owns a process. In a store of many machines it also
    /// refuses it while the lease of the node lasts, and takes what the node owns when lease and grace are over; the
    /// registration succeeds then. A registration with the same home always succeeds. So does one without a home, and one
    /// for a node whose home the store does not know.
    ///
    /// # Errors
    /// [`Refusal::NameTaken`](crate::StoreRejection::NameTaken) if the lease of the node lasts in another home,
    /// [`Refusal::NameHeld`](crate::StoreRejection::NameHeld) if it does not, or never ends, and the node owns something; else
    /// only when the store as a whole cannot be written.
    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError>;

    /// Gives a sign of life, which makes the lease last anew, and answers what there is for this node.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of its node.
    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError>;

    /// Parks until there is something new for this node since it last asked: a waiter it may claim, a freed slot, a
    /// wish, a due row, a changed policy. The first one of a lease comes at once if there is a waiter, a row without
    /// owner that is or will be due, or a wish for what the node owns. A call may be in vain, and a waiter that is
    /// pinned to one node may call others.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of its node.
    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError>;

    /// Leaves in good order: the node is not listed any more. What it still owns stays its own, for its next
    /// registration, and until then its lease stays good and never ends. From an older lease it changes nothing.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be written.
    async fn leave(&self, by: &Lease) -> Result<(), StoreError>;

    /// Every node that registered and did not leave.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError>;

    /// Tells what this node offers to others, until its next registration. A store of one machine need not keep it.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of its node.
    async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        let (_, _) = (by, offer);
        Ok(())
    }

    /// Every node that ever registered and was not forgotten, in the order of their names. A store of one machine may
    /// leave out those that left.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        Ok(self.nodes().await?.into_iter().map(KnownNode::of).collect())
    }

    /// Lets a node claim nothing from now on, or claim again; through all its registrations, until somebody says
    /// otherwise. What it has goes on. False if no node is called so, and in a store of one machine that has no word for
    /// it.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be written.
    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        let (_, _) = (node, drain);
        Ok(false)
    }

    /// Lets go of a node that left, or whose lease and grace are over: it is listed no more, what it owned has no owner
    /// and is due, and its last lease is fenced. If it comes back all the same it does so under a higher epoch. A store
    /// of one machine forgets none.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be written.
    async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        let _ = node;
        Ok(ForgetOutcome::Unknown)
    }
}

/// The right to write what a node owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The node.
    pub node: NodeId,
    /// Its fencing number: a write under an older one is refused.
    pub epoch: Epoch,
}

/// A node as it presents itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDescriptor {
    /// Its identity, unique in a cluster.
    pub id: NodeId,
    /// Where its attempts can be found; none if the node does not say, which gets it the name whoever had it.
    pub home: Option<NodeHome>,
    /// The identity of the machine's present boot.
    pub boot: String,
    /// The version of the program.
    pub version: String,
}

/// The place that has the attempts of a node, such as its state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHome {
    /// Its identity, which is drawn at random and stays the same when the directory is moved. Homes are compared by this
    /// alone.
    pub id: String,
    /// Where it was when the node registered, for people to read: a path and the name of the machine.
    pub place: String,
}

impl NodeDescriptor {
    /// The home that had this name before, if it is another one than that of these facts.
    #[must_use]
    pub fn other_home<'a>(&self, before: Option<&'a NodeHome>) -> Option<&'a NodeHome> {
        let mine = self.home.as_ref()?;
        before.filter(|before| before.id != mine.id)
    }
}

/// What there is for a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUpdates {
    /// The time by the store.
    pub now: Timestamp,
    /// When the lease ends unless it is prolonged; none for a store of one machine.
    pub lease_until: Option<Timestamp>,
    /// Processes of this node with open wishes.
    pub pending_actions: Vec<ProcessId>,
    /// When the next row without owner is due, one that was handed out not before its five seconds are over; or when
    /// rows of a node whose lease is not prolonged are to be taken from it, if that is sooner.
    pub due: Option<Timestamp>,
    /// The policy in force.
    pub policy: PolicyVersion,
    /// How far the store has come; none for a store of one machine.
    pub history: Option<History>,
}
