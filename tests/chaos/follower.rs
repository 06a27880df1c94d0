//! A reader of the log of events, who follows it while it is written.

use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_ports::{EventCursor, EventLog, LoggedEvent, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::sleep;

/// So many events are read in one go.
const PAGE: u32 = 2_000;
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// The reader at work.
pub(crate) struct Follower {
    over: Arc<AtomicBool>,
    reader: JoinHandle<Log>,
}

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// As it was read while it was written.
    pub(crate) followed: Vec<LoggedEvent>,
    /// What of it is kept at the end.
    pub(crate) kept: Vec<LoggedEvent>,
    /// Events were let go that nobody had read.
    pub(crate) gap: bool,
}

impl Follower {
    pub(crate) fn start(url: String) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let reader = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(follow(&url, &told))
        });
        Self { over, reader }
    }

    /// Reads to the end.
    pub(crate) fn end(self) -> Log {
        self.over.store(true, Ordering::Relaxed);
        self.reader.join().unwrap()
    }
}

/// A store beside those of the managers, which writes nothing.
pub(crate) async fn open(url: &str) -> RedisStore {
    loop {
        if let Ok(store) = RedisStore::open(RedisOptions::of_url(url).unwrap()).await {
            return store;
        }
        sleep(PAUSE).await;
    }
}

async fn follow(url: &str, over: &AtomicBool) -> Log {
    let store = open(url).await;
    let mut log = Log::default();
    let mut after = None;
    loop {
        let last = over.load(Ordering::Relaxed);
        if let Ok(gap) = read(&store, &mut after, &mut log.followed).await {
            log.gap |= gap;
            if last {
                break;
            }
        }
        sleep(PAUSE).await;
    }
    let mut after = None;
    while read(&store, &mut after, &mut log.kept).await.is_err() {
        sleep(PAUSE).await;
    }
    log
}

/// Reads all there is after a place; says whether something is missing there.
async fn read(
    store: &RedisStore,
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
