//! Port for restoring records that a shared store has lost.

use crate::{EventCursor, Lease, StoreError, StoredProcess};
use async_trait::async_trait;
use longhaul_domain::{Policy, PolicyVersion, ProcessId, Revision, Seq};
use std::fmt::Debug;

/// Restores data that a shared store once had and lost: the store was emptied, reset to an earlier state, or replaced
/// by a replica without the latest writes.
///
/// A node restores the data that it has received in earlier answers of the store. Restoring is idempotent.
#[async_trait]
pub trait Restore: Debug + Send + Sync + 'static {
    /// Returns the history position of the store.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn history(&self) -> Result<History, StoreError>;

    /// Returns the position of each of these processes in the store, in the order of `ids`.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn record_positions(&self, ids: &[ProcessId]) -> Result<Vec<RecordPosition>, StoreError>;

    /// Advances the counters of the store past `marks`, so that no event cursor and no sequence number is issued twice.
    /// An advanced counter gets an extra margin, because other nodes may have received later values.
    ///
    /// If the event cursor was behind `marks`, the store gets a new incarnation, which shows every node that data was
    /// lost. If the stored policy is older than the one in `marks`, that policy replaces it, together with its version.
    /// An emptied store has a policy afterwards, even if `marks` contains none.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be written.
    async fn advance_marks(&self, marks: &HighWaterMarks) -> Result<(), StoreError>;

    /// Restores records that are missing and not pruned, or that the store has at an earlier revision. A record is
    /// written unchanged at the next higher revision, with the event [`Fact::Restored`]. The outcomes are in the order
    /// of the records.
    ///
    /// - Slot, queue, indexes and due time follow from the slot state of the record. Pending actions and live stats are
    ///   restored too. A slot limit may be exceeded temporarily.
    /// - The launch key is restored if it is free. The sequence number is kept unless another process has received the
    ///   same number.
    /// - The owner becomes the newest lease of the owning node. An unknown node gets a lease with the epoch of the
    ///   record. A process of a lost node gets no owner, and is due after the lease time and the grace period.
    /// - Until a restored record is written again, a further restore compares the revision of the given copy, not the
    ///   higher stored revision. A node with a newer copy can therefore still restore that copy.
    /// - A record that another node owns in the store, in the same or a later attempt, is not replaced, unless the
    ///   given record has ended.
    /// - A record with sequence number 0 is a launch whose caller got no answer. If its launch key belongs to another
    ///   process by now, the caller has launched again, and the record counts as pruned.
    ///
    /// # Errors
    /// Returns [`StoreError::Fenced`] if the lease is not the newest of its node; nothing was written.
    ///
    /// [`Fact::Restored`]: longhaul_domain::Fact::Restored
    async fn restore(&self, by: &Lease, kept: &[StoredProcess]) -> Result<Vec<RestoreOutcome>, StoreError>;
}

/// How far the data of a store has advanced: its incarnation, and the position in its event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Unique identity of the data in the store; `None` while the store is empty.
    pub incarnation: Option<String>,
    /// Identity of the server that currently holds the data. Another server may lack writes that the previous server
    /// accepted.
    pub server: String,
    /// Cursor after the newest event in the event log.
    pub end: EventCursor,
}

impl History {
    /// Returns true if the history shows no loss of data since `earlier`: the incarnation is the same and the event
    /// cursor has not gone back.
    #[must_use]
    pub fn continues(&self, earlier: &Self) -> bool {
        self.incarnation.is_some() && self.incarnation == earlier.incarnation && self.end >= earlier.end
    }
}

/// Position of a process record in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPosition {
    /// The store has no record of the process.
    Missing,
    /// The process ended and was pruned.
    Pruned,
    /// The record is stored at this revision.
    At(Revision),
    /// The record is stored but cannot be read, so its revision is unknown.
    Damaged,
}

/// Counters that a store has to advance past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HighWaterMarks {
    /// Highest known end of the event log: the cursor after the newest event.
    pub end: EventCursor,
    /// Highest known sequence number.
    pub seq: Seq,
    /// Latest known policy and its version.
    pub policy: Option<(PolicyVersion, Policy)>,
}

/// Outcome of restoring one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// The record was restored at this revision.
    Inserted(Revision),
    /// The store already has the record at this revision. The stored record is not older than the given one, or another
    /// node owns it.
    AlreadyPresent(Revision),
    /// The process was pruned and is not restored. Also returned if the caller of the launch got no answer and the
    /// launch key belongs to another process by now.
    Pruned,
}

/// Outcome of comparing this node's own records with the records in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcileResult {
    /// True if the store has lost data of any node since its last answer. The records of other nodes in the store may
    /// then be outdated.
    pub went_back: bool,
    /// Processes of this node that were restored in the store.
    pub restored_records: Vec<ProcessId>,
}
