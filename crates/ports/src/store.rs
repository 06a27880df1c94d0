//! The store of processes, which is also the queue, in every deployment.

mod error;
mod filter;
mod local_only;
mod pending_actions;

pub use error::{BoxedError, StoreError, StoreRejection};
pub use filter::{Listing, PageKey, PageRequest, ProcessFilter, SortOrder};
pub use pending_actions::max_pending_actions;

use crate::{EventLog, Lease, Maintenance, Membership, OutputTails, Queues};
use async_trait::async_trait;
use longhaul_domain::{
    ActionSeq, AttemptNo, Event, LiveStats, NodeId, OpId, PendingAction, Placement, PolicyVersion, Process,
    ProcessId, Revision, Seq, Timestamp, TreeLimits,
};
use std::fmt::Debug;

/// Keeps processes and gives them to nodes in the order of claim.
///
/// Every method is one atomic step, durable on `Ok`, and safe to send again with the same id or op. `submit`, `commit` and
/// `enqueue_action` change one process, `update_live_stats` each for itself; `claim` changes all that it hands out in one step.
#[async_trait]
pub trait ProcessStore: Debug + Send + Sync + 'static {
    /// Accepts a new process as revision 1: guards, record, index, queue and events together. Of the guards
    /// the first that it meets answers: the id or launch key is taken, the lease of `claim_for`, the version of the policy, the
    /// parent is missing, an ancestor closes, the depth, the level, a key held by its own ancestors alone, `fail_if_queued`.
    ///
    /// With `claim_for`, what waits is claimed in the same step, as revision 2 with an event of its own, unless its key
    /// is full or held back, it is a root without room, it may not run on this node, the node drains, or somebody goes first: a waiter
    /// of its key, as urgent or more, that this node may run, which is whoever is shared or pinned to it, but no root
    /// without room. With `fail_if_queued`, what would wait for a slot is refused instead, without `claim_for` always; what
    /// is delayed is accepted, and so is reported work that begins at once, which needs no slot.
    ///
    /// Its ancestors are open if its parent neither is ending nor has ended, and none further above
    /// [is ending](longhaul_domain::ProcessHeader::is_ending); one that was let go had ended.
    ///
    /// Submitting the same id again gives what it became: `Existing` with the same specification, without the record if
    /// that was let go; the latest 100,000 that were are known.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with the guard that it met, [`StoreError::Fenced`] if the lease of `claim_for` is not
    /// the newest of its node, or is over; nothing was written.
    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError>;

    /// Gives this node the best waiters, best first: owner set, attempt + 1, slot taken, `Claimed` event applied.
    ///
    /// At most `room.batch`; roots only while the node holds fewer than `room.roots` of them; nothing while it drains.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of its node, or is over; a beat tells which.
    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError>;

    /// Replaces the record if revision and author fit, and appends the events as (revision, index). Slot, queue,
    /// indexes and due time follow from the slot state of `next`; a process that stands waiting, idle or ended has no
    /// owner afterwards, except that what ended keeps its node in the record. Vitals stay as they are.
    ///
    /// The same `op` again gives the same answer and changes nothing, also after a sweep. The answers to the latest 64
    /// commits and wishes of a process are known, to the latest four once it was swept, as long as they are among the
    /// latest 100,000 of the store.
    ///
    /// # Errors
    /// In this order, after the answer to a known `op`: [`StoreError::Missing`]; [`StoreError::Conflict`] if it has
    /// moved on, whoever writes; [`StoreError::Fenced`] if the author is not its owner, or if nobody owns it and the
    /// author's lease is not the newest of its node; [`StoreError::Refused`] with [`StoreRejection::DescendantLives`] if the
    /// change asks for that guard.
    async fn commit(&self, change: Change) -> Result<Revision, StoreError>;

    /// Leaves an order for the owner and calls it; without an owner the row is due for attention as long as the order
    /// is open, whether it waits, is delayed or has ended. At most 16 are open per process, and
    /// four more that ask for its end ([`max_pending_actions`]). The same `op` again gives
    /// the same number, for as long as in [`commit`](Self::commit).
    ///
    /// # Errors
    /// [`StoreError::Missing`], or [`StoreError::Refused`] with [`StoreRejection::TooManyWishes`].
    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        wish: PendingAction,
    ) -> Result<ActionSeq, StoreError>;

    /// Keeps the latest facts about live attempts: no revision, no event; a crash may lose the last second. They stay
    /// through commits and the end, until the next attempt is claimed.
    ///
    /// The answers stand in the order of the questions: [`StoreError::Missing`], then [`StoreError::Fenced`] as for a
    /// commit, then [`StoreError::Conflict`] for another attempt than the latest and for one that has ended.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be reached.
    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError>;

    /// The records of these ids, in the same order; `None` for an id that is not known.
    ///
    /// # Errors
    /// When the store as a whole cannot be read; [`StoreError::Corrupt`] if one of them is damaged, which hides the
    /// others from whoever asks for them together.
    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError>;

    /// The same of each for itself: one that is damaged hides no other.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn load_each(
        &self,
        ids: &[ProcessId],
    ) -> Result<Vec<Result<Option<StoredProcess>, StoreError>>, StoreError> {
        match self.load(ids).await {
            Ok(found) => return Ok(found.into_iter().map(Ok).collect()),
            Err(error) if !error.is_damage() => return Err(error),
            Err(_) => {}
        }
        let mut each = Vec::with_capacity(ids.len());
        for id in ids {
            each.push(match self.load(&[*id]).await {
                Ok(mut found) => Ok(found.pop().flatten()),
                Err(error) if error.is_damage() => Err(error),
                Err(error) => return Err(error),
            });
        }
        Ok(each)
    }

    /// One page of records, newest first by submit sequence unless asked otherwise. A page may be short and still have
    /// a cursor. What cannot be read is named beside it. A record that stays the same is seen exactly once by whoever follows the cursors to the end, whatever
    /// is submitted or ends meanwhile.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError>;

    /// Whether the claim of this attempt is kept as the store promises, asked before the attempt is started: the answer
    /// to the claim may have been lost, and what is read of it later may be there for now only.
    ///
    /// # Errors
    /// As for a write: as long as it cannot be told, nothing may be started on it.
    async fn is_durable(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
        let (_, _) = (id, attempt);
        Ok(true)
    }

    /// Since when the store does not answer; none while it answers, and where nothing is kept beside it.
    fn away_since(&self) -> Option<Timestamp> {
        None
    }

    /// Whether this node accepted a process alone while the store was away, and the store does not know of it yet: nobody
    /// else can have a say in it.
    fn is_local_only(&self, id: &ProcessId) -> bool {
        let _ = id;
        false
    }

    /// What this node keeps for itself of its own work, as the store told it last, in the same order: to show, and to
    /// stop what runs here, while the store does not answer. Nothing is decided on it that the store decides.
    async fn load_cached(&self, ids: &[ProcessId]) -> Vec<Option<StoredProcess>> {
        vec![None; ids.len()]
    }

    /// One page of what this node keeps for itself, like that of [`list`](Self::list); none where nothing is kept so.
    async fn list_cached(&self, filter: &ProcessFilter, page: &PageRequest) -> Option<Listing> {
        let (_, _) = (filter, page);
        None
    }
}

