//! Converts offsets of the output to positions in one of the output files.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
};

use super::segments::{TAIL_HEADER, tail_header};
use crate::attempt_directory::AttemptDirectory;

/// An open output file, and the offset of the first output byte that it contains.
pub(super) struct FileOffset {
    pub(super) file: File,
    pub(super) base: u64,
    header: u64,
}

impl FileOffset {
    pub(super) fn first(file: OwnedFd) -> Self {
        Self { file: file.into(), base: 0, header: 0 }
    }

    /// Creates a tail file under a temporary name and then renames it. A process that has the previous file open can
    /// still read the previous content.
    pub(super) fn tail(directory: &AttemptDirectory, name: &str, base: u64) -> io::Result<Self> {
        const TEMP_NAME: &str = "output.tmp";
        directory.remove(TEMP_NAME)?;
        let file = File::from(directory.create(TEMP_NAME)?);
        file.write_all_at(&tail_header(base), 0)?;
        directory.rename(TEMP_NAME, name)?;
        Ok(Self { file, base, header: TAIL_HEADER })
    }

    pub(super) fn position(&self, offset: u64) -> u64 {
        offset.saturating_sub(self.base).saturating_add(self.header)
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.position(offset))
    }
}
