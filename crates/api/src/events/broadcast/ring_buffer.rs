//! The newest events.

use super::wakers::WakerGroup;
use crate::events::shape::EventSnapshot;
use longhaul_engine::ports::EventCursor;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::task::AbortHandle;

/// So many are kept.
const MAX_ITEMS: usize = 512;
/// So many bytes of them, about.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// So many a listener takes at once.
const PAGE: usize = 64;

/// What is relayed.
#[derive(Clone, Debug)]
pub(crate) enum BroadcastItem {
    /// Something became true.
    Event(Arc<EventSnapshot>),
    /// Events are missing in the log.
    Gap {
        /// The last place before.
        from: EventCursor,
        /// The place after which events are told again.
        to: EventCursor,
    },
}

/// What there is after a place.
#[derive(Debug)]
pub(super) enum RingRead {
    These(VecDeque<BroadcastItem>),
    Nothing,
    /// It was let go.
    Behind,
    Over,
}

/// The ring, which lives as long as somebody listens.
#[derive(Debug)]
pub(super) struct RingBuffer {
    kept: Mutex<RingSlot>,
    benches: Mutex<Vec<Arc<WakerGroup>>>,
    feeder: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct RingSlot {
    /// Everything after this place is here.
    base: EventCursor,
    newest: VecDeque<BroadcastItem>,
    bytes: usize,
    is_over: bool,
}

impl BroadcastItem {
    /// The place behind it.
    pub(crate) fn place(&self) -> EventCursor {
        match self {
            Self::Event(shape) => shape.logged.cursor,
            Self::Gap { to, .. } => *to,
        }
    }

    /// As it is for one who has read up to a place.
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
        Self { kept: Mutex::new(kept), benches: Mutex::default(), feeder: OnceLock::new() }
    }

    /// This task ends with it.
    pub(super) fn is_fed_by(&self, feeder: AbortHandle) {
        // It is asked once.
        let _ = self.feeder.set(feeder);
    }

    pub(super) fn is_over(&self) -> bool {
        self.kept().is_over
    }

    /// Whether everything after a place is here.
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

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.kept().is_over = true;
        for bench in self.benches().iter() {
            bench.ring();
        }
    }

    /// A bench with a seat that is taken for the caller.
    pub(super) fn bench(&self) -> Arc<WakerGroup> {
        let mut benches = self.benches();
        if let Some(bench) = benches.iter().find(|bench| bench.register_subscriber()) {
            return bench.clone();
        }
        let bench = Arc::new(WakerGroup::new());
        bench.register_subscriber();
        benches.push(bench.clone());
        bench
    }

    /// Those where somebody waits.
    pub(super) fn waiting(&self) -> Vec<Arc<WakerGroup>> {
        self.benches().iter().filter(|bench| bench.waiting() > 0).cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, RingSlot> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn benches(&self) -> MutexGuard<'_, Vec<Arc<WakerGroup>>> {
        self.benches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RingBuffer {
    fn drop(&mut self) {
        if let Some(feeder) = self.feeder.get() {
            feeder.abort();
        }
    }
}
