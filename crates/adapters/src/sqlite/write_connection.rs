//! The connection of the writer thread, with its caches.

use super::failure::StepAbort;
use super::notifiers::NodeEvent;
use super::opening;
use super::ready_keys::ReadyKeyCache;
use super::row;
use super::writer::SyncMode;
use crate::database;
use longhaul_domain::{Epoch, Event, NodeId, Policy, PolicyVersion, ProcessId, Revision, Timestamp};
use longhaul_failpoint::failpoint;
use longhaul_ports::{Clock, EventCursor, Lease, StoreError, Writer};
use longhaul_wire::record;
use rusqlite::hooks::Wal;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Maximum size of the write-ahead log in bytes. A longer log is checkpointed.
const CHECKPOINT_BYTES: i32 = 4_096_000;
/// Number of events beyond the configured number that triggers their deletion. It is large, so that deletions are rare.
const TRIM_BATCH: u64 = 1_000;

/// The connection of the writer thread.
pub(super) struct WriteConnection {
    pub(super) connection: Connection,
    clock: Arc<dyn Clock>,
    /// Number of pages in the write-ahead log after the last commit.
    log_pages: Arc<AtomicI32>,
    /// Maximum number of pages in the write-ahead log. A longer log is checkpointed.
    max_log_pages: i32,
    kept_events: u64,
    /// True if processes were added that are not in the label index.
    has_new_processes: bool,
    pub(super) lines: ReadyKeyCache,
    /// A cursor that is not after the oldest event.
    oldest: i64,
    newest: i64,
    policy: Option<(PolicyVersion, Policy)>,
    effort: Option<SyncMode>,
    events: Vec<NodeEvent>,
    marked: usize,
}

