//! A transaction of the database.

use super::connection::{PostgresConnection, PostgresStatements};
use super::failure::{self, TIMEOUT, answered, unavailable};
use super::pool::PostgresPool;
use super::schema;
use crate::rows::{
    ChangeCounter, FoundRow, KeyRange, ProcessRow, RowAccess, RowKey, RowTransaction, RowWrite, WriteSet,
    event, event_text,
};
use async_trait::async_trait;
use longhaul_domain::{OpId, ProcessId, Revision, Timestamp};
use longhaul_ports::{Clock, EventCursor, LoggedEvent, SortOrder, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::types::ToSql;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};
use uuid::Uuid;

const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// A transaction, which has a connection to itself.
pub(super) struct PostgresTransaction {
    /// `None` after the commit.
    connection: Option<PostgresConnection>,
    statements: PostgresStatements,
    turn: Option<OwnedSemaphorePermit>,
    pool: Arc<PostgresPool>,
    now: Timestamp,
    changes: Arc<ChangeCounter>,
}

/// Begins a transaction. If an unused connection turns out to be lost, tries again with a new one.
pub(super) async fn begin(
    pool: &Arc<PostgresPool>,
    access: RowAccess,
    clock: Option<&dyn Clock>,
    changes: &Arc<ChangeCounter>,
) -> Result<PostgresTransaction, StoreError> {
    let turn = pool.turn(access == RowAccess::Write).await?;
    let begun = Instant::now();
    while let Some(mut connection) = pool.idle() {
        match start(&mut connection, access).await {
            Ok((now, statements)) => {
                return Ok(transaction(pool, connection, statements, turn, now, clock, changes));
            }
            // A server that does not answer would not answer on the next connection either.
            Err(error) if begun.elapsed() >= TIMEOUT => return Err(error),
            Err(_) => {}
        }
    }
    let mut connection = pool.connect().await?;
    let (now, statements) = start(&mut connection, access).await?;
    Ok(transaction(pool, connection, statements, turn, now, clock, changes))
}

fn transaction(
    pool: &Arc<PostgresPool>,
    connection: PostgresConnection,
    statements: PostgresStatements,
    turn: OwnedSemaphorePermit,
    now: Timestamp,
    clock: Option<&dyn Clock>,
    changes: &Arc<ChangeCounter>,
) -> PostgresTransaction {
    PostgresTransaction {
        connection: Some(connection),
        statements,
        turn: Some(turn),
        pool: Arc::clone(pool),
        now: clock.map_or(now, Clock::now),
        changes: Arc::clone(changes),
    }
}

/// Begins a transaction on a connection. Creates the tables again if they were deleted.
async fn start(
    connection: &mut PostgresConnection,
    access: RowAccess,
) -> Result<(Timestamp, PostgresStatements), StoreError> {
    let format = format!("SELECT format FROM {}.store", connection.schema());
    let begin = match access {
        RowAccess::Read => format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {format}; {NOW}"),
        // The time is read after the lock, because the lock may be waited for.
        RowAccess::Write => format!("BEGIN; {format} FOR UPDATE; {NOW}"),
    };
    let begun = async {
        let statements = connection.statements().await?;
        let rows = answered(connection.client().simple_query(&begin)).await?;
        Ok((rows, statements))
    };
    let (messages, statements) = match begun.await {
        Err(StoreError::Unavailable { source }) if is_missing_schema(source.as_ref()) => {
            answered(connection.client().batch_execute("ROLLBACK")).await?;
            schema::migrate(connection).await?;
            let statements = connection.statements().await?;
            (answered(connection.client().simple_query(&begin)).await?, statements)
        }
        begun => begun?,
    };
    let numbers: Vec<i64> = messages.iter().filter_map(row).filter_map(number).collect();
    let format = numbers.first().and_then(|format| i32::try_from(*format).ok()).unwrap_or(0);
    schema::is_newest(format)?;
    let now = numbers.last().ok_or_else(|| unavailable("the server did not return its time"))?;
    Ok((Timestamp(*now), statements))
}

fn is_missing_schema(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<tokio_postgres::Error>().is_some_and(failure::is_missing_schema)
}

const fn row(message: &SimpleQueryMessage) -> Option<&SimpleQueryRow> {
    if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }
}

fn number(row: &SimpleQueryRow) -> Option<i64> {
    row.get(0)?.parse().ok()
}

