//! What went wrong with files, and what it means for those who wait for an answer.

use longhaul_domain::OpId;
use longhaul_ports::{StoreError, StoreRejection};
use std::io::{self, ErrorKind};
use std::path::Path;

/// What to do about files that cannot be used.
const RECOVERY_HELP: &str =
    "nothing was changed: move the directory away and start again, or restore a copy of it";

/// Why a file was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// There is no room; there may be some later.
    Full,
    /// Nothing may be written there.
    ReadOnly(io::Error),
    /// It failed before it counted.
    NotWritten(io::Error),
    /// The disk failed before the file had its name: it counts for nothing.
    Disk(io::Error),
    /// The disk failed when the file had its name: it may count.
    Unsure(io::Error),
}

impl WriteError {
    /// What a failure before the file had its name means.
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

    /// What a file that could not be forced to the disk means. What there is no room for was never there.
    pub(super) fn at_sync(error: io::Error) -> Self {
        match Self::before(error) {
            Self::ReadOnly(error) | Self::NotWritten(error) => Self::Disk(error),
            other @ (Self::Full | Self::Disk(_) | Self::Unsure(_)) => other,
        }
    }

    /// Whether nothing may be acknowledged after it.
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

/// `EIO` on every system.
const EIO: i32 = 5;
const FORBIDDEN: [ErrorKind; 2] = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem];

pub(super) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: what.into(), remedy: RECOVERY_HELP.to_owned() }
}

/// Names the file in which something was found.
pub(super) fn within(path: &Path) -> impl Fn(StoreError) -> StoreError {
    move |error| {
        if let StoreError::Corrupt { what, remedy } = error {
            return StoreError::Corrupt { what: format!("{}: {what}", path.display()), remedy };
        }
        error
    }
}

/// The error for what cannot be opened, read or made.
pub(super) fn blocked(path: &Path, error: io::Error) -> StoreError {
    if FORBIDDEN.contains(&error.kind()) {
        return StoreError::ReadOnly { why: format!("{} ({error})", path.display()) };
    }
    StoreError::Unavailable { source: format!("{} ({error})", path.display()).into() }
}

/// The thread that should have answered is gone.
#[derive(Debug, thiserror::Error)]
#[error("the store was closed")]
struct WriterGone;

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable { source: Box::new(WriterGone) }
}
