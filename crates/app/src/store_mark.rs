//! The mark of a store, by which a state directory detects that the store has lost records.
//!
//! A database is still valid after its file or log was removed, truncated, or replaced by an older copy. The database
//! alone therefore does not show that records are missing. For this reason, the state directory stores the number of
//! the store's newest event in a separate file, the mark. A store whose newest event is older than the mark has lost
//! records, and no manager serves it. If a manager served it, processes would run without a record, and the output of
//! attempts without a record would be deleted.
//!
//! The mark is written after the commits and is not synced. It is therefore never ahead of a store that syncs its
//! commits, and no launch waits for it.

use crate::binding::{UnusableFile, replace, text_of};
use crate::compose::{ComposeError, end_of, shared};
use crate::config::StoreChoice;
use crate::enclosing_shim::ATTEMPTS;
use crate::last_store::{is_last, living, name_of};
use longhaul_client::StateDir;
use longhaul_domain::ProcessId;
use longhaul_engine::ports::{EventCursor, Store};
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// Name of the file that contains the mark, inside the state directory.
const NAME: &str = "store_mark";
/// Maximum number of processes that an error message lists.
const MAX_NAMED: usize = 10;
/// Minimum time between two writes of the mark.
const STEP: Duration = Duration::from_millis(100);

/// The mark of a store, with the newest event that the store is known to have had.
#[derive(Debug)]
pub(crate) struct StoreMark {
    file: PathBuf,
    /// Name of the store in the mark file. The name does not change when the state directory is moved.
    name: String,
    /// Name of the store for display.
    store: String,
    known: StorePreview,
}

/// Knowledge about the events of a store before the store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StorePreview {
    /// The store is known to have contained this event.
    Event(EventCursor),
    /// The store must have contained events, although its mark has no number: the state directory was last served with
    /// this store and contains attempts.
    Used,
    /// Nothing indicates that the store ever contained events. It may be new.
    Nothing,
}

/// Error for a store that lacks records which it had before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct MissingRecords {
    /// Name of the store.
    pub store: String,
    /// Newest event that the store is known to have contained. `None` if this event is unknown.
    pub known: Option<EventCursor>,
    /// Newest event that the store contains now. `None` if the store does not exist.
    pub found: Option<EventCursor>,
    /// Processes with a running attempt in the state directory.
    pub live: BTreeSet<ProcessId>,
}

impl StoreMark {
    /// Reads the mark of a store. Returns `None` for an in-memory store. Also returns `None` for a shared store,
    /// because the nodes restore its lost records.
    pub(crate) fn of(state: &StateDir, choice: &StoreChoice) -> Option<Self> {
        let of_files = |kind: &str, path: &Path| {
            format!("{kind}:{}", path.strip_prefix(state.path()).unwrap_or(path).display())
        };
        let name = match choice {
            StoreChoice::Memory => return None,
            StoreChoice::Other(url) if shared::knows(url) => return None,
            StoreChoice::Other(_) => name_of(choice),
            StoreChoice::Sqlite(path) => of_files("sqlite", path),
            StoreChoice::Fs(path) => of_files("fs", path),
        };
        let file = state.path().join(NAME);
        let text = text_of(&file).ok().flatten();
        let known = match text.as_deref().and_then(|text| noted(text, &name)) {
            Some(newest) => StorePreview::Event(newest),
            None if is_last(state, choice) && holds_attempts(&state.path().join(ATTEMPTS)) => {
                StorePreview::Used
            }
            None => StorePreview::Nothing,
        };
        Some(Self { file, name, store: choice.to_string(), known })
    }

    /// Returns an error if the store is behind its mark. `found` is the newest event of the store, or `None` if the
    /// store does not exist.
    pub(crate) fn check(&self, state: &StateDir, found: Option<EventCursor>) -> Result<(), MissingRecords> {
        let reached = found.unwrap_or_default();
        let (is_whole, known) = match self.known {
            StorePreview::Event(known) => (reached >= known, Some(known)),
            StorePreview::Used => (reached > EventCursor::default(), None),
            StorePreview::Nothing => (true, None),
        };
        if is_whole {
            return Ok(());
        }
        let live = living(&state.path().join(ATTEMPTS));
        Err(MissingRecords { store: self.store.clone(), known, found, live })
    }

