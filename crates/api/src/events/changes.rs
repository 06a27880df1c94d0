//! What changes, for those who look at it anew then.

use crate::api::Api;
use crate::error::ApiError;
use crate::events::EventFilter;
use crate::events::log_reader::LogReader;
use crate::events::reader::{EventReader, ReaderItem};
use longhaul_domain::{Fact, ProcessId};

/// The changes of all processes from a moment on. Dropping it ends it.
#[derive(Debug)]
pub struct ChangeStream {
    reader: EventReader,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessChange {
    /// The state of one process, or what holds of it; not what a worker says it does.
    Of(ProcessId),
    /// Events are missing: anything may have.
    Anything,
}

impl Api {
    /// Tells what changes from now on.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn changes(&self) -> Result<ChangeStream, ApiError> {
        let trail = LogReader::from_now(&self.engine).await?;
        Ok(ChangeStream { reader: EventReader::of(&self.engine, &self.relay, trail, EventFilter::default()) })
    }
}

impl ChangeStream {
    /// Parks until something changes; none when the engine has ended. Dropping the call loses nothing.
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
