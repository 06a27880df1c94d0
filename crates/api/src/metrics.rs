//! Numbers for Prometheus.
//!
//! What happens is counted by one follower of the event log, from the start of the manager on; what is, is asked of the
//! store when somebody looks. A counter that begins anew says so by `process_start_time_seconds`.

mod histogram;
mod measured;
mod scrape;
mod tally;
mod text;

pub use measured::Measured;

use histogram::Histogram;
use longhaul_engine::{Engine, Notice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tally::Tally;

/// So many events wait for the follower before it counts as fallen behind.
const CAPACITY: usize = 4_096;

/// Numbers about a manager, from its making on. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    begun: Instant,
    /// The same on a clock on the wall.
    begun_at: SystemTime,
    tally: Mutex<Tally>,
    /// How long the store took for each kind of write.
    writes: Mutex<[Histogram; 3]>,
}

/// What a store is asked to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Submit,
    Claim,
    Commit,
}

impl Default for Metrics {
    fn default() -> Self {
        let inner = Inner {
            begun: Instant::now(),
            begun_at: SystemTime::now(),
            tally: Mutex::default(),
            writes: Mutex::new([Histogram::of_latency(), Histogram::of_latency(), Histogram::of_latency()]),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Metrics {
    /// Counts what happens from now on, until the engine ends.
    pub fn follow(&self, engine: &Engine) {
        drop(tokio::spawn(follow(self.clone(), engine.clone())));
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.inner.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writes(&self) -> [Histogram; 3] {
        self.inner.writes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wrote(&self, write: Write, took: Duration) {
        let mut writes = self.inner.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let [submits, claims, commits] = &mut *writes;
        match write {
            Write::Submit => submits,
            Write::Claim => claims,
            Write::Commit => commits,
        }
        .take(took);
    }
}

async fn follow(metrics: Metrics, engine: Engine) {
    let mut from = None;
    loop {
        let mut subscription = match engine.subscribe(from, CAPACITY).await {
            Ok(subscription) => subscription,
            Err(error) => {
                tracing::warn!(%error, "nothing is counted: the event log cannot be read");
                return;
            }
        };
        loop {
            match subscription.next().await {
                Some(Notice::Event(logged)) => metrics.tally().take(&logged, engine.now()),
                Some(Notice::Resync { from: place }) => {
                    metrics.tally().missed();
                    from = Some(place);
                    break;
                }
                None => return,
            }
        }
    }
}
