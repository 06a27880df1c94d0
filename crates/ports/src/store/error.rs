//! Why a store did not do what it was asked.

use crate::NodeHome;
use longhaul_domain::{Epoch, Level, NodeId, OpId, PolicyVersion, ProcessId, Revision, SlotKey};
use std::time::Duration;

/// The foreign error behind one of ours.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing was written: load and decide again.
    #[error("the process has changed: it has revision {found}")]
    Conflict {
        /// Where it is now.
        found: Revision,
    },
    /// Not yours any more: stop owning, register again.
    #[error("node {node} at epoch {epoch} is no longer the owner")]
    Fenced {
        /// The node that wrote; if it was [`Author::Anyone`](crate::Writer::Anyone), the one that owns it.
        node: NodeId,
        /// The epoch of its lease.
        epoch: Epoch,
    },
    /// There is none.
    #[error("there is no process {id}")]
    Missing {
        /// The id.
        id: ProcessId,
    },
    /// A guard said no; nothing was written.
    #[error("refused: {0}")]
    Refused(StoreRejection),
    /// Surely not applied.
    #[error("the store cannot be reached")]
    Unavailable {
        /// Why.
        #[source]
        source: BoxedError,
    },
    /// Perhaps applied: send the same op again. What has no op can be sent again as it is, except that after a claim the
    /// caller lists what it owns.
    #[error("the store did not answer a write, which may have been applied")]
    Unknown {
        /// The op of the write, or the id of the process that was submitted; none for a write that has neither.
        op: Option<OpId>,
        /// Why there was no answer.
        #[source]
        source: BoxedError,
    },
    /// It can be read but not written.
    #[error("the store is read-only: {why}")]
    ReadOnly {
        /// Why.
        why: String,
    },
    /// It was left untouched.
    #[error("the store is damaged: {what}; {remedy}")]
    Corrupt {
        /// What was found.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// The store has a format that this program does not read. The store was not changed.
    #[error("the store has format {found}; this program reads format {supported}")]
    Format {
        /// Format of the store.
        found: u32,
        /// Newest format that this program reads.
        supported: u32,
    },
    /// A newer program wrote this record; others may be readable. It was left untouched.
    #[error(
        "the record requires a program that reads format {needs}; this program reads formats up to {reads}"
    )]
    NewerRecord {
        /// The oldest format that its reader has to know.
        needs: u32,
        /// The newest format known here.
        reads: u32,
    },
}

impl StoreError {
    /// Returns what to do about a store in a format that this program does not read; `None` for all other errors.
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
            return Some("use the newer program that wrote it; nothing was changed");
        }
        None
    }

    /// Whether something that is kept cannot be read: the store answers, and others may be well.
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
    /// The parent is not known.
    #[error("there is no parent {parent}")]
    ParentMissing {
        /// Its id.
        parent: ProcessId,
    },
    /// The parent is ending or has ended, or an ancestor further above is ending.
    #[error("the ancestor {ancestor} is ending or has ended")]
    AncestorClosing {
        /// Which.
        ancestor: ProcessId,
    },
    /// The change was meant for one below which nobody lives.
    #[error("the descendant {descendant} has not ended")]
    DescendantLives {
        /// One of those that live.
        descendant: ProcessId,
    },
    /// The tree would be too deep.
    #[error("level {level} is deeper than the maximum of {deepest}")]
    TooDeep {
        /// The level asked for.
        level: Level,
        /// The deepest allowed.
        deepest: Level,
    },
    /// The level of that tree is full.
    #[error("level {level} of the tree has {live} of {most} live processes")]
    LevelFull {
        /// The level.
        level: Level,
        /// Live processes on it.
        live: u32,
        /// The most allowed.
        most: u32,
    },
    /// It would have to wait, and waiting was not wanted.
    #[error("no slot is free")]
    NoSlot {
        /// Its key; none if it has none, or if nothing is in its way but the node's limit on roots.
        key: Option<SlotKey>,
        /// Who holds slots of that key, perhaps nobody: it may be held back, its work belong elsewhere, or somebody go
        /// first. Without a key the roots of the node if they are in its way.
        holders: Vec<ProcessId>,
    },
    /// Its key is held entirely by its own ancestors, and it stands waiting or has a time at which it
    /// will: it would wait for ever.
    #[error("every slot of {key} is held by an ancestor of the process")]
    HeldByAncestors {
        /// The key.
        key: SlotKey,
        /// Who holds them.
        holders: Vec<ProcessId>,
    },
    /// The limits were resolved from an older policy: resolve and submit again.
    #[error("the queue policy has changed: it has version {found}")]
    StalePolicy {
        /// Where it is now.
        found: PolicyVersion,
    },
    /// Another home is registered under the name of this node, and its lease is not over.
    #[error("node {node} is served from {}, which last renewed its lease {} ms ago", home.place, heard.as_millis())]
    NameTaken {
        /// The name.
        node: NodeId,
        /// The other home.
        home: Box<NodeHome>,
        /// How long ago the other one gave its last sign of life.
        heard: Duration,
    },
    /// Another home was registered under the name of this node, and processes that it started have not ended.
    #[error("node {node} was served from {}, and {open} of its processes have not ended", home.place)]
    NameHeld {
        /// The name.
        node: NodeId,
        /// The other home.
        home: Box<NodeHome>,
        /// How many it owns.
        open: u64,
        /// In how long they are lost and the name is free; none if that never happens: the other one left in good order, or
        /// leases do not end in this store.
        free_in: Option<Duration>,
    },
    /// The order is not taken any more.
    #[error("too many pending actions for one process")]
    TooManyWishes,
    /// The record is larger than the store takes. Every store takes a specification of 1 MiB, as `longhaul-wire` writes
    /// it; whether a larger one is refused, and before which other guard, each store says for itself.
    #[error("a record of {bytes} bytes is too large")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The store has no more room.
    #[error("the store is full")]
    Full,
}
