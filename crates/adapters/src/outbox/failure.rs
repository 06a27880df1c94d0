//! Errors of the outbox file, and their translation into store errors.

use longhaul_domain::ProcessId;
use longhaul_ports::{StoreError, StoreRejection};
use longhaul_wire::record::RecordDecodeError;
use rusqlite::ErrorCode;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Advice for the operator if the outbox file cannot be used.
const RECOVERY_HELP: &str = "restore a copy of the outbox, or move the file away; without the file, \
    longhaul cannot restore its records if the store loses them";

/// Reason why the outbox file could not be read or written.
#[derive(Debug)]
pub(super) enum OutboxError {
    Database(rusqlite::Error),
    /// The content of the file is invalid, or a newer version of longhaul wrote it.
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

/// Returns true if the disk or the database file is damaged, so that the content of the file is uncertain.
pub(super) fn is_final(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Converts the error of a failed write into a store error. The write certainly had no effect.
pub(super) fn not_kept(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Refused(StoreRejection::Full),
        Some(_) | None => StoreError::ReadOnly { why: format!("the outbox of this node failed: {error}") },
    }
}

/// Converts the error of a failed attempt to open the file into a store error.
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

/// Returns the error for a request that arrives after the writer thread has ended.
pub(super) fn closed() -> StoreError {
    StoreError::ReadOnly { why: "the outbox of this node was closed".to_owned() }
}

/// The outbox file contains live processes of a different store. The file is not damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outbox file {} contains unfinished processes of another store, {address}, for example process \
         {live}", path.display())]
pub struct ForeignOutbox {
    /// Path of the outbox file.
    pub path: PathBuf,
    /// Address of the store that the file belongs to, without its password.
    pub address: String,
    /// Id of one of the live processes in the file.
    pub live: ProcessId,
}

impl ForeignOutbox {
    /// Returns advice for the operator on how to resolve the error.
    #[must_use]
    pub fn help(&self) -> String {
        let Self { path, address, .. } = self;
        format!(
            "use the store {address} until its processes have ended, or move {} away; without this file, \
            longhaul cannot restore its records if the store loses them",
            path.display()
        )
    }
}

/// Returns the store error for a file that contains live processes of a different store.
pub(super) fn foreign(path: &Path, address: &str, live: ProcessId) -> StoreError {
    let source = ForeignOutbox { path: path.to_owned(), address: address.to_owned(), live };
    StoreError::Unavailable { source: Box::new(source) }
}
