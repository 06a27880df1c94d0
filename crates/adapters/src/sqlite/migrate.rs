//! Copies the complete content of a database into another store, or the content of another store into a database.

use super::failure::StepAbort;
use super::membership::facts;
use super::process::NO_OP;
use super::submit::fingerprint;
use super::write_connection::{WriteConnection, policy};
use super::{SqliteStore, row};
use async_trait::async_trait;
use longhaul_domain::{Epoch, LiveStats, Seq, SlotKey};
use longhaul_ports::{
    EventCursor, LoggedEvent, Migrate, RegisteredNode, RetiredLaunchKey, StoreError, StoreMetadata,
    StoredProcess, Tombstone,
};
use longhaul_wire::record;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::path::Path;
use std::time::Duration;

impl SqliteStore {
    /// Returns true if another program has the database at `path` open. Returns false if there is no longhaul
    /// database.
    #[must_use]
    pub fn is_used(path: &Path) -> bool {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let alone = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::ZERO)?;
            // A program that has the database open in WAL mode always holds a shared lock.
            connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        };
        let outcome: rusqlite::Result<()> = alone();
        outcome.is_err_and(|error| {
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
        })
    }
}

#[async_trait]
impl Migrate for SqliteStore {
    async fn store_metadata(&self) -> Result<StoreMetadata, StoreError> {
        self.read(store_metadata).await
    }

    async fn import_processes(&self, processes: &[StoredProcess]) -> Result<(), StoreError> {
        let processes = processes.to_vec();
        self.write(NO_OP, move |ledger| processes.iter().try_for_each(|stored| ledger.take_process(stored)))
            .await
    }

    async fn import_events(&self, events: &[LoggedEvent]) -> Result<(), StoreError> {
        let events = events.to_vec();
        self.write(NO_OP, move |ledger| events.iter().try_for_each(|logged| ledger.take_event(logged))).await
    }

    async fn import_metadata(&self, store_metadata: &StoreMetadata) -> Result<(), StoreError> {
        let store_metadata = store_metadata.clone();
        self.write(NO_OP, move |ledger| ledger.import_metadata(&store_metadata)).await
    }
}

impl WriteConnection {
    fn take_process(&mut self, stored: &StoredProcess) -> Result<(), StepAbort> {
        let process = &stored.process;
        self.set_highest(stored.seq.0.saturating_sub(1))?;
        let spec = record::encode_spec(process);
        let seq = row::insert(&self.connection, process, &spec, stored.revision, stored.owner.as_ref())?;
        let seq = row::int(seq.0);
        self.process_added();
        self.lines.moved(process.spec.key.as_ref());
        if let Some(key) = &process.spec.launch_key {
            let session = process.spec.session.as_ref().map_or("", |session| session.as_str());
            self.sql("INSERT INTO launch (session, key, id, fingerprint) VALUES (?1, ?2, ?3, ?4)")?.execute(
                params![
                    session,
                    key.as_str(),
                    process.id.as_uuid().as_bytes(),
                    fingerprint(&process.spec.launch_part())
                ],
            )?;
        }
        for (no, action) in &stored.pending_actions {
            self.sql("INSERT INTO pending_action (seq, no, body) VALUES (?1, ?2, ?3)")?.execute(params![
                seq,
                row::int(no.0),
                record::encode_pending_action(action)
            ])?;
            self.sql("UPDATE process SET action_seq = max(action_seq, ?2) WHERE seq = ?1")?
                .execute(params![seq, row::int(no.0)])?;
        }
        if stored.live_stats != LiveStats::default() {
            self.sql("INSERT INTO live_stats (seq, attempt, body) VALUES (?1, ?2, ?3)")?.execute(params![
                seq,
                process.attempt.0,
                record::encode_live_stats(&stored.live_stats)
            ])?;
        }
        Ok(())
    }

