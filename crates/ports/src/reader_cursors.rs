//! Places in the event log that outlive the manager.

use crate::{BoxedError, EventCursor};
use async_trait::async_trait;
use std::fmt::Debug;

/// Keeps how far readers of the event log have come, by their names.
#[async_trait]
pub trait ReaderCursors: Debug + Send + Sync + 'static {
    /// How far this reader has come; none if it never kept anything.
    ///
    /// # Errors
    /// [`ReaderCursorError`] if it cannot be told, also for what is kept but makes no sense.
    async fn find(&self, reader: &str) -> Result<Option<EventCursor>, ReaderCursorError>;

    /// Keeps how far it has come: durable on `Ok`, and after a crash either this or what was kept before.
    ///
    /// # Errors
    /// [`ReaderCursorError`] if it cannot be kept.
    async fn keep(&self, reader: &str, place: EventCursor) -> Result<(), ReaderCursorError>;

    /// Notes how far it has come, cheaply: on `Ok` it outlives this program, however that ends. After a power cut either
    /// this is found, or an earlier note, or what was kept last. What is kept later replaces every note.
    ///
    /// # Errors
    /// [`ReaderCursorError`] if it cannot be noted.
    async fn note(&self, reader: &str, place: EventCursor) -> Result<(), ReaderCursorError>;

    /// Closes the mail of this reader until somebody outside opens it again: durable on `Ok`. Its place stays.
    ///
    /// # Errors
    /// [`ReaderCursorError`] if that cannot be kept.
    async fn close(&self, reader: &str, why: &str) -> Result<(), ReaderCursorError>;

    /// Whether, and why, it was closed.
    ///
    /// # Errors
    /// [`ReaderCursorError`] if it cannot be told.
    async fn closed(&self, reader: &str) -> Result<Option<ClosedReader>, ReaderCursorError>;

    /// Opens it again; nothing happens to one that is open.
    ///
    /// # Errors
    /// [`ReaderCursorError`] if it stays closed.
    async fn reopen(&self, reader: &str) -> Result<(), ReaderCursorError>;
}

/// That a reader wants nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedReader {
    /// Why, as it was closed.
    pub why: String,
    /// What a person does to open it.
    pub remedy: String,
}

/// Why a place cannot be found or kept.
#[derive(Debug, thiserror::Error)]
#[error("the cursor of {reader} cannot be {tried}")]
pub struct ReaderCursorError {
    /// Whose.
    pub reader: String,
    /// What was tried: to have it `read`, `kept`, `noted`, `closed` or `opened`.
    pub tried: &'static str,
    /// Why.
    #[source]
    pub source: BoxedError,
}
