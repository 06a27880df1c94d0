//! A small port for databases, and a store on top of it that implements all rules once.
//!
//! [`Rows`] is what a database has to do: read rows, index entries and values inside a transaction, and commit a
//! [`WriteSet`] completely or not at all. [`StoreOn`] implements every trait of a store on top of [`Rows`]: the guards
//! of a submission, the order of claims, leases, output tails, the restore of lost records, and the copy of a whole
//! store. The rules are the same for every database, because they are written in terms of the domain.
//!
//! A database contains four kinds of data:
//!
//! - **Rows**: one [`ProcessRow`] for each process, found by its id. A database stores the texts
//!   [`fixed_text`](ProcessRow::fixed_text) and [`changing_text`](ProcessRow::changing_text).
//! - **Index entries**: ordered [keys](RowKey), each of which leads to a process. [`StoreOn`] decides which entries a
//!   row has; a database only keeps them in order.
//! - **Values**: ordered keys, each with a short text: counters, nodes, the queue policy, the id of the cluster key,
//!   launch keys, answers to earlier writes.
//! - **Events**: the event log, in the order of the cursors. [`StoreOn`] assigns the cursors.

mod change_counter;
mod claim;
mod cluster_key;
mod codec;
mod commit;
mod decoded_values;
mod events;
mod index;
mod key;
mod leases;
mod list;
mod maintenance;
mod migrate;
mod process_row;
mod queues;
mod restore;
mod store_on;
mod submit;
mod transaction;
mod updates;
mod values;
mod write_set;

pub use change_counter::ChangeCounter;
pub use codec::{corrupt, event, event_text};
pub use key::{KeyRange, RowKey};
pub use process_row::ProcessRow;
pub use store_on::{LeaseTerms, StoreOn};
pub use write_set::{RowWrite, WriteSet};

pub(crate) use values::StoreCounters;

use async_trait::async_trait;
use longhaul_domain::{ProcessId, Timestamp};
use longhaul_ports::{EventCursor, LoggedEvent, SortOrder, StoreError};
use std::fmt::Debug;
use std::sync::Arc;

/// A database that contains rows, index entries, values and events.
///
/// What a database guarantees:
///
/// - **Serialised writers**: between [`begin`](Self::begin) with [`RowAccess::Write`] and the end of that transaction, no
///   other transaction of any program writes. A writing transaction sees everything that was committed before it began.
/// - **Consistent readers**: a reading transaction sees the content between two commits, and never a part of a commit.
/// - **All or nothing**: [`commit`](RowTransaction::commit) applies the whole write set or nothing of it, and returns
///   after the write set is durable. A transaction that is dropped changes nothing.
/// - **Honest answers**: if the answer to a commit was lost, the error is [`StoreError::Unknown`].
///   [`StoreError::Unavailable`] promises that nothing was applied.
/// - **Notification**: after a commit of any program, [`changes`](Self::changes) is notified. Notifications may be merged,
///   and additional ones are allowed. After an interruption of the connection, one notification is necessary.
///
/// Because writers are serialised and [`StoreOn`] numbers the events, events become visible in the order of their
/// cursors.
#[async_trait]
pub trait Rows: Debug + Send + Sync + 'static {
    /// Begins a transaction. A transaction that may write waits until it is the only one.
    ///
    /// # Errors
    /// Fails only if the database cannot be reached or cannot be used.
    async fn begin(&self, access: RowAccess) -> Result<Box<dyn RowTransaction>, StoreError>;

    /// Returns the counter that is notified of each commit.
    fn changes(&self) -> &ChangeCounter;

    /// Returns the maximum length of the [fixed text](ProcessRow::fixed_text) of a row in bytes. Returns `None` if the
    /// length is not limited.
    fn max_fixed_bytes(&self) -> Option<usize> {
        None
    }

    /// Returns the identity of the server that currently holds the data, for display and for
    /// [`History`](longhaul_ports::History).
    fn server(&self) -> String;
}

/// Purpose of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAccess {
    /// The transaction only reads.
    Read,
    /// The transaction may commit a write set.
    Write,
}

/// A transaction of a database. Its reads do not contain the write set, which the database first sees in
/// [`commit`](Self::commit).
#[async_trait]
pub trait RowTransaction: Send {
    /// Returns the present time. All nodes of a shared database must use the same clock, which is the clock of the
    /// database.
    fn now(&self) -> Timestamp;

    /// Returns the rows of these processes, in the order of `ids`. A row is `None` if the process has none.
    ///
    /// # Errors
    /// Fails only if the database as a whole cannot be read. A row that cannot be decoded has a result of its own.
    async fn rows(&mut self, ids: &[ProcessId]) -> Result<Vec<FoundRow>, StoreError>;

    /// Returns the first `limit` index entries of each range, in this order of the keys. The results are in the order
    /// of `ranges`.
    ///
    /// # Errors
    /// Fails only if the database cannot be read.
    async fn scan(
        &mut self,
        ranges: &[KeyRange],
        order: SortOrder,
        limit: u32,
    ) -> Result<Vec<Vec<(RowKey, ProcessId)>>, StoreError>;

    /// Returns the number of index entries of each range. Stops counting at `limit`.
    ///
    /// # Errors
    /// Fails only if the database cannot be read.
    async fn count(&mut self, ranges: &[KeyRange], limit: u32) -> Result<Vec<u32>, StoreError> {
        let found = self.scan(ranges, SortOrder::OldestFirst, limit).await?;
        Ok(found.iter().map(|entries| u32::try_from(entries.len()).unwrap_or(u32::MAX)).collect())
    }

    /// Returns the values with these keys, in the order of `keys`, with `None` for a missing value.
    ///
    /// # Errors
    /// Fails only if the database cannot be read.
    async fn values(&mut self, keys: &[RowKey]) -> Result<Vec<Option<String>>, StoreError>;

    /// Returns the first `limit` values in a range of keys, in the order of the keys.
    ///
    /// # Errors
    /// Fails only if the database cannot be read.
    async fn scan_values(
        &mut self,
        range: &KeyRange,
        limit: u32,
    ) -> Result<Vec<(RowKey, String)>, StoreError>;

    /// Returns the first `limit` events after a cursor, oldest first.
    ///
    /// # Errors
    /// Fails only if the database cannot be read, or if an event is damaged.
    async fn events(&mut self, after: EventCursor, limit: u32) -> Result<Vec<LoggedEvent>, StoreError>;

    /// Applies the write set and ends the transaction.
    ///
    /// # Errors
    /// - [`StoreError::Unknown`] if the write set may have been applied.
    /// - Any other error means that nothing was applied.
    async fn commit(self: Box<Self>, writes: WriteSet) -> Result<(), StoreError>;
}

/// Result of reading one row: the row, `None` if there is no such row, or the reason why it cannot be decoded.
pub type FoundRow = Result<Option<Arc<ProcessRow>>, StoreError>;
