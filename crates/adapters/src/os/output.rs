//! Reads the output that shims wrote.

mod pages;
mod progress_file;
mod watcher;

use super::attempts::Attempts;
use async_trait::async_trait;
use longhaul_domain::{ProcessId, Timestamp};
use longhaul_ports::{
    AttemptKey, Loss, OutputError, OutputLocation, OutputLog, OutputPage, OutputRead, OutputSize,
    OutputSource, ProgressPage,
};
use longhaul_shim::EXIT;
use pages::OutputPages;
use rustix::io::Errno;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use watcher::{OutputWatcher, WatchGuard};

/// Delay of the answer to a reader of a finished output. It prevents repeated requests from becoming a busy loop.
const ENDED: Duration = Duration::from_millis(100);

/// Polling interval of a reader if no inotify watch is available.
const UNWATCHED: Duration = Duration::from_millis(200);

/// Number of notifications about unrelated changes after which a reader waits before each further check. Output and
/// progress of an attempt are in the same directory, and a command may write one of them very often.
const MAX_UNRELATED: u32 = 8;

/// Delay before each check after [`MAX_UNRELATED`] notifications.
const UNRELATED_CHANGE: Duration = Duration::from_millis(20);

const LOG: &str = "output.log";

/// Reads the output of attempts from their attempt directories.
#[derive(Debug)]
pub struct OsOutput {
    attempts: Arc<Attempts>,
    watcher: Arc<OutputWatcher>,
}

impl OsOutput {
    /// Opens the directory of attempts. Creates it if it does not exist.
    ///
    /// # Errors
    /// If the directory cannot be created or opened.
    pub fn open(attempts_dir: &Path) -> io::Result<Self> {
        Ok(Self { attempts: Arc::new(Attempts::open(attempts_dir)?), watcher: Arc::default() })
    }

    /// Runs `work` with the output files of an attempt in a blocking thread.
    async fn on_blocking_thread<T: Send + 'static>(
        &self,
        key: AttemptKey,
        tried: &'static str,
        work: impl FnOnce(OutputPages) -> io::Result<T> + Send + 'static,
    ) -> Result<T, OutputError> {
        let attempts = Arc::clone(&self.attempts);
        let done = tokio::task::spawn_blocking(move || {
            let directory = attempts.attempt(key)?;
            directory.map(|directory| work(OutputPages::new(directory)?)).transpose()
        });
        match done.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(OutputError::Missing { key }),
            Err(error) => Err(OutputError::Failed { id: key.id, tried, source: Box::new(error) }),
        }
    }

    /// Waits until a check of the files of an attempt succeeds, or until the attempt has ended.
    async fn changed(
        &self,
        key: AttemptKey,
        is_news: impl Fn(&OutputPages) -> io::Result<bool> + Copy + Send + 'static,
    ) -> Result<(), OutputError> {
        let mut unrelated = 0_u32;
        loop {
            let Some(interest) = self.interest(key)? else {
                // No inotify watch is available, so the reader polls at a fixed interval instead.
                tokio::time::sleep(UNWATCHED).await;
                return Ok(());
            };
            // Subscribe before the check, so that no change between the two is missed.
            let growth = interest.growth();
            let (grown, ended) = self
                .on_blocking_thread(key, "watched", move |pages| Ok((is_news(&pages)?, pages.has_ended())))
                .await?;
            if grown {
                return Ok(());
            }
            if ended {
                // Leftovers of the command may still write some output.
                return match tokio::time::timeout(ENDED, growth).await {
                    Ok(()) | Err(_) => Ok(()),
                };
            }
            growth.await;
            unrelated = unrelated.saturating_add(1);
            if unrelated > MAX_UNRELATED {
                // Drop the watch, because reports of changes during the delay would slow down the writer.
                drop(interest);
                tokio::time::sleep(UNRELATED_CHANGE).await;
            }
        }
    }

    /// Subscribes to the changes of the files of an attempt. Returns `None` if no inotify watch is available.
    fn interest(&self, key: AttemptKey) -> Result<Option<WatchGuard>, OutputError> {
        match OutputWatcher::interest(&self.watcher, &self.attempts.path_of(key)) {
            Ok(interest) => Ok(Some(interest)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OutputError::Missing { key }),
            Err(error) if is_shortage(&error) => Ok(None),
            Err(error) => Err(OutputError::Failed { id: key.id, tried: "watched", source: Box::new(error) }),
        }
    }
}

