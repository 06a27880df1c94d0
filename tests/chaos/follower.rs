//! A reader that follows the event log while nodes write it.

use longhaul_adapters::postgres::{PostgresOptions, PostgresStore};
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_ports::{EventCursor, LoggedEvent, Store, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::sleep;

/// Maximum number of events that a single read returns.
const PAGE: u32 = 2_000;
/// Interval between two reads.
const PAUSE: Duration = Duration::from_millis(200);

/// The reader, which runs in its own thread.
pub(crate) struct Follower {
    over: Arc<AtomicBool>,
    reader: JoinHandle<Log>,
}

/// The event log at the end of a run.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The events in the order in which they were read during the run.
    pub(crate) followed: Vec<LoggedEvent>,
    /// The events that the store contains at the end of the run.
    pub(crate) kept: Vec<LoggedEvent>,
    /// True if the store pruned events before the reader read them.
    pub(crate) gap: bool,
}

impl Follower {
    pub(crate) fn start(url: String) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let reported = over.clone();
        let reader = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(follow(&url, &reported))
        });
        Self { over, reader }
    }

    /// Reads the rest of the log, and then stops the reader.
    pub(crate) fn end(self) -> Log {
        self.over.store(true, Ordering::Relaxed);
        self.reader.join().unwrap()
    }
}

/// Opens the store for the reader. The managers have connections of their own.
pub(crate) async fn open(url: &str) -> Arc<dyn Store> {
    loop {
        if let Ok(store) = try_open(url).await {
            return store;
        }
        sleep(PAUSE).await;
    }
}

async fn try_open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    if url.starts_with("postgres:") {
        Ok(Arc::new(PostgresStore::open(PostgresOptions::of_url(url).unwrap()).await?))
    } else {
        Ok(Arc::new(RedisStore::open(RedisOptions::of_url(url).unwrap()).await?))
    }
}

async fn follow(url: &str, over: &AtomicBool) -> Log {
    let store = open(url).await;
    let mut log = Log::default();
    let mut after = None;
    loop {
        let last = over.load(Ordering::Relaxed);
        if let Ok(gap) = read(&*store, &mut after, &mut log.followed).await {
            log.gap |= gap;
            if last {
                break;
            }
        }
        sleep(PAUSE).await;
    }
    let mut after = None;
    while read(&*store, &mut after, &mut log.kept).await.is_err() {
        sleep(PAUSE).await;
    }
    log
}

/// Reads all events after a cursor. Returns true if the store no longer has some of these events.
async fn read(
    store: &dyn Store,
    after: &mut Option<EventCursor>,
    into: &mut Vec<LoggedEvent>,
) -> Result<bool, StoreError> {
    let mut gap = false;
    loop {
        let page = store.read(*after, PAGE, false).await?;
        gap |= page.gap && after.is_some();
        let Some(last) = page.events.last() else { return Ok(gap) };
        *after = Some(last.cursor);
        into.extend(page.events);
    }
}
