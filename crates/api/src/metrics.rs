//! Numbers for Prometheus.
//!
//! What happens is counted from the event log, from the start of the manager on: at each look, and now and then between
//! two looks, so that counting costs no launch anything. Who lives is known from what the manager writes, so that a look
//! costs the same however many there are. A counter that begins anew says so by `process_start_time_seconds`.

mod counters;
mod histogram;
mod instrumented;
mod live_gauge;
mod scrape;
mod text;

pub use instrumented::InstrumentedStore;

use crate::events::log_reader::patiently;
use counters::EventCounters;
use histogram::Histogram;
use live_gauge::LiveGauge;
use longhaul_domain::Status;
use longhaul_engine::ports::{EventCursor, PageRequest, ProcessFilter, SortOrder};
use longhaul_engine::{Engine, EngineError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::select;
use tokio::sync::Notify;

/// The log is read so often between two looks, at most, and only when it has grown.
const COUNT_INTERVAL: Duration = Duration::from_millis(250);
/// So many events are read at once.
const EVENTS: u32 = 512;

/// Numbers about a manager, from its making on. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<MetricsInner>,
}

#[derive(Debug)]
struct MetricsInner {
    begun: Instant,
    /// The same on a clock on the wall.
    begun_at: SystemTime,
    counters: Mutex<EventCounters>,
    /// Up to where the log is counted; none before the first look at it. Whoever counts holds it, so that nothing counts
    /// twice.
    counted: tokio::sync::Mutex<Option<EventCursor>>,
    live_gauge: Mutex<LiveGauge>,
    /// Who lives has to be read again.
    doubted: Notify,
    /// Other nodes write to the store as well.
    is_shared: AtomicBool,
    /// How long the store took for each kind of write.
    writes: Mutex<[Histogram; 3]>,
}

/// What other nodes write is seen after such a time.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// So many records are read at once.
const PAGE: u32 = 256;

/// What a store is asked to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreWrite {
    Submit,
    Claim,
    Commit,
}

impl Default for Metrics {
    fn default() -> Self {
        let inner = MetricsInner {
            begun: Instant::now(),
            begun_at: SystemTime::now(),
            counters: Mutex::default(),
            counted: tokio::sync::Mutex::default(),
            live_gauge: Mutex::default(),
            doubted: Notify::new(),
            is_shared: AtomicBool::new(false),
            writes: Mutex::new([Histogram::of_latency(), Histogram::of_latency(), Histogram::of_latency()]),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Metrics {
    /// Counts what happens from now on, until the engine ends.
    pub fn follow(&self, engine: &Engine) {
        drop(tokio::spawn(follow(self.clone(), engine.clone())));
        drop(tokio::spawn(count(self.clone(), engine.clone())));
    }

    /// Counts what the log has and was not counted yet.
    async fn catch_up(&self, engine: &Engine) -> Result<(), EngineError> {
        let mut counted = self.inner.counted.lock().await;
        let end = engine.log_end().await?;
        let mut after = *counted.get_or_insert(end);
        if after > end {
            // The log was started anew, or lost its newest.
            self.tally().missed();
            after = end;
        }
        while after < end {
            let page = engine.log(Some(after), EVENTS, false).await?;
            let mut counters = self.tally();
            if page.gap {
                counters.missed();
            }
            page.events.iter().for_each(|logged| counters.take(logged));
            after = page.events.last().map_or(end, |logged| logged.cursor);
            *counted = Some(after);
        }
        *counted = Some(after);
        Ok(())
    }

    fn roll(&self) -> MutexGuard<'_, LiveGauge> {
        self.inner.live_gauge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write that may have been applied.
    fn doubt(&self) {
        self.roll().doubt();
        self.inner.doubted.notify_one();
    }

    fn tally(&self) -> MutexGuard<'_, EventCounters> {
        self.inner.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writes(&self) -> [Histogram; 3] {
        self.inner.writes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wrote(&self, write: StoreWrite, took: Duration) {
        let mut writes = self.inner.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let [submits, claims, commits] = &mut *writes;
        match write {
            StoreWrite::Submit => submits,
            StoreWrite::Claim => claims,
            StoreWrite::Commit => commits,
        }
        .take(took);
    }
}

/// Reads who lives, and again when that is in doubt, until the engine ends.
async fn count(metrics: Metrics, engine: Engine) -> Option<()> {
    let statuses = Status::ALL.into_iter().filter(|status| !status.is_ended()).collect();
    let live = ProcessFilter { statuses, ..ProcessFilter::default() };
    loop {
        metrics.roll().begin();
        let mut ask = PageRequest { order: SortOrder::OldestFirst, after: None, most: PAGE };
        loop {
            let page = patiently(&engine, || engine.list(&live, &ask)).await?;
            let mut live_gauge = metrics.roll();
            for stored in &page.processes {
                live_gauge.take(&stored.process, stored.revision);
            }
            ask.after = page.next;
            if ask.after.is_none() {
                live_gauge.counted();
                break;
            }
        }
        select! {
            () = metrics.inner.doubted.notified() => {}
            () = engine.sleep(REFRESH_INTERVAL), if metrics.inner.is_shared.load(Ordering::Relaxed) => {}
            () = engine.over() => return None,
        }
    }
}

/// Counts what happens while nobody looks, until the engine ends.
async fn follow(metrics: Metrics, engine: Engine) -> Option<()> {
    patiently(&engine, || metrics.catch_up(&engine)).await?;
    loop {
        let after = *metrics.inner.counted.lock().await;
        let page = patiently(&engine, || engine.log(after, 1, true)).await?;
        if page.events.is_empty() {
            return None;
        }
        select! {
            () = engine.sleep(COUNT_INTERVAL) => {}
            () = engine.over() => return None,
        }
        patiently(&engine, || metrics.catch_up(&engine)).await?;
    }
}
