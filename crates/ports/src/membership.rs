//! Port for the nodes of a store and for their leases. A lease fences its node: writes with an older lease are refused.

use crate::{ForgetOutcome, History, KnownNode, NodeAdvertisement, StoreError};
use async_trait::async_trait;
use longhaul_domain::{Epoch, NodeId, PolicyVersion, ProcessId, Timestamp};
use std::fmt::Debug;

/// Registers nodes, renews their leases, and notifies them of new work.
///
/// In a local store, leases never end. In a shared store, leases end by the clock of the store:
///
/// - A registration or renewal extends the lease by the lease time of the store.
/// - After the lease has ended ([`Presence::Unreachable`]), the node cannot claim processes. The processes that it owns
///   remain its own, and it may still write them. A renewal or registration restores the lease.
/// - After the grace period, the next [`claim_due`](crate::Maintenance) of any node takes those processes away
///   ([`Presence::Lost`]). They have no owner, are due, and keep their slots until an engine decides on them. The same
///   step raises the epoch of the node, so that every call with its old lease is fenced. The step is idempotent.
/// - A renewal after the grace period is still in time if no node has run that step yet.
///
/// If no node has renewed a lease for a whole lease time, the store itself was unavailable. The first renewal then
/// restarts every ended lease whose processes were not taken away yet, so that no node loses its processes because of
/// an outage of the store.
///
/// [`Presence::Unreachable`]: crate::Presence::Unreachable
///
/// [`Presence::Lost`]: crate::Presence::Lost
#[async_trait]
pub trait Membership: Debug + Send + Sync + 'static {
    /// Returns true if leases can end in this store, as in a shared store. The answer never changes.
    fn leases_expire(&self) -> bool {
        false
    }

    /// Registers a node under a new epoch, which is higher than all earlier ones. The store fences the previous lease
    /// of the node. The new lease covers the processes that the node already owns. The node stays drained if it was
    /// drained. The node must [advertise](Self::advertise) its properties again.
    ///
    /// A running attempt can be found again only through the [state directory](NodeHome) that started it. The store
    /// therefore records the state directory of each node and refuses a registration from another state directory in
    /// these cases:
    ///
    /// - The node owns a process. In a shared store, this applies until the lease and the grace period are over; the
    ///   registration then succeeds and the node loses its processes.
    /// - The lease of the node is valid, in a shared store.
    ///
    /// A registration always succeeds if it names the recorded state directory, if it names no state directory, or if
    /// no state directory is recorded for the node.
    ///
    /// # Errors
    /// - [`StoreRejection::NameTaken`](crate::StoreRejection::NameTaken) if another state directory has the name and
    ///   its lease is valid.
    /// - [`StoreRejection::NameHeld`](crate::StoreRejection::NameHeld) if another state directory has the name, its
    ///   lease has ended or never ends, and the node owns processes.
    /// - Other errors only if the store as a whole cannot be written.
    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError>;

    /// Renews the lease of this node and returns its pending work.
    ///
    /// # Errors
    /// Returns [`StoreError::Fenced`] if the lease is not the newest of its node.
    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError>;

    /// Waits until new work for this node has appeared since its last call: a waiting process that the node may claim,
    /// a freed slot, a pending action, a due record or a changed policy.
    ///
    /// The first call under a lease returns at once if there is a waiting process, a record without an owner that is
    /// due now or later, or a pending action for a process of the node. A call may return without work. A process that
    /// is pinned to one node may wake other nodes too.
    ///
    /// # Errors
    /// Returns [`StoreError::Fenced`] if the lease is not the newest of its node.
    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError>;

    /// Removes the node from the list of nodes. The processes that the node owns wait for its next registration; until
    /// then, the lease of the node stays valid and never ends. A call with an older lease has no effect.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be written.
    async fn leave(&self, by: &Lease) -> Result<(), StoreError>;

    /// Returns every node that has registered and not left.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError>;

    /// Publishes the properties of this node for other nodes. They are valid until the next registration of this node.
    /// A local store may ignore the call.
    ///
    /// # Errors
    /// Returns [`StoreError::Fenced`] if the lease is not the newest of its node.
    async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        let (_, _) = (by, offer);
        Ok(())
    }

    /// Returns every node that ever registered and was not forgotten, sorted by name. A local store may omit nodes that
    /// have left.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        Ok(self.nodes().await?.into_iter().map(KnownNode::of).collect())
    }

    /// Starts (`true`) or ends (`false`) the drain of a node. A drained node claims nothing and finishes the processes
    /// that it owns; a registration does not end the drain. Returns false if no node has this name or if a local store
    /// does not support draining.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be written.
    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        let (_, _) = (node, drain);
        Ok(false)
    }

    /// Forgets a node that has left, or whose lease and grace period are over. The node is no longer listed, its
    /// processes have no owner and are due, and its last lease is fenced. If the node registers again, it gets a higher
    /// epoch. A local store never forgets a node.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be written.
    async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        let _ = node;
        Ok(ForgetOutcome::Unknown)
    }
}

/// The right of a node to write the processes that it owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Node that holds the lease.
    pub node: NodeId,
    /// Fencing number: writes with an older epoch are refused.
    pub epoch: Epoch,
}

/// Description of a node, as given in its registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDescriptor {
    /// Name of the node, unique in a cluster.
    pub id: NodeId,
    /// State directory that contains the attempts of the node. If it is `None`, the registration always succeeds.
    pub home: Option<NodeHome>,
    /// Identity of the current boot of the machine.
    pub boot: String,
    /// Version of the longhaul program that the node runs.
    pub version: String,
}

/// The state directory that contains the attempts of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHome {
    /// Random id of the state directory. It stays the same when the directory is moved. Two values are equal if their
    /// ids are equal.
    pub id: String,
    /// Path of the directory and name of the machine at the time of registration, for display.
    pub place: String,
}

impl NodeDescriptor {
    /// Returns `before` if it differs from the state directory of this node. Returns `None` if both are the same, or if
    /// one of them is unknown.
    #[must_use]
    pub fn other_home<'a>(&self, before: Option<&'a NodeHome>) -> Option<&'a NodeHome> {
        let mine = self.home.as_ref()?;
        before.filter(|before| before.id != mine.id)
    }
}

/// Pending work and current facts for a node, returned by a lease renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUpdates {
    /// Current time of the store.
    pub now: Timestamp,
    /// Time at which the lease ends unless it is renewed; `None` for a local store.
    pub lease_until: Option<Timestamp>,
    /// Processes of this node that have pending actions.
    pub pending_actions: Vec<ProcessId>,
    /// Earliest time at which [`claim_due`](crate::Maintenance::claim_due) has work: a record without an owner is due,
    /// or processes can be taken away from an unreachable node. A record that is reserved for an engine becomes due
    /// again when its 5 s are over.
    pub due: Option<Timestamp>,
    /// Version of the current policy.
    pub policy: PolicyVersion,
    /// History position of the store, which shows if data was lost; `None` for a local store.
    pub history: Option<History>,
}
