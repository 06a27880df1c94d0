//! The file to which a command writes its progress.

use std::{io, os::fd::AsFd};

use rustix::io::Errno;

use crate::output::punch;

/// File name of the file to which the command writes its progress.
pub const PROGRESS: &str = "progress";
/// Number of bytes at the end of the progress file that are always kept.
pub const KEPT_PROGRESS_LEN: u64 = 64 << 10;
/// Disk space in bytes above which the start of the progress file is freed.
pub const MAX_PROGRESS_LEN: u64 = 256 << 10;

/// Size in bytes of a block of a file. The kernel counts disk space in these blocks.
const BLOCK: u64 = 512;

/// Result of [`trim_progress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressTrim {
    /// All bytes have kept their offsets.
    Kept,
    /// The file is empty, and the next line has the offset 0.
    Emptied,
}

/// Frees the start of a progress file that occupies more than [`MAX_PROGRESS_LEN`]. The last [`KEPT_PROGRESS_LEN`] bytes
/// keep their offsets, so no line is lost that the command writes at the same time.
///
/// Some file systems cannot punch holes. There, the file is emptied, and a line that the command writes between the last
/// read and this call is lost.
///
/// # Errors
/// Fails if the size of the file cannot be read or changed.
pub fn trim_progress(file: impl AsFd) -> io::Result<ProgressTrim> {
    let status = rustix::fs::fstat(&file)?;
    let occupied = u64::try_from(status.st_blocks).unwrap_or(0).saturating_mul(BLOCK);
    let size = u64::try_from(status.st_size).unwrap_or(0);
    if occupied <= MAX_PROGRESS_LEN || size <= KEPT_PROGRESS_LEN {
        return Ok(ProgressTrim::Kept);
    }
    match punch(&file, 0, size.saturating_sub(KEPT_PROGRESS_LEN)) {
        Ok(()) => Ok(ProgressTrim::Kept),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::OPNOTSUPP) => {
            rustix::fs::ftruncate(&file, 0)?;
            Ok(ProgressTrim::Emptied)
        }
        Err(error) => Err(error),
    }
}
