//! The event log: a trimmed history with a cursor.

use crate::StoreError;
use async_trait::async_trait;
use longhaul_domain::{Event, ProcessId, Revision};
use std::fmt::Debug;

/// What became true, in one order for the whole store. At least the newest 100,000 events are kept.
#[async_trait]
pub trait EventLog: Debug + Send + Sync + 'static {
    /// At most `most` events after a place, oldest first; from the oldest kept without one. With `wait` it parks until
    /// there is at least one. Events of one process stand in the order of their revisions and indexes.
    ///
    /// The page says `gap` when events after the cursor were trimmed; it then begins with the oldest kept.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn read(&self, after: Option<EventCursor>, most: u32, wait: bool) -> Result<EventPage, StoreError>;

    /// The place after the newest event: whoever reads from here sees only what happens from now on.
    ///
    /// # Errors
    /// Only when the store as a whole cannot be read.
    async fn end(&self) -> Result<EventCursor, StoreError>;
}

/// A place in the event log. It only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventCursor(pub u64);

/// One event in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its place.
    pub cursor: EventCursor,
    /// Of which process.
    pub id: ProcessId,
    /// The revision of the commit that it came with.
    pub revision: Revision,
    /// Its place within that commit.
    pub index: u32,
    /// The event.
    pub event: Event,
}

/// One page of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<LoggedEvent>,
    /// Events between the cursor and this page are no longer kept.
    pub gap: bool,
}