    fn take_event(&mut self, logged: &LoggedEvent) -> Result<(), StepAbort> {
        self.sql("INSERT INTO event (cursor, id, revision, idx, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                row::int(logged.cursor.0),
                logged.id.as_uuid().as_bytes(),
                row::int(logged.revision.0),
                logged.index,
                record::encode_event(&logged.event)
            ])?;
        self.logged(logged.cursor);
        Ok(())
    }

    fn import_metadata(&self, store_metadata: &StoreMetadata) -> Result<(), StepAbort> {
        let (version, policy) = &store_metadata.policy;
        self.sql("INSERT OR REPLACE INTO policy (one, version, body) VALUES (1, ?1, ?2)")?
            .execute(params![row::int(version.0), record::encode_policy(policy)])?;
        for RegisteredNode { facts, epoch, left } in &store_metadata.nodes {
            let (home, place) = facts.home.as_ref().map(|home| (&home.id, &home.place)).unzip();
            self.sql(
                "INSERT INTO node (id, epoch, boot, version, has_left, state_dir_id, state_dir_path)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                facts.id.as_str(),
                row::int(epoch.0),
                facts.boot,
                facts.version,
                left,
                home,
                place
            ])?;
        }
        for (at, key) in (1_i64..).zip(&store_metadata.served) {
            let key = key.as_ref().map_or("", |key| key.as_str());
            self.sql("INSERT INTO served (key, at) VALUES (?1, ?2)")?.execute(params![key, at])?;
        }
        for old in &store_metadata.old_keys {
            let session = old.session.as_ref().map_or("", |session| session.as_str());
            self.sql("INSERT INTO launch (session, key, id, fingerprint) VALUES (?1, ?2, ?3, ?4)")?.execute(
                params![session, old.key.as_str(), old.id.as_uuid().as_bytes(), signed(old.launch)],
            )?;
        }
        // The newest tombstone gets the total number of pruned processes as its number.
        let count = u64::try_from(store_metadata.tombstones.len()).unwrap_or(u64::MAX);
        let first = store_metadata.pruned_total.saturating_sub(count).saturating_add(1);
        for (no, tombstone) in (first..).zip(&store_metadata.tombstones) {
            self.sql("INSERT INTO tombstone (no, id, fingerprint, answers) VALUES (?1, ?2, ?3, x'')")?
                .execute(params![row::int(no), tombstone.id.as_uuid().as_bytes(), signed(tombstone.spec)])?;
        }
        self.set_highest(store_metadata.last_seq.0)
    }

    fn set_highest(&self, seq: u64) -> Result<(), StepAbort> {
        self.sql("UPDATE meta SET last_seq = ?1")?.execute([row::int(seq)])?;
        Ok(())
    }
}

fn store_metadata(connection: &Connection) -> Result<StoreMetadata, StepAbort> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get(0).map(row::uint));
    Ok(StoreMetadata {
        policy: policy(connection)?,
        nodes: nodes(connection)?,
        served: served(connection)?,
        old_keys: old_keys(connection)?,
        tombstones: tombstones(connection)?,
        pruned_total: number("SELECT coalesce(max(no), 0) FROM tombstone")?,
        last_seq: Seq(number("SELECT max(coalesce((SELECT max(seq) FROM process), 0), last_seq) FROM meta")?),
        end: EventCursor(number("SELECT coalesce(max(cursor), 0) FROM event")?),
    })
}

fn nodes(connection: &Connection) -> Result<Vec<RegisteredNode>, StepAbort> {
    let mut statement = connection.prepare(
        "SELECT id, boot, version, state_dir_id, state_dir_path, epoch, has_left FROM node ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut nodes = Vec::new();
    while let Some(row) = rows.next()? {
        nodes.push(RegisteredNode {
            facts: facts(row)?,
            epoch: Epoch(row::uint(row.get(5)?)),
            left: row.get(6)?,
        });
    }
    Ok(nodes)
}

fn served(connection: &Connection) -> Result<Vec<Option<SlotKey>>, StepAbort> {
    let mut statement = connection.prepare("SELECT key FROM served ORDER BY at, key")?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        keys.push(if key.is_empty() { None } else { Some(row::name(&key)?) });
    }
    Ok(keys)
}

fn old_keys(connection: &Connection) -> Result<Vec<RetiredLaunchKey>, StepAbort> {
    let mut statement = connection.prepare(
        "SELECT session, key, id, fingerprint FROM launch
        WHERE NOT EXISTS (SELECT 1 FROM process WHERE process.id = launch.id) ORDER BY session, key",
    )?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let (session, key): (String, String) = (row.get(0)?, row.get(1)?);
        keys.push(RetiredLaunchKey {
            session: if session.is_empty() { None } else { Some(row::name(&session)?) },
            key: row::name(&key)?,
            id: row::id(row.get(2)?),
            launch: unsigned(row.get(3)?),
        });
    }
    Ok(keys)
}

fn tombstones(connection: &Connection) -> Result<Vec<Tombstone>, StepAbort> {
    let mut statement = connection.prepare("SELECT id, fingerprint FROM tombstone ORDER BY no")?;
    let mut rows = statement.query([])?;
    let mut pruned = Vec::new();
    while let Some(row) = rows.next()? {
        pruned.push(Tombstone { id: row::id(row.get(0)?), spec: unsigned(row.get(1)?) });
    }
    Ok(pruned)
}

/// Converts a fingerprint to a column value with the same bits.
const fn signed(fingerprint: u64) -> i64 {
    fingerprint.cast_signed()
}

const fn unsigned(fingerprint: i64) -> u64 {
    fingerprint.cast_unsigned()
}
