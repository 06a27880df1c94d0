//! Copies the artifacts of attempts into their attempt directories.
//!
//! The copies are in `artifacts/files`, under the same relative paths as in the working directory, and the list is in
//! `artifacts/list.json`. The manager first writes the copies and the list to the directory `artifacts.new`, and then
//! renames this directory. A reader therefore never sees incomplete artifacts. After a crash, the next manager copies
//! all files again.
//!
//! The user of the command may control the working directory, and the manager may have more permissions than that user.
//! Each name of a path is therefore opened relative to its directory, without following links.

mod copy;
mod search;
mod source;

use super::attempts::Attempts;
use async_trait::async_trait;
use copy::ArtifactCopier;
use longhaul_domain::ArtifactList;
use longhaul_failpoint::failpoint;
use longhaul_ports::{ArtifactChunk, ArtifactError, ArtifactRequest, ArtifactStore, AttemptKey};
use longhaul_shim::AttemptDirectory;
use longhaul_wire::record;
use rustix::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, openat, renameat, statat};
use rustix::io::Errno;
use search::ArtifactSearch;
pub(super) use source::{DIRECTORY_MARK, mark_directory};
use source::{SourceDirectory, open_directory, open_file};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const FINAL: &str = "artifacts";
const DRAFT: &str = "artifacts.new";
const FILES: &str = "files";
const LIST: &str = "list.json";
/// Maximum size of a list that is read, in bytes.
const MAX_LIST_LEN: u64 = 32 << 20;

/// Copies artifacts into attempt directories and reads the copies.
#[derive(Debug)]
pub struct OsArtifacts {
    attempts: Arc<Attempts>,
    /// Attempts whose artifacts are being copied. If the file system hangs, a copy can continue after its caller has
    /// stopped waiting.
    busy: Arc<Mutex<BTreeSet<AttemptKey>>>,
}

/// Keeps an attempt marked as busy until the mark is dropped.
struct BusyMark {
    busy: Arc<Mutex<BTreeSet<AttemptKey>>>,
    key: AttemptKey,
}

impl OsArtifacts {
    /// Opens the directory that contains the attempt directories. Creates it if it does not exist.
    ///
    /// # Errors
    /// If the directory cannot be created or opened.
    pub fn open(attempts_dir: &Path) -> io::Result<Self> {
        Ok(Self { attempts: Arc::new(Attempts::open(attempts_dir)?), busy: Arc::default() })
    }

    async fn on_blocking_thread<T: Send + 'static>(
        &self,
        key: AttemptKey,
        tried: &'static str,
        work: impl FnOnce(&Attempts) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ArtifactError> {
        let attempts = Arc::clone(&self.attempts);
        let done = tokio::task::spawn_blocking(move || work(&attempts)).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| ArtifactError::Failed {
            key,
            tried,
            source: Box::new(error),
        })
    }
}

#[async_trait]
impl ArtifactStore for OsArtifacts {
    async fn collect(&self, key: AttemptKey, request: ArtifactRequest) -> Result<(), ArtifactError> {
        let Some(mark) = BusyMark::of(&self.busy, key) else { return Ok(()) };
        let is_present = self
            .on_blocking_thread(key, "copied", move |attempts| {
                let _mark = mark;
                let Some(directory) = attempts.attempt(key)? else { return Ok(false) };
                collect(&directory, &attempts.path_of(key), &request).map(|()| true)
            })
            .await?;
        if is_present { Ok(()) } else { Err(ArtifactError::Missing { key }) }
    }

    async fn list(&self, key: AttemptKey) -> Result<Option<ArtifactList>, ArtifactError> {
        self.on_blocking_thread(key, "listed", move |attempts| match attempts.attempt(key)? {
            Some(directory) => read_list(&directory),
            None => Ok(None),
        })
        .await
    }

