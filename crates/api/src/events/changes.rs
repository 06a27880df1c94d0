//! A stream of change notifications. A client that receives a notification queries the changed process again.

use crate::api::Api;
use crate::error::ApiError;
use crate::events::EventFilter;
use crate::events::log_reader::LogReader;
use crate::events::reader::{EventReader, ReaderItem};
use longhaul_domain::{Fact, ProcessId};

/// Stream of change notifications for all processes. Dropping the value ends the stream.
#[derive(Debug)]
pub struct ChangeStream {
    reader: EventReader,
}

/// A change notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessChange {
    /// The state or a condition of this process has changed. Changes to its progress or stage are not reported.
    Of(ProcessId),
    /// Events are missing, so any process may have changed.
    Anything,
}

impl Api {
    /// Returns a stream of the changes that happen from now on.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read.
    pub async fn changes(&self) -> Result<ChangeStream, ApiError> {
        let trail = LogReader::from_now(&self.engine).await?;
        Ok(ChangeStream { reader: EventReader::of(&self.engine, &self.relay, trail, EventFilter::default()) })
    }
}

impl ChangeStream {
    /// Waits for the next change. Returns `None` when the engine has shut down. Cancel safe: dropping the call loses no
    /// change.
    pub async fn next(&mut self) -> Option<ProcessChange> {
        loop {
            self.reader.look().await?;
            match self.reader.take()? {
                ReaderItem::Event(shape) if !matches!(shape.logged.event.fact, Fact::StageChanged { .. }) => {
                    return Some(ProcessChange::Of(shape.logged.id));
                }
                ReaderItem::Gap { .. } => return Some(ProcessChange::Anything),
                ReaderItem::Event(_) | ReaderItem::Unwanted(_) | ReaderItem::CaughtUp(_) => {}
            }
        }
    }
}
