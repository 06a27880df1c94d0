//! How long the lease of this node lasts, for shims to read.

use super::options::OsOptions;
use longhaul_ports::LeaseEnd;
use longhaul_shim::LeaseNote;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const NAME: &str = "lease";

/// The note that shims read, and whoever writes it.
#[derive(Debug)]
pub(super) struct LeaseNoteWriter {
    path: PathBuf,
    boot_id: String,
    anchor_ms: i64,
    turns: AtomicU64,
    written: Mutex<LeaseNoteState>,
}

/// What was written last, so that an older word never comes after a newer one.
#[derive(Debug, Default)]
struct LeaseNoteState {
    turn: u64,
    file: Option<File>,
}

impl LeaseNoteWriter {
    /// A keeper of the note beside the directory of attempts.
    pub(super) fn beside(attempts: &Path, options: &OsOptions) -> Self {
        Self {
            path: attempts.with_file_name(NAME),
            boot_id: options.boot_id.clone(),
            anchor_ms: options.anchor_ms,
            turns: AtomicU64::new(1),
            written: Mutex::default(),
        }
    }

    /// The path of the note.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The place of a word among all that are written.
    pub(super) fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes a word, unless a newer one was written. Where nobody was ever told of an end, there is no need to say that
    /// there is none.
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
