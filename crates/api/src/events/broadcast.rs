//! Shares one event log reader among all subscribers that are near the end of the log.
//!
//! Each event is read, completed and serialized only once for all subscribers. The newest events are stored in a ring
//! buffer, from which each subscriber reads at its own pace. A subscriber that is too far behind reads the log directly
//! until it has caught up. Subscribers are woken in groups, so that other tasks can run in between. The reader task
//! exists only while there are subscribers.

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

/// Handle to the shared event log reader of one engine. Clones refer to the same reader.
#[derive(Clone, Debug, Default)]
pub struct EventBroadcast {
    ring_buffer: Arc<Mutex<Weak<RingBuffer>>>,
}

/// A subscriber of the shared reader, with its position in the ring buffer.
#[derive(Debug)]
pub(crate) struct Subscriber {
    ring_buffer: Arc<RingBuffer>,
    wakers: Arc<WakerGroup>,
    place: EventCursor,
    ahead: VecDeque<BroadcastItem>,
}

/// Result of a subscriber's read from the ring buffer.
#[derive(Debug)]
pub(crate) enum RelayItem {
    /// The item that follows the subscriber's cursor.
    Next(BroadcastItem),
    /// The next item is no longer in the ring buffer. The subscriber must read it from the event log.
    Behind,
    /// The shared reader has stopped.
    Over,
}

impl EventBroadcast {
    /// Creates a subscriber that has read all items up to `place`. Returns `None` if no shared reader is running, or if
    /// the items after `place` have already been removed from the ring buffer.
    pub(crate) fn join(&self, place: EventCursor) -> Option<Subscriber> {
        let ring_buffer = self.lock().upgrade()?;
        ring_buffer.reaches(place).then(|| Subscriber::at(place, ring_buffer))
    }

    /// Creates a subscriber for a reader that has reached the end of the log. If no shared reader is running, starts
    /// one with the `subjects` that the calling reader has cached.
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

    /// Returns the cursor behind the last item that this subscriber has received.
    pub(crate) const fn place(&self) -> EventCursor {
        self.place
    }

    /// Waits for the next item. Cancel safe: dropping the call loses no item.
    pub(crate) async fn next(&mut self) -> RelayItem {
        while self.ahead.is_empty() {
            // The subscriber registers before it checks the buffer, so that an item that is added after the check wakes
            // it.
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
