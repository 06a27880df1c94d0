//! What went wrong with the file, and what it means for those who wait for an answer.

use longhaul_domain::ProcessId;
use longhaul_ports::{StoreError, StoreRejection};
use longhaul_wire::record::RecordDecodeError;
use rusqlite::ErrorCode;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What to do about a file that cannot be used.
const RECOVERY_HELP: &str = "restore a copy of the outbox, or move the file away: records in it are then not restored to a store that lost \
     them";

/// Why something could not be kept or told.
#[derive(Debug)]
pub(super) enum OutboxError {
    /// The database failed.
    Database(rusqlite::Error),
    /// What it keeps makes no sense, or a newer program wrote it.
    Answer(StoreError),
}

impl From<rusqlite::Error> for OutboxError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<RecordDecodeError> for OutboxError {
    fn from(broken: RecordDecodeError) -> Self {
        Self::Answer(match broken {
            RecordDecodeError::TooNew { needs, reads } => StoreError::NewerRecord { needs, reads },
            damaged @ (RecordDecodeError::Damaged { .. } | _) => {
                corrupt(format!("the outbox contains a {damaged}"))
            }
        })
    }
}

impl OutboxError {
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Answer(error) => error,
            Self::Database(error) => not_kept(&error),
        }
    }

    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Answer(error) => error,
            Self::Database(error) => at_opening(path, &error),
        }
    }
}

/// Whether the disk failed, so that nobody knows what it holds now.
pub(super) fn is_final(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// The error for whoever wanted something kept: it surely was not.
pub(super) fn not_kept(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Refused(StoreRejection::Full),
        Some(_) | None => StoreError::ReadOnly { why: format!("the outbox of this node failed: {error}") },
    }
}

/// The error for a file that could not be opened.
pub(super) fn at_opening(path: &Path, error: &rusqlite::Error) -> StoreError {
    let shown = format!("{} ({error})", path.display());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => corrupt(shown),
        Some(_) | None => StoreError::ReadOnly { why: shown },
    }
}

pub(super) fn blocked(path: &Path, error: &io::Error) -> StoreError {
    if error.kind() == ErrorKind::StorageFull {
        return StoreError::Refused(StoreRejection::Full);
    }
    StoreError::ReadOnly { why: format!("{} ({error})", path.display()) }
}

pub(super) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into(), remedy: RECOVERY_HELP.to_owned() }
}

/// The thread that writes is gone.
pub(super) fn closed() -> StoreError {
    StoreError::ReadOnly { why: "the outbox of this node was closed".to_owned() }
}

/// The file of a node keeps live work of another store than the one that it is opened for. Nothing is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} has live work of another store, {place}, for example {live}", path.display())]
pub struct ForeignOutbox {
    /// The file.
    pub path: PathBuf,
    /// The store that it was opened for before, without its password.
    pub place: String,
    /// One of the processes.
    pub live: ProcessId,
}

impl ForeignOutbox {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        let Self { path, place, .. } = self;
        format!(
            "use {place} again until its processes have ended, or move {} away: records in it are then not restored \
             to a store that lost them",
            path.display()
        )
    }
}

/// The file keeps work of another store.
pub(super) fn foreign(path: &Path, place: &str, live: ProcessId) -> StoreError {
    let source = ForeignOutbox { path: path.to_owned(), place: place.to_owned(), live };
    StoreError::Unavailable { source: Box::new(source) }
}
