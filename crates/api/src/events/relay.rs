//! One reader of the log for all who are at its newest place.
//!
//! Each event is read, completed and written once, whoever listens. The newest ones are kept in a ring, from which every
//! listener takes at his own pace; whoever is further behind reads the log by himself until he has come near. Listeners
//! are woken in groups, so that whoever else has work to do gets between them. Without a listener there is nothing.

mod bench;
mod feed;
mod ring;

use crate::events::subject::Subjects;
use bench::Bench;
use feed::feed;
use longhaul_engine::Engine;
use longhaul_engine::ports::Cursor;
pub(crate) use ring::Relayed;
use ring::{Found, Ring};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What the listeners of one engine share. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Relay {
    ring: Arc<Mutex<Weak<Ring>>>,
}

/// The place of one listener.
#[derive(Debug)]
pub(crate) struct Seat {
    ring: Arc<Ring>,
    bench: Arc<Bench>,
    place: Cursor,
    ahead: VecDeque<Relayed>,
}

/// What a listener hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// What comes after his place.
    Next(Relayed),
    /// It is not kept here any more: the log has it.
    Behind,
    /// Nothing more comes this way.
    Over,
}

impl Relay {
    /// A seat for whoever has read everything up to a place; none if nobody listens, or if what comes after it is not
    /// kept here any more.
    pub(crate) fn join(&self, place: Cursor) -> Option<Seat> {
        let ring = self.lock().upgrade()?;
        ring.reaches(place).then(|| Seat::at(place, ring))
    }

    /// The same for one who has reached the end of the log: the first one begins it, with what he knows.
    pub(crate) fn join_or_begin(
        &self,
        engine: &Engine,
        place: Cursor,
        subjects: &mut Subjects,
    ) -> Option<Seat> {
        let mut current = self.lock();
        if let Some(ring) = current.upgrade().filter(|ring| !ring.is_over()) {
            return ring.reaches(place).then(|| Seat::at(place, ring));
        }
        let ring = Arc::new(Ring::from(place));
        let task = feed(engine.clone(), place, std::mem::take(subjects), Arc::downgrade(&ring));
        ring.is_fed_by(tokio::spawn(task).abort_handle());
        *current = Arc::downgrade(&ring);
        Some(Seat::at(place, ring))
    }

    fn lock(&self) -> MutexGuard<'_, Weak<Ring>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn at(place: Cursor, ring: Arc<Ring>) -> Self {
        let bench = ring.bench();
        Self { ring, bench, place, ahead: VecDeque::new() }
    }

    /// The place behind everything that was heard.
    pub(crate) const fn place(&self) -> Cursor {
        self.place
    }

    /// Parks until there is something to hear. Dropping the call loses nothing.
    pub(crate) async fn next(&mut self) -> Heard {
        while self.ahead.is_empty() {
            // Before the look: whoever adds something afterwards sees that somebody waits.
            let waiting = self.bench.wait();
            match self.ring.after(self.place) {
                Found::These(found) => self.ahead = found,
                Found::Nothing => waiting.woken().await,
                Found::Behind => return Heard::Behind,
                Found::Over => return Heard::Over,
            }
        }
        let Some(next) = self.ahead.pop_front() else { return Heard::Over };
        let next = next.behind(self.place);
        self.place = next.place();
        Heard::Next(next)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.bench.leave();
    }
}
