//! A reader of events: along the log by itself as long as it is behind, and with all others at the newest place.

use crate::events::EventFilter;
use crate::events::broadcast::{BroadcastItem, EventBroadcast, RelayItem, Subscriber};
use crate::events::log_reader::{LogItem, LogReader};
use crate::events::shape::EventSnapshot;
use crate::events::subject::SubjectCache;
use longhaul_engine::Engine;
use longhaul_engine::ports::EventCursor;
use std::sync::Arc;

/// What a reader comes by.
#[derive(Clone, Debug)]
pub(crate) enum ReaderItem {
    /// An event that is wanted.
    Event(Arc<EventSnapshot>),
    /// One that is not.
    Unwanted(EventCursor),
    /// Events are missing: the log does not keep them, or was started anew.
    Gap {
        /// The last place before; none if that is the beginning.
        from: Option<EventCursor>,
        /// The place after which events are told again.
        to: EventCursor,
    },
    /// Everything that was there is told. It comes once.
    CaughtUp(EventCursor),
}

/// Reads at its own pace: it pulls, so that one who does not read costs no more than the page that he holds.
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

/// How a reader reads.
#[derive(Debug)]
enum ReadMode {
    /// By itself, until it is at the newest place.
    Own,
    /// With all others.
    Shared(Subscriber),
    /// By itself to the end: there is nobody to read with any more.
    Last,
}

impl ReaderItem {
    /// The place behind it.
    pub(crate) fn place(&self) -> EventCursor {
        match self {
            Self::Event(shape) => shape.logged.cursor,
            Self::Gap { to, .. } => *to,
            Self::Unwanted(place) | Self::CaughtUp(place) => *place,
        }
    }
}

impl EventReader {
    /// Along a trail.
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

    /// What comes next, which stays the next until it is [taken](Self::take); none when all is over. Dropping the call
    /// loses nothing.
    pub(crate) async fn look(&mut self) -> Option<&ReaderItem> {
        if self.next.is_none() {
            self.next = Some(self.read_on().await?);
        }
        self.next.as_ref()
    }

    /// Goes past it.
    pub(crate) fn take(&mut self) -> Option<ReaderItem> {
        self.next.take()
    }

    async fn read_on(&mut self) -> Option<ReaderItem> {
        loop {
            match &mut self.way {
                ReadMode::Shared(seat) => {
                    let way = match seat.next().await {
                        RelayItem::Next(relayed) => return Some(self.heard(relayed)),
                        RelayItem::Behind => ReadMode::Own,
                        RelayItem::Over => ReadMode::Last,
                    };
                    // What is remembered is as old as the last step that was made alone.
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

    /// With the others, if that is possible from here. Only one who has reached the end of the log begins it: it would
    /// leave him behind again at once.
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

    fn heard(&self, relayed: BroadcastItem) -> ReaderItem {
        match relayed {
            BroadcastItem::Gap { from, to } => ReaderItem::Gap { from: Some(from), to },
            BroadcastItem::Event(shape) if shape.is_wanted(&self.wanted) => ReaderItem::Event(shape),
            BroadcastItem::Event(shape) => ReaderItem::Unwanted(shape.logged.cursor),
        }
    }
}
