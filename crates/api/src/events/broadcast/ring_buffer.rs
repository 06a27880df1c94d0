//! Ring buffer of the newest events.

use super::wakers::WakerGroup;
use crate::events::shape::EventSnapshot;
use longhaul_engine::ports::EventCursor;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::task::AbortHandle;

/// Maximum number of items in the ring buffer.
const MAX_ITEMS: usize = 512;
/// Approximate maximum total size of all items in the ring buffer, in bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Maximum number of items that a subscriber takes in one read.
const PAGE: usize = 64;

#[derive(Clone, Debug)]
pub(crate) enum BroadcastItem {
    Event(Arc<EventSnapshot>),
    /// Events are missing from the log.
    Gap {
        /// Cursor of the last item before the gap.
        from: EventCursor,
        /// Cursor after which events are available again.
        to: EventCursor,
    },
}

/// Result of reading the items after a cursor.
#[derive(Debug)]
pub(super) enum RingRead {
    These(VecDeque<BroadcastItem>),
    Nothing,
    /// The items that follow the cursor have already been removed from the buffer.
    Behind,
    Over,
}

/// Ring buffer of the newest events. It is freed when the last subscriber leaves.
#[derive(Debug)]
pub(super) struct RingBuffer {
    kept: Mutex<RingSlot>,
    waker_groups: Mutex<Vec<Arc<WakerGroup>>>,
    feeder: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct RingSlot {
    /// Cursor after which the buffer contains all items.
    base: EventCursor,
    newest: VecDeque<BroadcastItem>,
    bytes: usize,
    is_over: bool,
}

impl BroadcastItem {
    /// Returns the cursor behind the item.
    pub(crate) fn place(&self) -> EventCursor {
        match self {
            Self::Event(shape) => shape.logged.cursor,
            Self::Gap { to, .. } => *to,
        }
    }

    /// Shortens a gap for a subscriber that has read up to `place`, so that the gap does not start before `place`.
    pub(super) fn behind(self, place: EventCursor) -> Self {
        match self {
            Self::Gap { from, to } => Self::Gap { from: from.max(place), to },
            Self::Event(_) => self,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Event(shape) => shape.weight(),
            Self::Gap { .. } => 0,
        }
    }
}

impl RingBuffer {
    pub(super) fn from(place: EventCursor) -> Self {
        let kept = RingSlot { base: place, newest: VecDeque::new(), bytes: 0, is_over: false };
        Self { kept: Mutex::new(kept), waker_groups: Mutex::default(), feeder: OnceLock::new() }
    }

    /// Sets the task that fills the buffer. Dropping the buffer aborts this task.
    pub(super) fn is_fed_by(&self, feeder: AbortHandle) {
        // This method is called only once, so the cell is still empty.
        let _ = self.feeder.set(feeder);
    }

    pub(super) fn is_over(&self) -> bool {
        self.kept().is_over
    }

    /// Returns true if the buffer contains all items after a cursor.
    pub(super) fn reaches(&self, place: EventCursor) -> bool {
        self.kept().base <= place
    }

    pub(super) fn after(&self, place: EventCursor) -> RingRead {
        let kept = self.kept();
        if kept.base > place {
            return RingRead::Behind;
        }
        let first = kept.newest.partition_point(|relayed| relayed.place() <= place);
        let found: VecDeque<BroadcastItem> = kept.newest.iter().skip(first).take(PAGE).cloned().collect();
        match (found.is_empty(), kept.is_over) {
            (false, _) => RingRead::These(found),
            (true, false) => RingRead::Nothing,
            (true, true) => RingRead::Over,
        }
    }

    pub(super) fn push(&self, relayed: BroadcastItem) {
        let mut kept = self.kept();
        kept.bytes += relayed.weight();
        kept.newest.push_back(relayed);
        while kept.newest.len() > MAX_ITEMS || kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.newest.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(oldest.weight());
            kept.base = oldest.place();
        }
    }

    /// Marks the buffer as closed and wakes all subscribers.
    pub(super) fn end(&self) {
        self.kept().is_over = true;
        for bench in self.waker_groups().iter() {
            bench.ring();
        }
    }

    /// Registers the caller in a waker group that has room, and returns this group.
    pub(super) fn bench(&self) -> Arc<WakerGroup> {
        let mut waker_groups = self.waker_groups();
        if let Some(bench) = waker_groups.iter().find(|bench| bench.register_subscriber()) {
            return bench.clone();
        }
        let bench = Arc::new(WakerGroup::new());
        bench.register_subscriber();
        waker_groups.push(bench.clone());
        bench
    }

    /// Returns the waker groups in which subscribers are waiting.
    pub(super) fn waiting(&self) -> Vec<Arc<WakerGroup>> {
        self.waker_groups().iter().filter(|bench| bench.waiting() > 0).cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, RingSlot> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waker_groups(&self) -> MutexGuard<'_, Vec<Arc<WakerGroup>>> {
        self.waker_groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RingBuffer {
    fn drop(&mut self) {
        if let Some(feeder) = self.feeder.get() {
            feeder.abort();
        }
    }
}
