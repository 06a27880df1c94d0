//! The queues: who waits for which slots.

use crate::{PlacementClass, StoreError};
use async_trait::async_trait;
use longhaul_domain::{Policy, PolicyVersion, ProcessId, QueueHold, SlotKey, Timestamp};
use std::fmt::Debug;

/// Shows the queues and keeps their policy.
#[async_trait]
pub trait Queues: Debug + Send + Sync + 'static {
    /// The policy in force.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError>;

    /// Replaces the policy if it still is at `expected`, and calls the nodes.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with [`crate::StoreRejection::StalePolicy`] if it has moved on.
    async fn set_policy(&self, expected: PolicyVersion, policy: &Policy)
    -> Result<PolicyVersion, StoreError>;

    /// Every key that has a waiter or a holder, or only this one: in the order of the keys, that of work without one
    /// first. A key with neither has no view, also if it was asked for.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError>;

    /// The classes of waiters placed by labels: each set of labels, as it was written, for which somebody waits. A node
    /// asks before it claims, since a claim names the classes that it takes. A store that cannot tell has none of them run.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        Ok(Vec::new())
    }
}

/// One key with those who hold its slots and those who wait for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// The key; none is the queue of processes without a key.
    pub key: Option<SlotKey>,
    /// Its slots; none means no limit.
    pub slots: Option<u32>,
    /// Since when and by whom its waiters are held back.
    pub held: Option<QueueHold>,
    /// Who holds a slot, in the order of their submits.
    pub holders: Vec<ProcessId>,
    /// Who waits, best first.
    pub waiters: Vec<ProcessId>,
    /// When the first of its waiters was accepted, whatever delays and attempts came between.
    pub oldest: Option<Timestamp>,
}
