//! Paged access to the event log, for readers that keep their own cursor.

use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::{Deadline, ProcessId, Timestamp};
use longhaul_ports::{EventCursor, EventPage, StoredProcess, WallTime};
use std::time::Duration;

impl Engine {
    /// Returns a page of the event log after a cursor, or from the oldest stored event without a cursor. With `wait`,
    /// waits for an event; an empty page then means that the engine has ended.
    ///
    /// The engine stores no state for the reader. A slow reader misses only events that the log has dropped, and the
    /// page reports that gap.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the log cannot be read.
    pub async fn log(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, EngineError> {
        let store = &self.core.parts.store;
        let mut over = self.core.listeners.over.subscribe();
        if wait && !*over.borrow_and_update() {
            tokio::select! {
                page = store.read(after, limit, true) => return Ok(page?),
                _ = over.wait_for(|over| *over) => {}
            }
        }
        // The engine has ended, but events that were committed before are still returned.
        Ok(store.read(after, limit, false).await?)
    }

    /// Returns the cursor of the newest event.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the log cannot be read.
    pub async fn log_end(&self) -> Result<EventCursor, EngineError> {
        Ok(self.core.parts.store.end().await?)
    }

    /// Returns the records of the given ids, in the same order, with `None` for an unknown id or a damaged record.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn processes(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, EngineError> {
        let found = self.core.parts.store.load_each(ids).await?;
        Ok(found.into_iter().map(|stored| stored.ok().flatten()).collect())
    }

    /// Returns the current wall-clock time.
    #[must_use]
    pub fn wall(&self) -> WallTime {
        self.core.parts.clock.wall()
    }

    /// Waits until the given time. Returns immediately if the time has passed.
    pub async fn sleep_until(&self, moment: Timestamp) {
        self.core.parts.clock.sleep_until(Deadline::At(moment)).await;
    }

    /// Waits for a duration. The time in which the machine is suspended does not count.
    pub async fn sleep(&self, span: Duration) {
        let until = self.core.parts.clock.awake().plus(span);
        self.core.parts.clock.sleep_until(Deadline::Awake(until)).await;
    }

    /// Waits until the engine has ended.
    pub async fn over(&self) {
        let mut over = self.core.listeners.over.subscribe();
        // An error means that the sender was dropped, so the engine has ended.
        let _ = over.wait_for(|over| *over).await;
    }

    /// Returns an unpredictable random number.
    #[must_use]
    pub fn chance(&self) -> u64 {
        self.core.parts.ids.chance().0
    }
}
