use super::failure::Halt;
use super::handed::Handed;
use super::ledger::check;
use super::process::NO_OP;
use super::{SqliteStore, row};
use async_trait::async_trait;
use longhaul_domain::{Retention, Revision, Timestamp};
use longhaul_ports::{Lease, StoreError, Stored, Swept, Upkeep};
use rusqlite::{Connection, params};
use std::sync::Arc;

#[async_trait]
impl Upkeep for SqliteStore {
    async fn attention(&self, by: &Lease, most: u32) -> Result<Vec<Stored>, StoreError> {
        let (by, now, handed) = (by.clone(), self.clock.now(), Arc::clone(&self.handed));
        self.read(move |connection| {
            check(connection, &by)?;
            due(connection, now, &handed, most)
        })
        .await
    }

    async fn sweep(&self, rule: &Retention, most: u32) -> Result<Swept, StoreError> {
        let rule = *rule;
        self.write(NO_OP, move |ledger| ledger.sweep(&rule, most)).await
    }
}

fn due(connection: &Connection, now: Timestamp, handed: &Handed, most: u32) -> Result<Vec<Stored>, Halt> {
    let mut statement = connection.prepare_cached(
        "SELECT id, revision FROM process WHERE due <= ?1 AND due IS NOT NULL AND owner_node IS NULL
        ORDER BY due, seq LIMIT ?2",
    )?;
    let limit = row::count(handed.len()).saturating_add(most);
    let candidates = statement
        .query_map(params![now.0, limit], |row| {
            Ok((row.get(0).map(row::id)?, Revision(row::uint(row.get(1)?))))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for id in handed.take(now, &candidates, most as usize) {
        rows.extend(row::by_id(connection, &id)?);
    }
    Ok(rows)
}
