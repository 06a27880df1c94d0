//! Directory of a store: its files, its lock and its format.
//!
//! ```text
//! FORMAT              the kind of this directory and its format version
//! lock                held by the one program that uses the store
//! checkpoint.jsonl    the whole store at some commit
//! commits/N.jsonl     the changes after that commit, one file for each commit
//! ```

use super::FORMAT;
use super::failure::{WriteError, blocked, corrupt};
use longhaul_failpoint::failpoint;
use longhaul_ports::StoreError;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::atomic::{AtomicU8, Ordering};

/// Name of this kind of store in the file `FORMAT`.
pub(super) const KIND: &str = "fs";

const MARK: &str = "FORMAT";
const LOCK: &str = "lock";
const CHECKPOINT: &str = "checkpoint.jsonl";
const COMMITS: &str = "commits";
const LINES: &str = ".jsonl";
const DRAFT: &str = ".tmp";
/// `O_NONBLOCK` on the supported architectures: opening a named pipe must not block.
const NONBLOCK: i32 = 0o4000;
/// Maximum number of bytes to read from the description of the program that holds the lock.
const MAX_HOLDER_LEN: u64 = 4_096;
/// Free space in bytes that must be available before a full store accepts writes again.
const PROBE: usize = 16 * 1024;

/// The directory of a store, locked by this program.
#[derive(Debug)]
pub(super) struct StoreDir {
    root: PathBuf,
    lock: File,
    /// Maximum size of all files in bytes.
    limit: Option<u64>,
    #[cfg(test)]
    pub(super) fails: AtomicU8,
}

/// A file that is first written under a temporary name.
#[derive(Clone, Copy, Debug)]
pub(super) enum JournalFileId {
    Commit(u64),
    Checkpoint,
}

