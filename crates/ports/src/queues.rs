//! Port for the queues and their policy.

use crate::{PlacementClass, StoreError};
use async_trait::async_trait;
use longhaul_domain::{Policy, PolicyVersion, ProcessId, QueueHold, SlotKey, Timestamp};
use std::fmt::Debug;

/// Returns the queues, and stores their policy.
#[async_trait]
pub trait Queues: Debug + Send + Sync + 'static {
    /// Returns the current policy and its version.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError>;

    /// Replaces the policy if its version is `expected`, notifies all nodes, and returns the new version.
    ///
    /// # Errors
    /// Returns [`StoreError::Refused`] with [`crate::StoreRejection::StalePolicy`] if the version has changed.
    async fn set_policy(&self, expected: PolicyVersion, policy: &Policy)
    -> Result<PolicyVersion, StoreError>;

    /// Returns the queue of every concurrency key that has a waiting process or a slot holder, or only the queue of the
    /// key `only`. The queue of processes without a key comes first; the other queues follow in the order of their
    /// keys. A key without waiting processes and slot holders is omitted, even if `only` names it.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError>;

    /// Returns the distinct sets of labels by which waiting processes are placed, as the callers wrote them. A node
    /// calls this before a claim, because a claim names the placement classes to claim from. The default implementation
    /// returns no sets, so that processes that are placed by labels never run.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        Ok(Vec::new())
    }
}

/// A concurrency key with its slot holders and its waiting processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// Concurrency key; `None` for the queue of processes without a key.
    pub key: Option<SlotKey>,
    /// Number of slots; `None` means no limit.
    pub slots: Option<u32>,
    /// Start time and author of the hold; `None` if the queue is not on hold.
    pub held: Option<QueueHold>,
    /// Processes that hold a slot, in the order of submission.
    pub holders: Vec<ProcessId>,
    /// Waiting processes in the order in which they would be claimed.
    pub waiters: Vec<ProcessId>,
    /// Earliest submission time among the waiting processes. Delays and earlier attempts do not change it.
    pub oldest: Option<Timestamp>,
}
