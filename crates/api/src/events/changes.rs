//! What changes, for those who look at it anew then.

use crate::api::Api;
use crate::events::Wanted;
use crate::events::reader::{Reader, Seen};
use crate::events::trail::Trail;
use crate::fault::Fault;
use longhaul_domain::{Fact, ProcessId};

/// The changes of all processes from a moment on. Dropping it ends it.
#[derive(Debug)]
pub struct Changes {
    reader: Reader,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
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
    pub async fn changes(&self) -> Result<Changes, Fault> {
        let trail = Trail::from_now(&self.engine).await?;
        Ok(Changes { reader: Reader::of(&self.engine, &self.relay, trail, Wanted::default()) })
    }
}

impl Changes {
    /// Parks until something changes; none when the engine has ended. Dropping the call loses nothing.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            self.reader.look().await?;
            match self.reader.take()? {
                Seen::Event(shape) if !matches!(shape.logged.event.fact, Fact::StageChanged { .. }) => {
                    return Some(Change::Of(shape.logged.id));
                }
                Seen::Gap { .. } => return Some(Change::Anything),
                Seen::Event(_) | Seen::Unwanted(_) | Seen::CaughtUp(_) => {}
            }
        }
    }
}
