//! What has to be done for processes that nobody owns.

use crate::{Lease, ReconcileResult, StoreError, StoredProcess};
use async_trait::async_trait;
use longhaul_domain::{ProcessId, Retention};
use std::fmt::Debug;

/// Finds what wants a decision, and lets go of what is old.
#[async_trait]
pub trait Maintenance: Debug + Send + Sync + 'static {
    /// Ownerless rows that need a decision: due, orphaned (lease and grace over), unfinished cascade, open wishes. A
    /// row with open wishes is due since it was accepted, whether it was never owned, was let go of, or has ended: who
    /// left a wish or let go may be gone before looking. The one due longest comes first. Each is handed to one engine
    /// for 5 s, or until it is written: if it is still due after that commit, it is handed out at once.
    ///
    /// First of all it takes from every node whose lease and grace are over what it owns, as
    /// [`Membership`](crate::Membership) says. A row that was taken so is due as long as it holds a slot and has no owner.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of its node.
    async fn claim_due(&self, by: &Lease, most: u32) -> Result<Vec<StoredProcess>, StoreError>;

    /// Lets go of at most `most` ended records that the rule covers, oldest first; live ones never, nor ended ones that
    /// are due for attention. `most` may be 0: then it only tells the total.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be written.
    async fn sweep(&self, rule: &Retention, most: u32) -> Result<PrunedBatch, StoreError>;

    /// Compares what this node keeps for itself with what the store has, and gives back what the store lost, as
    /// [`Restore`](crate::Restore) says. A store of one machine has nothing to compare.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of its node; what was given back until then stays.
    async fn reconcile(&self, by: &Lease) -> Result<ReconcileResult, StoreError> {
        let _ = by;
        Ok(ReconcileResult::default())
    }
}

/// What a sweep let go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedBatch {
    /// These records are gone; whoever holds their output lets it go too.
    pub ids: Vec<ProcessId>,
    /// Whether more are covered by the rule.
    pub more: bool,
    /// How many records this store has ever let go.
    pub total: u64,
}
