//! Opens the outbox file, and creates it if it does not exist.
//!
//! The SQLite header contains the application id and the schema version. A file of another application or of another
//! version is rejected before SQLite opens it. A new file is written under a temporary name, and renamed when it is
//! complete.

use super::failure::{at_opening, blocked, corrupt};
use super::schema::{APPLICATION, SCHEMA, TABLES, VERSION};
use crate::database;
use longhaul_failpoint::failpoint;
use longhaul_ports::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const HEADER: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Byte offset of the schema version in the SQLite header (`user_version`).
const VERSION_AT: usize = 60;
const APPLICATION_AT: usize = 68;
/// Size of the SQLite page cache in KiB.
const CACHE_KIB: i64 = 512;

/// Opens a connection to the file at `path`. Creates the file if it does not exist.
pub(super) fn open(path: &Path, max_kib: Option<u32>) -> Result<Connection, StoreError> {
    match version_of(path)? {
        None => create(path)?,
        Some(found) if found != VERSION => {
            return Err(StoreError::Format { found, supported: VERSION });
        }
        Some(_) => {}
    }
    let connection = connect(path).map_err(|error| at_opening(path, &error))?;
    check(&connection, path)?;
    for_writing(&connection, max_kib).map_err(|error| at_opening(path, &error))?;
    Ok(connection)
}

/// Returns the schema version from the header of the file. Returns `None` if the file does not exist.
fn version_of(path: &Path) -> Result<Option<u32>, StoreError> {
    let shown = path.display();
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(blocked(path, &error)),
    };
    if !found.is_file() {
        return Err(corrupt(format!("{shown} is not a regular file")));
    }
    let mut header = Vec::with_capacity(HEADER);
    let file = File::open(path).map_err(|error| blocked(path, &error))?;
    file.take(HEADER as u64).read_to_end(&mut header).map_err(|error| blocked(path, &error))?;
    if header.len() < HEADER || !header.starts_with(MAGIC) {
        return Err(corrupt(format!("{shown} is not a SQLite database")));
    }
    if number(&header, APPLICATION_AT) != Some(APPLICATION) {
        return Err(corrupt(format!("{shown} is a database of another program")));
    }
    number(&header, VERSION_AT)
        .filter(|version| *version > 0)
        .map(Some)
        .ok_or_else(|| corrupt(format!("the database {shown} contains no format version")))
}

fn number(header: &[u8], at: usize) -> Option<u32> {
    let bytes = header.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_be_bytes)
}

fn create(path: &Path) -> Result<(), StoreError> {
    let draft = with_suffix(path, ".new");
    for leftover in [draft.clone(), with_suffix(&draft, "-journal")] {
        match fs::remove_file(&leftover) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(blocked(path, &error)),
        }
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
    made.map_err(|error| blocked(path, &error))?;
    let written = create_tables(&draft).map_err(|error| at_opening(path, &error));
    let placed = written.and_then(|()| link(&draft, path).map_err(|error| blocked(path, &error)));
    if placed.is_err() {
        // Return the first error and ignore this one, because a leftover draft is removed at the next start.
        let _ = fs::remove_file(&draft);
    }
    placed
}

fn create_tables(draft: &Path) -> rusqlite::Result<()> {
    let mut connection = connect(draft)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    failpoint!("outbox.schema.commit").map_err(database::failure)?;
    transaction.commit()
}

fn link(draft: &Path, path: &Path) -> io::Result<()> {
    failpoint!("outbox.create.sync")?;
    File::open(draft)?.sync_all()?;
    failpoint!("outbox.create.rename")?;
    fs::rename(draft, path)?;
    failpoint!("outbox.create.directory")?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

/// Checks the integrity of the file and the existence of all tables. Without this check, damage would be detected only
/// when the data is needed.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| at_opening(path, &error);
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if found != "ok" {
        return Err(corrupt(format!("{}: {found}", path.display())));
    }
    let has = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
    for table in TABLES {
        if !connection.query_row(has, [table], |row| row.get::<_, bool>(0)).map_err(failed)? {
            return Err(corrupt(format!("the database {} has no table {table}", path.display())));
        }
    }
    Ok(())
}

fn for_writing(connection: &Connection, max_kib: Option<u32>) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.query_row("PRAGMA journal_size_limit = 4194304", [], |_| Ok(()))?;
    if let Some(kib) = max_kib {
        let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let limit = u64::from(kib) * 1_024 / u64::from(page.max(1));
        connection.query_row(&format!("PRAGMA max_page_count = {limit}"), [], |_| Ok(()))?;
    }
    Ok(())
}

fn with_suffix(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(ending);
    PathBuf::from(name)
}