impl StoreDir {
    /// Locks the directory for this program. Creates the directory if it does not exist. Does not change a directory
    /// that is not a longhaul store.
    pub(super) fn take(root: &Path, limit: Option<u64>) -> Result<Self, StoreError> {
        let known = kind_of(root)?;
        if known == StoreFileKind::Missing {
            make_directory(root)?;
        }
        let path = root.join(LOCK);
        if path.is_symlink() {
            return Err(blocked(
                root,
                io::Error::other(
                    "the lock file of the store is a symbolic link; \
                remove the link",
                ),
            ));
        }
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NONBLOCK)
            .open(path)
            .map_err(|error| blocked(root, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(root, lock)),
            Err(TryLockError::Error(error)) => return Err(blocked(root, error)),
        }
        let place = Self {
            root: root.to_owned(),
            lock,
            limit,
            #[cfg(test)]
            fails: AtomicU8::new(0),
        };
        // Another program may have completed the directory before this program got the lock.
        if kind_of(root)? != StoreFileKind::Ours {
            place.populate().map_err(|error| blocked(root, error))?;
        }
        Ok(place)
    }

    /// Locks an existing store. Returns `None` if there is no store.
    pub(super) fn of_existing(root: &Path) -> Result<Option<Self>, StoreError> {
        match kind_of(root)? {
            StoreFileKind::Ours => Self::take(root, None).map(Some),
            StoreFileKind::Missing | StoreFileKind::Unfinished => Ok(None),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Writes a description of this program into the lock file. Called after the store was read successfully.
    pub(super) fn sign(&self) {
        let mut file = &self.lock;
        let text = format!("pid={}\n", std::process::id());
        // An error is ignored, because the text is only information for people.
        let _ = self.lock.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
    }

    pub(super) fn checkpoint(&self) -> PathBuf {
        self.root.join(CHECKPOINT)
    }

    pub(super) fn commit(&self, no: u64) -> PathBuf {
        self.root.join(COMMITS).join(format!("{no:012}{LINES}"))
    }

    /// Returns the numbers and sizes of the existing commits.
    pub(super) fn commits(&self) -> Result<BTreeMap<u64, u64>, StoreError> {
        let directory = self.root.join(COMMITS);
        let failed = |error| blocked(&directory, error);
        let mut commits = BTreeMap::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some(no) = name.to_str().and_then(|name| name.strip_suffix(LINES)) else {
                continue;
            };
            let no = no.parse().map_err(|_| {
                corrupt(format!("{} is not a commit file of a store", entry.path().display()))
            })?;
            commits.insert(no, entry.metadata().map_err(failed)?.len());
        }
        Ok(commits)
    }

    /// Removes incomplete files that a crash left behind.
    pub(super) fn tidy(&self) {
        for file_id in [JournalFileId::Commit(0), JournalFileId::Checkpoint] {
            // An error is ignored, because the file is overwritten before it is used again.
            let _ = fs::remove_file(self.draft(file_id));
        }
    }

    /// Deletes the commits whose changes are in the checkpoint.
    pub(super) fn remove_commits(&self, upto: u64) -> Result<(), StoreError> {
        for no in self.commits()?.into_keys().take_while(|no| *no <= upto) {
            let path = self.commit(no);
            failpoint!("fs.commit.remove").map_err(|error| blocked(&path, error))?;
            fs::remove_file(&path).map_err(|error| blocked(&path, error))?;
        }
        Ok(())
    }

    /// Writes a file under a temporary name. The file has no effect under this name.
    pub(super) fn prepare(
        &self,
        file_id: JournalFileId,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), WriteError> {
        let draft = self.draft(file_id);
        let written = self.write_draft(file_id, &draft, fill);
        if written.is_err() {
            // Return the write error and ignore an error of the removal, because a leftover file has no effect.
            let _ = fs::remove_file(&draft);
        }
        written
    }

    /// Renames a prepared file to its final name. The file takes effect by this rename.
    pub(super) fn publish(&self, file_id: JournalFileId) -> Result<(), WriteError> {
        let path = match file_id {
            JournalFileId::Commit(no) => self.commit(no),
            JournalFileId::Checkpoint => self.checkpoint(),
        };
        file_id.before_rename().map_err(WriteError::before)?;
        fs::rename(self.draft(file_id), &path).map_err(WriteError::before)?;
        let parent = path.parent().unwrap_or(&self.root);
        let fails = self.may_fail(4).and_then(|()| file_id.before_directory());
        let synced = fails.and_then(|()| File::open(parent)?.sync_all());
        synced.map_err(WriteError::Unsure)
    }

    fn write_draft(
        &self,
        file_id: JournalFileId,
        draft: &Path,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), WriteError> {
        self.may_fail(1).and_then(|()| file_id.before_write()).map_err(WriteError::before)?;
        let file = begin(draft).map_err(WriteError::before)?;
        let mut buffer = BufWriter::new(file);
        fill(&mut buffer).map_err(WriteError::before)?;
        let file = buffer.into_inner().map_err(|error| WriteError::before(error.into_error()))?;
        match file_id {
            JournalFileId::Commit(_) => self.bounded(&file)?,
            // A checkpoint is exempt from the size limit, because it replaces the present checkpoint.
            JournalFileId::Checkpoint => {}
        }
        let fails = self.may_fail(2).and_then(|()| file_id.before_sync());
        fails.and_then(|()| file.sync_all()).map_err(WriteError::at_sync)
    }

    /// Checks that the disk has this much free space and a small reserve. Does not change the store.
    pub(super) fn has_room(&self, bytes: usize) -> Result<(), WriteError> {
        let draft = self.draft(JournalFileId::Commit(0));
        let probed = self.may_fail(1).and_then(|()| {
            let mut file = begin(&draft)?;
            file.write_all(&vec![b' '; bytes.saturating_add(PROBE)])
        });
        // An error is ignored, because the file is overwritten before it is used again.
        let _ = fs::remove_file(&draft);
        probed.map_err(WriteError::before)
    }

    /// Checks the configured size limit. A full disk is detected only when the file is written.
    fn bounded(&self, file: &File) -> Result<(), WriteError> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let there: u64 = self.commits().map_or(0, |commits| commits.values().sum());
        let checkpoint = fs::metadata(self.checkpoint()).map_or(0, |found| found.len());
        let new = file.metadata().map_or(0, |found| found.len());
        if there.saturating_add(checkpoint).saturating_add(new) > limit {
            Err(WriteError::Full)
        } else {
            Ok(())
        }
    }

    fn draft(&self, file_id: JournalFileId) -> PathBuf {
        match file_id {
            JournalFileId::Commit(_) => self.root.join(COMMITS).join(format!("next{DRAFT}")),
            JournalFileId::Checkpoint => self.root.join(format!("{CHECKPOINT}{DRAFT}")),
        }
    }

    /// Creates the files of a new store. The file `FORMAT` is written last.
    fn populate(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(self.root.join(COMMITS)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let draft = self.root.join(format!("{MARK}{DRAFT}"));
        let mut file = begin(&draft)?;
        file.write_all(format!("longhaul {KIND} {FORMAT}\n").as_bytes())?;
        failpoint!("fs.create.sync")?;
        file.sync_all()?;
        failpoint!("fs.create.rename")?;
        fs::rename(&draft, self.root.join(MARK))?;
        failpoint!("fs.create.directory")?;
        File::open(&self.root)?.sync_all()?;
        failpoint!("fs.create.parent")?;
        let parent = self.root.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }

    #[cfg(test)]
    fn may_fail(&self, step: u8) -> io::Result<()> {
        match self.fails.load(Ordering::Relaxed) {
            fails if fails == step => Err(io::Error::from_raw_os_error(if step == 1 { 28 } else { 5 })),
            _ => Ok(()),
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "it fails in tests")]
    const fn may_fail(&self, _step: u8) -> io::Result<()> {
        Ok(())
    }
}

