//! In-memory database, and the in-memory store on top of it.
//!
//! Tests and embedding use the in-memory store. Its rules are those of [`StoreOn`]. The data is lost when the program
//! exits.

pub(crate) mod content;

use crate::rows::{
    ChangeCounter, FoundRow, KeyRange, LeaseTerms, RowAccess, RowKey, RowTransaction, Rows, StoreCounters,
    StoreOn, WriteSet,
};
use async_trait::async_trait;
use content::MemoryContent;
use longhaul_domain::{ProcessId, Timestamp};
use longhaul_ports::{Clock, EventCursor, LoggedEvent, SortOrder, StoreError};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, TryLockError};

/// The in-memory store. Its clones share the data. A test can therefore drop an engine and open another one on the same
/// store.
pub type MemoryStore = StoreOn<MemoryRows>;

/// Content of an in-memory store at one point in time.
#[derive(Clone, Debug)]
pub struct MemorySnapshot(MemoryContent);

impl MemoryStore {
    /// Creates an empty store that uses this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::on(MemoryRows { clock, content: Arc::default(), changes: Arc::default() })
    }

    /// Makes leases expire: each renewal extends a lease by `lease`. When a lease has been expired for `grace`, its
    /// node loses the ownership of its processes.
    #[must_use]
    pub fn with_leases(self, lease: Duration, grace: Duration) -> Self {
        self.with_lease_terms(LeaseTerms { lease, grace })
    }

    /// Deletes all data. Simulates a server whose data was flushed.
    pub fn lose_everything(&self) {
        self.database().replace(|content| {
            let incarnation = content.counters().incarnation.parse().unwrap_or(0_u64).saturating_add(1);
            let counters = StoreCounters { incarnation: incarnation.to_string(), ..StoreCounters::default() };
            MemoryContent::with(&counters)
        });
    }

    /// Returns a snapshot of the present data.
    #[must_use]
    pub fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot(self.database().locked().clone())
    }

    /// Restores a snapshot. Simulates a server that was restored from a dump.
    pub fn go_back(&self, to: &MemorySnapshot) {
        self.database().replace(|_| to.0.clone());
    }
}

/// In-memory database. A transaction locks the whole content.
pub struct MemoryRows {
    clock: Arc<dyn Clock>,
    content: Arc<RwLock<MemoryContent>>,
    changes: Arc<ChangeCounter>,
}

impl MemoryRows {
    /// Locks the content for reading and writing.
    fn locked(&self) -> OwnedRwLockWriteGuard<MemoryContent> {
        acquired(|| Arc::clone(&self.content).try_write_owned())
    }

    /// Replaces the content with other content. Nodes that register after this call get an epoch that no lease has
    /// used.
    fn replace(&self, other: impl FnOnce(&MemoryContent) -> MemoryContent) {
        let mut content = self.locked();
        let before = content.counters();
        *content = other(&content);
        let counters = StoreCounters {
            updates: before.updates.saturating_add(1),
            epochs_from: u64::try_from(self.clock.now().0).unwrap_or(0),
            ..content.counters()
        };
        content.set_counters(&counters);
        drop(content);
        self.changes.notify();
    }
}

/// Repeats an attempt to lock the content until the attempt succeeds.
///
/// A transaction waits for nothing while it has the lock, so the lock is free within microseconds. A task that was
/// suspended meanwhile would let the virtual time of a test pass while another thread has the lock.
fn acquired<G>(attempt: impl Fn() -> Result<G, TryLockError>) -> G {
    loop {
        match attempt() {
            Ok(guard) => return guard,
            Err(_) => std::thread::yield_now(),
        }
    }
}

impl fmt::Debug for MemoryRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.content.try_read().map(|content| content.len()).ok();
        f.debug_struct("MemoryRows").field("records", &records).finish_non_exhaustive()
    }
}

#[async_trait]
impl Rows for MemoryRows {
    async fn begin(&self, access: RowAccess) -> Result<Box<dyn RowTransaction>, StoreError> {
        let content = match access {
            RowAccess::Read => ContentGuard::Read(acquired(|| Arc::clone(&self.content).try_read_owned())),
            RowAccess::Write => ContentGuard::Write(self.locked()),
        };
        Ok(Box::new(MemoryTransaction { content, now: self.clock.now(), changes: Arc::clone(&self.changes) }))
    }

    fn changes(&self) -> &ChangeCounter {
        &self.changes
    }

    fn server(&self) -> String {
        "memory".to_owned()
    }
}

/// A transaction, which has the content to itself.
struct MemoryTransaction {
    content: ContentGuard,
    now: Timestamp,
    changes: Arc<ChangeCounter>,
}

enum ContentGuard {
    Read(OwnedRwLockReadGuard<MemoryContent>),
    Write(OwnedRwLockWriteGuard<MemoryContent>),
}

impl MemoryTransaction {
    fn content(&self) -> &MemoryContent {
        match &self.content {
            ContentGuard::Read(content) => content,
            ContentGuard::Write(content) => content,
        }
    }
}

#[async_trait]
impl RowTransaction for MemoryTransaction {
    fn now(&self) -> Timestamp {
        self.now
    }

    async fn rows(&mut self, ids: &[ProcessId]) -> Result<Vec<FoundRow>, StoreError> {
        Ok(self.content().rows(ids))
    }

    async fn scan(
        &mut self,
        ranges: &[KeyRange],
        order: SortOrder,
        limit: u32,
    ) -> Result<Vec<Vec<(RowKey, ProcessId)>>, StoreError> {
        Ok(self.content().scan(ranges, order, limit))
    }

    async fn count(&mut self, ranges: &[KeyRange], limit: u32) -> Result<Vec<u32>, StoreError> {
        Ok(self.content().count(ranges, limit))
    }

    async fn values(&mut self, keys: &[RowKey]) -> Result<Vec<Option<String>>, StoreError> {
        Ok(self.content().values(keys))
    }

    async fn scan_values(
        &mut self,
        range: &KeyRange,
        limit: u32,
    ) -> Result<Vec<(RowKey, String)>, StoreError> {
        Ok(self.content().scan_values(range, limit))
    }

    async fn events(&mut self, after: EventCursor, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        Ok(self.content().events(after, limit))
    }

    async fn commit(mut self: Box<Self>, writes: WriteSet) -> Result<(), StoreError> {
        let quiet = writes.quiet;
        match &mut self.content {
            ContentGuard::Write(content) => content.apply(writes),
            ContentGuard::Read(_) => {
                return Err(StoreError::ReadOnly { why: "the transaction only reads".to_owned() });
            }
        }
        let Self { content, changes, .. } = *self;
        drop(content);
        if !quiet {
            changes.notify();
        }
        Ok(())
    }
}
