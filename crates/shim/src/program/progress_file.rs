//! The file to which the command writes its progress.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use crate::attempt_directory::{AttemptDirectory, MAX_PROGRESS_LEN};

/// Time between two checks of the file size, in milliseconds. The manager empties the file after each read, so these
/// checks matter only while no manager is running.
const CHECK_INTERVAL_MS: u64 = 60_000;

/// The progress file of a command. It is a regular file: a write never blocks, and never fails because the reader no
/// longer exists.
pub(super) struct ProgressFile {
    file: OwnedFd,
    /// Time of the next check of the file size, in milliseconds of awake time.
    check_at: u64,
}

impl ProgressFile {
    /// Creates the file in an attempt directory.
    pub(super) fn create(directory: &AttemptDirectory, now: u64) -> io::Result<Self> {
        let file = directory.create_progress()?;
        Ok(Self { file, check_at: now.saturating_add(CHECK_INTERVAL_MS) })
    }

    /// Returns the descriptor that the command inherits.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Checks the size of the file if a check is due, and empties the file if it is too large.
    pub(super) fn advance(&mut self, now: u64) {
        if now < self.check_at {
            return;
        }
        self.check_at = now.saturating_add(CHECK_INTERVAL_MS);
        let is_too_large = rustix::fs::fstat(&self.file)
            .is_ok_and(|status| u64::try_from(status.st_size).is_ok_and(|size| size > MAX_PROGRESS_LEN));
        if is_too_large {
            // This step needs no crash point, because a crash before or after it leaves a valid file. If the step
            // fails, the file stays too large until the next check.
            let _retried = rustix::fs::ftruncate(&self.file, 0);
        }
    }

    /// Returns the time of the next check, in milliseconds of awake time.
    pub(super) const fn next_deadline(&self) -> u64 {
        self.check_at
    }
}