impl PostgresTransaction {
    fn connection(&self) -> Result<&PostgresConnection, StoreError> {
        self.connection.as_ref().ok_or_else(|| unavailable("the transaction has ended"))
    }
}

impl Drop for PostgresTransaction {
    /// Ends a transaction that was not committed, and keeps its connection. Outside of a runtime, the connection is
    /// closed, which also ends the transaction.
    fn drop(&mut self) {
        let (Some(connection), Ok(runtime)) = (self.connection.take(), Handle::try_current()) else { return };
        let (turn, pool) = (self.turn.take(), Arc::clone(&self.pool));
        runtime.spawn(async move {
            if answered(connection.client().batch_execute("ROLLBACK")).await.is_ok() {
                pool.give_back(connection);
            }
            drop(turn);
        });
    }
}

#[async_trait]
impl RowTransaction for PostgresTransaction {
    fn now(&self) -> Timestamp {
        self.now
    }

    async fn rows(&mut self, ids: &[ProcessId]) -> Result<Vec<FoundRow>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
        let client = self.connection()?.client();
        let found = answered(client.query(&self.statements.rows, &[&asked])).await?;
        let mut rows: BTreeMap<Uuid, (String, String)> = BTreeMap::new();
        for row in found {
            rows.insert(get(&row, 0)?, (get(&row, 1)?, get(&row, 2)?));
        }
        let decode = |id: &ProcessId| match rows.get(id.as_uuid()) {
            Some((fixed, changing)) => ProcessRow::decode(fixed, changing).map(|row| Some(Arc::new(row))),
            None => Ok(None),
        };
        Ok(ids.iter().map(decode).collect())
    }

    async fn scan(
        &mut self,
        ranges: &[KeyRange],
        order: SortOrder,
        limit: u32,
    ) -> Result<Vec<Vec<(RowKey, ProcessId)>>, StoreError> {
        let statement = match order {
            SortOrder::OldestFirst => &self.statements.scan,
            SortOrder::NewestFirst => &self.statements.scan_back,
        };
        let (from, to) = bounds(ranges);
        let client = self.connection()?.client();
        let found = answered(client.query(statement, &[&from, &to, &i64::from(limit)])).await?;
        let mut scanned = vec![Vec::new(); ranges.len()];
        for row in found {
            let no: i64 = get(&row, 0)?;
            let range = usize::try_from(no.saturating_sub(1)).ok().and_then(|no| scanned.get_mut(no));
            if let Some(range) = range {
                range.push((RowKey::stored(get(&row, 1)?), ProcessId::new(get(&row, 2)?)));
            }
        }
        Ok(scanned)
    }

    async fn count(&mut self, ranges: &[KeyRange], limit: u32) -> Result<Vec<u32>, StoreError> {
        let (from, to) = bounds(ranges);
        let client = self.connection()?.client();
        let found = answered(client.query(&self.statements.count, &[&from, &to, &i64::from(limit)])).await?;
        let counts = found.iter().map(|row| Ok(u32::try_from(get::<i64>(row, 0)?).unwrap_or(u32::MAX)));
        counts.collect()
    }

    async fn values(&mut self, keys: &[RowKey]) -> Result<Vec<Option<String>>, StoreError> {
        let asked: Vec<&str> = keys.iter().map(RowKey::as_str).collect();
        let client = self.connection()?.client();
        let found = answered(client.query(&self.statements.values, &[&asked])).await?;
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        for row in found {
            values.insert(get(&row, 0)?, get(&row, 1)?);
        }
        Ok(asked.into_iter().map(|key| values.get(key).cloned()).collect())
    }

    async fn scan_values(
        &mut self,
        range: &KeyRange,
        limit: u32,
    ) -> Result<Vec<(RowKey, String)>, StoreError> {
        let (from, to) = (range.from.as_str(), range.to.as_str());
        let client = self.connection()?.client();
        let found =
            answered(client.query(&self.statements.scan_values, &[&from, &to, &i64::from(limit)])).await?;
        found.iter().map(|row| Ok((RowKey::stored(get(row, 0)?), get(row, 1)?))).collect()
    }

    async fn events(&mut self, after: EventCursor, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        let client = self.connection()?.client();
        let (after, limit) = (signed(after.0), i64::from(limit));
        let found = answered(client.query(&self.statements.events, &[&after, &limit])).await?;
        let logged = found.iter().map(|row| {
            let body: String = get(row, 4)?;
            Ok(LoggedEvent {
                cursor: EventCursor(unsigned(get(row, 0)?)),
                id: ProcessId::new(get(row, 1)?),
                revision: Revision(unsigned(get(row, 2)?)),
                index: u32::try_from(get::<i32>(row, 3)?).unwrap_or(0),
                event: event(&body)?,
            })
        });
        logged.collect()
    }

    async fn commit(mut self: Box<Self>, writes: WriteSet) -> Result<(), StoreError> {
        let (op, quiet) = (writes.op, writes.quiet);
        write(self.connection()?, &self.statements, self.pool.target().channel(), writes).await?;
        let Some(connection) = self.connection.take() else { return Ok(()) };
        // From here on, the server may apply the writes although its answer is lost.
        let committed = tokio::time::timeout(TIMEOUT, connection.client().batch_execute("COMMIT")).await;
        match committed {
            Ok(Ok(())) => self.pool.give_back(connection),
            Ok(Err(error)) => return Err(unknown(op, error)),
            Err(elapsed) => return Err(unknown(op, elapsed)),
        }
        if !quiet {
            self.changes.notify();
        }
        Ok(())
    }
}

