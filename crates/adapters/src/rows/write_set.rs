//! The writes of one transaction.

use super::key::RowKey;
use super::process_row::ProcessRow;
use longhaul_domain::{OpId, ProcessId};
use longhaul_ports::{EventCursor, LoggedEvent};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The writes of one transaction. Each key occurs once, with its final state.
#[derive(Clone, Debug, Default)]
pub struct WriteSet {
    /// Rows by process id.
    pub rows: BTreeMap<ProcessId, RowWrite>,
    /// Index entries to insert or replace; `None` deletes an entry.
    pub entries: BTreeMap<RowKey, Option<ProcessId>>,
    /// Values to insert or replace; `None` deletes a value.
    pub values: BTreeMap<RowKey, Option<String>>,
    /// Events to append, in the order of their cursors.
    pub events: Vec<LoggedEvent>,
    /// Cursor up to which events are deleted from the event log; `None` deletes no events.
    pub trim: Option<EventCursor>,
    /// Operation that the write set belongs to, for [`StoreError::Unknown`](longhaul_ports::StoreError::Unknown).
    pub op: Option<OpId>,
    /// True if waiting readers need no notification, because the write set changes only live stats.
    pub quiet: bool,
}

/// The write of one row.
#[derive(Clone, Debug)]
pub enum RowWrite {
    /// Inserts the row, or replaces the whole row.
    Whole(Arc<ProcessRow>),
    /// Replaces the [changing](ProcessRow::changing_text) part of the row, which exists.
    Change(Arc<ProcessRow>),
    /// Deletes the row.
    Delete,
}

impl RowWrite {
    /// Returns the row, or `None` if the row is deleted.
    #[must_use]
    pub const fn row(&self) -> Option<&Arc<ProcessRow>> {
        match self {
            Self::Whole(row) | Self::Change(row) => Some(row),
            Self::Delete => None,
        }
    }
}

impl WriteSet {
    /// Returns true if the write set changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.entries.is_empty()
            && self.values.is_empty()
            && self.events.is_empty()
            && self.trim.is_none()
    }
}
