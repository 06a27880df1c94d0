//! Event streams for clients.
//!
//! Each subscriber reads the event log at its own pace and has its own cursor. A slow subscriber does not delay other
//! subscribers and needs only one page of memory. If the log deletes events that a subscriber has not read yet, the
//! stream reports a gap and continues after the gap.

mod broadcast;
mod changes;
pub(crate) mod envelope;
pub(crate) mod log_reader;
pub(crate) mod place;
pub(crate) mod reader;
mod scope;
mod serialized;
mod shape;
mod subject;
mod tail;

use crate::api::Api;
use crate::convert::rfc3339;
use crate::error::ApiError;
pub use broadcast::EventBroadcast;
pub use changes::{ChangeStream, ProcessChange};
use envelope::gap;
use futures_util::stream::{self, Stream};
use log_reader::LogReader;
use longhaul_domain::{ProcessId, SessionId};
use longhaul_engine::Engine;
use longhaul_engine::ports::EventCursor;
use longhaul_wire::event::{EventKind, EventsRequest};
use place::{cursor_text, read_cursor};
use reader::{EventReader, ReaderItem};
pub use scope::ProcessScope;
pub use serialized::SerializedEvent;
pub(crate) use shape::EventSnapshot;
pub(crate) use subject::EventSubject;

/// An item of an event stream.
#[derive(Clone, Debug, PartialEq)]
pub enum EventItem {
    /// An event. The events of one process arrive in order, and each event has a permanent id.
    Event(SerializedEvent),
    /// Events are missing, because the log has deleted them or was recreated. The stream continues after the gap.
    Gap(SerializedEvent),
    /// All existing events have been delivered; the items that follow are new events. This item is sent only once.
    CaughtUp {
        /// Cursor from which the stream continues.
        cursor: String,
    },
}

/// A stream of events. Dropping the value ends the stream.
#[derive(Debug)]
pub struct Events {
    engine: Engine,
    reader: EventReader,
    read: Option<EventCursor>,
}

/// Filter for events. An empty field matches all events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventFilter {
    pub(crate) session: Option<SessionId>,
    pub(crate) process: Option<ProcessId>,
    pub(crate) kinds: Vec<EventKind>,
}

impl Api {
    /// Returns the events after the cursor of the request. With `follow`, the stream also waits for new events. If the
    /// request has no cursor, the stream starts at the end of the log with `follow`, and at the oldest stored event
    /// without `follow`.
    ///
    /// # Errors
    /// Returns an error if the request is invalid, or if the log cannot be read.
    pub async fn events(&self, request: &EventsRequest) -> Result<Events, ApiError> {
        let engine = &self.engine;
        let session = request.session.as_deref().map(str::parse).transpose()?;
        let process = match &request.process {
            Some(reference) => Some(engine.find(reference).await?),
            None => None,
        };
        let wanted = EventFilter { session, process, kinds: kinds(&request.types)? };
        let log_reader = match request.after.as_deref() {
            Some(after) => LogReader::after(engine, read_cursor(after)?, request.follow).await?,
            None if request.follow => LogReader::from_now(engine).await?,
            None => LogReader::after(engine, None, false).await?,
        };
        Ok(Events::of(engine, EventReader::of(engine, &self.relay, log_reader, wanted)))
    }
}

impl Events {
    pub(crate) fn of(engine: &Engine, reader: EventReader) -> Self {
        Self { engine: engine.clone(), reader, read: None }
    }

    /// Waits for the next item. Returns `None` at the end of the stream, or when the engine has shut down.
    ///
    /// # Cancel safety
    /// Dropping the call loses no item.
    pub async fn next(&mut self) -> Option<EventItem> {
        loop {
            if let Some(reported) = self.step().await? {
                return Some(reported);
            }
        }
    }

    /// Reads one item of the event log. The inner value is `None` if the filter excludes the item.
    pub(crate) async fn step(&mut self) -> Option<Option<EventItem>> {
        let seen = self.reader.look().await?;
        let place = seen.place();
        let reported = match seen {
            ReaderItem::Event(shape) => shape.telling(&self.engine).await.map(EventItem::Event),
            ReaderItem::Unwanted(_) => None,
            ReaderItem::Gap { from, to } => {
                let now = rfc3339(self.engine.now());
                Some(EventItem::Gap(SerializedEvent::of(gap(*from, *to, now, self.engine.node()))))
            }
            ReaderItem::CaughtUp(place) => Some(EventItem::CaughtUp { cursor: cursor_text(*place) }),
        };
        self.reader.take();
        self.read = Some(place);
        Some(reported)
    }

    /// Returns the cursor behind the last item that the stream has read, even if the filter excluded this item. Returns
    /// `None` before the first item.
    pub(crate) const fn read(&self) -> Option<EventCursor> {
        self.read
    }

    /// Converts the event stream to a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = EventItem> + Send + 'static {
        stream::unfold(self, |mut events| async move { Some((events.next().await?, events)) })
    }
}

impl EventFilter {
    /// Returns a filter for the events of one session, or for all events if `session` is `None`.
    pub(crate) fn of_session(session: Option<SessionId>) -> Self {
        Self { session, ..Self::default() }
    }

    fn is_of_process(&self, id: ProcessId) -> bool {
        self.process.is_none_or(|process| process == id)
    }

    fn is_of_session(&self, subject: Option<&EventSubject>) -> bool {
        let is_of = |session| subject.is_some_and(|subject| subject.session.as_ref() == Some(session));
        self.session.as_ref().is_none_or(is_of)
    }

    fn is_of_kind(&self, kind: Option<EventKind>) -> bool {
        self.kinds.is_empty() || kind.is_some_and(|kind| self.kinds.contains(&kind))
    }
}

/// Parses the names of event types. Each text may contain several comma-separated names.
pub(crate) fn kinds(words: &[String]) -> Result<Vec<EventKind>, ApiError> {
    let words =
        words.iter().flat_map(|words| words.split(',')).map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            word.parse().map_err(|error| {
                let all = EventKind::ALL.map(EventKind::as_str).join(", ");
                ApiError::unreadable("event", word, &error).help(format!("the types are {all}"))
            })
        })
        .collect()
}
