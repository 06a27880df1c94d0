//! Metrics for Prometheus.
//!
//! Counters are computed from the event log and start at zero when the manager starts. The log is read for each scrape
//! and at intervals between scrapes, so that counting does not slow down launches. The number of live processes is
//! derived from the writes of this manager, so that the cost of a scrape does not depend on that number.
//! `process_start_time_seconds` shows when counters were reset.

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
use longhaul_domain::{ProcessId, Status};
use longhaul_engine::ports::{EventCursor, PageRequest, ProcessFilter, SortOrder};
use longhaul_engine::{Engine, EngineError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::select;
use tokio::sync::Notify;

/// Minimum interval between two reads of the log that are not caused by a scrape. The log is read only if it has grown.
const COUNT_INTERVAL: Duration = Duration::from_millis(250);
/// Number of events that are read in one request.
const EVENTS: u32 = 512;

/// Metrics of a manager. Clones share the values.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<MetricsInner>,
}

#[derive(Debug)]
struct MetricsInner {
    begun: Instant,
    /// Start time of the manager on the wall clock.
    begun_at: SystemTime,
    counters: Mutex<EventCounters>,
    /// Cursor up to which events have been counted. `None` before the first read of the log. The mutex stays locked
    /// while events are counted, so that no event is counted twice.
    counted: tokio::sync::Mutex<Option<EventCursor>>,
    live_gauge: Mutex<LiveGauge>,
    /// Notified when the live processes must be reloaded from the store.
    doubted: Notify,
    /// True if other nodes also write to the store.
    is_shared: AtomicBool,
    /// Time limit for recording an exit, in milliseconds. An exit that is recorded after this limit counts as late.
    detection_deadline_ms: AtomicU64,
    /// Number of exits that were recorded late.
    late_detections: AtomicU64,
    /// Durations of store writes, with one histogram each for submit, claim and commit.
    writes: Mutex<[Histogram; 3]>,
}

/// Interval at which the live processes are reloaded from a shared store, to include the writes of other nodes.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// Default time limit for recording an exit, in milliseconds.
const DEFAULT_DETECTION_DEADLINE_MS: u64 = 500;
/// Number of records that are read in one request.
const PAGE: u32 = 256;

/// Kind of write to the store.
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
            detection_deadline_ms: AtomicU64::new(DEFAULT_DETECTION_DEADLINE_MS),
            late_detections: AtomicU64::new(0),
            writes: Mutex::new([Histogram::of_latency(), Histogram::of_latency(), Histogram::of_latency()]),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Metrics {
    /// Starts the tasks that keep the metrics current until the engine shuts down.
    pub fn follow(&self, engine: &Engine) {
        drop(tokio::spawn(follow(self.clone(), engine.clone())));
        drop(tokio::spawn(count(self.clone(), engine.clone())));
    }

    /// Sets the time limit for recording the exit of a command. An exit that is recorded after this limit counts as
    /// late.
    pub fn set_detection_deadline(&self, deadline: Duration) {
        let millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        self.inner.detection_deadline_ms.store(millis, Ordering::Relaxed);
    }

    /// Returns the time limit for recording the exit of a command.
    pub(crate) fn detection_deadline(&self) -> Duration {
        Duration::from_millis(self.inner.detection_deadline_ms.load(Ordering::Relaxed))
    }

    /// Returns the number of exits that this manager recorded later than the deadline.
    #[must_use]
    pub fn late_detections(&self) -> u64 {
        self.inner.late_detections.load(Ordering::Relaxed)
    }

    /// Adds the delay between an exit and its recording to the histogram. Logs a warning if the delay is too long.
    fn detected(&self, id: ProcessId, delay: Duration) {
        self.tally().detection.take(delay);
        if delay > self.detection_deadline() {
            self.inner.late_detections.fetch_add(1, Ordering::Relaxed);
            let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(%id, delay_ms, "the exit of a command was recorded later than detection.deadline");
        }
    }

    /// Counts the events that were logged since the last call of this function.
    async fn catch_up(&self, engine: &Engine) -> Result<(), EngineError> {
        let mut counted = self.inner.counted.lock().await;
        let end = engine.log_end().await?;
        let mut after = *counted.get_or_insert(end);
        if after > end {
            // The log was recreated or has lost its newest events.
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

    /// Requests a reload of the live processes from the store, because the result of a write is unknown.
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

/// Loads the live processes at the start, and again whenever their count is unreliable, until the engine shuts down.
async fn count(metrics: Metrics, engine: Engine) -> Option<()> {
    let statuses = Status::ALL.into_iter().filter(|status| !status.is_ended()).collect();
    let live = ProcessFilter { statuses, ..ProcessFilter::default() };
    loop {
        metrics.roll().begin();
        let mut ask = PageRequest { order: SortOrder::OldestFirst, after: None, limit: PAGE };
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

/// Counts new events in the time between scrapes, until the engine shuts down.
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