fn unknown(op: Option<OpId>, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unknown { op, source: Box::new(source) }
}

async fn write(
    connection: &PostgresConnection,
    statements: &PostgresStatements,
    channel: &str,
    writes: WriteSet,
) -> Result<(), StoreError> {
    let (mut whole, mut fixed, mut whole_changing) = (Vec::new(), Vec::new(), Vec::new());
    let (mut changed, mut changing, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for (id, write) in &writes.rows {
        let id = *id.as_uuid();
        match write {
            RowWrite::Whole(row) => {
                whole.push(id);
                fixed.push(row.fixed_text());
                whole_changing.push(row.changing_text());
            }
            RowWrite::Change(row) => {
                changed.push(id);
                changing.push(row.changing_text());
            }
            RowWrite::Delete => removed.push(id),
        }
    }
    let (mut entered, mut entered_ids, mut unlisted) = (Vec::new(), Vec::new(), Vec::new());
    for (key, id) in &writes.entries {
        match id {
            Some(id) => {
                entered.push(key.as_str());
                entered_ids.push(*id.as_uuid());
            }
            None => unlisted.push(key.as_str()),
        }
    }
    let (mut valued, mut values, mut cleared) = (Vec::new(), Vec::new(), Vec::new());
    for (key, value) in &writes.values {
        match value {
            Some(value) => {
                valued.push(key.as_str());
                values.push(value.as_str());
            }
            None => cleared.push(key.as_str()),
        }
    }
    let events = &writes.events;
    let cursors: Vec<i64> = events.iter().map(|logged| signed(logged.cursor.0)).collect();
    let ids: Vec<Uuid> = events.iter().map(|logged| *logged.id.as_uuid()).collect();
    let revisions: Vec<i64> = events.iter().map(|logged| signed(logged.revision.0)).collect();
    let indexes: Vec<i32> =
        events.iter().map(|logged| i32::try_from(logged.index).unwrap_or(i32::MAX)).collect();
    let bodies: Vec<String> = events.iter().map(|logged| event_text(&logged.event)).collect();
    let trim = writes.trim.map_or(-1, |trim| signed(trim.0));
    let notifies = !writes.quiet;
    let parameters: [&(dyn ToSql + Sync); 20] = [
        &whole,
        &fixed,
        &whole_changing,
        &changed,
        &changing,
        &removed,
        &entered,
        &entered_ids,
        &unlisted,
        &valued,
        &values,
        &cleared,
        &cursors,
        &ids,
        &revisions,
        &indexes,
        &bodies,
        &trim,
        &channel,
        &notifies,
    ];
    answered(connection.client().execute(&statements.write, &parameters)).await.map(drop)
}

fn bounds(ranges: &[KeyRange]) -> (Vec<&str>, Vec<&str>) {
    ranges.iter().map(|range| (range.from.as_str(), range.to.as_str())).unzip()
}

fn get<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r tokio_postgres::Row,
    column: usize,
) -> Result<T, StoreError> {
    row.try_get(column).map_err(failure::of_statement)
}

/// Converts a number for a column of the type `bigint`.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
