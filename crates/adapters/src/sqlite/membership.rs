use super::failure::StepAbort;
use super::issued::IssuedRows;
use super::maintenance::first_due;
use super::notifiers::NodeEvent;
use super::process::NO_OP;
use super::write_connection::{WriteConnection, check, policy_version};
use super::{SqliteStore, row};
use async_trait::async_trait;
use longhaul_domain::{Epoch, ProcessId, Timestamp};
use longhaul_ports::{
    Lease, Membership, NodeDescriptor, NodeHome, NodeUpdates, OutputTails, StoreError, StoreRejection,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;

impl OutputTails for SqliteStore {}

#[async_trait]
impl Membership for SqliteStore {
    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        let me = me.clone();
        self.write(NO_OP, move |ledger| ledger.register(&me)).await
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let (by, now, handed) = (by.clone(), self.clock.now(), Arc::clone(&self.issued));
        self.read(move |connection| calls(connection, &by, now, &handed)).await
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let lease = by.clone();
        self.read(move |connection| check(connection, &lease)).await?;
        let notifier = self.notifiers.of(by);
        let notification = notifier.notified().await;
        let calls = self.renew_lease(by).await?;
        notification.confirm();
        Ok(calls)
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        let by = by.clone();
        self.write(NO_OP, move |ledger| {
            // Compare the epoch: a node that leaves late with an older lease must not end its newer lease.
            ledger
                .sql("UPDATE node SET has_left = 1 WHERE id = ?1 AND epoch = ?2")?
                .execute(params![by.node.as_str(), row::int(by.epoch.0)])?;
            Ok(())
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, boot, version, state_dir_id, state_dir_path FROM node WHERE has_left = 0 ORDER BY id",
            )?;
            let mut rows = statement.query([])?;
            let mut nodes = Vec::new();
            while let Some(row) = rows.next()? {
                nodes.push(facts(row)?);
            }
            Ok(nodes)
        })
        .await
    }
}

impl WriteConnection {
    fn register(&mut self, me: &NodeDescriptor) -> Result<Lease, StepAbort> {
        self.check_home(me)?;
        let (home, place) = me.home.as_ref().map(|home| (&home.id, &home.place)).unzip();
        let epoch: i64 = self
            .sql(
                "INSERT INTO node (id, epoch, boot, version, has_left, state_dir_id, state_dir_path)
                VALUES (?1, 1, ?2, ?3, 0, ?4, ?5)
                ON CONFLICT (id) DO UPDATE
                SET epoch = epoch + 1, boot = ?2, version = ?3, has_left = 0, state_dir_id = ?4, state_dir_path = ?5
                RETURNING epoch",
            )?
            .query_row(params![me.id.as_str(), me.boot, me.version, home, place], |row| row.get(0))?;
        self.sql(
            "UPDATE process SET owner_epoch = ?2 WHERE seq IN
            (SELECT seq FROM process INDEXED BY live WHERE slot_state < 3 AND slot_state = 1 AND owner_node = ?1)",
        )?
        .execute(params![me.id.as_str(), epoch])?;
        let lease = Lease { node: me.id.clone(), epoch: Epoch(row::uint(epoch)) };
        let busy = self.has_waiters()?
            || first_due(&self.connection, &IssuedRows::default())?.is_some()
            || !has_pending_actions(&self.connection, &lease)?.is_empty();
        self.notify(NodeEvent::Registered { lease: lease.clone(), busy });
        Ok(lease)
    }

    /// Rejects a registration of this node name from a different state directory while the node owns processes.
    fn check_home(&self, me: &NodeDescriptor) -> Result<(), StepAbort> {
        let before = self
            .sql("SELECT state_dir_id, state_dir_path FROM node WHERE id = ?1")?
            .query_row([me.id.as_str()], |row| home(row, 0))
            .optional()?
            .flatten();
        let Some(home) = me.other_home(before.as_ref()) else { return Ok(()) };
        let open = self
            .sql(
                "SELECT count(*) FROM process INDEXED BY live
                WHERE slot_state < 3 AND slot_state = 1 AND owner_node = ?1",
            )?
            .query_row([me.id.as_str()], |row| row.get(0).map(row::uint))?;
        if open == 0 {
            return Ok(());
        }
        Err(StoreRejection::NameHeld {
            node: me.id.clone(),
            home: Box::new(home.clone()),
            open,
            free_in: None,
        }
        .into())
    }
}

/// Reads the registration of a node from five columns: its id, boot id, version, and the id and path of its state
/// directory.
pub(super) fn facts(row: &Row<'_>) -> Result<NodeDescriptor, StepAbort> {
    let id: String = row.get(0)?;
    Ok(NodeDescriptor { id: row::name(&id)?, boot: row.get(1)?, version: row.get(2)?, home: home(row, 3)? })
}

/// Reads the state directory of a node from two columns, its id and its path.
fn home(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<NodeHome>> {
    let (id, place): (Option<String>, Option<String>) = (row.get(column)?, row.get(column + 1)?);
    Ok(id.map(|id| NodeHome { id, place: place.unwrap_or_default() }))
}

fn calls(
    connection: &Connection,
    by: &Lease,
    now: Timestamp,
    handed: &IssuedRows,
) -> Result<NodeUpdates, StepAbort> {
    check(connection, by)?;
    Ok(NodeUpdates {
        now,
        lease_until: None,
        pending_actions: has_pending_actions(connection, by)?,
        due: first_due(connection, handed)?,
        policy: policy_version(connection)?,
        history: None,
    })
}

/// Selects the processes of this node that have pending actions. The cross join starts with the pending actions,
/// because there are few of them.
fn has_pending_actions(connection: &Connection, by: &Lease) -> Result<Vec<ProcessId>, StepAbort> {
    let sql = "SELECT DISTINCT p.id FROM pending_action a CROSS JOIN process p ON p.seq = a.seq
        WHERE p.owner_node = ?1 ORDER BY p.seq";
    row::ids(connection, sql, [by.node.as_str()])
}
