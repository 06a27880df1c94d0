//! Port for copying the whole content of one store into another.

use crate::{EventCursor, LoggedEvent, NodeDescriptor, StoreError, StoredProcess};
use async_trait::async_trait;
use longhaul_domain::{Epoch, LaunchKey, Policy, PolicyVersion, ProcessId, Seq, SessionId, SlotKey};
use std::fmt::Debug;

/// Imports the content of another store unchanged, including revisions, sequence numbers, owners and cursors.
///
/// Processes are exported by [`ProcessStore::list`](crate::ProcessStore::list), events by
/// [`EventLog::read`](crate::EventLog::read), and all other data by [`store_metadata`](Self::store_metadata).
/// Conditions:
///
/// - The target store is empty and was never used.
/// - Processes are imported first and metadata last.
/// - No other program uses either store during the migration.
///
/// The stored answers that a store returns to repeated writes are not moved, because no client repeats a write in
/// another store.
#[async_trait]
pub trait Migrate: Debug + Send + Sync + 'static {
    /// Returns all data that this store contains in addition to processes and events.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn store_metadata(&self) -> Result<StoreMetadata, StoreError>;

    /// Imports processes in the order of their submission, together with their launch keys.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be written.
    async fn import_processes(&self, processes: &[StoredProcess]) -> Result<(), StoreError>;

    /// Imports events, oldest first.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be written.
    async fn import_events(&self, events: &[LoggedEvent]) -> Result<(), StoreError>;

    /// Imports the metadata of the other store; the last step of a migration.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be written.
    async fn import_metadata(&self, store_metadata: &StoreMetadata) -> Result<(), StoreError>;
}

/// Everything that a store contains in addition to processes and events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreMetadata {
    /// Queue policy of the store and its version.
    pub policy: (PolicyVersion, Policy),
    /// Every node that ever registered, sorted by name.
    pub nodes: Vec<RegisteredNode>,
    /// Concurrency keys under which a process was ever claimed, in the order of their latest claim, oldest first.
    pub served: Vec<Option<SlotKey>>,
    /// Launch keys of pruned processes, sorted by session and key.
    pub old_keys: Vec<RetiredLaunchKey>,
    /// Tombstones of pruned processes, in the order of pruning.
    pub tombstones: Vec<Tombstone>,
    /// Total number of processes that this store has pruned so far.
    pub pruned_total: u64,
    /// Sequence number of the latest submission.
    pub last_seq: Seq,
    /// Cursor after the newest event in the event log.
    pub end: EventCursor,
}

/// A node that registered in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredNode {
    /// Description from the latest registration of the node.
    pub facts: NodeDescriptor,
    /// Epoch of the latest registration of the node.
    pub epoch: Epoch,
    /// True if the node left the cluster after its latest registration.
    pub left: bool,
}

/// A launch key whose process was pruned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredLaunchKey {
    /// Session in which the key is unique; `None` for launches without a session.
    pub session: Option<SessionId>,
    /// Launch key.
    pub key: LaunchKey,
    /// Process that was launched with the key.
    pub id: ProcessId,
    /// Fingerprint of those parts of the spec that are compared when a launch with the same key arrives.
    pub launch: u64,
}

/// The record that remains of a pruned process. It shows that a repeated submission is a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Id of the pruned process.
    pub id: ProcessId,
    /// Fingerprint of the spec of the pruned process.
    pub spec: u64,
}
