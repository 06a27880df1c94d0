//! Port for the process store, which also manages the queues.

mod error;
mod filter;
mod local_only;
mod pending_actions;
mod shared_rules;

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

/// Stores processes and assigns waiting processes to nodes in the order of admission.
///
/// Every method is one atomic step, is durable on `Ok`, and can be repeated safely with the same process id or op id.
/// Two methods change several processes: `claim` changes all returned processes in one step, and `update_live_stats`
/// changes each process in its own step.
#[async_trait]
pub trait ProcessStore: Debug + Send + Sync + 'static {
    /// Accepts a new process as revision 1. The checks of the guards and the writes of record, indexes, queue and
    /// events form one step. If several guards fail, the first one in this order is reported:
    ///
    /// 1. The id or the launch key is already in use.
    /// 2. The lease of `claim_for` is not valid.
    /// 3. The limits come from an older policy.
    /// 4. The parent is missing.
    /// 5. An ancestor is closed, see below.
    /// 6. The tree would be too deep.
    /// 7. The level of the tree is full.
    /// 8. The ancestors of the process hold all slots of its key.
    /// 9. The process would have to wait although `fail_if_queued` is set.
    ///
    /// If `claim_for` is set, a process that is ready to run is also claimed in this step (revision 2, with its own
    /// `Claimed` event). The process waits instead if one of these conditions holds:
    ///
    /// - Its key has no free slot or is on hold.
    /// - It is a root, and the node has no free root slot.
    /// - Its placement excludes this node.
    /// - The node is drained.
    /// - Another process with at least the same priority is waiting for the same key, and this node may run that
    ///   process: its placement is shared or names this node, and it is not a root if the node has no free root slot.
    ///
    /// If `fail_if_queued` is set, a process that would have to wait for a slot is refused. Without `claim_for`, this
    /// includes every process that is ready to run. Delayed processes are accepted. Reported work that starts
    /// immediately is accepted too, because it needs no slot.
    ///
    /// The parent is closed if it is ending or has ended. Any other ancestor is closed while it [is
    /// ending](longhaul_domain::ProcessHeader::is_ending). A pruned ancestor had ended before and is not closed.
    ///
    /// A repeated submission of the same id returns [`SubmitOutcome::Existing`]. For a pruned process, the record is
    /// missing from the result; the store remembers the latest 100,000 pruned processes.
    ///
    /// # Errors
    /// Nothing is written if an error is returned.
    ///
    /// - [`StoreError::Refused`] with the guard that failed.
    /// - [`StoreError::Fenced`] if the lease of `claim_for` is not the newest of its node or has ended.
    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError>;

    /// Claims waiting processes for this node, in the order of admission. Each process gets the next attempt number, a
    /// slot and a `Claimed` event. A command gets this node as its owner; reported work gets no owner.
    ///
    /// At most `room.batch` processes are claimed. Roots are claimed only while the node holds fewer than `room.roots`
    /// roots. A drained node claims nothing.
    ///
    /// # Errors
    /// Returns [`StoreError::Fenced`] if the lease is not the newest of its node or has ended. A lease renewal
    /// distinguishes these two cases.
    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError>;

    /// Replaces the record if the revision matches and the author may write it, and appends the events, numbered by
    /// revision and index. Slot, queue, indexes and due time are derived from the slot state of `next`. If the process
    /// then waits, is idle or has ended, it has no owner. The record of an ended process still names its node. Live
    /// stats do not change.
    ///
    /// A repeated commit with the same `op` returns the same answer and changes nothing, even after the process was
    /// pruned. The store remembers the answers to the latest 64 commits and actions of a process, and to the latest
    /// four of a pruned process, as long as they are among the latest 100,000 answers of the store.
    ///
    /// # Errors
    /// After the check for a known `op`, the errors are checked in this order:
    ///
    /// 1. [`StoreError::Missing`] if the process is unknown.
    /// 2. [`StoreError::Conflict`] if the revision has changed, whatever the author.
    /// 3. [`StoreError::Fenced`] if the author is not the owner, or if there is no owner and the author's lease is not
    ///    the newest of its node.
    /// 4. [`StoreError::Refused`] with [`StoreRejection::DescendantLives`] if the change requires that no descendant is
    ///    live.
    async fn commit(&self, change: Change) -> Result<Revision, StoreError>;

    /// Stores a pending action for the owner of a process and notifies the owner. A process without an owner is due
    /// while the action is pending, whether the process waits, is delayed or has ended. A process can have at most 16
    /// pending actions, and four more that end the process ([`max_pending_actions`]). A repeated call with the same
    /// `op` returns the same number, for as long as described in [`commit`](Self::commit).
    ///
    /// # Errors
    /// - [`StoreError::Missing`] if the process is unknown.
    /// - [`StoreError::Refused`] with [`StoreRejection::TooManyPendingActions`] if the limit is reached.
    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError>;

    /// Stores the live stats of running attempts. The call creates no revision and no event. A crash may lose the live
    /// stats of the last second. Live stats survive commits and the end of the process, until the next attempt is
    /// claimed.
    ///
    /// The results are in the order of `live_stats`. Each result is `Ok` or the first of these errors that applies:
    ///
    /// 1. [`StoreError::Missing`] if the process is unknown.
    /// 2. [`StoreError::Fenced`] as in [`commit`](Self::commit).
    /// 3. [`StoreError::Conflict`] if the attempt is not the latest or the process has ended.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be reached.
    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError>;

    /// Returns the records of these processes in the order of `ids`, with `None` for an unknown process.
    ///
    /// # Errors
    /// - [`StoreError::Corrupt`] if one of the records is damaged; the other records are not returned either.
    /// - Other errors if the store as a whole cannot be read.
    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError>;

    /// Returns the same records as [`load`](Self::load), with a separate result for each, so that a damaged record does
    /// not affect the others.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
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

    /// Returns one page of records in the order of their submission, newest first by default. A page with fewer records
    /// than requested may still have a next page. Records that cannot be read are listed in [`Listing::damaged`].
    ///
    /// A reader that follows the pages to the end gets each unchanged record exactly once, even if other processes are
    /// submitted or end meanwhile.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError>;

    /// Returns true if the claim of this attempt is durable. The engine calls this before it starts the attempt: if the
    /// answer to the claim was lost, a later read may show a claim that is not durable yet.
    ///
    /// # Errors
    /// Returns the errors of a write. The attempt must not be started until the call succeeds.
    async fn is_durable(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
        let (_, _) = (id, attempt);
        Ok(true)
    }

    /// Returns the time since which the store has been unreachable. Returns `None` if the store answers, or if the node
    /// has no copy of its own records to work with.
    fn away_since(&self) -> Option<Timestamp> {
        None
    }

    /// Returns true if this node accepted the process alone while the store was unreachable, and the store does not
    /// know the process yet. No other node can act on such a process.
    fn is_local_only(&self, id: &ProcessId) -> bool {
        let _ = id;
        false
    }

    /// Returns this node's own copies of the records of its processes, in the order of `ids`, as last reported by the
    /// store. While the store is unreachable, the copies are used to show the processes and to stop local commands.
    /// Decisions that belong to the store must not be based on them.
    async fn load_cached(&self, ids: &[ProcessId]) -> Vec<Option<StoredProcess>> {
        vec![None; ids.len()]
    }

    /// Returns one page of this node's own copies of records, like [`list`](Self::list). Returns `None` if the node has
    /// no copies.
    async fn list_cached(&self, filter: &ProcessFilter, page: &PageRequest) -> Option<Listing> {
        let (_, _) = (filter, page);
        None
    }
}

