//! Event log of the outbox. All calls go to the shared store.

// Every method must be forwarded, because a default implementation would not call the shared store.
#![warn(clippy::missing_trait_methods)]

use super::OutboxStore;
use async_trait::async_trait;
use longhaul_ports::{EventCursor, EventLog, EventPage, StoreError};

#[async_trait]
impl EventLog for OutboxStore {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        let page = self.call(self.inner.read(after, limit, wait)).await?;
        if let Some(last) = page.events.last() {
            let end = last.cursor;
            self.with_index(|index| index.update_meta(&self.writer, |mark| mark.end = mark.end.max(end)));
        }
        Ok(page)
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        self.call(self.inner.end()).await
    }
}
