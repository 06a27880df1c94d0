//! Port for storing the position of each reader of the event log, so that the position survives a restart of the
//! manager.

use crate::{BoxedError, EventCursor};
use async_trait::async_trait;
use std::fmt::Debug;

/// Stores the cursor of each reader of the event log under the name of the reader.
#[async_trait]
pub trait ReaderCursors: Debug + Send + Sync + 'static {
    /// Returns the stored cursor of a reader. Returns `None` if no cursor was stored for the reader.
    ///
    /// # Errors
    /// Returns [`ReaderCursorError`] if the cursor cannot be read or the stored data is invalid.
    async fn find(&self, reader: &str) -> Result<Option<EventCursor>, ReaderCursorError>;

    /// Stores the cursor of a reader. The write is durable on `Ok`. After a crash during the call, `find` returns
    /// either the new or the previous cursor.
    ///
    /// # Errors
    /// Returns [`ReaderCursorError`] if the cursor cannot be stored.
    async fn keep(&self, reader: &str, place: EventCursor) -> Result<(), ReaderCursorError>;

    /// Stores the cursor of a reader without syncing it to disk, which is cheaper than [`keep`](Self::keep). On `Ok`,
    /// the stored note survives any end of this program. After a power failure, `find` returns this note, an earlier
    /// note or the cursor of the latest `keep`. The next `keep` replaces every note.
    ///
    /// # Errors
    /// Returns [`ReaderCursorError`] if the cursor cannot be stored.
    async fn note(&self, reader: &str, place: EventCursor) -> Result<(), ReaderCursorError>;

    /// Closes a reader: it receives no deliveries until a user reopens it. The write is durable on `Ok`. The cursor of
    /// the reader does not change.
    ///
    /// # Errors
    /// Returns [`ReaderCursorError`] if the closure cannot be stored.
    async fn close(&self, reader: &str, why: &str) -> Result<(), ReaderCursorError>;

    /// Returns the reason why a reader was closed. Returns `None` if the reader is open.
    ///
    /// # Errors
    /// Returns [`ReaderCursorError`] if the stored data cannot be read.
    async fn closed(&self, reader: &str) -> Result<Option<ClosedReader>, ReaderCursorError>;

    /// Reopens a reader. Does nothing if the reader is open.
    ///
    /// # Errors
    /// Returns [`ReaderCursorError`] if the reader could not be reopened.
    async fn reopen(&self, reader: &str) -> Result<(), ReaderCursorError>;
}

/// A closed reader, which receives no deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedReader {
    /// Reason that was given when the reader was closed.
    pub why: String,
    /// Instruction for a user on how to reopen the reader.
    pub remedy: String,
}

/// An error of reading or changing the stored state of a reader.
#[derive(Debug, thiserror::Error)]
#[error("the cursor of {reader} cannot be {tried}")]
pub struct ReaderCursorError {
    /// Name of the reader.
    pub reader: String,
    /// Failed operation as a past participle for the message: `read`, `kept`, `noted`, `closed` or `opened`.
    pub tried: &'static str,
    /// Underlying error.
    #[source]
    pub source: BoxedError,
}
