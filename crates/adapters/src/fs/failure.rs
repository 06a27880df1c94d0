//! Errors of file operations, and their translation into store errors.

use longhaul_domain::OpId;
use longhaul_ports::{StoreError, StoreRejection};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Advice for the operator if the files of the store cannot be used.
const RECOVERY_HELP: &str = "longhaul changed nothing: move the directory of the store away and start the manager again, or \
    restore a copy of the directory";

/// The reason why a file could not be written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The disk is full.
    Full,
    /// The directory is read-only.
    ReadOnly(io::Error),
    /// The write failed before the file could take effect.
    NotWritten(io::Error),
    /// The disk failed before the file was renamed, so the file has no effect.
    Disk(io::Error),
    /// The disk failed after the file was renamed, so the file may have an effect.
    Unsure(io::Error),
}

impl WriteError {
    /// Converts an error that occurred before the file was renamed.
    pub(super) fn before(error: io::Error) -> Self {
        const FULL: [ErrorKind; 3] =
            [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
        if FULL.contains(&error.kind()) {
            Self::Full
        } else if FORBIDDEN.contains(&error.kind()) {
            Self::ReadOnly(error)
        } else if error.raw_os_error() == Some(EIO) {
            Self::Disk(error)
        } else {
            Self::NotWritten(error)
        }
    }

    /// Converts an error of a sync. If the disk was full, the file was not written.
    pub(super) fn at_sync(error: io::Error) -> Self {
        match Self::before(error) {
            Self::ReadOnly(error) | Self::NotWritten(error) => Self::Disk(error),
            other @ (Self::Full | Self::Disk(_) | Self::Unsure(_)) => other,
        }
    }

    /// Returns true if the store must not acknowledge any write after this error.
    pub(super) const fn is_final(&self) -> bool {
        match self {
            Self::Disk(_) | Self::Unsure(_) => true,
            Self::Full | Self::ReadOnly(_) | Self::NotWritten(_) => false,
        }
    }

    pub(super) fn answer(&self, op: Option<OpId>) -> StoreError {
        match self {
            Self::Full => StoreError::Refused(StoreRejection::Full),
            Self::ReadOnly(error) => StoreError::ReadOnly { why: error.to_string() },
            Self::NotWritten(error) | Self::Disk(error) => {
                StoreError::Unavailable { source: error.to_string().into() }
            }
            Self::Unsure(error) => StoreError::Unknown { op, source: error.to_string().into() },
        }
    }
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::ReadOnly(error) | Self::NotWritten(error) | Self::Disk(error) | Self::Unsure(error) => {
                error.fmt(f)
            }
        }
    }
}

/// The error number `EIO`, which is the same on every supported architecture.
const EIO: i32 = 5;
const FORBIDDEN: [ErrorKind; 2] = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem];

pub(super) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into(), remedy: RECOVERY_HELP.to_owned() }
}

/// Adds the path of the damaged file to a store error.
pub(super) fn within(path: &Path) -> impl Fn(StoreError) -> StoreError {
    move |error| {
        if let StoreError::Corrupt { what, remedy } = error {
            return StoreError::Corrupt { what: format!("{}: {what}", path.display()), remedy };
        }
        error
    }
}

/// Returns the store error for a path that cannot be opened, read or created.
pub(super) fn blocked(path: &Path, error: io::Error) -> StoreError {
    if FORBIDDEN.contains(&error.kind()) {
        return StoreError::ReadOnly { why: format!("{} ({error})", path.display()) };
    }
    StoreError::Unavailable { source: format!("{} ({error})", path.display()).into() }
}

/// Returns the error for the case that the writer thread ended without a reply.
#[derive(Debug, thiserror::Error)]
#[error("the store is closed and accepts no requests")]
struct WriterGone;

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable { source: Box::new(WriterGone) }
}
