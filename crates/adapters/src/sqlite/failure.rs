//! Errors of the database, and their translation into store errors.

use longhaul_ports::{StoreError, StoreRejection};
use longhaul_wire::record::RecordDecodeError;
use rusqlite::ErrorCode;
use std::path::Path;

/// Advice for the operator if the database cannot be used.
const RECOVERY_HELP: &str = "move the file of the database away and start the manager again, or restore a \
    copy of the file";

/// Reason why a step was aborted.
#[derive(Debug)]
pub(super) enum StepAbort {
    /// The result of the step is an error. The step is undone; other steps of the batch continue.
    Answer(StoreError),
    /// The database failed.
    Database(rusqlite::Error),
}

impl StepAbort {
    /// Returns the store error for a step that only read.
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

/// Class of a database error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DatabaseFailureClass {
    /// The disk is full.
    Full,
    /// The disk failed, so its content is uncertain.
    Disk,
    /// The file is damaged.
    Damaged,
    /// The database is read-only.
    ReadOnly,
    /// Another error: the step failed and the database is unchanged.
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

/// Returns the store error for a step that was certainly not applied.
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

/// Returns the store error for a database that could not be opened.
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

/// Error for the case that the database thread ended without a reply.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed and accepts no requests")]
pub(super) struct DatabaseThreadGone;

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable { source: Box::new(DatabaseThreadGone) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_disk_is_distinguished_from_a_full_disk() {
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
