//! Opens a database without changing a file that is not a longhaul database.
//!
//! The header of the file contains the application id and the schema version. It is always up to date, because schema
//! changes are made outside the write-ahead log. A file of another application or of a newer version is therefore
//! rejected before SQLite opens it. A new database is created under a temporary name, and renamed when it is complete.

use super::SqliteOptions;
use super::failure::{at_opening, corrupt};
use super::row;
use super::schema::{APPLICATION, PAGE, STEPS, VERSION, tables};
use crate::database;
use longhaul_failpoint::failpoint;
use longhaul_ports::{EventCursor, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const HEADER: usize = 100;
/// Maximum size in bytes of a database that is checked completely.
const MAX_CHECKED_BYTES: u64 = 256 << 20;
/// `O_NONBLOCK` on the supported architectures; the value differs on MIPS and SPARC only.
const NONBLOCK: i32 = 0o4000;
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Result of checking a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseState {
    /// Size of the database in bytes.
    pub bytes: u64,
    /// True if every page was checked.
    pub whole: bool,
}

/// Prepares the database: rejects a foreign file, creates a missing database, and migrates an older schema.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    let mut version = version_of(path)?;
    if version.is_some_and(|version| version <= VERSION) && with_suffix(path, "-journal").exists() {
        // A schema change was interrupted. Reading the database undoes the change.
        open(path)
            .and_then(|connection| connection.query_row("PRAGMA user_version", [], |_| Ok(())))
            .map_err(|error| at_opening(path, error))?;
        version = version_of(path)?;
    }
    match version {
        None => create(path),
        Some(found) if found > VERSION => Err(StoreError::Format { found, supported: VERSION }),
        Some(VERSION) => check(path, VERSION),
        Some(older) => {
            check(path, older)?;
            migrate(path, older)
        }
    }
}

/// Returns the schema version from the header of the file. Returns `None` if the file does not exist.
fn version_of(path: &Path) -> Result<Option<u32>, StoreError> {
    let mut header = Vec::with_capacity(HEADER);
    // With this flag, opening a named pipe or a device does not block.
    match OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path) {
        Ok(file) if !file.metadata().map_err(|error| blocked(path, error))?.is_file() => {
            return Err(corrupt(format!("{} is not a regular file", path.display())));
        }
        Ok(file) => {
            file.take(HEADER as u64).read_to_end(&mut header).map_err(|error| blocked(path, error))?
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(_) if fs::metadata(path).is_ok_and(|found| !found.is_file()) => {
            return Err(corrupt(format!("{} is not a regular file", path.display())));
        }
        Err(error) => return Err(blocked(path, error)),
    };
    let shown = path.display();
    if header.len() < HEADER || !header.starts_with(MAGIC) {
        return Err(corrupt(format!("{shown} is not a SQLite database")));
    }
    if number(&header, 68) != Some(APPLICATION) {
        return Err(corrupt(format!("{shown} is a database of another program")));
    }
    number(&header, 60)
        .filter(|version| *version > 0)
        .map(Some)
        .ok_or_else(|| corrupt(format!("the database {shown} contains no format version")))
}

fn number(header: &[u8], at: usize) -> Option<u32> {
    let bytes = header.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_be_bytes)
}

fn create(path: &Path) -> Result<(), StoreError> {
    // SQLite would use an existing file of this name as the log of the new database.
    let log = with_suffix(path, "-wal");
    if log.exists() {
        return Err(StoreError::Corrupt {
            what: format!("{} is missing, but its log {} exists", path.display(), log.display()),
            remedy: "restore the database, or move the log away to start with an empty database".to_owned(),
        });
    }
    let draft = with_suffix(path, ".new");
    for leftover in [draft.clone(), with_suffix(&draft, "-journal")] {
        match fs::remove_file(&leftover) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(blocked(path, error)),
        }
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|error| blocked(path, error))?;
    let made = apply_migrations(&draft, 0).map_err(|error| at_opening(path, error));
    let placed = made.and_then(|()| link(&draft, path).map_err(|error| blocked(path, error)));
    if placed.is_err() {
        // Return the first error and ignore this one, because a leftover file is removed at the next start.
        let _ = fs::remove_file(&draft);
    }
    placed
}