/// All methods of a store. One type implements all six store traits, because they depend on each other: for example, a
/// claim checks the lease. A store that wraps another store implements [`StoreDecorator`](crate::StoreDecorator)
/// instead.
pub trait Store: ProcessStore + Maintenance + Queues + EventLog + Membership + OutputTails {}

impl<T: ProcessStore + Maintenance + Queues + EventLog + Membership + OutputTails> Store for T {}

/// The author of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A node with its lease. The node may write the processes that it owns, and processes without an owner if the
    /// lease is the newest of its node. An ended lease is accepted until another node has taken the processes away.
    Owner(Lease),
    /// Any engine; allowed only for a process without an owner.
    Anyone,
}

/// A process together with the data that a store adds to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProcess {
    /// Record of the process.
    pub process: Process,
    /// Number of writes of the process: 1 after the submission, and one more with each claim and commit.
    pub revision: Revision,
    /// Sequence number of the submission; a later submission has a higher number.
    pub seq: Seq,
    /// Lease that may write the process; `None` if the process has no owner.
    pub owner: Option<Lease>,
    /// Pending actions, which the owner has not executed yet.
    pub pending_actions: Vec<(ActionSeq, PendingAction)>,
    /// Live stats of the latest attempt.
    pub live_stats: LiveStats,
}