    async fn read(
        &self,
        key: AttemptKey,
        path: &str,
        from: u64,
        limit: u32,
    ) -> Result<ArtifactChunk, ArtifactError> {
        let wanted = path.to_owned();
        let found = self.on_blocking_thread(key, "read", move |attempts| {
            let Some(directory) = attempts.attempt(key)? else { return Ok(None) };
            read_part(&directory, &wanted, from, limit)
        });
        found.await?.ok_or_else(|| ArtifactError::NotListed { key, path: path.to_owned() })
    }
}

impl BusyMark {
    fn of(busy: &Arc<Mutex<BTreeSet<AttemptKey>>>, key: AttemptKey) -> Option<Self> {
        lock(busy).insert(key).then(|| Self { busy: Arc::clone(busy), key })
    }
}

impl Drop for BusyMark {
    fn drop(&mut self) {
        lock(&self.busy).remove(&self.key);
    }
}

fn lock(busy: &Mutex<BTreeSet<AttemptKey>>) -> MutexGuard<'_, BTreeSet<AttemptKey>> {
    busy.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies the artifacts of an attempt, unless an earlier call has already copied them.
fn collect(attempt: &AttemptDirectory, path: &Path, request: &ArtifactRequest) -> io::Result<()> {
    let deadline = Instant::now() + request.limits.time;
    match statat(attempt, FINAL, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => return Ok(()),
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    match fs::remove_dir_all(path.join(DRAFT)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    failpoint!("os.artifacts.draft")?;
    mkdirat(attempt, DRAFT, Mode::RWXU)?;
    let draft = open_directory(attempt, DRAFT)?;
    mkdirat(&draft, FILES, Mode::RWXU)?;
    let list = match SourceDirectory::open(attempt, &request.directory) {
        Err(problem) => ArtifactList { problem: Some(problem), ..ArtifactList::default() },
        Ok(source) => {
            let found = ArtifactSearch::new(&request.patterns, source.begun_at(), deadline).run(&source);
            ArtifactCopier::new(&source, open_directory(&draft, FILES)?, request.limits, deadline).run(found)
        }
    };
    let text = record::encode_artifacts(&list);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(&draft, LIST, flags, Mode::RUSR | Mode::WUSR)?);
    failpoint!("os.artifacts.list")?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fsync(&draft)?;
    failpoint!("os.artifacts.rename")?;
    renameat(attempt, DRAFT, attempt, FINAL)?;
    failpoint!("os.artifacts.directory")?;
    Ok(fsync(attempt)?)
}

fn read_list(attempt: &AttemptDirectory) -> io::Result<Option<ArtifactList>> {
    let directory = match open_directory(attempt, FINAL) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = String::new();
    open_file(&directory, LIST)?.take(MAX_LIST_LEN).read_to_string(&mut text)?;
    let list = record::decode_artifacts(&text);
    list.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads a part of a copied file. Returns `None` if the list does not contain the path.
fn read_part(
    attempt: &AttemptDirectory,
    path: &str,
    from: u64,
    limit: u32,
) -> io::Result<Option<ArtifactChunk>> {
    let Some(list) = read_list(attempt)? else { return Ok(None) };
    let Some(listed) = list.files.into_iter().find(|file| file.path == path) else { return Ok(None) };
    let mut directory = open_directory(&open_directory(attempt, FINAL)?, FILES)?;
    let (parents, name) = path.rsplit_once('/').map_or((None, path), |(parents, name)| (Some(parents), name));
    for parent in parents.into_iter().flat_map(|parents| parents.split('/')) {
        directory = open_directory(&directory, parent)?;
    }
    let file = open_file(&directory, name)?;
    if file.metadata()?.len() != listed.bytes {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the size of the copy differs from the size in the list",
        ));
    }
    let rest = listed.bytes.saturating_sub(from).min(u64::from(limit));
    let mut bytes = vec![0; usize::try_from(rest).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from.min(listed.bytes))?;
    Ok(Some(ArtifactChunk { bytes, size: listed.bytes }))
}
