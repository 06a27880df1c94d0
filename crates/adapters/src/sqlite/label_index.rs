//! Label index. It finds old processes by their attributes. New processes are indexed in batches, because a batch
//! changes far fewer pages than single insertions. New processes that are not yet indexed are few enough to be scanned.

use super::failure::StepAbort;
use super::write_connection::WriteConnection;
use rusqlite::types::Value;
use rusqlite::{Connection, params};

/// Number of processes to index in one batch.
const INDEX_BATCH: i64 = 256;

impl WriteConnection {
    /// Indexes the new processes if there are enough of them for a batch.
    pub(super) fn index_labels(&self) -> rusqlite::Result<()> {
        let (indexed_up_to, newest): (i64, i64) = self
            .sql("SELECT labelled_seq, coalesce((SELECT max(seq) FROM process), 0) FROM meta")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if newest < indexed_up_to.saturating_add(INDEX_BATCH) {
            return Ok(());
        }
        self.sql(
            "INSERT INTO label (what, value, seq)
            SELECT what, value, seq FROM labels WHERE seq > ?1 AND seq <= ?2 ORDER BY what, value, seq",
        )?
        .execute([indexed_up_to, newest])?;
        self.sql("UPDATE meta SET labelled_seq = ?1")?.execute([newest])?;
        Ok(())
    }
}

/// Returns the sequence number up to which all processes are indexed.
pub(super) fn indexed_up_to(connection: &Connection) -> Result<i64, StepAbort> {
    Ok(connection.prepare_cached("SELECT labelled_seq FROM meta")?.query_row([], |row| row.get(0))?)
}

/// Updates the node label of a process. It is the only label that can change.
pub(super) fn moved(
    connection: &Connection,
    seq: i64,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<(), StepAbort> {
    if from == to || seq > indexed_up_to(connection)? {
        return Ok(());
    }
    if let Some(from) = from {
        connection
            .prepare_cached("DELETE FROM label WHERE what = 'node' AND value = ?1 AND seq = ?2")?
            .execute(params![from, seq])?;
    }
    if let Some(to) = to {
        connection
            .prepare_cached("INSERT INTO label (what, value, seq) VALUES ('node', ?1, ?2)")?
            .execute(params![to, seq])?;
    }
    Ok(())
}

/// Deletes the labels of a process whose row still exists.
pub(super) fn remove_labels(connection: &Connection, seq: i64) -> Result<(), StepAbort> {
    let mut labels = connection.prepare_cached("SELECT what, value FROM labels WHERE seq = ?1")?;
    let mut labels = labels.query([seq])?;
    // Delete the labels one by one, because the index finds an entry only by all of its columns.
    let mut delete =
        connection.prepare_cached("DELETE FROM label WHERE what = ?1 AND value = ?2 AND seq = ?3")?;
    while let Some(label) = labels.next()? {
        let (what, value): (Value, Value) = (label.get(0)?, label.get(1)?);
        delete.execute(params![what, value, seq])?;
    }
    Ok(())
}
