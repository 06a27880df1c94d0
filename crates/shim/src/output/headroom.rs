//! The headroom: the last free space of a disk. Output does not use it, so that it remains available for records.

use std::{io, os::fd::AsFd};

/// Headroom of a large disk, in bytes.
const LEFT: u64 = 16 << 20;
/// Divisor that limits the headroom of a small disk: the headroom is at most the disk size divided by this number.
const PART: u64 = 16;

/// Checks that the disk with an open file has more free space than the headroom, so that output may be stored on it.
///
/// A file system that does not report its size counts as having enough space.
///
/// # Errors
/// Returns [`io::ErrorKind::StorageFull`] if all free space is reserved for records.
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
    fn file_system_without_a_size_counts_as_having_space() {
        assert!(is_left(0, 0));
    }
}
