//! Outbox: a node's own copy of the records that it wrote to a shared store.
//!
//! A node writes a launch to a local SQLite file before it sends the launch to the store. Later the node also writes
//! the replies of the store about its own processes. The node can therefore show its own processes while the store is
//! unreachable, and can restore records that the store has lost. The store acknowledges every write and answers every
//! other read. The only exception is a node that is configured to accept local-only launches.
//!
//! The launch spec is on the disk before the store receives it. Later changes are written within milliseconds; after a
//! crash the attempt directories contain the same facts.

mod events;
mod failure;
mod index;
mod local_only;
mod maintenance;
mod membership;
mod opening;
mod outage;
mod process;
mod queues;
mod reconcile;
mod row;
mod schema;
mod writer;

pub use failure::ForeignOutbox;

use index::OutboxIndex;
use longhaul_ports::{Clock, Restore, Store, StoreError, StoredProcess};
use outage::OutageTracker;
use row::OutboxMeta;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use writer::{OutboxChange, OutboxWriter};

/// A shared store that can restore lost records.
pub trait SharedStore: Store + Restore {}

impl<T: Store + Restore> SharedStore for T {}

/// A shared store together with the outbox of this node.
pub struct OutboxStore {
    inner: Arc<dyn SharedStore>,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    outage: OutageTracker,
    index: Mutex<OutboxIndex>,
    writer: OutboxWriter,
    accepts_local_only: bool,
    /// Lock that is held while this node changes local-only records or restores records to the store.
    restore_lock: tokio::sync::Mutex<()>,
}

/// Options of an outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxOptions {
    /// Address of the store, without secrets. Records are never restored to a store with another address.
    pub address: String,
    /// Time for which the outbox stores the record of an ended process after the store acknowledged the end. The
    /// default is 10 minutes, or zero if the store survives the loss of its server.
    pub keeps_ended: Duration,
    /// Maximum number of records of ended processes to keep. The default is 10,000.
    pub max_ended: usize,
    /// Maximum size of the file in KiB. `None` means no limit.
    pub max_kib: Option<u32>,
    /// True if this node accepts launches while the store is unreachable, provided that they affect no other node. The
    /// default is false.
    pub accepts_local_only: bool,
}

impl OutboxOptions {
    /// Returns the default options for the store at this address.
    #[must_use]
    pub fn at(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            keeps_ended: Duration::from_secs(600),
            max_ended: 10_000,
            max_kib: None,
            accepts_local_only: false,
        }
    }
}

impl OutboxStore {
    /// Opens the file at `path`. Creates the file if it does not exist. Blocks for some milliseconds.
    ///
    /// # Errors
    /// Returns [`StoreError::Corrupt`] or [`StoreError::Format`] if the file is not an outbox or was written by a
    /// newer version, [`StoreError::Unavailable`] with a [`ForeignOutbox`] if it contains live processes of another
    /// store, and [`StoreError::ReadOnly`] if it is not writable. The file is not changed in these cases.
    pub async fn open(
        inner: Arc<dyn SharedStore>,
        path: &Path,
        clock: Arc<dyn Clock>,
        options: OutboxOptions,
    ) -> Result<Self, StoreError> {
        let connection = opening::open(path, options.max_kib)?;
        let found = row::headings(&connection).map_err(|halt| halt.at(path))?;
        let mark = row::mark(&connection).map_err(|halt| halt.at(path))?;
        let belongs = mark.address.is_empty() || mark.address == options.address || {
            let incarnation = inner.history().await?.incarnation;
            let known = mark.history.as_ref().and_then(|history| history.incarnation.clone());
            incarnation.is_some() && incarnation == known
        };
        let writer = OutboxWriter::start(connection)?;
        let (mark, found) = if belongs {
            (OutboxMeta { address: options.address, ..mark }, found)
        } else if let Some(live) = found.iter().find(|heading| heading.ended_at.is_none()) {
            return Err(failure::foreign(path, &mark.address, live.id));
        } else {
            found.iter().for_each(|heading| writer.soon(OutboxChange::Delete(heading.id)));
            (OutboxMeta { address: options.address, ..OutboxMeta::default() }, Vec::new())
        };
        writer.durably(OutboxChange::Mark(Box::new(mark.clone()))).await?;
        Ok(Self {
            inner,
            path: path.to_owned(),
            outage: OutageTracker::new(clock.clone()),
            clock,
            index: Mutex::new(OutboxIndex::new(options.keeps_ended, options.max_ended, mark, found)),
            writer,
            accepts_local_only: options.accepts_local_only,
            restore_lock: tokio::sync::Mutex::default(),
        })
    }

    /// Returns an error if the file at `path` contains live processes of a store at another address. Called before a
    /// new store is created, so that no unneeded store is created.
    ///
    /// # Errors
    /// Returns the same errors as [`OutboxStore::open`].
    pub fn check_unfounded(path: &Path, address: &str) -> Result<(), StoreError> {
        if !path.exists() {
            return Ok(());
        }
        let connection = opening::open(path, None)?;
        let mark = row::mark(&connection).map_err(|halt| halt.at(path))?;
        if mark.address.is_empty() || mark.address == address {
            return Ok(());
        }
        let found = row::headings(&connection).map_err(|halt| halt.at(path))?;
        match found.iter().find(|heading| heading.ended_at.is_none()) {
            Some(live) => Err(failure::foreign(path, &mark.address, live.id)),
            None => Ok(()),
        }
    }

    /// Changes the index, and sends the changes to the writer in the same order.
    fn update(&self, change: impl FnOnce(&mut OutboxIndex) -> Vec<OutboxChange>) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut index).into_iter().for_each(|entry| self.writer.soon(entry));
    }

    fn with_index<T>(&self, action: impl FnOnce(&mut OutboxIndex) -> T) -> T {
        action(&mut self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Updates the outbox from records that the store returned.
    fn note_records<'a>(&self, stored: impl IntoIterator<Item = &'a StoredProcess>) {
        let now = self.clock.now();
        self.update(|index| stored.into_iter().flat_map(|stored| index.note_records(now, stored)).collect());
    }

    /// Awaits a call to the store, and updates the outage state from its result.
    async fn call<T>(&self, request: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let started = self.outage.ask();
        let answer = request.await;
        self.outage.record(started, &answer);
        answer
    }
}

impl fmt::Debug for OutboxStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxStore")
            .field("store", &self.inner)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
