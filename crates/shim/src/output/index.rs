//! The index of the log, as its writer sees it.

use std::{fs::File, io};

use super::{offset::FileOffset, segments::INDEX};
use crate::attempt_directory::AttemptDirectory;

/// The present file of the index.
pub(super) enum IndexWriter {
    /// There is none before the first entry: an inode less for an attempt that says nothing.
    Absent,
    /// Entries go into this one.
    Present(FileOffset),
}

impl IndexWriter {
    /// Writes at an offset of the index, into a file that is made now if there is none.
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

    /// Returns the first offset that the present file holds.
    pub(super) fn base(&self) -> u64 {
        match self {
            Self::Present(place) => place.base,
            Self::Absent => 0,
        }
    }
}