/// Gives the new database its final name. Uses a hard link, because a link, unlike a rename, never replaces a database
/// that another program has created in the meantime.
fn link(draft: &Path, path: &Path) -> io::Result<()> {
    failpoint!("sqlite.create.sync")?;
    File::open(draft)?.sync_all()?;
    failpoint!("sqlite.create.link")?;
    match fs::hard_link(draft, path) {
        Ok(()) => fs::remove_file(draft)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
        Err(_) => fs::rename(draft, path)?,
    }
    failpoint!("sqlite.create.directory")?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn migrate(path: &Path, from: u32) -> Result<(), StoreError> {
    apply_migrations(path, from).map_err(|error| at_opening(path, error))
}

/// Applies all missing migrations in one transaction.
fn apply_migrations(path: &Path, from: u32) -> rusqlite::Result<()> {
    let mut connection = open(path)?;
    if from == 0 {
        connection.pragma_update(None, "page_size", PAGE)?;
    }
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    for step in STEPS.iter().skip(from as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    failpoint!("sqlite.schema.commit").map_err(database::failure)?;
    transaction.commit()
}

/// Checks that the database has the tables of its schema version, without changing any file.
fn check(path: &Path, version: u32) -> Result<(), StoreError> {
    let names = || {
        let connection = for_looking(path)?;
        let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?;
        names.collect::<rusqlite::Result<Vec<String>>>()
    };
    let names = names().map_err(|error| at_opening(path, error))?;
    match tables(version).iter().find(|table| !names.iter().any(|name| name == *table)) {
        Some(missing) => Err(corrupt(format!("the database {} has no table {missing}", path.display()))),
        None => Ok(()),
    }
}

/// Checks the integrity of a database without changing any file. Returns `None` if there is no database. In a large
/// database, the pages are not checked.
pub(super) fn look(path: &Path) -> Result<Option<DatabaseState>, StoreError> {
    match version_of(path)? {
        None => return Ok(None),
        Some(found) if found > VERSION => return Err(StoreError::Format { found, supported: VERSION }),
        Some(found) => check(path, found)?,
    }
    let bytes = fs::metadata(path).map_err(|error| blocked(path, error))?.len();
    if bytes > MAX_CHECKED_BYTES {
        return Ok(Some(DatabaseState { bytes, whole: false }));
    }
    let said = for_looking(path)
        .and_then(|connection| {
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        })
        .map_err(|error| at_opening(path, error))?;
    if said == "ok" {
        Ok(Some(DatabaseState { bytes, whole: true }))
    } else {
        Err(corrupt(format!("{}: {said}", path.display())))
    }
}

/// Returns the cursor of the newest event in a database without changing any file. Returns `None` if there is no
/// database.
pub(super) fn end(path: &Path) -> Result<Option<EventCursor>, StoreError> {
    match version_of(path)? {
        None => return Ok(None),
        Some(found) if found > VERSION => return Err(StoreError::Format { found, supported: VERSION }),
        Some(_) => {}
    }
    // If a schema change was interrupted, it must be undone before the read.
    let connection = if with_suffix(path, "-journal").exists() { open(path) } else { for_looking(path) };
    let newest: Option<i64> = connection
        .and_then(|connection| connection.query_row("SELECT max(cursor) FROM event", [], |row| row.get(0)))
        .map_err(|error| at_opening(path, error))?;
    Ok(Some(EventCursor(newest.map_or(0, row::uint))))
}

/// Opens a connection for reading. If there is no write-ahead log, the file is complete and is read without a lock. If
/// there is a log, it is read and left unchanged.
fn for_looking(path: &Path) -> rusqlite::Result<Connection> {
    if with_suffix(path, "-wal").exists() {
        let connection = open(path)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        return Ok(connection);
    }
    let mut name = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                name.push(char::from(*byte))
            }
            other => name.push_str(&format!("%{other:02x}")),
        }
    }
    name.push_str("?mode=ro&immutable=1");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(name, flags)
}

/// Opens a connection to a prepared database.
pub(super) fn connect(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let connect = || {
        let connection = open(path)?;
        connection.pragma_update(None, "cache_size", -i64::from(options.cache_kib))?;
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    };
    connect().map_err(|error| at_opening(path, error))
}

