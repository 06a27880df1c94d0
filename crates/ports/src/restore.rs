//! Giving back to a store what it lost.

use crate::{EventCursor, Lease, StoreError, StoredProcess};
use async_trait::async_trait;
use longhaul_domain::{Policy, PolicyVersion, ProcessId, Revision, Seq};
use std::fmt::Debug;

/// Takes back what a store of many machines kept once and lost: it was emptied, stands as it stood earlier, or a copy
/// took over that lacked the latest writes.
///
/// Whoever gives back knows it from answers that this store gave. Giving back twice is giving back once.
#[async_trait]
pub trait Restore: Debug + Send + Sync + 'static {
    /// How far the store has come.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn history(&self) -> Result<History, StoreError>;

    /// How far these processes have come, in the same order.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn record_positions(&self, ids: &[ProcessId]) -> Result<Vec<RecordPosition>, StoreError>;

    /// Makes the marks of the store at least these: the place of the next event and the sequence of the next submit are
    /// behind them; if that place was before them, the mark of the founding is another one from here on, so that every
    /// node sees that something was lost; by a margin where they were before, since others may have seen more; and the policy is replaced if it has an older version, whose version it then has. Nothing else
    /// changes; a namespace that was emptied has a policy afterwards, whether one is given or not.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be written.
    async fn advance_marks(&self, marks: &HighWaterMarks) -> Result<(), StoreError>;

    /// Puts records in that are missing and were not let go, or that stand at an earlier revision here, as they are
    /// given and at a revision one higher, with an event that says so ([`Fact::GivenBack`]). Slot, queue, indexes and
    /// due time follow from the standing, the launch key is taken if it is free, and its sequence is its own unless
    /// another one has it since. What the giving node owned belongs to its newest lease, what another one owned to that
    /// one's. A node that the store does not know is expected: it has a lease from now on, under the number that it had. What
    /// a lost node owned belongs to nobody, and is due when a lease and its grace are over. Open wishes and vitals come along.
    /// A limit may be exceeded for a while by what runs.
    ///
    /// A record that was given back and not written since counts as standing at the revision at which it was given, so
    /// that a node which knew it longer is heard too. What another node owns here, in the same attempt or a later one,
    /// stays its own, unless it is given as ended.
    ///
    /// A record without a sequence (0) is a launch that nobody was told of. It is not put in if its launch key belongs to
    /// another process by now, because whoever asked for it has asked again: it counts as let go.
    ///
    /// The answers stand in the order of the records.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of its node; nothing was written.
    ///
    /// [`Fact::GivenBack`]: longhaul_domain::Fact::GivenBack
    async fn restore(&self, by: &Lease, kept: &[StoredProcess]) -> Result<Vec<RestoreOutcome>, StoreError>;
}

/// How far a store has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The mark of its founding, which no other one has; none while nothing is in it.
    pub incarnation: Option<String>,
    /// What serves it at the moment, as far as another one may lack what the one before it wrote.
    pub server: String,
    /// The place after its newest event.
    pub end: EventCursor,
}

impl History {
    /// Whether a store that came so far may have been there before without having lost anything since, as far as that
    /// can be seen.
    #[must_use]
    pub fn continues(&self, earlier: &Self) -> bool {
        self.incarnation.is_some() && self.incarnation == earlier.incarnation && self.end >= earlier.end
    }
}

/// How far a process has come in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPosition {
    /// It is not known.
    Missing,
    /// It ended and was let go.
    Pruned,
    /// It is there.
    At(Revision),
    /// It is there, and cannot be read: nothing can be compared with it.
    Damaged,
}

/// What a store has to come behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HighWaterMarks {
    /// The place after the newest event that anybody saw.
    pub end: EventCursor,
    /// The latest sequence that anybody saw.
    pub seq: Seq,
    /// The policy that was in force last.
    pub policy: Option<(PolicyVersion, Policy)>,
}

/// What became of a record that was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// It is in the store again, at this revision.
    Inserted(Revision),
    /// The store has it, as far as it was given or further, or in the hands of another node.
    AlreadyPresent(Revision),
    /// It was let go, and stays so; or its launch key belongs to another process since, and nobody was told of it.
    Pruned,
}

/// What came of comparing what this node keeps with what the store has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcileResult {
    /// The store had lost something since it was heard last, of whatever node: what it says of the work of others may
    /// be too old.
    pub went_back: bool,
    /// What the store has again from this node.
    pub restored_records: Vec<ProcessId>,
}
