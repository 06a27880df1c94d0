//! Places in the event log that outlive the manager.

use crate::{Cursor, Source};
use async_trait::async_trait;
use std::fmt::Debug;

/// Keeps how far readers of the event log have come, by their names.
#[async_trait]
pub trait Bookmarks: Debug + Send + Sync + 'static {
    /// How far this reader has come; none if it never kept anything.
    ///
    /// # Errors
    /// [`BookmarkError`] if it cannot be told, also for what is kept but makes no sense.
    async fn find(&self, reader: &str) -> Result<Option<Cursor>, BookmarkError>;

    /// Keeps how far it has come: durable on `Ok`, and after a crash either this or what was kept before.
    ///
    /// # Errors
    /// [`BookmarkError`] if it cannot be kept.
    async fn keep(&self, reader: &str, place: Cursor) -> Result<(), BookmarkError>;
}

/// Why a place cannot be found or kept.
#[derive(Debug, thiserror::Error)]
#[error("the place of {reader} cannot be {tried}")]
pub struct BookmarkError {
    /// Whose.
    pub reader: String,
    /// What was tried: `read` or `kept`.
    pub tried: &'static str,
    /// Why.
    #[source]
    pub source: Source,
}
