//! What a node keeps for itself beside a store of many machines.
//!
//! A launch is kept in a local SQLite file before it is handed to the store, and what the store says of the work of this
//! node is kept as it is said. So the node can show its own work while the store is away, and give back what the store
//! lost. Nothing is acknowledged from here, unless the node was told to accept launches alone while the store is away:
//! every write is the store's, and so is every read but those that ask for what is kept.
//!
//! What was asked for is on the disk before the store sees it. What becomes of it is written within a moment: the
//! directories of the attempts tell of it as well.

mod events;
mod failure;
mod index;
mod local_only;
mod maintenance;
mod membership;
mod opening;
mod outage;
mod process;
mod queues;
mod reconcile;
mod row;
mod schema;
mod writer;

pub use failure::ForeignOutbox;

use index::OutboxIndex;
use longhaul_ports::{Clock, Restore, Store, StoreError, StoredProcess};
use outage::OutageTracker;
use row::OutboxMeta;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use writer::{OutboxChange, OutboxWriter};

/// A store of many machines that can be given back what it lost.
pub trait SharedStore: Store + Restore {}

impl<T: Store + Restore> SharedStore for T {}

/// A store of many machines, with what this node keeps of its own work.
pub struct OutboxStore {
    inner: Arc<dyn SharedStore>,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    outage: OutageTracker,
    index: Mutex<OutboxIndex>,
    writer: OutboxWriter,
    accepts_alone: bool,
    /// Held by whoever writes what this node alone knows, or gives it to the store.
    giving: tokio::sync::Mutex<()>,
}

/// How an outbox is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxOptions {
    /// Where the store is, without any secret: what is kept of one store is never given to another.
    pub place: String,
    /// So long an ended record is kept after its end was acknowledged; 10 minutes by default, nothing if the store
    /// outlives the loss of its server.
    pub keeps_ended: Duration,
    /// The most ended records that are kept; 10,000 by default.
    pub most_ended: usize,
    /// The most that the file may take, in KiB; none means as much as the disk has.
    pub most_kib: Option<u32>,
    /// Whether launches that concern nobody else are accepted by this node alone while the store is away; not by default.
    pub accepts_alone: bool,
}

impl OutboxOptions {
    /// For the store at this place, all else as by default.
    #[must_use]
    pub fn at(place: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            keeps_ended: Duration::from_secs(600),
            most_ended: 10_000,
            most_kib: None,
            accepts_alone: false,
        }
    }
}

impl OutboxStore {
    /// Opens the file at `path`, or makes a new one if there is none. It blocks for some milliseconds.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and [`StoreError::Format`] if the file is not one of ours or of a newer program,
    /// [`StoreError::Unavailable`] with a [`ForeignOutbox`] if it keeps live work of another store: it was left untouched.
    /// [`StoreError::ReadOnly`] if it cannot be written.
    pub async fn open(
        inner: Arc<dyn SharedStore>,
        path: &Path,
        clock: Arc<dyn Clock>,
        options: OutboxOptions,
    ) -> Result<Self, StoreError> {
        let connection = opening::open(path, options.most_kib)?;
        let found = row::headings(&connection).map_err(|halt| halt.at(path))?;
        let mark = row::mark(&connection).map_err(|halt| halt.at(path))?;
        let belongs = mark.place.is_empty() || mark.place == options.place || {
            let incarnation = inner.history().await?.incarnation;
            let known = mark.history.as_ref().and_then(|history| history.incarnation.clone());
            incarnation.is_some() && incarnation == known
        };
        let writer = OutboxWriter::start(connection)?;
        let (mark, found) = if belongs {
            (OutboxMeta { place: options.place, ..mark }, found)
        } else if let Some(live) = found.iter().find(|heading| heading.ended_at.is_none()) {
            return Err(failure::foreign(path, &mark.place, live.id));
        } else {
            found.iter().for_each(|heading| writer.soon(OutboxChange::LetGo(heading.id)));
            (OutboxMeta { place: options.place, ..OutboxMeta::default() }, Vec::new())
        };
        writer.durably(OutboxChange::Mark(Box::new(mark.clone()))).await?;
        Ok(Self {
            inner,
            path: path.to_owned(),
            outage: OutageTracker::new(clock.clone()),
            clock,
            index: Mutex::new(OutboxIndex::new(options.keeps_ended, options.most_ended, mark, found)),
            writer,
            accepts_alone: options.accepts_alone,
            giving: tokio::sync::Mutex::default(),
        })
    }

    /// Refuses a store that is not there yet, while the file at `path` keeps live work of one at another place: it would
    /// be founded for nothing.
    ///
    /// # Errors
    /// As [`OutboxStore::open`].
    pub fn check_unfounded(path: &Path, place: &str) -> Result<(), StoreError> {
        if !path.exists() {
            return Ok(());
        }
        let connection = opening::open(path, None)?;
        let mark = row::mark(&connection).map_err(|halt| halt.at(path))?;
        if mark.place.is_empty() || mark.place == place {
            return Ok(());
        }
        let found = row::headings(&connection).map_err(|halt| halt.at(path))?;
        match found.iter().find(|heading| heading.ended_at.is_none()) {
            Some(live) => Err(failure::foreign(path, &mark.place, live.id)),
            None => Ok(()),
        }
    }

    /// Changes what is in mind, and has it written in the same order.
    fn keep(&self, change: impl FnOnce(&mut OutboxIndex) -> Vec<OutboxChange>) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut index).into_iter().for_each(|entry| self.writer.soon(entry));
    }

    fn look<T>(&self, look: impl FnOnce(&mut OutboxIndex) -> T) -> T {
        look(&mut self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The store told of records.
    fn heard<'a>(&self, stored: impl IntoIterator<Item = &'a StoredProcess>) {
        let now = self.clock.now();
        self.keep(|index| stored.into_iter().flat_map(|stored| index.heard(now, stored)).collect());
    }

    /// Asks the store, and learns whether it is there.
    async fn asked<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let asked = self.outage.ask();
        let answer = question.await;
        self.outage.told(asked, &answer);
        answer
    }
}

impl fmt::Debug for OutboxStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxStore")
            .field("store", &self.inner)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
