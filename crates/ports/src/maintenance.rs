//! Port for the maintenance of a store: finding processes without an owner, and pruning old records.

use crate::{Lease, ReconcileResult, StoreError, StoredProcess};
use async_trait::async_trait;
use longhaul_domain::{ProcessId, Retention};
use std::fmt::Debug;

/// Finds processes that need a decision, and prunes old records.
#[async_trait]
pub trait Maintenance: Debug + Send + Sync + 'static {
    /// Returns at most `limit` processes without an owner that need a decision, the longest overdue first. A process is
    /// due if one of these conditions holds:
    ///
    /// - A time that was set for the process has passed.
    /// - Its node was lost: the lease and the grace period of the node are over.
    /// - Its cascade is unfinished.
    /// - An action is pending for the process. The process is due as soon as the store has accepted the action, because
    ///   the node that stored the action may have failed since. This also applies to a process that never had an owner,
    ///   that lost its owner or that has ended.
    ///
    /// A returned process is reserved for this engine for 5 s or until its next commit. If the process is still due
    /// after that commit, it can be returned again at once.
    ///
    /// Before the search, the call takes the processes away from every node whose lease and grace period are over, see
    /// [`Membership`](crate::Membership). Such a process is due as long as it holds a slot and has no owner.
    ///
    /// # Errors
    /// Returns [`StoreError::Fenced`] if the lease is not the newest of its node.
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError>;

    /// Prunes at most `limit` ended records that exceed the retention limits, oldest first. Live processes and ended
    /// processes that are due are never pruned. With `limit` 0, the call prunes nothing and returns only the total.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be written.
    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError>;

    /// Compares this node's own copy of its records with the store, and restores records that the store has lost, see
    /// [`Restore`](crate::Restore). A local store has nothing to compare.
    ///
    /// # Errors
    /// Returns [`StoreError::Fenced`] if the lease is not the newest of its node. Records that were restored before the
    /// error stay restored.
    async fn reconcile(&self, by: &Lease) -> Result<ReconcileResult, StoreError> {
        let _ = by;
        Ok(ReconcileResult::default())
    }
}

/// Result of one pruning step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedBatch {
    /// Ids of the pruned processes. The caller must also remove their output.
    pub ids: Vec<ProcessId>,
    /// True if more records exceed the retention limits.
    pub more: bool,
    /// Total number of records that this store has pruned so far.
    pub total: u64,
}
