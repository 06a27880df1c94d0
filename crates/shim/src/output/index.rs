//! The writer of the output index.

use std::{fs::File, io};

use super::{offset::FileOffset, segments::INDEX};
use crate::attempt_directory::AttemptDirectory;

/// State of the file that index entries are written to.
pub(super) enum IndexWriter {
    /// There is no index file before the first entry. This saves an inode for an attempt without output.
    Absent,
    /// The file that index entries are written to.
    Present(FileOffset),
}

impl IndexWriter {
    /// Writes bytes at an offset of the index. Creates the index file if there is none.
    pub(super) fn write(
        &mut self,
        directory: &AttemptDirectory,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        match self {
            Self::Present(place) => place.write(offset, bytes),
            Self::Absent => {
                let place = FileOffset::first(directory.create(INDEX.head)?);
                let written = place.write(offset, bytes);
                *self = Self::Present(place);
                written
            }
        }
    }

    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Self::Present(place) => Some(&place.file),
            Self::Absent => None,
        }
    }

    /// Returns the lowest index offset that the current file contains.
    pub(super) fn base(&self) -> u64 {
        match self {
            Self::Present(place) => place.base,
            Self::Absent => 0,
        }
    }
}
