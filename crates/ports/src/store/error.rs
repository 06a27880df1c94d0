//! Errors of stores.

use crate::NodeHome;
use longhaul_domain::{Epoch, Level, NodeId, OpId, PolicyVersion, ProcessId, Revision, SlotKey};
use std::time::Duration;

/// Type of the underlying errors in the error types of the ports.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// An error of a store method.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The process was written after the caller loaded it. Nothing was written; the caller loads the process and
    /// decides again.
    #[error("the process has changed: its revision is now {found}")]
    Conflict {
        /// Current revision of the process.
        found: Revision,
    },
    /// The lease of the writer is not valid for this write any more. The node must stop the attempts of its processes
    /// and register again.
    #[error("the lease of node {node} with epoch {epoch} is no longer valid")]
    Fenced {
        /// Node that sent the write. For [`Writer::Anyone`](crate::Writer::Anyone), the node that owns the process.
        node: NodeId,
        /// Epoch of the lease of the node.
        epoch: Epoch,
    },
    /// The store has no record of the process.
    #[error("there is no process {id}")]
    Missing {
        /// Id of the process.
        id: ProcessId,
    },
    /// A guard refused the write; nothing was written.
    #[error("the store refused the change: {0}")]
    Refused(StoreRejection),
    /// The store could not be reached. If the call was a write, it was certainly not applied.
    #[error("the store cannot be reached")]
    Unavailable {
        /// Underlying error.
        #[source]
        source: BoxedError,
    },
    /// The answer to a write was lost, so the write may have been applied. The caller repeats the write with the same
    /// op id. A write without an op id can be repeated too, except a claim: after a claim, the caller lists the
    /// processes that it owns.
    #[error("the store did not confirm a write, which may have been applied")]
    Unknown {
        /// Op id of the write, or the id of the submitted process; `None` for a write that has neither.
        op: Option<OpId>,
        /// Reason why no answer came.
        #[source]
        source: BoxedError,
    },
    /// The store can be read but not written.
    #[error("the store is read-only: {why}")]
    ReadOnly {
        /// Reason why the store is read-only.
        why: String,
    },
    /// Data in the store is damaged. The store did not change the data.
    #[error("the store is damaged: {what}; {remedy}")]
    Corrupt {
        /// Description of the damage.
        what: String,
        /// Instruction for the user.
        remedy: String,
    },
    /// The store has a format that this program does not support. The store was not changed.
    #[error("the store has format {found}; this program reads format {supported}")]
    Format {
        /// Format of the store.
        found: u32,
        /// Newest format that this program supports.
        supported: u32,
    },
    /// The record was written by a newer program and was not changed. Other records may be readable.
    #[error(
        "the record requires a program that reads format {needs}; this program reads formats up to {reads}"
    )]
    NewerRecord {
        /// Oldest format that a program must support to read the record.
        needs: u32,
        /// Newest format that this program supports.
        reads: u32,
    },
}

impl StoreError {
    /// Returns advice for the user if the format of the store or of a record is not supported; `None` for all other
    /// errors.
    #[must_use]
    pub const fn format_help(&self) -> Option<&'static str> {
        if let Self::Format { found, supported } = self
            && *found < *supported
        {
            return Some(
                "use the older program that wrote it, or copy the records with `longhaul store copy` of that program; \
                 nothing was changed",
            );
        }
        if matches!(self, Self::Format { .. } | Self::NewerRecord { .. }) {
            return Some("use the newer program that wrote the store; nothing was changed");
        }
        None
    }

    /// Returns true if stored data cannot be read although the store answers. Other data of the store may be intact.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::Format { .. } | Self::NewerRecord { .. } => true,
            Self::Conflict { .. }
            | Self::Fenced { .. }
            | Self::Missing { .. }
            | Self::Refused(_)
            | Self::Unavailable { .. }
            | Self::Unknown { .. }
            | Self::ReadOnly { .. } => false,
        }
    }
}

