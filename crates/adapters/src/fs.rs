//! The store of one machine in files that people and tools can read: the store in memory with a log of its changes.
//!
//! Each commit is one file of JSON lines, written under another name, forced to the disk and renamed; steps that wait
//! at the same time share one. After every thousand commits a checkpoint takes everything down in one file, and the
//! commits before it go. One program at a time uses a store.
//!
//! ```text
//! jq -c 'select(.process) | .process | {id, revision}' store/checkpoint.jsonl store/commits/*.jsonl
//! ```
//!
//! After a write that the disk failed nothing more is acknowledged until the store is opened again.

mod checkpoint;
#[cfg(feature = "decoders")]
pub mod decoders;
mod failure;
mod journal;
mod journal_line;
mod journal_view;
mod maintenance;
mod membership;
mod migrate;
mod process;
mod replay;
mod state;
mod store_dir;
mod writer;

use checkpoint::CheckpointWriter;
use journal_view::{JournalShared, JournalView};
use longhaul_domain::{OpId, Timestamp};
use longhaul_ports::{Clock, EventCursor, StoreError};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use store_dir::StoreDir;
use tokio::sync::RwLockReadGuard;
use writer::{FileDurability, JournalThread};

/// Format that this program writes, and the newest that it reads. Format 1 differs only in the names of its fields.
const FORMAT: u32 = 2;

/// Steps that carry no op: whoever lost their answer lists what there is.
const NO_OP: Option<OpId> = None;

/// A store in a directory of JSON files.
///
/// It may be opened and dropped anywhere; both do I/O and may take a while for a large store.
pub struct FsStore {
    shared: Arc<JournalShared>,
    clock: Arc<dyn Clock>,
    // Dropped in this order: the writer orders checkpoints.
    writer: JournalThread,
    _checkpoints: CheckpointWriter,
}

/// How a directory is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FsOptions {
    /// The most that its files may take, in KiB; none means as much as the disk has. A checkpoint may pass it for a
    /// moment.
    pub most_kib: Option<u32>,
}

impl FsStore {
    /// Opens the store in the directory `path`, or makes a new one if there is none; the directory above must exist.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and [`StoreError::Format`] if the directory is not one of ours, of a newer program, or
    /// damaged: it was left untouched. [`StoreError::ReadOnly`] if it may not be written, [`StoreError::Unavailable`]
    /// if another program uses it or it cannot be opened.
    pub fn open(path: &Path, clock: Arc<dyn Clock>, options: FsOptions) -> Result<Self, StoreError> {
        let most = options.most_kib.map(|kib| u64::from(kib) * 1024);
        let store_dir = StoreDir::take(path, most)?;
        let shared = Arc::new(JournalShared::open(store_dir)?);
        shared.place.tidy();
        shared.place.sign();
        let checkpoints = CheckpointWriter::start(Arc::clone(&shared))?;
        let writer = JournalThread::start(Arc::clone(&shared), Arc::clone(&clock), checkpoints.order()?)?;
        Ok(Self { shared, clock, writer, _checkpoints: checkpoints })
    }

    /// The place of the newest event in the store at `path`, which is read as a whole; none if there is no store. Nothing
    /// is changed.
    ///
    /// # Errors
    /// As [`FsStore::open`].
    pub fn end_of(path: &Path) -> Result<Option<EventCursor>, StoreError> {
        match StoreDir::of_existing(path)? {
            Some(store_dir) => Ok(Some(JournalView::read(&store_dir)?.0.core.ledger.end())),
            None => Ok(None),
        }
    }

    /// One durable step; `op` names it where its answer may get lost.
    async fn write<T: Send + 'static>(
        &self,
        op: impl Into<Option<OpId>> + Send,
        step: impl Fn(&mut state::StoreState, Timestamp) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.apply(op.into(), FileDurability::Durable, step).await
    }

    /// The records as they are on the disk.
    async fn book(&self) -> Result<RwLockReadGuard<'_, JournalView>, StoreError> {
        let journal_view = self.shared.book.read().await;
        match &journal_view.lost {
            None => Ok(journal_view),
            Some(why) => Err(StoreError::Unavailable { source: why.clone().into() }),
        }
    }

    /// Parks until `look` has an answer.
    async fn parked<T>(
        &self,
        mut look: impl FnMut(&mut JournalView) -> Option<T> + Send,
    ) -> Result<T, StoreError> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut journal_view = self.shared.book.write().await;
                if let Some(why) = &journal_view.lost {
                    return Err(StoreError::Unavailable { source: why.clone().into() });
                }
                if let Some(answer) = look(&mut journal_view) {
                    return Ok(answer);
                }
            }
            changed.await;
        }
    }
}

impl fmt::Debug for FsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FsStore").field("path", &self.shared.place.root()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
