//! Reads events for one subscriber. While the reader is behind, it reads from the event log; at the end of the log, it
//! reads from the shared [broadcast](EventBroadcast).

use crate::events::EventFilter;
use crate::events::broadcast::{BroadcastItem, EventBroadcast, RelayItem, Subscriber};
use crate::events::log_reader::{LogItem, LogReader};
use crate::events::shape::EventSnapshot;
use crate::events::subject::SubjectCache;
use longhaul_engine::Engine;
use longhaul_engine::ports::EventCursor;
use std::sync::Arc;

/// Item that an event reader returns.
#[derive(Clone, Debug)]
pub(crate) enum ReaderItem {
    /// An event that matches the filter.
    Event(Arc<EventSnapshot>),
    /// An event that the filter excludes.
    Unwanted(EventCursor),
    /// Events are missing, because the log has deleted them or was recreated.
    Gap {
        /// Cursor of the last item before the gap. `None` if the gap starts at the beginning of the log.
        from: Option<EventCursor>,
        /// Cursor after which events are available again.
        to: EventCursor,
    },
    /// All existing events have been read. This item is sent only once and contains the current cursor.
    CaughtUp(EventCursor),
}

/// Reader of filtered events. It fetches events only when its caller needs them, so a slow caller costs one page of
/// memory.
#[derive(Debug)]
pub(crate) struct EventReader {
    engine: Engine,
    relay: EventBroadcast,
    wanted: EventFilter,
    trail: LogReader,
    subjects: SubjectCache,
    way: ReadMode,
    has_caught_up: bool,
    next: Option<ReaderItem>,
}

/// Source from which a reader gets its events.
#[derive(Debug)]
enum ReadMode {
    /// The event log, because the reader has not reached the end of the log yet.
    Own,
    /// The shared broadcast.
    Shared(Subscriber),
    /// The event log, permanently, because the shared broadcast has stopped.
    Last,
}

impl ReaderItem {
    /// Returns the cursor behind the item.
    pub(crate) fn place(&self) -> EventCursor {
        match self {
            Self::Event(shape) => shape.logged.cursor,
            Self::Gap { to, .. } => *to,
            Self::Unwanted(place) | Self::CaughtUp(place) => *place,
        }
    }
}

impl EventReader {
    /// Creates a reader that starts at the position of the log reader `trail`.
    pub(crate) fn of(engine: &Engine, relay: &EventBroadcast, trail: LogReader, wanted: EventFilter) -> Self {
        Self {
            engine: engine.clone(),
            relay: relay.clone(),
            wanted,
            trail,
            subjects: SubjectCache::default(),
            way: ReadMode::Own,
            has_caught_up: false,
            next: None,
        }
    }

    /// Returns the next item without removing it; see [`take`](Self::take). Returns `None` at the end of the stream, or
    /// when the engine has shut down. Cancel safe: dropping the call loses no item.
    pub(crate) async fn look(&mut self) -> Option<&ReaderItem> {
        if self.next.is_none() {
            self.next = Some(self.read_on().await?);
        }
        self.next.as_ref()
    }

    /// Removes and returns the next item.
    pub(crate) fn take(&mut self) -> Option<ReaderItem> {
        self.next.take()
    }

    async fn read_on(&mut self) -> Option<ReaderItem> {
        loop {
            match &mut self.way {
                ReadMode::Shared(seat) => {
                    let way = match seat.next().await {
                        RelayItem::Next(relayed) => return Some(self.reader_item(relayed)),
                        RelayItem::Behind => ReadMode::Own,
                        RelayItem::Over => ReadMode::Last,
                    };
                    // The cached data about processes is outdated, because it was not updated while the reader used the
                    // broadcast.
                    (self.subjects, self.trail) =
                        (SubjectCache::default(), LogReader::behind(&self.engine, seat.place()));
                    self.way = way;
                }
                ReadMode::Own => {
                    let Some(seat) = self.seat() else { return self.step().await };
                    self.way = ReadMode::Shared(seat);
                }
                ReadMode::Last => return self.step().await,
            }
        }
    }

    /// Subscribes to the broadcast if possible. Only a reader at the end of the log may start the broadcast. If a
    /// reader far behind the newest event started it, the reader would soon have to leave the broadcast again.
    fn seat(&mut self) -> Option<Subscriber> {
        let place = self.trail.between().filter(|_| self.has_caught_up)?;
        if self.trail.is_at_end() {
            return self.relay.join_or_begin(&self.engine, place, &mut self.subjects);
        }
        self.relay.join(place)
    }

    async fn step(&mut self) -> Option<ReaderItem> {
        let seen = match self.trail.look().await? {
            LogItem::CaughtUp(place) if self.has_caught_up => ReaderItem::Unwanted(*place),
            LogItem::CaughtUp(place) => ReaderItem::CaughtUp(*place),
            LogItem::Gap { from, to } => ReaderItem::Gap { from: *from, to: *to },
            LogItem::Event(logged) => {
                let shape = EventSnapshot::of(&self.engine, &mut self.subjects, logged, &self.wanted).await?;
                shape.map_or(ReaderItem::Unwanted(logged.cursor), |shape| ReaderItem::Event(Arc::new(shape)))
            }
        };
        self.trail.take();
        self.has_caught_up |= matches!(seen, ReaderItem::CaughtUp(_));
        Some(seen)
    }

    fn reader_item(&self, relayed: BroadcastItem) -> ReaderItem {
        match relayed {
            BroadcastItem::Gap { from, to } => ReaderItem::Gap { from: Some(from), to },
            BroadcastItem::Event(shape) if shape.is_wanted(&self.wanted) => ReaderItem::Event(shape),
            BroadcastItem::Event(shape) => ReaderItem::Unwanted(shape.logged.cursor),
        }
    }
}
