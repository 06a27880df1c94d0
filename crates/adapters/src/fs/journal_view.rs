//! State that the writer, the readers and the checkpoint thread of a store share.

use super::failure::{blocked, corrupt, within};
use super::journal::{self, JournalKind};
use super::journal_line::JournalLine;
use super::replay::ReplayState;
use super::state::StoreState;
use super::store_dir::StoreDir;
use longhaul_ports::StoreError;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, RwLock};

/// State that the writer, the readers and the checkpoint thread of a store share.
#[derive(Debug)]
pub(super) struct JournalShared {
    pub(super) store_dir: StoreDir,
    /// The writer holds the write lock until its changes are on the disk. Readers therefore never read changes that a
    /// crash could undo.
    pub(super) view: RwLock<JournalView>,
    /// Notified after every write. Each waiting task then checks whether the write concerns it.
    pub(super) changed: Notify,
    /// Number of the last commit whose changes are all in the checkpoint.
    pub(super) checkpointed: AtomicU64,
    /// Lock that is held while a checkpoint is written.
    checkpointing: Mutex<()>,
    /// Lock that is held while many files are replaced or all files are read. A task that holds this lock acquires no
    /// other lock.
    files: Mutex<()>,
    failed: Mutex<Option<String>>,
}

/// The records, and the number of the last commit that they contain.
#[derive(Debug)]
pub(super) struct JournalView {
    pub(super) state: StoreState,
    pub(super) last: u64,
    /// Reason why the records in memory can no longer be read.
    pub(super) lost: Option<String>,
}

impl JournalShared {
    /// Opens the store and reads all its files.
    pub(super) fn open(store_dir: StoreDir) -> Result<Self, StoreError> {
        let (view, checkpointed) = JournalView::read(&store_dir)?;
        Ok(Self {
            store_dir,
            view: RwLock::new(view),
            changed: Notify::new(),
            checkpointed: AtomicU64::new(checkpointed),
            checkpointing: Mutex::default(),
            files: Mutex::default(),
            failed: Mutex::default(),
        })
    }

    /// Acquires the checkpoint lock. Must not be called while `view` is locked.
    pub(super) fn checkpointing(&self) -> MutexGuard<'_, ()> {
        self.checkpointing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the store acknowledge no further writes.
    pub(super) fn fail(&self, why: String) {
        tracing::error!(why, "the store became read-only until the manager is restarted");
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    /// Returns the reason why the store acknowledges no further writes, or `None` if it does acknowledge them.
    pub(super) fn failed(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl JournalView {
    /// Reads the records from the files. Also returns the number of the last commit whose changes are all in the
    /// checkpoint.
    pub(super) fn read(place: &StoreDir) -> Result<(Self, u64), StoreError> {
        let mut state = StoreState::default();
        let (checkpointed, until) = read_checkpoint(place, &mut state)?;
        let mut last = checkpointed;
        for no in place.commits()?.into_keys().filter(|no| *no > checkpointed) {
            if no != last.saturating_add(1) {
                return Err(missing(place, last.saturating_add(1)));
            }
            let known = if no <= until { ReplayState::InPart } else { ReplayState::Exactly };
            let path = place.commit(no);
            let title = |title| match title {
                JournalKind::Commit(named) if named == no => Ok(()),
                JournalKind::Commit(_) | JournalKind::Checkpoint(_) => {
                    Err(corrupt("the file name does not match the commit"))
                }
            };
            journal::read(&path, title, |line| state.read(line, known))?;
            last = no;
        }
        if last < until {
            return Err(missing(place, last.saturating_add(1)));
        }
        state.clear_changes();
        Ok((Self { state, last, lost: None }, checkpointed))
    }
}

/// Reads the checkpoint. Returns two commit numbers: the last commit whose changes are all in the checkpoint, and the
/// last commit from which the checkpoint may contain some changes.
fn read_checkpoint(place: &StoreDir, state: &mut StoreState) -> Result<(u64, u64), StoreError> {
    let path = place.checkpoint();
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Ok((0, 0)),
        Err(error) => return Err(blocked(&path, error)),
    }
    let (mut checkpointed, mut until) = (0, None);
    let title = |title| match title {
        JournalKind::Checkpoint(no) => {
            checkpointed = no;
            Ok(())
        }
        JournalKind::Commit(_) => Err(corrupt("the file is not a checkpoint")),
    };
    journal::read(&path, title, |line| {
        if let JournalLine::Until { commit } = line {
            until = Some(commit);
            return Ok(());
        }
        state.read(line, ReplayState::InPart)
    })?;
    let until = until.ok_or_else(|| within(&path)(corrupt("the file does not contain its last commit")))?;
    Ok((checkpointed, until))
}

fn missing(place: &StoreDir, no: u64) -> StoreError {
    corrupt(format!("{} is missing", place.commit(no).display()))
}
