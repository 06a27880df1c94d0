//! Moving everything that a store keeps into another one.

use crate::{EventCursor, LoggedEvent, NodeDescriptor, StoreError, StoredProcess};
use async_trait::async_trait;
use longhaul_domain::{Epoch, LaunchKey, Policy, PolicyVersion, ProcessId, Seq, SessionId, SlotKey};
use std::fmt::Debug;

/// Takes in what another store gives out, as it is there: revisions, sequences, owners, cursors and all.
///
/// Processes and events are given out by [`ProcessStore::list`](crate::ProcessStore::list) and
/// [`EventLog::read`](crate::EventLog::read), the rest by [`store_metadata`](Self::store_metadata). Only a store in which nothing was
/// ever kept takes anything in, processes first and the books last, and nobody else may use either store meanwhile.
/// What writes were answered is not moved: nobody sends a write again through another store.
#[async_trait]
pub trait Migrate: Debug + Send + Sync + 'static {
    /// What a store keeps beside processes and events.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn store_metadata(&self) -> Result<StoreMetadata, StoreError>;

    /// Takes in processes, those that were submitted first before the others. Their launch keys are taken with them.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be written.
    async fn import_processes(&self, processes: &[StoredProcess]) -> Result<(), StoreError>;

    /// Takes in events, oldest first.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be written.
    async fn import_events(&self, events: &[LoggedEvent]) -> Result<(), StoreError>;

    /// Takes in the rest.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be written.
    async fn import_metadata(&self, store_metadata: &StoreMetadata) -> Result<(), StoreError>;
}

/// What a store keeps beside processes and events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreMetadata {
    /// The limits of the queues, and how often they were changed.
    pub policy: (PolicyVersion, Policy),
    /// Every node that ever registered, by name.
    pub nodes: Vec<RegisteredNode>,
    /// The keys that were served, the one served longest ago first.
    pub served: Vec<Option<SlotKey>>,
    /// Launch keys whose process was let go, by session and key.
    pub old_keys: Vec<RetiredLaunchKey>,
    /// Processes that were let go and are remembered, the one that went first at the front.
    pub swept: Vec<Tombstone>,
    /// How many were ever let go.
    pub swept_total: u64,
    /// The sequence of the latest submit.
    pub last_seq: Seq,
    /// The place after the newest event.
    pub end: EventCursor,
}

/// A node that registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredNode {
    /// As it presented itself last.
    pub facts: NodeDescriptor,
    /// How often it registered.
    pub epoch: Epoch,
    /// It left in good order.
    pub left: bool,
}

/// A launch key whose process was let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredLaunchKey {
    /// In this session.
    pub session: Option<SessionId>,
    /// The key.
    pub key: LaunchKey,
    /// The process.
    pub id: ProcessId,
    /// The fingerprint of what a launch compares.
    pub launch: u64,
}

/// A process that was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Its id.
    pub id: ProcessId,
    /// The fingerprint of what was asked for.
    pub spec: u64,
}