/// A new process and the guards that it has to pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Record of the process in its first state.
    pub process: Process,
    /// First events of the new process.
    pub events: Vec<Event>,
    /// Limits that apply to the process.
    pub limits: SubmitLimits,
    /// Node for which the process is claimed immediately if it does not have to wait.
    pub claim_for: Option<ClaimRequest>,
    /// True to refuse the process instead of letting it wait for a slot.
    pub fail_if_queued: bool,
}

/// Limits of a submission, resolved by the engine from the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitLimits {
    /// Version of the policy that the limits come from. A store with a newer policy refuses the submission; a store
    /// with an older policy accepts it.
    pub policy: PolicyVersion,
    /// Number of slots of the concurrency key; `None` means no limit.
    pub slots: Option<u32>,
    /// Limits on the depth and size of the tree.
    pub tree: TreeLimits,
}

/// A node that claims a process as part of its submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Lease of the node.
    pub lease: Lease,
    /// Maximum number of roots that the node may hold at once.
    pub roots: u32,
}

/// Outcome of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// The process is waiting in the queue, is delayed, or is reported work that started immediately.
    Waiting(StoredProcess),
    /// The process was accepted and claimed.
    Claimed(StoredProcess),
    /// The id or the launch key was already in use.
    Existing {
        /// Process that has the id or the launch key.
        id: ProcessId,
        /// Record of the process that has the id or the launch key; `None` if it was pruned.
        stored: Option<StoredProcess>,
        /// True if both submissions have the same spec. For a launch key, the inherited environment is not compared.
        same_spec: bool,
    },
}

/// A decision that is to be written to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Id of this write; a repetition of the write has the same id.
    pub op: OpId,
    /// Author of the write.
    pub author: Writer,
    /// Revision that the decision was based on.
    pub expected: Revision,
    /// Record after the events were applied.
    pub next: Process,
    /// Events of the decision.
    pub events: Vec<Event>,
    /// Highest number of the pending actions that this change answers. The store removes the actions up to this number.
    pub taken: ActionSeq,
    /// True to refuse the change while a descendant of the process is live.
    pub require_no_live_descendants: bool,
}

/// Free capacity of a node for a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimCapacity {
    /// Maximum number of roots that the node may hold at once.
    pub roots: u32,
    /// Maximum number of processes to claim in this call.
    pub batch: u32,
    /// Placement classes that the node may run.
    pub classes: Vec<PlacementClass>,
}

/// A class of placements. Waiting processes are queued by key and placement class, so that a process pinned to one node
/// does not block processes that other nodes may run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlacementClass {
    /// Processes that only this node may run.
    Node(NodeId),
    /// Processes that several nodes may run, according to [`Placement::Labels`] or [`Placement::Anywhere`].
    Shared(Placement),
}

impl PlacementClass {
    /// Returns true if the processes of this class are placed by labels.
    #[must_use]
    pub const fn is_labelled(&self) -> bool {
        match self {
            Self::Shared(Placement::Labels(_)) => true,
            Self::Shared(Placement::Here | Placement::Node(_) | Placement::Anywhere) | Self::Node(_) => false,
        }
    }

    /// Returns the class of a placement.
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
