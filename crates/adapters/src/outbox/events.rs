//! The event log, which is the store's alone.

// A method with a default would end here instead of in the store of many machines.
#![warn(clippy::missing_trait_methods)]

use super::Outboxed;
use async_trait::async_trait;
use longhaul_ports::{Cursor, EventLog, EventPage, StoreError};

#[async_trait]
impl EventLog for Outboxed {
    async fn read(&self, after: Option<Cursor>, most: u32, wait: bool) -> Result<EventPage, StoreError> {
        let page = self.asked(self.inner.read(after, most, wait)).await?;
        if let Some(last) = page.events.last() {
            let end = last.cursor;
            self.look(|shelf| shelf.note_mark(&self.keeper, |mark| mark.end = mark.end.max(end)));
        }
        Ok(page)
    }

    async fn end(&self) -> Result<Cursor, StoreError> {
        self.asked(self.inner.end()).await
    }
}
