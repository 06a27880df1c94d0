//! Disk space that is reserved so that a new manager can start on a full disk after the old manager was killed.
//!
//! Commands keep running without a manager, but the user needs a manager to inspect or stop them. A manager cannot
//! start without free disk space, because its store needs free space. While there is enough free space, a file reserves
//! a part of the disk. On a full disk, each start of a manager releases a part of this reserve.

use longhaul_client::{START_BYTES, StateDir};
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fstat, ftruncate, openat};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;

/// Name of the reserve file, inside the state directory.
const FILE: &str = "reserve";
/// Size of the complete reserve, in bytes.
const RESERVE_BYTES: u64 = 1024 * 1024;
/// Number of free bytes on the disk above which the reserve is filled up again.
const MIN_FREE_FOR_RESERVE: u64 = 16 * RESERVE_BYTES;

/// Result of preparing disk space for the start of a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReserveRelease {
    /// The disk has enough free space. The reserve was filled up or left unchanged.
    Kept,
    /// The disk is full, so a part of the reserve was released.
    Released,
    /// The disk is full and the reserve is empty.
    Spent,
}

impl ReserveRelease {
    /// Ensures that the disk has space for the start of a manager. The caller must hold the lock on the state
    /// directory.
    ///
    /// # Errors
    /// The error of the operating system. It is not an error if the file system cannot reserve space.
    pub(crate) fn prepare(state: &StateDir) -> io::Result<Self> {
        Self::for_free(state, state.free_bytes()?)
    }

    /// Like [`prepare`](Self::prepare), with the number of free bytes as an argument.
    fn for_free(state: &StateDir, free: u64) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(state, FILE, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => file,
            Err(Errno::NOSPC | Errno::DQUOT) => return Ok(Self::Spent),
            Err(errno) => return Err(errno.into()),
        };
        let kept = u64::try_from(fstat(&file)?.st_size).unwrap_or_default();
        if free < START_BYTES {
            if kept == 0 {
                return Ok(Self::Spent);
            }
            ftruncate(&file, kept.saturating_sub(START_BYTES))?;
            return Ok(Self::Released);
        }
        if free > MIN_FREE_FOR_RESERVE && kept < RESERVE_BYTES {
            fill(&file, kept)?;
        }
        Ok(Self::Kept)
    }
}

fn fill(file: &OwnedFd, kept: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), kept, RESERVE_BYTES.saturating_sub(kept)) {
        // If the file system cannot reserve space, there is no reserve.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOSPC | Errno::DQUOT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_is_released_in_parts_and_filled_again_when_there_is_space() {
        let top = tempfile::tempdir().unwrap();
        let state = StateDir::prepare(&top.path().join("state")).unwrap();
        let size = || state.path().join(FILE).metadata().map_or(0, |found| found.len());
        assert_eq!(ReserveRelease::for_free(&state, 0).unwrap(), ReserveRelease::Spent);
        assert_eq!(ReserveRelease::for_free(&state, MIN_FREE_FOR_RESERVE + 1).unwrap(), ReserveRelease::Kept);
        if size() == 0 {
            // This file system cannot reserve space.
            return;
        }
        assert_eq!(size(), RESERVE_BYTES);
        for left in (0..RESERVE_BYTES / START_BYTES).rev() {
            assert_eq!(ReserveRelease::for_free(&state, START_BYTES - 1).unwrap(), ReserveRelease::Released);
            assert_eq!(size(), left * START_BYTES);
        }
        assert_eq!(ReserveRelease::for_free(&state, START_BYTES - 1).unwrap(), ReserveRelease::Spent);
        assert_eq!(ReserveRelease::for_free(&state, MIN_FREE_FOR_RESERVE).unwrap(), ReserveRelease::Kept);
        assert_eq!(size(), 0, "a little room is left to others");
        assert_eq!(ReserveRelease::for_free(&state, MIN_FREE_FOR_RESERVE + 1).unwrap(), ReserveRelease::Kept);
        assert_eq!(size(), RESERVE_BYTES);
    }
}
