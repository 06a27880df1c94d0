//! Writes the end of this node's lease into a file that shims read.

use super::options::OsOptions;
use longhaul_ports::LeaseEnd;
use longhaul_shim::LeaseNote;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const NAME: &str = "lease";

/// Writer of the lease file.
#[derive(Debug)]
pub(super) struct LeaseNoteWriter {
    path: PathBuf,
    boot_id: String,
    anchor_ms: i64,
    turns: AtomicU64,
    written: Mutex<LeaseNoteState>,
}

/// Latest write of the lease file, so that an older value never replaces a newer one.
#[derive(Debug, Default)]
struct LeaseNoteState {
    turn: u64,
    file: Option<File>,
}

impl LeaseNoteWriter {
    /// Creates a writer for the file `lease` next to the directory of attempts.
    pub(super) fn beside(attempts: &Path, options: &OsOptions) -> Self {
        Self {
            path: attempts.with_file_name(NAME),
            boot_id: options.boot_id.clone(),
            anchor_ms: options.anchor_ms,
            turns: AtomicU64::new(1),
            written: Mutex::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the sequence number of the next write.
    pub(super) fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes the lease end, unless a newer one was written already. [`LeaseEnd::Never`] is not written if no file
    /// exists yet, because without a file no shim expects an end.
    pub(super) fn write(&self, turn: u64, until: LeaseEnd) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let until = match until {
            LeaseEnd::Never if written.file.is_none() && !self.path.try_exists()? => return Ok(()),
            LeaseEnd::Never => LeaseNote::NO_EXPIRY,
            LeaseEnd::At(moment) => u64::try_from(moment.0.saturating_sub(self.anchor_ms)).unwrap_or(0),
        };
        if turn <= written.turn {
            return Ok(());
        }
        let file = match &written.file {
            Some(file) => file,
            None => written.file.insert(LeaseNote::open(&self.path)?),
        };
        LeaseNote { boot_id: self.boot_id.clone(), until }.write(file)?;
        written.turn = turn;
        Ok(())
    }
}