/// Everything that a store does. One value implements all six traits, because a claim checks the lease. A store around
/// another store implements [`Decorator`](crate::StoreDecorator) instead.
pub trait Store: ProcessStore + Maintenance + Queues + EventLog + Membership + OutputTails {}

impl<T: ProcessStore + Maintenance + Queues + EventLog + Membership + OutputTails> Store for T {}

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A node under its lease: for what it owns, and for what nobody owns if the lease is the newest of its node. Whether
    /// the lease is over does not matter: as long as nobody acted upon that, what it owns is its own.
    Owner(Lease),
    /// Any engine, for a process that has no owner.
    Anyone,
}

/// A process as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProcess {
    /// The record.
    pub process: Process,
    /// How often it was written: 1 when it was submitted, one more with each claim and commit.
    pub revision: Revision,
    /// When it was submitted.
    pub seq: Seq,
    /// Who may write it.
    pub owner: Option<Lease>,
    /// Orders that were left for the owner.
    pub pending_actions: Vec<(ActionSeq, PendingAction)>,
    /// The latest facts about the latest attempt.
    pub live_stats: LiveStats,
}

/// A new process and the guards that it has to pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The record, in its first state.
    pub process: Process,
    /// Its first events.
    pub events: Vec<Event>,
    /// The bounds that apply.
    pub limits: SubmitLimits,
    /// Claim it at once for this node, if nobody goes first and there is room.
    pub claim_for: Option<ClaimRequest>,
    /// Refuse it instead of letting it wait for a slot.
    pub fail_if_queued: bool,
}

/// The bounds that apply to a submission, resolved by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitLimits {
    /// The policy that they come from; a store with a newer one refuses the submission as stale, one with an older one
    /// takes it.
    pub policy: PolicyVersion,
    /// Slots of its key; none means no limit.
    pub slots: Option<u32>,
    /// The bounds of its tree.
    pub tree: TreeLimits,
}

/// A node that wants a submission for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Its lease.
    pub lease: Lease,
    /// The most roots that it may hold at once.
    pub roots: u32,
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// It stands in the queue, is delayed, or is reported work that began at once.
    Waiting(StoredProcess),
    /// It was claimed at once.
    Claimed(StoredProcess),
    /// Its id or launch key was taken before.
    Existing {
        /// By this process.
        id: ProcessId,
        /// Its record, unless it was swept.
        stored: Option<StoredProcess>,
        /// Whether the same was asked for (launch key: compared without the inherited environment).
        same_spec: bool,
    },
}

/// A decided change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The identity of this write.
    pub op: OpId,
    /// Who writes.
    pub author: Writer,
    /// The revision that the decision was made on.
    pub expected: Revision,
    /// The record after the events.
    pub next: Process,
    /// What became true.
    pub events: Vec<Event>,
    /// Wishes up to here are answered by this change.
    pub taken: ActionSeq,
    /// Refuse it while one of its descendants lives.
    pub require_no_live_descendants: bool,
}

/// What a node has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimCapacity {
    /// The most roots that it may hold at once.
    pub roots: u32,
    /// The most to hand out now.
    pub batch: u32,
    /// The waiters that it may run.
    pub classes: Vec<PlacementClass>,
}

/// Waiters stand by key and placement class, so that a pinned one blocks nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlacementClass {
    /// For this node only.
    Node(NodeId),
    /// As [`Placement::Labels`] or [`Placement::Anywhere`] say.
    Shared(Placement),
}

impl PlacementClass {
    /// Whether its waiters are placed by labels.
    #[must_use]
    pub const fn is_labelled(&self) -> bool {
        match self {
            Self::Shared(Placement::Labels(_)) => true,
            Self::Shared(Placement::Here | Placement::Node(_) | Placement::Anywhere) | Self::Node(_) => false,
        }
    }

    /// The class of a waiter that was placed so.
    #[must_use]
    pub fn of(placement: &Placement) -> Self {
        match placement {
            Placement::Node(node) => Self::Node(node.clone()),
            shared @ (Placement::Here | Placement::Labels(_) | Placement::Anywhere) => {
                Self::Shared(shared.clone())
            }
        }
    }
}
