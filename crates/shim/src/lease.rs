//! The lease note: a small file that contains the expiry of the node's lease. A shim reads it if its command must not
//! outlive the lease.

use crate::record::{MAX_RECORD_LEN, RecordError, RecordLines, RecordWriter};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

const FORM: &str = "longhaul-lease";

/// Expiry of the node's lease, as the manager of the node last wrote it.
///
/// The expiry is measured on the boot-time clock, which continues while the machine is suspended. It is valid only until
/// the machine reboots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseNote {
    /// Id of the machine boot that the expiry belongs to.
    pub boot_id: String,
    /// Expiry of the lease in milliseconds since boot, or [`NO_EXPIRY`](Self::NO_EXPIRY).
    pub until: u64,
}

impl LeaseNote {
    /// Expiry of a lease that never ends. It is used if no other node would take over the work of this node.
    pub const NO_EXPIRY: u64 = u64::MAX;

    /// Opens the lease note file for writing, and creates the file if it does not exist.
    ///
    /// # Errors
    /// Returns the error of opening or creating the file.
    pub fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
    }

    /// Overwrites the lease note in its file. The file is not synced, because no process that reads the note survives a
    /// power cut.
    ///
    /// # Errors
    /// Returns the error of writing. The note in the file may then be incomplete, which readers detect.
    pub fn write(&self, file: &File) -> io::Result<()> {
        let bytes = self.encode();
        file.write_all_at(&bytes, 0)?;
        file.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    /// Reads the lease note in a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or does not contain a complete note. A note may be incomplete while
    /// it is being written.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let longest = u64::try_from(MAX_RECORD_LEN).unwrap_or(u64::MAX);
        File::open(path)?.take(longest).read_to_end(&mut bytes)?;
        Self::decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Encodes the lease note. All notes of one boot have the same length.
    pub fn encode(&self) -> Vec<u8> {
        // The number has a fixed width, so that one write replaces the previous note completely.
        RecordWriter::new(FORM)
            .text("boot_id", &self.boot_id)
            .text("until_ms", format_args!("{:020}", self.until))
            .finish()
    }

    /// Decodes a lease note.
    ///
    /// # Errors
    /// Returns [`RecordError`] if the bytes are not a complete note.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let lines = RecordLines::read(FORM, bytes)?;
        Ok(Self { boot_id: lines.needed("boot_id")?, until: lines.needed("until_ms")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(until: u64) -> LeaseNote {
        LeaseNote { boot_id: "5a0e".to_owned(), until }
    }

    #[test]
    fn overwritten_note_is_read_back() {
        let path = std::env::temp_dir().join(format!("shim-lease-{}", std::process::id()));
        let file = LeaseNote::open(&path).unwrap();
        for until in [LeaseNote::NO_EXPIRY, 0, 12_345] {
            note(until).write(&file).unwrap();
            assert_eq!(LeaseNote::read(&path).unwrap(), note(until));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(LeaseNote::read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn every_note_of_a_boot_is_as_long_as_the_others() {
        assert_eq!(note(LeaseNote::NO_EXPIRY).encode().len(), note(7).encode().len());
    }

    #[test]
    fn half_of_one_note_and_half_of_another_is_no_note() {
        let (old, new) = (note(1_111).encode(), note(29_999).encode());
        for cut in 1..old.len() {
            let mixed = [&new[..cut], &old[cut..]].concat();
            assert!(mixed == old || mixed == new || LeaseNote::decode(&mixed).is_err(), "cut at {cut}");
        }
    }
}
