use super::failure::StepAbort;
use super::notifiers::NodeEvent;
use super::process::NO_OP;
use super::write_connection::{self, WriteConnection};
use super::{SqliteStore, row};
use async_trait::async_trait;
use longhaul_domain::{Placement, Policy, PolicyVersion, ProcessId, SlotKey, SlotState, Timestamp};
use longhaul_ports::{PlacementClass, QueueState, Queues, StoreError, StoreRejection};
use longhaul_wire::record;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

#[async_trait]
impl Queues for SqliteStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        self.read(write_connection::policy).await
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let policy = policy.clone();
        self.write(NO_OP, move |write_connection| write_connection.set_policy(expected, &policy)).await
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        let only = only.cloned();
        self.read(move |connection| queues(connection, only.as_ref())).await
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT DISTINCT class FROM process INDEXED BY live
                WHERE slot_state < 3 AND slot_state = 0 AND class >= 'labels:' AND class < 'labels;'";
            let mut statement = connection.prepare_cached(sql)?;
            let classes = statement.query_map([], |row| row.get::<_, String>(0))?;
            let labels = classes
                .filter_map(|class| class.map(|class| crate::placement_class::labels(&class)).transpose());
            let placed = |labels| PlacementClass::Shared(Placement::Labels(labels));
            Ok(labels.map(|labels| labels.map(placed)).collect::<Result<_, _>>()?)
        })
        .await
    }
}

impl WriteConnection {
    fn set_policy(&mut self, expected: PolicyVersion, policy: &Policy) -> Result<PolicyVersion, StepAbort> {
        let found = write_connection::policy_version(&self.connection)?;
        if found != expected {
            return Err(StoreRejection::StalePolicy { found }.into());
        }
        let version = found.next();
        self.sql("INSERT OR REPLACE INTO policy (one, version, body) VALUES (1, ?1, ?2)")?
            .execute(params![row::int(version.0), record::encode_policy(policy)])?;
        self.notify(NodeEvent::ForAll);
        Ok(version)
    }
}

fn queues(connection: &Connection, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StepAbort> {
    let policy = write_connection::policy(connection)?.1;
    let mut lines: BTreeMap<Option<SlotKey>, QueueState> = BTreeMap::new();
    let mut enter = |key: &str, id: ProcessId, waits_since: Option<Timestamp>| -> Result<(), StepAbort> {
        let key: Option<SlotKey> = match key {
            "" => None,
            key => Some(row::name(key)?),
        };
        let line = lines.entry(key.clone()).or_insert_with(|| QueueState {
            slots: key.as_ref().and_then(|key| policy.slots_of(key)),
            held: key.as_ref().and_then(|key| policy.held.get(key)).cloned(),
            key,
            holders: Vec::new(),
            waiters: Vec::new(),
            oldest: None,
        });
        match waits_since {
            Some(since) => {
                line.waiters.push(id);
                line.oldest = Some(line.oldest.map_or(since, |oldest| oldest.min(since)));
            }
            None => line.holders.push(id),
        }
        Ok(())
    };
    let of = if only.is_some() { "AND key = ?1" } else { "AND ?1 IS NULL" };
    for (slot_state, order, waits) in
        [(SlotState::Holding, "seq", false), (SlotState::Waiting, "priority DESC, seq", true)]
    {
        let slot_state = row::slot_state(slot_state);
        let mut statement = connection.prepare_cached(&format!(
            "SELECT key, id, queued_at FROM process INDEXED BY live
            WHERE slot_state < 3 AND slot_state = {slot_state} {of} ORDER BY {order}"
        ))?;
        let mut rows = statement.query([only.map(|key| key.as_str())])?;
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            let since = Timestamp(row.get(2)?);
            enter(&key, row::id(row.get(1)?), waits.then_some(since))?;
        }
    }
    Ok(lines.into_values().collect())
}
