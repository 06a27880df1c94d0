//! What went wrong, and what it means for those who wait for an answer.

use longhaul_ports::{StoreError, StoreRejection};
use longhaul_wire::record::RecordDecodeError;
use rusqlite::ErrorCode;
use std::path::Path;

/// What to do about a database that cannot be used.
const RECOVERY_HELP: &str = "move the file away and start again, or restore a copy of it";

/// Why a step stopped half-way.
#[derive(Debug)]
pub(super) enum StepAbort {
    /// It is an answer: the step is undone, all else goes on.
    Answer(StoreError),
    /// The database failed.
    Database(rusqlite::Error),
}

impl StepAbort {
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

impl From<rusqlite::Error> for StepAbort {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for StepAbort {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

impl From<StoreRejection> for StepAbort {
    fn from(refusal: StoreRejection) -> Self {
        Self::Answer(StoreError::Refused(refusal))
    }
}

impl From<RecordDecodeError> for StepAbort {
    fn from(broken: RecordDecodeError) -> Self {
        Self::Answer(match broken {
            RecordDecodeError::TooNew { needs, reads } => StoreError::NewerRecord { needs, reads },
            damaged @ (RecordDecodeError::Damaged { .. } | _) => corrupt(damaged.to_string()),
        })
    }
}

/// What a failure of the database says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DatabaseFailureClass {
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

impl DatabaseFailureClass {
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
    match DatabaseFailureClass::on(&error) {
        DatabaseFailureClass::Damaged => corrupt(error.to_string()),
        DatabaseFailureClass::ReadOnly => StoreError::ReadOnly { why: error.to_string() },
        DatabaseFailureClass::Full => StoreError::Refused(StoreRejection::Full),
        DatabaseFailureClass::Disk | DatabaseFailureClass::Step => {
            StoreError::Unavailable { source: Box::new(error) }
        }
    }
}

/// The error for a database that could not be opened.
pub(super) fn at_opening(path: &Path, error: rusqlite::Error) -> StoreError {
    match DatabaseFailureClass::on(&error) {
        DatabaseFailureClass::Damaged => corrupt(format!("{} ({error})", path.display())),
        DatabaseFailureClass::ReadOnly => {
            StoreError::ReadOnly { why: format!("{} ({error})", path.display()) }
        }
        DatabaseFailureClass::Full | DatabaseFailureClass::Disk | DatabaseFailureClass::Step => {
            StoreError::Unavailable { source: Box::new(error) }
        }
    }
}

pub(super) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into(), remedy: RECOVERY_HELP.to_owned() }
}

/// The thread that should have answered is gone.
#[derive(Debug, thiserror::Error)]
#[error("the store was closed")]
pub(super) struct DatabaseThreadGone;

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable { source: Box::new(DatabaseThreadGone) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_failed_is_told_apart_from_one_that_is_full() {
        let on = |code| {
            DatabaseFailureClass::on(&rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
        };
        assert_eq!(on(rusqlite::ffi::SQLITE_IOERR_FSYNC), DatabaseFailureClass::Disk);
        assert_eq!(on(rusqlite::ffi::SQLITE_IOERR_WRITE), DatabaseFailureClass::Disk);
        assert_eq!(on(rusqlite::ffi::SQLITE_FULL), DatabaseFailureClass::Full);
        assert_eq!(on(rusqlite::ffi::SQLITE_NOTADB), DatabaseFailureClass::Damaged);
        assert_eq!(on(rusqlite::ffi::SQLITE_READONLY_DBMOVED), DatabaseFailureClass::ReadOnly);
        assert_eq!(on(rusqlite::ffi::SQLITE_BUSY), DatabaseFailureClass::Step);
    }
}
