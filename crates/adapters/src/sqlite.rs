//! Local store: a SQLite database in WAL mode.
//!
//! One thread writes. The writer takes all waiting operations and executes each operation under its own savepoint, so
//! that a rejection undoes only the rejected operation. The writer then commits all operations together, and replies
//! when the commit is durable. Other threads read. After a commit that failed on the disk, the store acknowledges no
//! further writes until it is opened again.
//!
//! The fields that queries need are columns; the other fields are records of [`longhaul_wire::record`]. The launch spec
//! is written only once, and the changing part with each commit. Notifications and claims of due rows are kept in
//! memory, because only one manager at a time uses a database.

mod answers;
mod claim;
mod commit;
mod events;
mod failure;
mod issued;
mod label_index;
mod list;
mod live_stats;
mod maintenance;
mod membership;
mod migrate;
mod notifiers;
mod opening;
mod pending_actions;
mod process;
mod prune;
mod queues;
mod reader;
mod ready_keys;
mod row;
mod schema;
mod submit;
mod write_connection;
mod writer;

pub use opening::DatabaseState;

use failure::StepAbort;
use issued::IssuedRows;
use longhaul_domain::OpId;
use longhaul_ports::{Clock, EventCursor, StoreError};
use notifiers::NodeNotifiers;
use reader::QueryThreads;
use rusqlite::Connection;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use write_connection::WriteConnection;
use writer::{DatabaseThread, SyncMode};

/// A store in a SQLite database.
///
/// Opening and dropping the store block the thread on I/O for some milliseconds.
pub struct SqliteStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    notifiers: Arc<NodeNotifiers>,
    issued: Arc<IssuedRows>,
    /// Cursor of the newest event.
    newest: watch::Receiver<EventCursor>,
    // Declared before the writer and therefore dropped first. SQLite cleans up when the last connection is closed, and
    // that must be the connection of the writer.
    readers: QueryThreads,
    writer: DatabaseThread,
}

/// Options of a [`SqliteStore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Number of reader threads, each with its own connection. The default is 2.
    pub readers: usize,
    /// Size of the page cache of each connection in KiB. The default is 768.
    pub cache_kib: u32,
    /// Minimum number of events to keep. The default is 100,000.
    pub kept_events: u64,
    /// Maximum size of the database in KiB. `None` means no limit.
    pub max_kib: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 2, cache_kib: 768, kept_events: 100_000, max_kib: None }
    }
}

impl SqliteStore {
    /// Size in bytes to which a longer write-ahead log is truncated. The log is never truncated to a smaller size.
    pub const MAX_WAL_BYTES: u64 = 8 << 20;

    /// Opens the database at `path`. Creates the database if it does not exist.
    ///
    /// # Errors
    /// Returns [`StoreError::Corrupt`] or [`StoreError::Format`] if the file is not a longhaul database or was
    /// written by a newer version; the file is not changed. Returns [`StoreError::ReadOnly`] if the file is not
    /// writable, and [`StoreError::Unavailable`] if it cannot be opened.
    pub fn open(path: &Path, clock: Arc<dyn Clock>, options: SqliteOptions) -> Result<Self, StoreError> {
        opening::prepare(path)?;
        let connection = opening::connect(path, &options)?;
        opening::for_writing(&connection, &options).map_err(|error| failure::at_opening(path, error))?;
        let write_connection = WriteConnection::open(connection, Arc::clone(&clock), options.kept_events)
            .map_err(|halt| halt.or_at_opening(path))?;
        let readers = (0..options.readers.max(1))
            .map(|_| {
                let connection = opening::connect(path, &options)?;
                opening::for_reading(&connection).map_err(|error| failure::at_opening(path, error))?;
                Ok(connection)
            })
            .collect::<Result<Vec<Connection>, StoreError>>()?;
        let notifiers = Arc::new(NodeNotifiers::default());
        let (has_new_processes, newest) = watch::channel(write_connection.newest());
        Ok(Self {
            path: path.to_owned(),
            clock,
            issued: Arc::new(IssuedRows::default()),
            newest,
            readers: QueryThreads::start(readers)?,
            writer: DatabaseThread::start(write_connection, Arc::clone(&notifiers), has_new_processes)?,
            notifiers,
        })
    }

    /// Checks the integrity of the database at `path` without changing any file. Returns `None` if there is no
    /// database.
    ///
    /// # Errors
    /// Returns the same errors as [`SqliteStore::open`].
    pub fn look(path: &Path) -> Result<Option<DatabaseState>, StoreError> {
        opening::look(path)
    }

    /// Returns the cursor of the newest event in the database at `path` without changing any file. Returns `None` if
    /// there is no database.
    ///
    /// # Errors
    /// Returns the same errors as [`SqliteStore::open`].
    pub fn end_of(path: &Path) -> Result<Option<EventCursor>, StoreError> {
        opening::end(path)
    }

    /// Executes one durable write. `op` identifies the write, so that the store recognises a repetition after a lost
    /// reply.
    async fn write<T: Send + 'static>(
        &self,
        op: impl Into<Option<OpId>> + Send,
        step: impl Fn(&mut WriteConnection) -> Result<T, StepAbort> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.apply(op.into(), SyncMode::Durable, step).await
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StepAbort> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.ask(query).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
