use super::SqliteStore;
use super::failure::{StepAbort, closed};
use super::row;
use async_trait::async_trait;
use longhaul_domain::Revision;
use longhaul_ports::{EventCursor, EventLog, EventPage, LoggedEvent, StoreError};
use longhaul_wire::record;
use rusqlite::{Connection, Row, params};

/// Maximum number of events on a page.
const MAX_PAGE: u32 = 10_000;

#[async_trait]
impl EventLog for SqliteStore {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        let mut newest = self.newest.clone();
        loop {
            if let Some(after) = after.filter(|_| wait) {
                // Wait until a new event may exist, to avoid a useless query.
                newest.wait_for(|newest| *newest > after).await.map_err(|_| closed())?;
            }
            // Mark the newest event as seen before the query, so that an event that is logged during the query counts
            // as new.
            newest.mark_unchanged();
            let page = self.read(move |connection| page(connection, after, limit.clamp(1, MAX_PAGE))).await?;
            if !wait || !page.events.is_empty() {
                return Ok(page);
            }
            newest.changed().await.map_err(|_| closed())?;
        }
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        self.read(|connection| {
            // The newest event has the highest cursor, because it is never deleted.
            let last: Option<i64> = connection
                .prepare_cached("SELECT max(cursor) FROM event")?
                .query_row([], |row| row.get(0))?;
            Ok(EventCursor(last.map_or(0, row::uint)))
        })
        .await
    }
}

fn page(connection: &Connection, after: Option<EventCursor>, limit: u32) -> Result<EventPage, StepAbort> {
    let mut page = EventPage::default();
    let mut from = after.map_or(0, |after| row::int(after.0));
    let mut passed_over = false;
    // Damaged events are skipped, regardless of their number.
    while page.events.is_empty() {
        let mut statement = connection.prepare_cached(
            "SELECT cursor, id, revision, idx, body FROM event WHERE cursor > ?1 ORDER BY cursor LIMIT ?2",
        )?;
        let mut rows = statement.query(params![from, limit])?;
        let before = from;
        while let Some(row) = rows.next()? {
            from = row.get(0)?;
            match logged(row) {
                Ok(event) => page.events.push(event),
                Err(StepAbort::Answer(error)) if error.is_damage() => {
                    tracing::error!(cursor = from, %error, "skipped a damaged event");
                    passed_over = true;
                }
                Err(halt) => return Err(halt),
            }
        }
        if from == before {
            break;
        }
    }
    // Cursors have no gaps. If the first event of the page has a later cursor, earlier events were deleted.
    let is_behind = match (after, page.events.first()) {
        (Some(after), Some(first)) => first.cursor.0 > after.0.saturating_add(1),
        (Some(_) | None, _) => false,
    };
    page.gap = is_behind || passed_over;
    Ok(page)
}

fn logged(row: &Row<'_>) -> Result<LoggedEvent, StepAbort> {
    let body = row.get_ref(4)?.as_str().map_err(row::unreadable)?;
    Ok(LoggedEvent {
        cursor: EventCursor(row::uint(row.get(0)?)),
        id: row::id(row.get(1)?),
        revision: Revision(row::uint(row.get(2)?)),
        index: row.get(3)?,
        event: record::decode_event(body)?,
    })
}
