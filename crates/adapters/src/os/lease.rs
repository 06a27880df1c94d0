//! Writes the time at which this node's lease ends into a file that shims read.

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

/// State of the latest write to the lease file. The stored state prevents an older value from replacing a newer value.
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

    /// Returns a sequence number, which gives the next write its place in the order of the writes.
    pub(super) fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes the end of the lease, unless a newer value was written already. If no file exists yet,
    /// [`LeaseEnd::Never`] is not written, because a shim expects no lease end without a file.
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