    /// Like [`check`](Self::check), but without opening the store. Opening would create a missing store. It would also
    /// remove the log of a database, from which the user may still recover records.
    pub(crate) fn check_unopened(
        &self,
        state: &StateDir,
        choice: &StoreChoice,
    ) -> Result<(), MissingRecords> {
        let found = match choice {
            // Reading a file store takes as long as opening it. A file store is therefore checked after it was opened.
            StoreChoice::Fs(path) if path.exists() => return Ok(()),
            // For a store of a program-added kind, the newest event is known only after the store was opened.
            StoreChoice::Other(_) => return Ok(()),
            StoreChoice::Memory | StoreChoice::Sqlite(_) | StoreChoice::Fs(_) => end_of(choice),
        };
        // If the store cannot be read, this is reported when the store is opened.
        found.map_or(Ok(()), |found| self.check(state, found))
    }

    /// Returns an error if an open store is behind its mark.
    pub(crate) async fn check_opened(
        &self,
        state: &StateDir,
        choice: &StoreChoice,
        store: &dyn Store,
    ) -> Result<(), ComposeError> {
        let failed = |source| ComposeError::Store { store: choice.to_string(), source };
        let newest = store.end().await.map_err(failed)?;
        Ok(self.check(state, Some(newest))?)
    }

    /// Creates a mark without a number if the store has no mark. The file has space for the number.
    ///
    /// Must be called before the state directory records this store as its last store. If a recorded store later has
    /// attempts but no number in its mark, the store is then known to have contained events.
    pub(crate) fn begin(&self) -> Result<(), UnusableFile> {
        match self.known {
            StorePreview::Event(_) => Ok(()),
            StorePreview::Used | StorePreview::Nothing => {
                self.replace(&" ".repeat(text(&self.name, EventCursor::default()).len()))
            }
        }
    }

    /// Writes the mark durably, with the given newest event.
    pub(crate) fn reset(&self, newest: EventCursor) -> Result<(), UnusableFile> {
        self.replace(&text(&self.name, newest))
    }

    fn replace(&self, text: &str) -> Result<(), UnusableFile> {
        replace(&self.file, text).map_err(|source| UnusableFile { path: self.file.clone(), source })
    }

    /// Starts a task that keeps the mark up to date until the sender of `written` is dropped.
    pub(crate) fn follow(self, store: &Arc<dyn Store>, written: watch::Receiver<()>) {
        match self.opened() {
            Ok(file) => drop(tokio::spawn(follow(file, self.name, Arc::downgrade(store), written))),
            Err(error) => tracing::warn!(%error, "could not open the file with the position of the store: \
                a later loss of records will not be detected"),
        }
    }

    /// Opens the mark file. The file stays open, because its path may later lead to another state directory.
    fn opened(&self) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.file, flags, Mode::empty())?.into())
    }
}

async fn follow(file: File, name: String, store: Weak<dyn Store>, mut written: watch::Receiver<()>) {
    let file = Arc::new(file);
    let mut marked = EventCursor::default();
    while let Some(open) = store.upgrade() {
        let newest = open.end().await;
        drop(open);
        if let Ok(newest) = newest
            && marked != newest
        {
            let (file, text) = (Arc::clone(&file), text(&name, newest));
            // The file is overwritten in place, because this needs no additional space on a full disk.
            let writing = tokio::task::spawn_blocking(move || file.write_all_at(text.as_bytes(), 0));
            match writing.await {
                Ok(Ok(())) => marked = newest,
                // After a failed write, the mark is behind the store. A loss may then remain undetected, but no false
                // loss is reported.
                Ok(Err(error)) => tracing::debug!(%error, "could not write the position of the store"),
                Err(_) => return,
            }
        }
        tokio::time::sleep(STEP).await;
        if written.changed().await.is_err() {
            return;
        }
    }
}

/// Detects lost records of a store without opening or changing the store. Returns `None` if no records are lost, if the
/// store is in use, or if the store can only be read by opening it.
pub(crate) fn lost(state: &StateDir, choice: &StoreChoice) -> Option<MissingRecords> {
    if let StoreChoice::Other(_) = choice {
        return None;
    }
    let mark = StoreMark::of(state, choice)?;
    let found = end_of(choice).ok()?;
    mark.check(state, found).err()
}