#[async_trait]
impl OutputLog for OsOutput {
    async fn size(&self, key: AttemptKey) -> Result<OutputSize, OutputError> {
        self.on_blocking_thread(key, "measured", |pages| pages.size()).await
    }

    async fn losses(&self, key: AttemptKey) -> Result<Vec<Loss>, OutputError> {
        self.on_blocking_thread(key, "read", |pages| pages.losses()).await
    }

    async fn read(&self, key: AttemptKey, wanted: OutputRead) -> Result<OutputPage, OutputError> {
        self.on_blocking_thread(key, "read", move |pages| pages.read(wanted)).await
    }

    async fn last_lines(
        &self,
        key: AttemptKey,
        lines: u32,
        only: Option<OutputSource>,
    ) -> Result<u64, OutputError> {
        self.on_blocking_thread(key, "read", move |pages| pages.last_lines(lines, only)).await
    }

    async fn since(&self, key: AttemptKey, moment: Timestamp) -> Result<u64, OutputError> {
        self.on_blocking_thread(key, "read", move |pages| pages.since(moment)).await
    }

    async fn grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError> {
        self.changed(key, move |pages| pages.goes_beyond(beyond)).await
    }

    async fn read_progress(&self, key: AttemptKey, from: u64) -> Result<ProgressPage, OutputError> {
        let page = self.on_blocking_thread(key, "read", move |pages| pages.read_progress(from)).await?;
        page.ok_or(OutputError::Missing { key })
    }

    async fn progress_grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError> {
        self.changed(key, move |pages| pages.has_progress_beyond(beyond)).await?;
        let exists = self.on_blocking_thread(key, "watched", |pages| pages.has_progress()).await?;
        if exists { Ok(()) } else { Err(OutputError::Missing { key }) }
    }

    fn place(&self, key: AttemptKey) -> OutputLocation {
        OutputLocation(self.attempts.path_of(key).join(LOG).display().to_string())
    }

    async fn size_on_disk(&self, id: ProcessId) -> Result<u64, OutputError> {
        let attempts = Arc::clone(&self.attempts);
        let counted = tokio::task::spawn_blocking(move || attempts.size_on_disk(id)).await;
        let failed =
            |error: io::Error| OutputError::Failed { id, tried: "measured", source: Box::new(error) };
        counted.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
    }

    async fn kept(&self, after: Option<ProcessId>, limit: u32) -> Result<Vec<ProcessId>, OutputError> {
        let attempts = Arc::clone(&self.attempts);
        let listed = tokio::task::spawn_blocking(move || attempts.kept(after, limit)).await;
        let failed = |error: io::Error| OutputError::Unlisted { source: Box::new(error) };
        listed.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
    }

    async fn remove(&self, id: ProcessId) -> Result<(), OutputError> {
        let attempts = Arc::clone(&self.attempts);
        let removed = tokio::task::spawn_blocking(move || attempts.remove(id)).await;
        let failed = |error: io::Error| OutputError::Failed { id, tried: "removed", source: Box::new(error) };
        removed.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
    }
}

/// Returns true if the error means that the user has no inotify watches or file descriptors left.
fn is_shortage(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::MFILE, Errno::NFILE]
        .into_iter()
        .any(|each| error.raw_os_error() == Some(each.raw_os_error()))
}

/// Returns true if the attempt directory contains an exit record.
fn has_exit(directory: &impl std::os::fd::AsFd) -> bool {
    rustix::fs::statat(directory, EXIT, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
}
