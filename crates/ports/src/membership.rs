//! The nodes of a store, and the leases that fence them.

use crate::StoreError;
use async_trait::async_trait;
use longhaul_domain::{Epoch, NodeId, PolicyVersion, ProcessId, Timestamp};
use std::fmt::Debug;

/// Nodes join, give signs of life, and are called.
#[async_trait]
pub trait Membership: Debug + Send + Sync + 'static {
    /// Joins with a new epoch; the older one of this node is fenced from here on, and what the node owned under it
    /// belongs to the new lease.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be written.
    async fn register(&self, me: &NodeFacts) -> Result<Lease, StoreError>;

    /// Gives a sign of life, and answers what there is for this node.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of its node.
    async fn beat(&self, by: &Lease) -> Result<Calls, StoreError>;

    /// Parks until there is something new for this node since it last asked: a waiter it may claim, a freed slot, a
    /// wish, a due row, a changed policy. The first one of a lease comes at once if there is a waiter, a row without
    /// owner that is or will be due, or a wish for what the node owns. A call may be in vain, and a waiter that is
    /// pinned to one node may call others.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of its node.
    async fn called(&self, by: &Lease) -> Result<Calls, StoreError>;

    /// Leaves in good order: the node is not listed any more. What it still owns stays its own, for its next
    /// registration, and until then its lease stays good. From an older lease it changes nothing.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be written.
    async fn leave(&self, by: &Lease) -> Result<(), StoreError>;

    /// Every node that registered and did not leave.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn nodes(&self) -> Result<Vec<NodeFacts>, StoreError>;
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
pub struct NodeFacts {
    /// Its identity, unique in a cluster.
    pub id: NodeId,
    /// The identity of the machine's present boot.
    pub boot: String,
    /// The version of the program.
    pub version: String,
}

/// What there is for a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// The time by the store.
    pub now: Timestamp,
    /// When the lease ends; none for a store of one machine.
    pub lease_until: Option<Timestamp>,
    /// Processes of this node with open wishes.
    pub wishes: Vec<ProcessId>,
    /// When the next row without owner is due; one that was handed out not before its five seconds are over.
    pub due: Option<Timestamp>,
    /// The policy in force.
    pub policy: PolicyVersion,
}
