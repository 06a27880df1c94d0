//! What crash points in databases need.

use rusqlite::{Error, ffi};
use std::io::{self, ErrorKind};

/// A failure of the system as SQLite tells of it.
pub(super) fn failure(error: io::Error) -> Error {
    let code =
        if error.kind() == ErrorKind::StorageFull { ffi::SQLITE_FULL } else { ffi::SQLITE_IOERR_FSYNC };
    Error::SqliteFailure(ffi::Error::new(code), Some(error.to_string()))
}
