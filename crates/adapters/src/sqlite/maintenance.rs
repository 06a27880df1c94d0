use super::failure::StepAbort;
use super::issued::IssuedRows;
use super::process::NO_OP;
use super::write_connection::check;
use super::{SqliteStore, row};
use async_trait::async_trait;
use longhaul_domain::{Retention, Revision, Timestamp};
use longhaul_ports::{Lease, Maintenance, PrunedBatch, StoreError, StoredProcess};
use rusqlite::Connection;
use std::sync::Arc;

#[async_trait]
impl Maintenance for SqliteStore {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        let (by, now, handed) = (by.clone(), self.clock.now(), Arc::clone(&self.issued));
        self.read(move |connection| {
            check(connection, &by)?;
            due(connection, now, &handed, limit)
        })
        .await
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let rule = *rule;
        self.write(NO_OP, move |ledger| ledger.prune(&rule, limit)).await
    }
}

/// Selects the rows without an owner that will need a decision, as (due, id, revision). Returns only the `?1` rows that
/// are due first. The cross join starts with the pending actions, because there are few of them.
const DUE_WITHOUT_OWNER: &str = "
    SELECT min(due), id, revision FROM (
        SELECT * FROM (
            SELECT due, seq, id, revision FROM process WHERE due IS NOT NULL AND owner_node IS NULL
            ORDER BY due, seq LIMIT ?1
        ) UNION ALL
        SELECT p.queued_at, p.seq, p.id, p.revision FROM pending_action a CROSS JOIN process p ON p.seq = a.seq
        WHERE p.owner_node IS NULL
    ) GROUP BY seq ORDER BY min(due), seq LIMIT ?1";

fn due(
    connection: &Connection,
    now: Timestamp,
    handed: &IssuedRows,
    limit: u32,
) -> Result<Vec<StoredProcess>, StepAbort> {
    let mut statement = connection.prepare_cached(DUE_WITHOUT_OWNER)?;
    let mut found = statement.query([row::count(handed.len()).saturating_add(limit)])?;
    let mut candidates = Vec::new();
    while let Some(row) = found.next()? {
        if Timestamp(row.get(0)?) > now {
            break;
        }
        candidates.push((row::id(row.get(1)?), Revision(row::uint(row.get(2)?))));
    }
    let mut rows = Vec::new();
    for id in handed.take(now, &candidates, limit as usize) {
        match row::by_id(connection, &id) {
            Ok(stored) => rows.extend(stored),
            Err(StepAbort::Answer(error)) if error.is_damage() => {
                tracing::error!(%id, %error, "skipped a damaged record of the store");
            }
            Err(halt) => return Err(halt),
        }
    }
    Ok(rows)
}

/// Returns the earliest due time of the rows without an owner. A claimed row is due when its claim expires. A timer for
/// this time therefore always finds a row to claim.
pub(super) fn first_due(
    connection: &Connection,
    handed: &IssuedRows,
) -> Result<Option<Timestamp>, StepAbort> {
    let mut statement = connection.prepare_cached(DUE_WITHOUT_OWNER)?;
    let mut rows = statement.query([row::count(handed.len()).saturating_add(1)])?;
    let mut first: Option<Timestamp> = None;
    while let Some(row) = rows.next()? {
        let due = Timestamp(row.get(0)?);
        let revision = Revision(row::uint(row.get(2)?));
        let due = due.max(handed.until(&row::id(row.get(1)?), revision).unwrap_or(due));
        first = Some(first.map_or(due, |first| first.min(due)));
    }
    Ok(first)
}
