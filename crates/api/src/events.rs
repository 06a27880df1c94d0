//! Events, as subscribers are told of them.
//!
//! Each subscriber reads the event log at his own pace and keeps his place: whoever reads slowly, or not at all, costs
//! a page of memory and holds nobody up. What the log lets go of meanwhile is told as a gap, and the stream goes on.

mod broadcast;
mod changes;
pub(crate) mod envelope;
pub(crate) mod log_reader;
pub(crate) mod place;
pub(crate) mod reader;
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
pub use serialized::SerializedEvent;
pub(crate) use shape::EventSnapshot;
pub(crate) use subject::EventSubject;

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq)]
pub enum EventItem {
    /// Something became true. The events of one process come in their order, each with an id that it keeps for ever.
    Event(SerializedEvent),
    /// Events are missing: the log does not keep them any more, or was started anew. It goes on behind them.
    Gap(SerializedEvent),
    /// Everything that was there has been told. It comes once.
    CaughtUp {
        /// The place behind it.
        cursor: String,
    },
}

/// A stream of events. Dropping it ends it.
#[derive(Debug)]
pub struct Events {
    engine: Engine,
    reader: EventReader,
    read: Option<EventCursor>,
}

/// Which events somebody wants; empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventFilter {
    pub(crate) session: Option<SessionId>,
    pub(crate) process: Option<ProcessId>,
    pub(crate) kinds: Vec<EventKind>,
}

impl Api {
    /// Tells what became true, and with `follow` what becomes true from now on.
    ///
    /// # Errors
    /// The request makes no sense, or the log cannot be read.
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

    /// Parks until there is something to tell; none when it is over, because everything was told, or because the engine
    /// has ended. Dropping the call loses nothing.
    pub async fn next(&mut self) -> Option<EventItem> {
        loop {
            if let Some(told) = self.step().await? {
                return Some(told);
            }
        }
    }

    /// Goes one step on, also past what is not wanted, of which nothing is told.
    pub(crate) async fn step(&mut self) -> Option<Option<EventItem>> {
        let seen = self.reader.look().await?;
        let place = seen.place();
        let told = match seen {
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
        Some(told)
    }

    /// The place behind everything that was read, whether it was wanted or not; none before the first.
    pub(crate) const fn read(&self) -> Option<EventCursor> {
        self.read
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = EventItem> + Send + 'static {
        stream::unfold(self, |mut events| async move { Some((events.next().await?, events)) })
    }
}

impl EventFilter {
    /// Those of one session, or all.
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

/// Reads the words of events, each of which may be several between commas.
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
