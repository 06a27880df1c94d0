//! The task that reads the event log for all subscribers.

use super::ring_buffer::{BroadcastItem, RingBuffer};
use super::wakers::{MAX_WAKEUPS, WakerGroup};
use crate::events::EventFilter;
use crate::events::log_reader::{LogItem, LogReader};
use crate::events::shape::EventSnapshot;
use crate::events::subject::SubjectCache;
use longhaul_engine::Engine;
use longhaul_engine::ports::EventCursor;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::sleep;

/// Pause between the wake-ups of two subscriber groups. Other tasks can run during the pause.
const WAKE_INTERVAL: Duration = Duration::from_millis(1);

/// Reads the event log from a cursor on and fills the ring buffer. Stops when there are no more subscribers.
pub(super) async fn feed(
    engine: Engine,
    place: EventCursor,
    mut subjects: SubjectCache,
    ring: Weak<RingBuffer>,
) {
    let _end = FeedGuard(ring.clone());
    let everything = EventFilter::default();
    let mut trail = LogReader::behind(&engine, place);
    loop {
        let relayed = match trail.look().await {
            Some(LogItem::Event(logged)) => {
                match EventSnapshot::of(&engine, &mut subjects, logged, &everything).await {
                    Some(shape) => shape.map(|shape| BroadcastItem::Event(Arc::new(shape))),
                    None => return,
                }
            }
            Some(LogItem::Gap { from, to }) => {
                Some(BroadcastItem::Gap { from: from.unwrap_or(place), to: *to })
            }
            Some(LogItem::CaughtUp(_)) => None,
            None => return,
        };
        trail.take();
        let Some(kept) = ring.upgrade() else { return };
        if let Some(relayed) = relayed {
            kept.push(relayed);
        }
        let waiting = if trail.has_more() { Vec::new() } else { kept.waiting() };
        // The last subscriber may leave during the next wait. The ring buffer must then be freed, so this task drops
        // its reference before it waits.
        drop(kept);
        wake(&waiting).await;
    }
}

/// Wakes the subscribers in groups, so that waking a thousand subscribers does not delay other tasks.
async fn wake(benches: &[Arc<WakerGroup>]) {
    let mut woken = 0;
    for bench in benches {
        let waiting = bench.waiting();
        if woken > 0 && woken + waiting > MAX_WAKEUPS {
            sleep(WAKE_INTERVAL).await;
            woken = 0;
        }
        woken += waiting;
        bench.ring();
    }
}

/// Marks the ring buffer as closed when the reader task ends for any reason, so that no subscriber waits forever.
struct FeedGuard(Weak<RingBuffer>);

impl Drop for FeedGuard {
    fn drop(&mut self) {
        if let Some(ring) = self.0.upgrade() {
            ring.end();
        }
    }
}
