//! What went wrong, and what it means for those who wait for an answer.

use longhaul_ports::{Refusal, StoreError};
use longhaul_wire::record::BrokenRecord;
use rusqlite::ErrorCode;
use std::path::Path;

/// What to do about a database that cannot be used.
const WAY_OUT: &str = "move it away and start again, or restore a copy of it";

/// Why a step stopped half-way.
#[derive(Debug)]
pub(super) enum Halt {
    /// It is an answer: the step is undone, all else goes on.
    Answer(StoreError),
    /// The database failed.
    Database(rusqlite::Error),
}

impl Halt {
    /// The error for a step that only read.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Answer(error) => error,
            Self::Database(error) => not_applied(error),
        }
    }

    pub(super) fn or_at_opening(self, path: &Path) -> StoreError {
        match self {
            Self::Answer(error) => error,
            Self::Database(error) => at_opening(path, error),
        }
    }
}

impl From<rusqlite::Error> for Halt {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Answer(StoreError::Refused(refusal))
    }
}

impl From<BrokenRecord> for Halt {
    fn from(broken: BrokenRecord) -> Self {
        Self::Answer(match broken {
            BrokenRecord::TooNew { needs, reads } => StoreError::NewerRecord { needs, reads },
            damaged @ (BrokenRecord::Damaged { .. } | _) => corrupt(damaged.to_string()),
        })
    }
}

/// What a failure of the database says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is no room; there may be some later.
    Full,
    /// The disk failed: what it holds now is unknown.
    Disk,
    /// The file is damaged.
    Damaged,
    /// It may be read but not written.
    ReadOnly,
    /// Anything else: the step failed, the database is as it was.
    Step,
}

impl Verdict {
    pub(super) fn on(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::SystemIoFailure) => Self::Disk,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Self::ReadOnly,
            Some(_) | None => Self::Step,
        }
    }
}

/// The error for a step that surely left nothing behind.
pub(super) fn not_applied(error: rusqlite::Error) -> StoreError {
    match Verdict::on(&error) {
        Verdict::Damaged => corrupt(error.to_string()),
        Verdict::ReadOnly => StoreError::ReadOnly { why: error.to_string() },
        Verdict::Full => StoreError::Refused(Refusal::Full),
        Verdict::Disk | Verdict::Step => StoreError::Unavailable { source: Box::new(error) },
    }
}

/// The error for a database that could not be opened.
pub(super) fn at_opening(path: &Path, error: rusqlite::Error) -> StoreError {
    match Verdict::on(&error) {
        Verdict::Damaged => corrupt(format!("{} ({error})", path.display())),
        Verdict::ReadOnly => StoreError::ReadOnly { why: format!("{} ({error})", path.display()) },
        Verdict::Full | Verdict::Disk | Verdict::Step => StoreError::Unavailable { source: Box::new(error) },
    }
}

pub(super) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into(), way_out: WAY_OUT.to_owned() }
}

/// The thread that should have answered is gone.
#[derive(Debug, thiserror::Error)]
#[error("the store was closed")]
pub(super) struct Closed;

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable { source: Box::new(Closed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_failed_is_told_apart_from_one_that_is_full() {
        let on = |code| Verdict::on(&rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
        assert_eq!(on(rusqlite::ffi::SQLITE_IOERR_FSYNC), Verdict::Disk);
        assert_eq!(on(rusqlite::ffi::SQLITE_IOERR_WRITE), Verdict::Disk);
        assert_eq!(on(rusqlite::ffi::SQLITE_FULL), Verdict::Full);
        assert_eq!(on(rusqlite::ffi::SQLITE_NOTADB), Verdict::Damaged);
        assert_eq!(on(rusqlite::ffi::SQLITE_READONLY_DBMOVED), Verdict::ReadOnly);
        assert_eq!(on(rusqlite::ffi::SQLITE_BUSY), Verdict::Step);
    }
}
