//! Port for the event log: a bounded history that is read with a cursor.

use crate::StoreError;
use async_trait::async_trait;
use longhaul_domain::{Event, ProcessId, Revision};
use std::fmt::Debug;

/// The committed events of all processes, in one order for the whole store. The store retains at least the newest
/// 100,000 events.
#[async_trait]
pub trait EventLog: Debug + Send + Sync + 'static {
    /// Reads at most `limit` events after a cursor, oldest first. Without a cursor, the page starts with the oldest
    /// stored event. With `wait`, the call waits until there is at least one event. The events of one process are
    /// ordered by revision and index.
    ///
    /// If events after the cursor were trimmed, the page has `gap` set and starts with the oldest stored event.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn read(&self, after: Option<EventCursor>, limit: u32, wait: bool)
    -> Result<EventPage, StoreError>;

    /// Returns the cursor after the newest event. A reader that starts at this cursor gets only later events.
    ///
    /// # Errors
    /// Fails only if the store as a whole cannot be read.
    async fn end(&self) -> Result<EventCursor, StoreError>;
}

/// A position in the event log. Later events have greater cursors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventCursor(pub u64);

/// One event in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Position of the event in the log.
    pub cursor: EventCursor,
    /// Process that the event belongs to.
    pub id: ProcessId,
    /// Revision of the process after the commit that contains the event.
    pub revision: Revision,
    /// Index of the event within its commit.
    pub index: u32,
    /// Content of the event.
    pub event: Event,
}

/// One page of the event log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// Events of the page, oldest first.
    pub events: Vec<LoggedEvent>,
    /// True if events between the requested cursor and this page were trimmed from the log.
    pub gap: bool,
}