impl WriteConnection {
    pub(super) fn open(
        mut connection: Connection,
        clock: Arc<dyn Clock>,
        kept_events: u64,
    ) -> Result<Self, StepAbort> {
        let log_pages = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&log_pages);
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        let page_size = opening::page_size(&connection)?;
        let page_size = i32::try_from(page_size).unwrap_or(CHECKPOINT_BYTES).max(1);
        let oldest =
            connection.query_row("SELECT coalesce(min(cursor), 0) FROM event", [], |row| row.get(0))?;
        let newest =
            connection.query_row("SELECT coalesce(max(cursor), 0) FROM event", [], |row| row.get(0))?;
        Ok(Self {
            connection,
            clock,
            log_pages,
            max_log_pages: CHECKPOINT_BYTES / page_size,
            has_new_processes: false,
            lines: ReadyKeyCache::default(),
            kept_events: kept_events.max(1),
            oldest,
            newest,
            policy: None,
            effort: None,
            events: Vec::new(),
            marked: 0,
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the cursor of the newest event.
    pub(super) fn newest(&self) -> EventCursor {
        EventCursor(row::uint(self.newest))
    }

    /// Records that an event was logged at this cursor.
    pub(super) fn logged(&mut self, place: EventCursor) {
        self.newest = self.newest.max(row::int(place.0));
        self.notify(NodeEvent::Logged);
    }

    pub(super) fn sql(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    /// Stores a notification, to be sent after the commit.
    pub(super) fn notify(&mut self, events: NodeEvent) {
        if !self.events.contains(&events) {
            self.events.push(events);
        }
    }

    pub(super) fn append(
        &mut self,
        id: &ProcessId,
        revision: Revision,
        events: &[Event],
    ) -> Result<(), StepAbort> {
        for (index, event) in (0_u32..).zip(events) {
            self.sql("INSERT INTO event (id, revision, idx, body) VALUES (?1, ?2, ?3, ?4)")?.execute(
                params![id.as_uuid().as_bytes(), row::int(revision.0), index, record::encode_event(event)],
            )?;
            self.newest = self.connection.last_insert_rowid();
        }
        if !events.is_empty() {
            self.notify(NodeEvent::Logged);
        }
        Ok(())
    }

    /// Rejects a lease that is not the newest lease of its node.
    pub(super) fn check(&self, lease: &Lease) -> Result<(), StepAbort> {
        check(&self.connection, lease)
    }

    /// Rejects a writer that may not change a row with this owner.
    pub(super) fn check_author(&self, owner: Option<&Lease>, author: &Writer) -> Result<(), StepAbort> {
        author.required_lease(owner)?.map_or(Ok(()), |lease| self.check(lease))
    }

    /// Returns the policy in force. Reads it from the database only if it has changed.
    pub(super) fn policy(&mut self) -> Result<(PolicyVersion, Policy), StepAbort> {
        let version = policy_version(&self.connection)?;
        match &self.policy {
            Some((known, policy)) if *known == version => Ok((version, policy.clone())),
            Some(_) | None => {
                let fresh = policy(&self.connection)?;
                self.policy = Some(fresh.clone());
                Ok(fresh)
            }
        }
    }

    pub(super) fn begin(&mut self, effort: SyncMode) -> rusqlite::Result<()> {
        if self.effort != Some(effort) {
            let level = match effort {
                SyncMode::Durable => "FULL",
                SyncMode::Light => "NORMAL",
            };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.effort = Some(effort);
        }
        self.events.clear();
        self.has_new_processes = false;
        self.lines.begin();
        self.run("BEGIN IMMEDIATE")
    }

    pub(super) fn mark(&mut self) -> rusqlite::Result<()> {
        self.marked = self.events.len();
        self.run("SAVEPOINT step")
    }

    pub(super) fn keep(&self) -> rusqlite::Result<()> {
        self.run("RELEASE step")
    }

    pub(super) fn revert(&mut self) -> rusqlite::Result<()> {
        self.events.truncate(self.marked);
        self.policy = None;
        self.lines.doubt();
        self.run("ROLLBACK TO step")?;
        self.run("RELEASE step")
    }

    /// Returns true if a transaction is still open.
    pub(super) fn is_open(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Records that a process was added.
    pub(super) const fn process_added(&mut self) {
        self.has_new_processes = true;
    }

    /// Executes occasional maintenance within the current transaction. On a full disk, it can fail only if the
    /// transaction added data.
    pub(super) fn maintain(&mut self) -> rusqlite::Result<()> {
        if self.has_new_processes {
            self.index_labels()?;
        }
        self.trim()
    }

    /// Deletes old events in batches.
    fn trim(&mut self) -> rusqlite::Result<()> {
        let there = u64::try_from(self.newest.saturating_sub(self.oldest)).unwrap_or(0);
        if there < self.kept_events.saturating_add(TRIM_BATCH) {
            return Ok(());
        }
        let last = self.newest.saturating_sub(row::int(self.kept_events));
        // Keep the newest event, because the cursor of the next event is derived from it.
        self.sql("DELETE FROM event WHERE cursor <= ?1 AND cursor < (SELECT max(cursor) FROM event)")?
            .execute([last])?;
        self.oldest = last;
        Ok(())
    }

    pub(super) fn commit(&mut self) -> rusqlite::Result<Vec<NodeEvent>> {
        failpoint!("sqlite.commit").map_err(database::failure)?;
        self.run("COMMIT")?;
        failpoint!("sqlite.committed").map_err(database::failure)?;
        Ok(std::mem::take(&mut self.events))
    }

    /// Rolls back the transaction, unless the database has already done so.
    pub(super) fn abandon(&mut self) {
        self.events.clear();
        self.policy = None;
        self.lines.forget();
        if self.is_open()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::warn!(%error, "could not roll back a transaction");
        }
        self.oldest = 0;
    }

    /// Checkpoints the write-ahead log if it is long.
    pub(super) fn checkpoint(&self) -> rusqlite::Result<()> {
        if self.log_pages.load(Ordering::Relaxed) < self.max_log_pages {
            return Ok(());
        }
        self.log_pages.store(0, Ordering::Relaxed);
        failpoint!("sqlite.checkpoint").map_err(database::failure)?;
        self.sql("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.sql(sql)?.execute([]).map(|_| ())
    }
}

/// Rejects a lease that is not the newest lease of its node.
pub(super) fn check(connection: &Connection, lease: &Lease) -> Result<(), StepAbort> {
    if epoch(connection, &lease.node)? == Some(lease.epoch) {
        Ok(())
    } else {
        Err(StoreError::fenced(lease).into())
    }
}

pub(super) fn epoch(connection: &Connection, node: &NodeId) -> Result<Option<Epoch>, StepAbort> {
    let epoch = connection
        .prepare_cached("SELECT epoch FROM node WHERE id = ?1")?
        .query_row([node.as_str()], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(epoch.map(|epoch| Epoch(row::uint(epoch))))
}

pub(super) fn policy_version(connection: &Connection) -> Result<PolicyVersion, StepAbort> {
    let version = connection
        .prepare_cached("SELECT version FROM policy")?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(PolicyVersion(version.map_or(0, row::uint)))
}

/// Returns the policy in force, or the default before the first change.
pub(super) fn policy(connection: &Connection) -> Result<(PolicyVersion, Policy), StepAbort> {
    let found = connection
        .prepare_cached("SELECT version, body FROM policy")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    match found {
        Some((version, body)) => Ok((PolicyVersion(row::uint(version)), record::decode_policy(&body)?)),
        None => Ok((PolicyVersion(0), Policy::default())),
    }
}
