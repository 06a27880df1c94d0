//! Crash-point support for the SQLite databases.

use rusqlite::{Error, ffi};
use std::io::{self, ErrorKind};

/// Converts an I/O error into the SQLite error that has the same cause.
pub(super) fn failure(error: io::Error) -> Error {
    let code =
        if error.kind() == ErrorKind::StorageFull { ffi::SQLITE_FULL } else { ffi::SQLITE_IOERR_FSYNC };
    Error::SqliteFailure(ffi::Error::new(code), Some(error.to_string()))
}