/// The guard that refused a write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreRejection {
    /// The store has no record of the parent.
    #[error("there is no parent process {parent}")]
    ParentMissing {
        /// Id of the parent.
        parent: ProcessId,
    },
    /// The parent is ending or has ended, or another ancestor is ending.
    #[error("the ancestor process {ancestor} is ending or has ended")]
    AncestorClosing {
        /// Id of the ancestor that is ending or has ended.
        ancestor: ProcessId,
    },
    /// The change is allowed only for a process without live descendants.
    #[error("the descendant process {descendant} has not ended")]
    DescendantLives {
        /// Id of one live descendant.
        descendant: ProcessId,
    },
    /// The tree would become too deep.
    #[error("level {level} is deeper than the maximum of {max_level}")]
    TooDeep {
        /// Level that the new process would have.
        level: Level,
        /// Deepest allowed level.
        max_level: Level,
    },
    /// The level of the tree already has the maximum number of live processes.
    #[error("level {level} of the tree is full: {live} of at most {limit} processes are live")]
    LevelFull {
        /// Level of the new process.
        level: Level,
        /// Number of live processes on the level.
        live: u32,
        /// Maximum number of live processes on a level.
        limit: u32,
    },
    /// The process would have to wait for a slot, but the caller requested a refusal in this case.
    #[error("no slot is free")]
    NoSlot {
        /// Concurrency key of the process; `None` if it has no key, or if only the root limit of the node prevents its
        /// start.
        key: Option<SlotKey>,
        /// Processes that hold slots of `key`. The list is empty if the process has to wait for another reason: the key
        /// is on hold, the process may not run on this node, or another process is ahead in the queue. If `key` is
        /// `None` and the root limit of the node is reached, the list contains the roots of the node.
        holders: Vec<ProcessId>,
    },
    /// The process would wait forever, because its own ancestors hold all slots of its key. The process needs a slot
    /// immediately or after its delay.
    #[error("every slot of the key {key} is held by an ancestor of the process")]
    HeldByAncestors {
        /// Concurrency key of the process.
        key: SlotKey,
        /// Ancestors that hold the slots.
        holders: Vec<ProcessId>,
    },
    /// The limits of the submission come from an older policy. The caller reads the limits from the current policy and
    /// submits again.
    #[error("the queue policy has changed: its version is now {found}")]
    StalePolicy {
        /// Current version of the policy.
        found: PolicyVersion,
    },
    /// Another state directory is registered under the name of this node, and its lease is valid.
    #[error("the node name {node} is in use by {}, which renewed its lease {} ms ago", home.place, heard.as_millis())]
    NameTaken {
        /// Name of the node.
        node: NodeId,
        /// State directory that is registered under the name.
        home: Box<NodeHome>,
        /// Time since the last registration or lease renewal of the other state directory.
        heard: Duration,
    },
    /// Another state directory was registered under the name of this node, and processes that it started have not ended
    /// yet.
    #[error("the node name {node} was used by {}, and {open} of its processes have not ended", home.place)]
    NameHeld {
        /// Name of the node.
        node: NodeId,
        /// State directory that is registered under the name.
        home: Box<NodeHome>,
        /// Number of processes that the node owns.
        open: u64,
        /// Time until these processes count as lost and the name is free. `None` if the name does not become free,
        /// because the other manager left the cluster regularly or leases never end in this store.
        free_in: Option<Duration>,
    },
    /// The process has the maximum number of pending actions.
    #[error("the process has too many pending actions")]
    TooManyPendingActions,
    /// The record is larger than the store accepts. Every store accepts a spec of 1 MiB in the encoding of
    /// `longhaul-wire`. If a store refuses larger specs, its documentation says so and names the guards that it checks
    /// afterwards.
    #[error("a record of {bytes} bytes is too large")]
    TooLarge {
        /// Size of the record in bytes.
        bytes: u64,
    },
    /// The store has no free space.
    #[error("the store is full")]
    Full,
}
