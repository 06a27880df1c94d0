//! A reader of events: along the log by itself as long as it is behind, and with all others at the newest place.

use crate::events::Wanted;
use crate::events::relay::{Heard, Relay, Relayed, Seat};
use crate::events::shape::Shape;
use crate::events::subject::Subjects;
use crate::events::trail::{Step, Trail};
use longhaul_engine::Engine;
use longhaul_engine::ports::Cursor;
use std::sync::Arc;

/// What a reader comes by.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// An event that is wanted.
    Event(Arc<Shape>),
    /// One that is not.
    Unwanted(Cursor),
    /// Events are missing: the log does not keep them, or was started anew.
    Gap {
        /// The last place before; none if that is the beginning.
        from: Option<Cursor>,
        /// The place after which events are told again.
        to: Cursor,
    },
    /// Everything that was there is told. It comes once.
    CaughtUp(Cursor),
}

/// Reads at its own pace: it pulls, so that one who does not read costs no more than the page that he holds.
#[derive(Debug)]
pub(crate) struct Reader {
    engine: Engine,
    relay: Relay,
    wanted: Wanted,
    trail: Trail,
    subjects: Subjects,
    way: Way,
    has_caught_up: bool,
    next: Option<Seen>,
}

/// How a reader reads.
#[derive(Debug)]
enum Way {
    /// By itself, until it is at the newest place.
    Own,
    /// With all others.
    Shared(Seat),
    /// By itself to the end: there is nobody to read with any more.
    Last,
}

impl Seen {
    /// The place behind it.
    pub(crate) fn place(&self) -> Cursor {
        match self {
            Self::Event(shape) => shape.logged.cursor,
            Self::Gap { to, .. } => *to,
            Self::Unwanted(place) | Self::CaughtUp(place) => *place,
        }
    }
}

impl Reader {
    /// Along a trail.
    pub(crate) fn of(engine: &Engine, relay: &Relay, trail: Trail, wanted: Wanted) -> Self {
        Self {
            engine: engine.clone(),
            relay: relay.clone(),
            wanted,
            trail,
            subjects: Subjects::default(),
            way: Way::Own,
            has_caught_up: false,
            next: None,
        }
    }

    /// What comes next, which stays the next until it is [taken](Self::take); none when all is over. Dropping the call
    /// loses nothing.
    pub(crate) async fn look(&mut self) -> Option<&Seen> {
        if self.next.is_none() {
            self.next = Some(self.read_on().await?);
        }
        self.next.as_ref()
    }

    /// Goes past it.
    pub(crate) fn take(&mut self) -> Option<Seen> {
        self.next.take()
    }

    async fn read_on(&mut self) -> Option<Seen> {
        loop {
            match &mut self.way {
                Way::Shared(seat) => {
                    let way = match seat.next().await {
                        Heard::Next(relayed) => return Some(self.heard(relayed)),
                        Heard::Behind => Way::Own,
                        Heard::Over => Way::Last,
                    };
                    // What is remembered is as old as the last step that was made alone.
                    (self.subjects, self.trail) =
                        (Subjects::default(), Trail::behind(&self.engine, seat.place()));
                    self.way = way;
                }
                Way::Own => {
                    let Some(seat) = self.seat() else { return self.step().await };
                    self.way = Way::Shared(seat);
                }
                Way::Last => return self.step().await,
            }
        }
    }

    /// With the others, if that is possible from here. Only one who has reached the end of the log begins it: it would
    /// leave him behind again at once.
    fn seat(&mut self) -> Option<Seat> {
        let place = self.trail.between().filter(|_| self.has_caught_up)?;
        if self.trail.is_at_end() {
            return self.relay.join_or_begin(&self.engine, place, &mut self.subjects);
        }
        self.relay.join(place)
    }

    async fn step(&mut self) -> Option<Seen> {
        let seen = match self.trail.look().await? {
            Step::CaughtUp(place) if self.has_caught_up => Seen::Unwanted(*place),
            Step::CaughtUp(place) => Seen::CaughtUp(*place),
            Step::Gap { from, to } => Seen::Gap { from: *from, to: *to },
            Step::Event(logged) => {
                let shape = Shape::of(&self.engine, &mut self.subjects, logged, &self.wanted).await?;
                shape.map_or(Seen::Unwanted(logged.cursor), |shape| Seen::Event(Arc::new(shape)))
            }
        };
        self.trail.take();
        self.has_caught_up |= matches!(seen, Seen::CaughtUp(_));
        Some(seen)
    }

    fn heard(&self, relayed: Relayed) -> Seen {
        match relayed {
            Relayed::Gap { from, to } => Seen::Gap { from: Some(from), to },
            Relayed::Event(shape) if shape.is_wanted(&self.wanted) => Seen::Event(shape),
            Relayed::Event(shape) => Seen::Unwanted(shape.logged.cursor),
        }
    }
}
