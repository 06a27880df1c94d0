//! The event log.

use super::transaction::StoreTransaction;
use longhaul_ports::{EventCursor, EventPage, StoreError};

impl StoreTransaction<'_> {
    pub(crate) async fn event_page(
        &mut self,
        after: Option<EventCursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let start = after.unwrap_or_default();
        let events = self.events(start, limit).await?;
        let follows = events.first().is_none_or(|first| first.cursor.0 <= start.0.saturating_add(1));
        let gap = match after {
            Some(after) if !follows => {
                // Cursors are also skipped without events, so only the oldest event shows whether events were trimmed.
                let first = self.events(EventCursor(0), 1).await?;
                first.first().is_some_and(|first| after.0.saturating_add(1) < first.cursor.0)
            }
            Some(_) | None => false,
        };
        Ok(EventPage { events, gap })
    }
}
