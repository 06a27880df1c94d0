//! Stores the files of test runs in the attempt directories, and reads the test reports that commands wrote.
//!
//! No step has a crash point: after a crash, the next manager collects the results of a live attempt again, and the
//! record of an ended attempt contains the counts and the first failures even if these files are missing.

mod search;

use super::attempts::Attempts;
use async_trait::async_trait;
use longhaul_ports::{
    AttemptKey, FilePart, FoundReport, FoundReports, ReportDirectory, TestFileError, TestFiles,
};
use longhaul_shim::{AttemptDirectory, leave_headroom};
use rustix::fs::{Mode, OFlags, openat, renameat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// Number of bytes that are written between two checks of the free disk space.
const PIECE_LEN: usize = 64 << 10;

/// Stores the files of test runs in the attempt directories.
#[derive(Debug)]
pub struct OsTestFiles {
    attempts: Arc<Attempts>,
}

impl OsTestFiles {
    /// Opens the directory that contains the attempt directories. Creates it if it does not exist.
    ///
    /// # Errors
    /// If the directory cannot be created or opened.
    pub fn open(attempts_dir: &Path) -> io::Result<Self> {
        Ok(Self { attempts: Arc::new(Attempts::open(attempts_dir)?) })
    }

    /// Runs `work` with the directory of an attempt in a blocking thread. `work` returns `None` if the file is missing.
    async fn in_attempt<T: Send + 'static>(
        &self,
        key: AttemptKey,
        name: &str,
        tried: &'static str,
        work: impl FnOnce(&AttemptDirectory, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, TestFileError> {
        let (attempts, file) = (Arc::clone(&self.attempts), name.to_owned());
        let done = tokio::task::spawn_blocking(move || {
            let directory = attempts.attempt(key)?.ok_or(Errno::NOENT)?;
            work(&directory, &file)
        });
        done.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
            let name = name.to_owned();
            if error.kind() == io::ErrorKind::NotFound {
                return TestFileError::Missing { key, name };
            }
            if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                return TestFileError::DiskFull { key, name };
            }
            TestFileError::Failed { key, name, tried, source: Box::new(error) }
        })
    }
}

#[async_trait]
impl TestFiles for OsTestFiles {
    fn path(&self, key: AttemptKey, name: &str) -> Option<String> {
        self.attempts.path_of(key).join(name).to_str().map(str::to_owned)
    }

    async fn write(
        &self,
        key: AttemptKey,
        name: &str,
        from: u64,
        bytes: Vec<u8>,
    ) -> Result<(), TestFileError> {
        self.in_attempt(key, name, "written", move |directory, name| {
            let flags = if from == 0 { OFlags::CREATE } else { OFlags::empty() };
            let file = open_regular(directory, name, OFlags::WRONLY | flags)?;
            file.set_len(from)?;
            append(&file, from, &bytes).inspect_err(|_failed| {
                // If the truncation fails too, the written part of the bytes only occupies disk space.
                let _ = file.set_len(from);
            })
        })
        .await
    }

    async fn rename(&self, key: AttemptKey, from: &str, to: &str) -> Result<(), TestFileError> {
        let to = to.to_owned();
        self.in_attempt(key, from, "renamed", move |directory, from| {
            Ok(renameat(directory, from, directory, &*to)?)
        })
        .await
    }

    async fn read(
        &self,
        key: AttemptKey,
        name: &str,
        from: u64,
        limit: u32,
    ) -> Result<FilePart, TestFileError> {
        self.in_attempt(key, name, "read", move |directory, name| {
            read_part(&open_regular(directory, name, OFlags::RDONLY)?, from, limit)
        })
        .await
    }

    async fn find_reports(&self, directory: &str, pattern: &str) -> Result<FoundReports, TestFileError> {
        let (base, wanted) = (directory.to_owned(), pattern.to_owned());
        of_report(pattern, move || search::find(&base, &wanted)).await
    }

    async fn report_directory(&self, directory: &str, pattern: &str) -> Option<ReportDirectory> {
        let (base, wanted) = (directory.to_owned(), pattern.to_owned());
        // A directory that cannot be opened is reported by the search for reports.
        tokio::task::spawn_blocking(move || search::directory(&base, &wanted).ok()).await.ok().flatten()
    }

    async fn read_report(
        &self,
        directory: &str,
        report: &FoundReport,
        from: u64,
        limit: u32,
    ) -> Result<FilePart, TestFileError> {
        let (base, wanted) = (directory.to_owned(), report.clone());
        of_report(&report.path, move || read_part(&search::open(&base, &wanted)?, from, limit)).await
    }
}

async fn of_report<T: Send + 'static>(
    path: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, TestFileError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| TestFileError::Report { path: path.to_owned(), source: Box::new(error) })
}

/// Opens a regular file without following a link. A command may have put another kind of file in its place.
fn open_regular(directory: impl AsFd, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Writes bytes at the end of a file. Leaves the disk space free that is reserved for records.
fn append(file: &File, from: u64, bytes: &[u8]) -> io::Result<()> {
    let mut at = from;
    for piece in bytes.chunks(PIECE_LEN) {
        leave_headroom(file)?;
        file.write_all_at(piece, at)?;
        at = at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
    }
    Ok(())
}

fn read_part(file: &File, from: u64, limit: u32) -> io::Result<FilePart> {
    let size = file.metadata()?.len();
    let wanted = size.saturating_sub(from).min(limit.into());
    let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(0)];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = from.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(FilePart { bytes, size })
}
