//! One reader of the log for all who are at its newest place.
//!
//! Each event is read, completed and written once, whoever listens. The newest ones are kept in a ring, from which every
//! listener takes at his own pace; whoever is further behind reads the log by himself until he has come near. Listeners
//! are woken in groups, so that whoever else has work to do gets between them. Without a listener there is nothing.

mod feed;
mod ring_buffer;
mod wakers;

use crate::events::subject::SubjectCache;
use feed::feed;
use longhaul_engine::Engine;
use longhaul_engine::ports::EventCursor;
pub(crate) use ring_buffer::BroadcastItem;
use ring_buffer::{RingBuffer, RingRead};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use wakers::WakerGroup;

/// What the listeners of one engine share. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct EventBroadcast {
    ring_buffer: Arc<Mutex<Weak<RingBuffer>>>,
}

/// The place of one listener.
#[derive(Debug)]
pub(crate) struct Subscriber {
    ring_buffer: Arc<RingBuffer>,
    wakers: Arc<WakerGroup>,
    place: EventCursor,
    ahead: VecDeque<BroadcastItem>,
}

/// What a listener hears.
#[derive(Debug)]
pub(crate) enum RelayItem {
    /// What comes after his place.
    Next(BroadcastItem),
    /// It is not kept here any more: the log has it.
    Behind,
    /// Nothing more comes this way.
    Over,
}

impl EventBroadcast {
    /// A seat for whoever has read everything up to a place; none if nobody listens, or if what comes after it is not
    /// kept here any more.
    pub(crate) fn join(&self, place: EventCursor) -> Option<Subscriber> {
        let ring_buffer = self.lock().upgrade()?;
        ring_buffer.reaches(place).then(|| Subscriber::at(place, ring_buffer))
    }

    /// The same for one who has reached the end of the log: the first one begins it, with what he knows.
    pub(crate) fn join_or_begin(
        &self,
        engine: &Engine,
        place: EventCursor,
        subjects: &mut SubjectCache,
    ) -> Option<Subscriber> {
        let mut current = self.lock();
        if let Some(ring_buffer) = current.upgrade().filter(|ring_buffer| !ring_buffer.is_over()) {
            return ring_buffer.reaches(place).then(|| Subscriber::at(place, ring_buffer));
        }
        let ring_buffer = Arc::new(RingBuffer::from(place));
        let task = feed(engine.clone(), place, std::mem::take(subjects), Arc::downgrade(&ring_buffer));
        ring_buffer.is_fed_by(tokio::spawn(task).abort_handle());
        *current = Arc::downgrade(&ring_buffer);
        Some(Subscriber::at(place, ring_buffer))
    }

    fn lock(&self) -> MutexGuard<'_, Weak<RingBuffer>> {
        self.ring_buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    fn at(place: EventCursor, ring_buffer: Arc<RingBuffer>) -> Self {
        let wakers = ring_buffer.bench();
        Self { ring_buffer, wakers, place, ahead: VecDeque::new() }
    }

    /// The place behind everything that was heard.
    pub(crate) const fn place(&self) -> EventCursor {
        self.place
    }

    /// Parks until there is something to hear. Dropping the call loses nothing.
    pub(crate) async fn next(&mut self) -> RelayItem {
        while self.ahead.is_empty() {
            // Before the look: whoever adds something afterwards sees that somebody waits.
            let waiting = self.wakers.wait();
            match self.ring_buffer.after(self.place) {
                RingRead::These(found) => self.ahead = found,
                RingRead::Nothing => waiting.woken().await,
                RingRead::Behind => return RelayItem::Behind,
                RingRead::Over => return RelayItem::Over,
            }
        }
        let Some(next) = self.ahead.pop_front() else { return RelayItem::Over };
        let next = next.behind(self.place);
        self.place = next.place();
        RelayItem::Next(next)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.wakers.leave();
    }
}