/// Configures a connection for writing: a commit is durable when it returns.
pub(super) fn for_writing(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let limit = format!("PRAGMA journal_size_limit = {}", super::SqliteStore::MAX_WAL_BYTES);
    connection.query_row(&limit, [], |_| Ok(()))?;
    if let Some(kib) = options.max_kib {
        let limit = u64::from(kib) * 1024 / u64::from(page_size(connection)?);
        connection.query_row(&format!("PRAGMA max_page_count = {limit}"), [], |_| Ok(()))?;
    }
    Ok(())
}

/// Returns the page size in bytes. A database keeps the page size that it was created with.
pub(super) fn page_size(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA page_size", [], |row| row.get(0))
}

pub(super) fn for_reading(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "query_only", true)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

fn with_suffix(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(ending);
    PathBuf::from(name)
}

fn blocked(path: &Path, error: io::Error) -> StoreError {
    let forbidden = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem];
    if forbidden.contains(&error.kind()) {
        return StoreError::ReadOnly { why: format!("{} ({error})", path.display()) };
    }
    StoreError::Unavailable { source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_finds_damage_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        assert_eq!((look(&path).unwrap(), end(&path).unwrap()), (None, None));
        prepare(&path).unwrap();
        let before = fs::read(&path).unwrap();
        assert!(look(&path).unwrap().unwrap().whole);
        assert_eq!(end(&path).unwrap(), Some(EventCursor(0)));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "it leaves no trace");
        let mut bytes = before;
        let half = bytes.len() / 2;
        bytes[half..].iter_mut().for_each(|byte| *byte = 0xa5);
        fs::write(&path, bytes).unwrap();
        assert!(matches!(look(&path), Err(StoreError::Corrupt { .. })), "{:?}", look(&path));
    }

    #[test]
    fn a_new_database_is_not_created_next_to_the_log_of_another_database() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        fs::write(directory.path().join("store.db-wal"), "precious").unwrap();
        assert!(matches!(prepare(&path), Err(StoreError::Corrupt { .. })));
        assert!(!path.exists());
        assert_eq!(fs::read_to_string(directory.path().join("store.db-wal")).unwrap(), "precious");
    }

    #[test]
    fn a_database_of_an_older_version_is_migrated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        for older in 1..VERSION {
            let connection = Connection::open(&path).unwrap();
            STEPS.iter().take(older as usize).for_each(|step| connection.execute_batch(step).unwrap());
            connection.pragma_update(None, "application_id", APPLICATION).unwrap();
            connection.pragma_update(None, "user_version", older).unwrap();
            let child = "INSERT INTO process (seq, id, revision, standing, closing, status, attempt, key, class, child,
                    priority, level, ancestors, kind, queued_at, life)
                VALUES (5, x'05', 1, 3, 1, 'failed', 1, '', '', 1, 0, 2, x'', '', 1, '');
                UPDATE mark SET highest = 7, filed = 5";
            connection.execute_batch(child).unwrap();
            if older >= 2 {
                // The second migration indexes the level of the existing records. Later versions index the level of
                // each new record.
                connection
                    .execute("INSERT INTO label (what, value, seq) VALUES ('level', 2, 5)", [])
                    .unwrap();
            }
            drop(connection);
            prepare(&path).unwrap();
            assert_eq!(version_of(&path).unwrap(), Some(VERSION));
            let schema = |connection: &Connection| {
                let sql = "SELECT group_concat(sql) FROM (SELECT sql FROM sqlite_schema ORDER BY name)";
                connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
            };
            let fresh = directory.path().join("fresh.db");
            prepare(&fresh).unwrap();
            let renewed = Connection::open(&path).unwrap();
            assert_eq!(schema(&renewed), schema(&Connection::open(&fresh).unwrap()));
            let highest: u32 = renewed.query_row("SELECT last_seq FROM meta", [], |row| row.get(0)).unwrap();
            assert_eq!(highest, 7, "what was there stays");
            let leads = "SELECT label.seq + p.seq FROM label, process p INDEXED BY ended_unsuccessful
                WHERE what = 'level' AND value = 2
                    AND p.slot_state = 3 AND p.status <> 'completed' AND p.status = 'failed'";
            assert_eq!(renewed.query_row(leads, [], |row| row.get::<_, u32>(0)).unwrap(), 10);
            [path.as_path(), fresh.as_path()].iter().for_each(|path| fs::remove_file(path).unwrap());
        }
    }
}
