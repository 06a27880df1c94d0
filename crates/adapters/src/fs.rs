//! Local store in files that people and tools can read: the memory store with a journal of its changes.
//!
//! Each commit is one file of JSON lines. The file is written under a temporary name, synced and renamed. Write
//! operations that are waiting at the same time share one commit. After every thousand commits, a checkpoint writes the
//! whole store to one file and deletes the earlier commits. Only one program at a time can use a store.
//!
//! ```text
//! jq -c 'select(.process) | .process | {id, revision}' store/checkpoint.jsonl store/commits/*.jsonl
//! ```
//!
//! If the disk fails during a write, the store acknowledges no further writes until it is opened again.

mod checkpoint;
#[cfg(feature = "decoders")]
pub mod decoders;
mod failure;
mod journal;
mod journal_line;
mod journal_view;
mod ledger;
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

/// The format version that this program writes. It is also the newest version that this program can read. Format 1 has
/// different field names.
const FORMAT: u32 = 2;

/// Used for writes without an operation id. A caller that did not receive the reply lists the records instead of
/// repeating the write.
const NO_OP: Option<OpId> = None;

/// A store in a directory of JSON files.
///
/// Opening and dropping the store block the thread on I/O. With a large store, this may take long.
pub struct FsStore {
    shared: Arc<JournalShared>,
    clock: Arc<dyn Clock>,
    // Declared before the checkpoint writer and therefore dropped first, because it sends requests to the checkpoint
    // writer.
    writer: JournalThread,
    _checkpoints: CheckpointWriter,
}

/// Options of an [`FsStore`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FsOptions {
    /// Maximum size of all files in KiB. `None` means no limit. A checkpoint may exceed the limit for a short time.
    pub max_kib: Option<u32>,
}

impl FsStore {
    /// Opens the store in the directory `path`. Creates the store if it does not exist; the parent directory must
    /// exist.
    ///
    /// # Errors
    /// Returns [`StoreError::Corrupt`] or [`StoreError::Format`] if the directory is not a longhaul store, was
    /// written by a newer version, or is damaged. The directory is not changed in these cases. Returns
    /// [`StoreError::ReadOnly`] if the directory is not writable, and [`StoreError::Unavailable`] if another program
    /// uses it or it cannot be opened.
    pub fn open(path: &Path, clock: Arc<dyn Clock>, options: FsOptions) -> Result<Self, StoreError> {
        let limit = options.max_kib.map(|kib| u64::from(kib) * 1024);
        let store_dir = StoreDir::take(path, limit)?;
        let shared = Arc::new(JournalShared::open(store_dir)?);
        shared.store_dir.tidy();
        shared.store_dir.sign();
        let checkpoints = CheckpointWriter::start(Arc::clone(&shared))?;
        let writer = JournalThread::start(Arc::clone(&shared), Arc::clone(&clock), checkpoints.order()?)?;
        Ok(Self { shared, clock, writer, _checkpoints: checkpoints })
    }

    /// Returns the cursor of the newest event in the store at `path`, or `None` if there is no store. Reads the whole
    /// store and changes nothing.
    ///
    /// # Errors
    /// Returns the same errors as [`FsStore::open`].
    pub fn end_of(path: &Path) -> Result<Option<EventCursor>, StoreError> {
        match StoreDir::of_existing(path)? {
            Some(store_dir) => Ok(Some(JournalView::read(&store_dir)?.0.state.ledger.end())),
            None => Ok(None),
        }
    }

    /// Executes one durable write. `op` identifies the write, so that the store recognises a repetition after a lost
    /// reply.
    async fn write<T: Send + 'static>(
        &self,
        op: impl Into<Option<OpId>> + Send,
        step: impl Fn(&mut state::StoreState, Timestamp) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.apply(op.into(), FileDurability::Durable, step).await
    }

    /// Waits until the newest changes are on the disk, and returns the records for reading.
    async fn view(&self) -> Result<RwLockReadGuard<'_, JournalView>, StoreError> {
        let journal_view = self.shared.view.read().await;
        match &journal_view.lost {
            None => Ok(journal_view),
            Some(why) => Err(StoreError::Unavailable { source: why.clone().into() }),
        }
    }

    /// Waits until `look` returns a value. Calls `look` again after every write.
    async fn parked<T>(
        &self,
        mut look: impl FnMut(&mut JournalView) -> Option<T> + Send,
    ) -> Result<T, StoreError> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut journal_view = self.shared.view.write().await;
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
        f.debug_struct("FsStore").field("path", &self.shared.store_dir.root()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
