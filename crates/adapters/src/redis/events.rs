use super::RedisStore;
use super::codec::{event, id};
use super::failure::{about, corrupt};
use super::reply::ScriptReply;
use super::script::{END, EVENTS, ScriptArgs};
use async_trait::async_trait;
use longhaul_domain::Revision;
use longhaul_ports::{EventCursor, EventLog, EventPage, LoggedEvent, StoreError};

/// Maximum number of events on a page.
const MAX_PAGE: u32 = 10_000;
/// Advice for an entry of the stream that is not a valid event.
const SKIPPED_HELP: &str = "the event is skipped; find out which other program writes to the namespace";
/// Upper limit of event cursors: larger than every real cursor, and exactly representable as a Lua number.
const LAST: u64 = 1 << 52;

#[async_trait]
impl EventLog for RedisStore {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        let mut waiter = self.notifications.waiter();
        loop {
            waiter.open();
            let page = self.events(after, limit.clamp(1, MAX_PAGE)).await?;
            if !wait || !page.events.is_empty() {
                return Ok(page);
            }
            waiter.notified().await;
        }
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        self.link.read(&END, ScriptArgs::default()).await?.number().map(EventCursor)
    }
}

impl RedisStore {
    async fn events(&self, after: Option<EventCursor>, limit: u32) -> Result<EventPage, StoreError> {
        let mut page = EventPage::default();
        let mut passed_over = false;
        let mut from = after.map_or(0, |after| after.0.min(LAST));
        // Entries that another program wrote are skipped, regardless of their number.
        while page.events.is_empty() {
            let mut args = ScriptArgs::default();
            args.number(from).number(limit.into());
            let mut reply = self.link.read(&EVENTS, args).await?;
            if reply.is_empty() {
                break;
            }
            while !reply.is_empty() {
                let (place, event) = entry(&mut reply.list()?)?;
                from = from.max(place.0.min(LAST));
                match event {
                    Ok(event) => page.events.push(event),
                    Err(error) => {
                        self.named.name(&error);
                        passed_over = true;
                    }
                }
            }
        }
        // Cursors are assigned without gaps. If the first event of the page has a later cursor, earlier events are
        // lost.
        let is_behind = match (after, page.events.first()) {
            (Some(after), Some(first)) => first.cursor.0 > after.0.saturating_add(1),
            (Some(_) | None, _) => false,
        };
        page.gap = is_behind || passed_over;
        Ok(page)
    }
}

/// Decodes one entry of the event stream: its cursor and its event.
pub(super) fn entry(
    entry: &mut ScriptReply,
) -> Result<(EventCursor, Result<LoggedEvent, StoreError>), StoreError> {
    let place = entry.word()?;
    let cursor = place.split_once('-').and_then(|(cursor, _)| cursor.parse().ok()).map(EventCursor);
    let cursor = cursor.ok_or_else(|| corrupt("an event has no position"))?;
    let logged =
        logged(cursor, entry).map_err(|error| about(format_args!("event {place}"), SKIPPED_HELP, error));
    Ok((cursor, logged))
}

/// Decodes the fields of an entry by name.
fn logged(cursor: EventCursor, entry: &mut ScriptReply) -> Result<LoggedEvent, StoreError> {
    let mut fields = entry.list()?;
    let (mut process, mut revision, mut index, mut body) = (None, None, None, None);
    while !fields.is_empty() {
        match fields.word()?.as_str() {
            "i" => process = Some(id(&fields.bytes()?)?),
            "r" => revision = Some(Revision(fields.number()?)),
            "n" => index = u32::try_from(fields.number()?).ok(),
            "b" => body = Some(event(&fields.word()?)?),
            _ => drop(fields.bytes()?),
        }
    }
    match (process, revision, index, body) {
        (Some(id), Some(revision), Some(index), Some(event)) => {
            Ok(LoggedEvent { cursor, id, revision, index, event })
        }
        _ => Err(corrupt("an event lacks some of its fields")),
    }
}
