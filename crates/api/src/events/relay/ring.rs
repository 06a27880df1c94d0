//! The newest events.

use super::bench::Bench;
use crate::events::shape::Shape;
use longhaul_engine::ports::Cursor;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::task::AbortHandle;

/// So many are kept.
const MOST: usize = 512;
/// So many bytes of them, about.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// So many a listener takes at once.
const PAGE: usize = 64;

/// What is relayed.
#[derive(Clone, Debug)]
pub(crate) enum Relayed {
    /// Something became true.
    Event(Arc<Shape>),
    /// Events are missing in the log.
    Gap {
        /// The last place before.
        from: Cursor,
        /// The place after which events are told again.
        to: Cursor,
    },
}

/// What there is after a place.
#[derive(Debug)]
pub(super) enum Found {
    These(VecDeque<Relayed>),
    Nothing,
    /// It was let go.
    Behind,
    Over,
}

/// The ring, which lives as long as somebody listens.
#[derive(Debug)]
pub(super) struct Ring {
    kept: Mutex<Kept>,
    benches: Mutex<Vec<Arc<Bench>>>,
    feeder: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct Kept {
    /// Everything after this place is here.
    base: Cursor,
    newest: VecDeque<Relayed>,
    bytes: usize,
    is_over: bool,
}

impl Relayed {
    /// The place behind it.
    pub(crate) fn place(&self) -> Cursor {
        match self {
            Self::Event(shape) => shape.logged.cursor,
            Self::Gap { to, .. } => *to,
        }
    }

    /// As it is for one who has read up to a place.
    pub(super) fn behind(self, place: Cursor) -> Self {
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

impl Ring {
    pub(super) fn from(place: Cursor) -> Self {
        let kept = Kept { base: place, newest: VecDeque::new(), bytes: 0, is_over: false };
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
    pub(super) fn reaches(&self, place: Cursor) -> bool {
        self.kept().base <= place
    }

    pub(super) fn after(&self, place: Cursor) -> Found {
        let kept = self.kept();
        if kept.base > place {
            return Found::Behind;
        }
        let first = kept.newest.partition_point(|relayed| relayed.place() <= place);
        let found: VecDeque<Relayed> = kept.newest.iter().skip(first).take(PAGE).cloned().collect();
        match (found.is_empty(), kept.is_over) {
            (false, _) => Found::These(found),
            (true, false) => Found::Nothing,
            (true, true) => Found::Over,
        }
    }

    pub(super) fn push(&self, relayed: Relayed) {
        let mut kept = self.kept();
        kept.bytes += relayed.weight();
        kept.newest.push_back(relayed);
        while kept.newest.len() > MOST || kept.bytes > MOST_BYTES {
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
    pub(super) fn bench(&self) -> Arc<Bench> {
        let mut benches = self.benches();
        if let Some(bench) = benches.iter().find(|bench| bench.sit_down()) {
            return bench.clone();
        }
        let bench = Arc::new(Bench::new());
        bench.sit_down();
        benches.push(bench.clone());
        bench
    }

    /// Those where somebody waits.
    pub(super) fn waiting(&self) -> Vec<Arc<Bench>> {
        self.benches().iter().filter(|bench| bench.waiting() > 0).cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn benches(&self) -> MutexGuard<'_, Vec<Arc<Bench>>> {
        self.benches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if let Some(feeder) = self.feeder.get() {
            feeder.abort();
        }
    }
}
