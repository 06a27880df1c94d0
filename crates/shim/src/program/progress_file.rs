//! The progress file of the command that this shim runs.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use crate::{
    attempt_directory::AttemptDirectory,
    launch::{FILE_SIZE, ResourceLimit},
    progress::trim_progress,
};

/// Time between two checks of the file, in milliseconds. The manager trims the file after its reads, so these checks
/// matter only while no manager is running.
const CHECK_INTERVAL_MS: u64 = 60_000;
/// Time between two checks if the size of the file is limited, in milliseconds.
const LIMITED_CHECK_INTERVAL_MS: u64 = 1_000;

/// The progress file of a command. Because it is a regular file, a write never blocks, and a write succeeds even if
/// the reader no longer exists.
pub(super) struct ProgressFile {
    file: OwnedFd,
    /// File size in bytes above which the file is emptied. Otherwise, the limit on the size of files would end the
    /// command.
    max_size: Option<u64>,
    /// Time of the next check, in milliseconds of awake time.
    check_at: u64,
}

impl ProgressFile {
    /// Creates the file in an attempt directory. `limits` are the resource limits of the command.
    pub(super) fn create(
        directory: &AttemptDirectory,
        limits: &[ResourceLimit],
        now: u64,
    ) -> io::Result<Self> {
        let file = directory.create_progress()?;
        let limit = limits.iter().find(|limit| limit.resource == FILE_SIZE && limit.soft != u64::MAX);
        let max_size = limit.map(|limit| limit.soft / 2);
        let mut created = Self { file, max_size, check_at: now };
        created.check_at = created.next_check(now);
        Ok(created)
    }

    /// Returns the descriptor that the command inherits.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Trims the file if a check is due and the file is too large.
    pub(super) fn advance(&mut self, now: u64) {
        if now < self.check_at {
            return;
        }
        self.check_at = self.next_check(now);
        let size = rustix::fs::fstat(&self.file).map_or(0, |status| status.st_size);
        let is_near_limit =
            self.max_size.is_some_and(|max_size| u64::try_from(size).is_ok_and(|size| size > max_size));
        // These steps need no crash point, because a crash before or after them leaves a valid file. If a step fails, the
        // file stays too large until the next check.
        if is_near_limit {
            let _retried = rustix::fs::ftruncate(&self.file, 0);
        } else {
            let _retried = trim_progress(&self.file);
        }
    }

    /// Returns the time of the next check, in milliseconds of awake time.
    pub(super) const fn next_deadline(&self) -> u64 {
        self.check_at
    }

    const fn next_check(&self, now: u64) -> u64 {
        let interval = if self.max_size.is_some() { LIMITED_CHECK_INTERVAL_MS } else { CHECK_INTERVAL_MS };
        now.saturating_add(interval)
    }
}