/// Creates a temporary file. If a file of that name exists, it is replaced and not followed: it may be a leftover of a
/// crash or a symbolic link.
fn begin(draft: &Path) -> io::Result<File> {
    match fs::remove_file(draft) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)
}

/// The crash points for one kind of journal file.
#[cfg_attr(
    not(debug_assertions),
    expect(clippy::unnecessary_wraps, clippy::missing_const_for_fn, reason = "they fail where points are")
)]
impl JournalFileId {
    fn before_write(self) -> io::Result<()> {
        match self {
            Self::Commit(_) => failpoint!("fs.commit.write"),
            Self::Checkpoint => failpoint!("fs.checkpoint.write"),
        }
    }

    fn before_sync(self) -> io::Result<()> {
        match self {
            Self::Commit(_) => failpoint!("fs.commit.sync"),
            Self::Checkpoint => failpoint!("fs.checkpoint.sync"),
        }
    }

    fn before_rename(self) -> io::Result<()> {
        match self {
            Self::Commit(_) => failpoint!("fs.commit.rename"),
            Self::Checkpoint => failpoint!("fs.checkpoint.rename"),
        }
    }

    fn before_directory(self) -> io::Result<()> {
        match self {
            Self::Commit(_) => failpoint!("fs.commit.directory"),
            Self::Checkpoint => failpoint!("fs.checkpoint.directory"),
        }
    }
}

impl Drop for StoreDir {
    fn drop(&mut self) {
        // Removes the description of this program from the lock file, because the program no longer uses the store.
        let _ = self.lock.set_len(0);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreFileKind {
    Missing,
    /// A store whose creation was interrupted, or an empty directory.
    Unfinished,
    Ours,
}

/// Determines the kind of the directory without changing the directory.
fn kind_of(root: &Path) -> Result<StoreFileKind, StoreError> {
    match fs::metadata(root) {
        Ok(found) if !found.is_dir() => {
            return Err(corrupt(format!("{} is not a directory", root.display())));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(StoreFileKind::Missing),
        Err(error) => return Err(blocked(root, error)),
    }
    let mark = root.join(MARK);
    let mut text = String::new();
    let opened = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(&mark);
    match opened.and_then(|file| file.take(MAX_HOLDER_LEN).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return unfinished(root),
        Err(error) if error.kind() == ErrorKind::InvalidData => text.clear(),
        Err(error) => return Err(blocked(&mark, error)),
    }
    let version = text.trim_end().strip_prefix("longhaul ").and_then(|rest| rest.strip_prefix(KIND));
    match version.and_then(|version| version.trim_start().parse::<u32>().ok()) {
        Some(found) if found > FORMAT => Err(StoreError::Format { found, supported: FORMAT }),
        Some(found) if found > 0 => Ok(StoreFileKind::Ours),
        Some(_) | None => {
            Err(corrupt(format!("{} is not the format file of a longhaul store", mark.display())))
        }
    }
}

/// Accepts a directory without the file `FORMAT` only if it contains no files other than those that are created before
/// `FORMAT`.
fn unfinished(root: &Path) -> Result<StoreFileKind, StoreError> {
    let failed = |error| blocked(root, error);
    for entry in fs::read_dir(root).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let ours = name.to_str().is_some_and(|name| {
            name == LOCK || name == COMMITS || name.strip_suffix(DRAFT).is_some_and(|name| name == MARK)
        });
        let empty = name != *COMMITS || fs::read_dir(root.join(COMMITS)).map_err(failed)?.next().is_none();
        if !ours || !empty {
            let shown = name.to_string_lossy();
            return Err(corrupt(format!(
                "{} contains {shown}, but not the file {MARK} of a store",
                root.display()
            )));
        }
    }
    Ok(StoreFileKind::Unfinished)
}

fn make_directory(root: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().mode(0o700).create(root) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(blocked(root, error)),
    }
}

fn held(root: &Path, lock: File) -> StoreError {
    let mut text = String::new();
    // If the description of the lock holder cannot be read, the message omits it.
    let _ = lock.take(MAX_HOLDER_LEN).read_to_string(&mut text);
    let by = match text.lines().find_map(|line| line.strip_prefix("pid=")) {
        Some(pid) => format!("process {pid}"),
        None => "another program".to_owned(),
    };
    StoreError::Unavailable { source: format!("{} is in use by {by}", root.display()).into() }
}
