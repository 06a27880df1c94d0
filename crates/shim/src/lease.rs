//! Until when the lease of a node lasts: one small file, which whoever must not outlive the lease reads again and again.

use crate::record::{MAX_RECORD_LEN, RecordError, RecordLines, RecordWriter};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

const FORM: &str = "longhaul-lease";

/// How long the lease of a node lasts, as its manager last wrote it down.
///
/// It counts by the boot-time clock, which goes on while the machine is suspended, and for one boot only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseNote {
    /// The id of the boot that the clock belongs to.
    pub boot_id: String,
    /// When it is over, in milliseconds since boot; [`NEVER`](Self::NO_EXPIRY) if it does not end.
    pub until: u64,
}

impl LeaseNote {
    /// The end of a lease that does not end: there is nobody who would take anything from this node.
    pub const NO_EXPIRY: u64 = u64::MAX;

    /// Opens the file to write into, made if absent.
    ///
    /// # Errors
    /// If it can be neither opened nor made.
    pub fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
    }

    /// Writes it over what the file says, in place and without a sync: after a power cut there is nobody left to read it.
    ///
    /// # Errors
    /// If it cannot be written; what was there before may be torn then, which a reader notices.
    pub fn write(&self, file: &File) -> io::Result<()> {
        let bytes = self.encode();
        file.write_all_at(&bytes, 0)?;
        file.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    /// Reads the file of a path.
    ///
    /// # Errors
    /// If it cannot be read, or is no whole note; one that is being written just now may be torn.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let longest = u64::try_from(MAX_RECORD_LEN).unwrap_or(u64::MAX);
        File::open(path)?.take(longest).read_to_end(&mut bytes)?;
        Self::decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Encodes the note, of one length for all of a boot.
    pub fn encode(&self) -> Vec<u8> {
        // Of one length whatever it says, so that one write replaces the other as a whole.
        RecordWriter::new(FORM)
            .text("boot_id", &self.boot_id)
            .text("until_ms", format_args!("{:020}", self.until))
            .finish()
    }

    /// Decodes a note.
    ///
    /// # Errors
    /// [`RecordError`] for anything but a whole one.
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
    fn what_is_written_over_another_note_is_read_back() {
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
