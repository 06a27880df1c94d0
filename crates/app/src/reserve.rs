//! Room that is kept for a full disk: a manager that was killed has to be able to begin again.
//!
//! What runs goes on without a manager, but nobody could look at it or stop it: the store has to write a little before
//! it serves anyone. So a file takes up room while there is some, and gives it back piece by piece when there is none.

use crate::state_dir::StateDir;
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fstat, fstatvfs, ftruncate, openat};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;

/// The file in a state directory.
const FILE: &str = "reserve";
/// What is kept, in bytes.
const RESERVE_BYTES: u64 = 1024 * 1024;
/// What one start may need: files of the store, the clock, a few commits.
pub(crate) const PIECE: u64 = 128 * 1024;
/// Only with so much room beside it is the file made whole again.
const MIN_FREE_FOR_RESERVE: u64 = 16 * RESERVE_BYTES;

/// What was done about the room for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReserveRelease {
    /// There is room, and the reserve is whole or as it was.
    Kept,
    /// A piece of it was given back, because the disk is full.
    Released,
    /// The disk is full, and nothing is left of the reserve.
    Spent,
}

impl ReserveRelease {
    /// Sees to it that there is room for a start. Only for who holds the lock.
    ///
    /// # Errors
    /// What the system says. A file system that cannot keep room free is none.
    pub(crate) fn prepare(state: &StateDir) -> io::Result<Self> {
        Self::for_free(state, free(state)?)
    }

    /// The same, with so many bytes of the disk free.
    fn for_free(state: &StateDir, free: u64) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(state, FILE, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => file,
            Err(Errno::NOSPC | Errno::DQUOT) => return Ok(Self::Spent),
            Err(errno) => return Err(errno.into()),
        };
        let kept = u64::try_from(fstat(&file)?.st_size).unwrap_or_default();
        if free < PIECE {
            if kept == 0 {
                return Ok(Self::Spent);
            }
            ftruncate(&file, kept.saturating_sub(PIECE))?;
            return Ok(Self::Released);
        }
        if free > MIN_FREE_FOR_RESERVE && kept < RESERVE_BYTES {
            fill(&file, kept)?;
        }
        Ok(Self::Kept)
    }
}

/// How many bytes of the disk are free for this user.
pub(crate) fn free(state: &StateDir) -> io::Result<u64> {
    let disk = fstatvfs(state)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn fill(file: &OwnedFd, kept: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), kept, RESERVE_BYTES.saturating_sub(kept)) {
        // Without it there is simply no reserve.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOSPC | Errno::DQUOT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_is_given_back_piece_by_piece_and_filled_again_when_there_is_room() {
        let top = tempfile::tempdir().unwrap();
        let state = StateDir::prepare(&top.path().join("state")).unwrap();
        let size = || state.path().join(FILE).metadata().map_or(0, |found| found.len());
        assert_eq!(ReserveRelease::for_free(&state, 0).unwrap(), ReserveRelease::Spent);
        assert_eq!(ReserveRelease::for_free(&state, MIN_FREE_FOR_RESERVE + 1).unwrap(), ReserveRelease::Kept);
        if size() == 0 {
            // This file system keeps no room.
            return;
        }
        assert_eq!(size(), RESERVE_BYTES);
        for left in (0..RESERVE_BYTES / PIECE).rev() {
            assert_eq!(ReserveRelease::for_free(&state, PIECE - 1).unwrap(), ReserveRelease::Released);
            assert_eq!(size(), left * PIECE);
        }
        assert_eq!(ReserveRelease::for_free(&state, PIECE - 1).unwrap(), ReserveRelease::Spent);
        assert_eq!(ReserveRelease::for_free(&state, MIN_FREE_FOR_RESERVE).unwrap(), ReserveRelease::Kept);
        assert_eq!(size(), 0, "a little room is left to others");
        assert_eq!(ReserveRelease::for_free(&state, MIN_FREE_FOR_RESERVE + 1).unwrap(), ReserveRelease::Kept);
        assert_eq!(size(), RESERVE_BYTES);
    }
}
