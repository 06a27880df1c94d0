//! The last room of a disk, which is left to records.

use std::{io, os::fd::AsFd};

/// What output leaves to records on a disk that is not small, in bytes.
const LEFT: u64 = 16 << 20;
/// Of a small disk it leaves this part.
const PART: u64 = 16;

/// Makes sure that output may be stored on the disk of an open file: where little room is left, records come first.
///
/// A file system that does not tell how large it is has room.
///
/// # Errors
/// [`io::ErrorKind::StorageFull`] where what is left is for records.
pub fn leave_headroom(file: impl AsFd) -> io::Result<()> {
    let Ok(disk) = rustix::fs::fstatvfs(file) else {
        return Ok(());
    };
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    if is_left(bytes(disk.f_bavail), bytes(disk.f_blocks)) {
        Ok(())
    } else {
        Err(io::ErrorKind::StorageFull.into())
    }
}

fn is_left(free: u64, size: u64) -> bool {
    free >= LEFT.min(size / PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_left_to_records_of_a_small_disk_and_no_more_of_a_large_one() {
        assert!(is_left(2 << 20, 32 << 20));
        assert!(!is_left((2 << 20) - 1, 32 << 20));
        assert!(is_left(LEFT, u64::MAX));
        assert!(!is_left(LEFT - 1, u64::MAX));
    }

    #[test]
    fn file_system_that_tells_no_size_has_room() {
        assert!(is_left(0, 0));
    }
}