/// Detects lost records of an open store. Returns `None` if no records are lost or the store cannot be read.
pub(crate) async fn lost_of(
    state: &StateDir,
    choice: &StoreChoice,
    store: &dyn Store,
) -> Option<MissingRecords> {
    let mark = StoreMark::of(state, choice)?;
    let found = store.end().await.ok()?;
    mark.check(state, Some(found)).err()
}

/// Accepts a loss of records by setting the mark to the newest event that the store has now.
///
/// For a store of a program-added kind, the newest event is known only from `lost`. If `lost` is `None`, the mark of
/// such a store stays unchanged.
pub(crate) fn accept_loss(
    state: &StateDir,
    choice: &StoreChoice,
    lost: Option<&MissingRecords>,
) -> Result<(), UnusableFile> {
    let Some(mark) = StoreMark::of(state, choice) else { return Ok(()) };
    if let StoreChoice::Other(_) = choice {
        return lost.map_or(Ok(()), |lost| mark.reset(lost.found.unwrap_or_default()));
    }
    if let StoreChoice::Sqlite(path) = choice
        && !path.exists()
    {
        // The log of the missing database is renamed, so that a new database does not use it.
        for ending in ["-wal", "-shm"] {
            let left = with_ending(path, ending);
            match fs::rename(&left, with_ending(&left, ".lost")) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(UnusableFile { path: left, source });
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
    match end_of(choice) {
        Ok(found) => mark.reset(found.unwrap_or_default()),
        Err(_) => Ok(()),
    }
}

impl MissingRecords {
    fn text(&self) -> String {
        match self.found {
            None => format!("the store {} does not exist any more", self.store),
            Some(_) => format!("the store {} has lost its newest records", self.store),
        }
    }

    /// Returns the reason why the store is refused.
    pub(crate) fn why(&self) -> String {
        let had = match self.known {
            Some(known) => format!("the store had {} events", known.0),
            None => "this state directory contains attempts that the store had recorded".to_owned(),
        };
        let has = match self.found {
            None => ", but the store no longer exists".to_owned(),
            Some(found) => {
                format!(
                    ", but the store has {} events now: it was emptied, or replaced by an older copy",
                    found.0
                )
            }
        };
        let live = match self.live.len() {
            0 => "none of its processes is running".to_owned(),
            1 => format!("1 process is running, and its record may be lost: {}", ids(&self.live)),
            count => {
                format!("{count} processes are running, and their records may be lost: {}", ids(&self.live))
            }
        };
        format!("{had}{has}; {live}")
    }

    /// Returns advice for the user on how to resolve the error.
    pub(crate) fn help(&self) -> String {
        let what = match self.store.split_once(':') {
            Some(("sqlite", _)) => {
                "restore the removed or replaced files, the database together with its -wal file"
            }
            Some(("fs", _)) => "restore the removed or replaced files",
            _ => "restore the records of the store",
        };
        format!("{what}; if they cannot be restored, accept the loss with `longhaul store adopt`",)
    }
}

/// Formats the first process ids on one line.
fn ids(all: &BTreeSet<ProcessId>) -> String {
    let named: Vec<String> = all.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    let more = if all.len() > MAX_NAMED { " …" } else { "" };
    format!("{}{more}", named.join(" "))
}

/// Returns the content of the mark file. Its length depends only on the name of the store, so the file can be
/// overwritten in place.
fn text(name: &str, newest: EventCursor) -> String {
    format!("newest_event={:020}\nstore={name}\n", newest.0)
}

fn noted(text: &str, name: &str) -> Option<EventCursor> {
    let (newest, named) = text.strip_prefix("newest_event=")?.split_once("\nstore=")?;
    if named.strip_suffix('\n') != Some(name) {
        return None;
    }
    newest.parse().ok().map(EventCursor)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn holds_attempts(directory: &Path) -> bool {
    let is_one = |name: &str| name.parse::<ProcessId>().is_ok();
    fs::read_dir(directory)
        .is_ok_and(|found| found.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_one)))
}
