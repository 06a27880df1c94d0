//! The event log as it is read page by page, by whoever keeps the place himself.

use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::{Deadline, ProcessId, Timestamp};
use longhaul_ports::{EventCursor, EventPage, StoredProcess, WallTime};
use std::time::Duration;

impl Engine {
    /// A page of the event log after a place, from the oldest event kept without one. With `wait` it parks until there is
    /// an event; an empty page then means that the engine has ended.
    ///
    /// Nothing is kept for whoever reads so: a reader that is slow costs nobody anything, and misses only what the log
    /// lets go of meanwhile, which the page says.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the log cannot be read.
    pub async fn log(
        &self,
        after: Option<EventCursor>,
        most: u32,
        wait: bool,
    ) -> Result<EventPage, EngineError> {
        let store = &self.core.parts.store;
        let mut over = self.core.listeners.over.subscribe();
        if wait && !*over.borrow_and_update() {
            tokio::select! {
                page = store.read(after, most, true) => return Ok(page?),
                _ = over.wait_for(|over| *over) => {}
            }
        }
        // What was committed before the end is still told.
        Ok(store.read(after, most, false).await?)
    }

    /// The place after the newest event.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the log cannot be read.
    pub async fn log_end(&self) -> Result<EventCursor, EngineError> {
        Ok(self.core.parts.store.end().await?)
    }

    /// The records of these ids, in the same order; none for an id that is not known, or whose record is damaged.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn processes(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, EngineError> {
        let found = self.core.parts.store.load_each(ids).await?;
        Ok(found.into_iter().map(|stored| stored.ok().flatten()).collect())
    }

    /// What a clock on the wall shows.
    #[must_use]
    pub fn wall(&self) -> WallTime {
        self.core.parts.clock.wall()
    }

    /// Returns when a moment has come, at once if it is past.
    pub async fn sleep_until(&self, moment: Timestamp) {
        self.core.parts.clock.sleep_until(Deadline::At(moment)).await;
    }

    /// Returns after a span in which this machine was awake.
    pub async fn sleep(&self, span: Duration) {
        let until = self.core.parts.clock.awake().plus(span);
        self.core.parts.clock.sleep_until(Deadline::Awake(until)).await;
    }

    /// Returns when the engine has ended.
    pub async fn over(&self) {
        let mut over = self.core.listeners.over.subscribe();
        // Without a sender it has ended as well.
        let _ = over.wait_for(|over| *over).await;
    }

    /// A number that nobody can foresee.
    #[must_use]
    pub fn chance(&self) -> u64 {
        self.core.parts.ids.chance().0
    }
}
