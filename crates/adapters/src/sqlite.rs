//! The store of one machine: a SQLite database in WAL mode.
//!
//! One thread writes: it takes every operation that waits, applies each under a savepoint of its own so that a refusal
//! undoes nothing else, commits them together, and answers only when the commit is durable. Threads beside it read.
//! After a commit that failed on the disk nothing more is acknowledged until the store is opened again.
//!
//! Heads are columns, bodies are the records of [`longhaul_wire::record`]. What was asked for is written once, what
//! changes is written with each commit. Who is called, and which due rows were handed out, is kept in memory: one
//! manager at a time uses a database.

mod answers;
mod claim;
mod class;
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
/// It may be opened and dropped anywhere; both do I/O and may take some milliseconds.
pub struct SqliteStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    notifiers: Arc<NodeNotifiers>,
    issued: Arc<IssuedRows>,
    /// The place of the newest event.
    newest: watch::Receiver<EventCursor>,
    // Dropped in this order: who closes the database last tidies it up, and that must be the writer.
    readers: QueryThreads,
    writer: DatabaseThread,
}

/// How a database is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Threads that read, each with a connection; 2 by default.
    pub readers: usize,
    /// Memory for pages of each connection, in KiB; 768 by default.
    pub cache_kib: u32,
    /// Events that are kept at least; 100,000 by default.
    pub kept_events: u64,
    /// The most that the database may take, in KiB; none means as much as the disk has.
    pub most_kib: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 2, cache_kib: 768, kept_events: 100_000, most_kib: None }
    }
}

impl SqliteStore {
    /// A log in use that is longer is truncated to this length, in bytes, and never to less.
    pub const MAX_WAL_BYTES: u64 = 8 << 20;

    /// Opens the database at `path`, or makes a new one if there is none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and [`StoreError::Format`] if the file is not one of ours or of a newer program: it was
    /// left untouched. [`StoreError::ReadOnly`] if it may not be written, [`StoreError::Unavailable`] if it cannot be
    /// opened.
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
        let (grown, newest) = watch::channel(write_connection.newest());
        Ok(Self {
            path: path.to_owned(),
            clock,
            issued: Arc::new(IssuedRows::default()),
            newest,
            readers: QueryThreads::start(readers)?,
            writer: DatabaseThread::start(write_connection, Arc::clone(&notifiers), grown)?,
            notifiers,
        })
    }

    /// Looks whether the database at `path` is whole, without leaving a trace; none if there is none.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn look(path: &Path) -> Result<Option<DatabaseState>, StoreError> {
        opening::look(path)
    }

    /// The place of the newest event in the database at `path`, read without leaving a trace; none if there is no database.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn end_of(path: &Path) -> Result<Option<EventCursor>, StoreError> {
        opening::end(path)
    }

    /// One durable step; `op` names it where its answer may get lost.
    async fn write<T: Send + 'static>(
        &self,
        op: impl Into<Option<OpId>> + Send,
        step: impl Fn(&mut WriteConnection) -> Result<T, StepAbort> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.apply(op.into(), SyncMode::Durable, step).await
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StepAbort> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.ask(question).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
