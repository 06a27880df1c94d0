//! Selects the next process to claim. [`longhaul_domain::admission`] contains the rule, and [`super::ready_keys`]
//! provides the input of the rule.

use super::failure::StepAbort;
use super::row;
use super::write_connection::WriteConnection;
use crate::placement_class;
use longhaul_domain::{Event, Fact, LiveStats, NodeId, Process, Timestamp, Work};
use longhaul_ports::{ClaimCapacity, Lease, StoreError, StoredProcess};
use std::collections::BTreeSet;

impl WriteConnection {
    pub(super) fn claim(
        &mut self,
        by: &Lease,
        room: &ClaimCapacity,
    ) -> Result<Vec<StoredProcess>, StepAbort> {
        self.check(by)?;
        let classes: BTreeSet<String> = room.classes.iter().map(placement_class::of_class).collect();
        let mut roots = room.roots.saturating_sub(self.roots_of(&by.node)?);
        let mut lines = self.ready_keys()?;
        let mut claimed = Vec::new();
        while row::count(claimed.len()) < room.batch {
            let Some((key, seq)) = lines.next(&classes, roots == 0) else {
                break;
            };
            let stored = match row::by_seq(&self.connection, seq) {
                Ok(Some(stored)) => stored,
                Ok(None) => break,
                Err(StepAbort::Answer(error)) if error.is_damage() => {
                    tracing::error!(seq, %error, "quarantined a damaged record of a waiting process");
                    self.set_aside(seq)?;
                    self.refresh_key(&mut lines, key)?;
                    continue;
                }
                Err(halt) => return Err(halt),
            };
            let is_root = stored.process.lineage.ancestors.is_empty();
            let owned = matches!(stored.process.spec.work, Work::Command(_));
            claimed.push(self.hand_over(stored, by)?);
            if is_root && owned {
                roots = roots.saturating_sub(1);
            }
            self.refresh_key(&mut lines, key)?;
        }
        self.lines.keep(lines);
        Ok(claimed)
    }

    /// Removes a process with a damaged record from its queue, so that it does not block later processes.
    fn set_aside(&self, seq: i64) -> Result<(), StepAbort> {
        self.sql("UPDATE process SET slot_state = 2 WHERE seq = ?1 AND slot_state = 0")?.execute([seq])?;
        Ok(())
    }

    fn hand_over(&mut self, stored: StoredProcess, to: &Lease) -> Result<StoredProcess, StepAbort> {
        let before = row::before(&self.connection, &stored.process.id)?;
        let before = before.ok_or(StoreError::Missing { id: stored.process.id })?;
        let ClaimedRow { process, events, owner } = ClaimedRow::of(stored.process, self.now(), to);
        let revision = before.revision.next();
        row::update(&self.connection, &before, &process, revision, owner.as_ref())?;
        self.lines.moved(process.spec.key.as_ref());
        self.append(&process.id, revision, &events)?;
        self.serve(&process)?;
        Ok(StoredProcess { process, revision, owner, live_stats: LiveStats::default(), ..stored })
    }

    /// Records that the key of this process was served now. Stores the event cursor of the claim as the time.
    pub(super) fn serve(&self, process: &Process) -> Result<(), StepAbort> {
        self.sql(
            "INSERT INTO served (key, at) VALUES (?1, (SELECT max(cursor) FROM event))
            ON CONFLICT (key) DO UPDATE SET at = excluded.at",
        )?
        .execute([process.spec.key.as_ref().map_or("", |key| key.as_str())])?;
        Ok(())
    }

    /// Returns the number of root processes that hold a root slot of a node.
    pub(super) fn roots_of(&self, node: &NodeId) -> Result<u32, StepAbort> {
        let sql = "SELECT count(*) FROM process INDEXED BY live
            WHERE slot_state < 3 AND slot_state = 1 AND owner_node = ?1 AND child = 0";
        Ok(self.sql(sql)?.query_row([node.as_str()], |row| row.get(0))?)
    }
}

/// A waiting process in the state after its claim.
pub(super) struct ClaimedRow {
    pub(super) process: Process,
    pub(super) events: [Event; 1],
    pub(super) owner: Option<Lease>,
}

impl ClaimedRow {
    pub(super) fn of(mut process: Process, now: Timestamp, to: &Lease) -> Self {
        let fact = Fact::Claimed { attempt: process.attempt.next(), node: to.node.clone() };
        let events = [Event { at: now, fact }];
        process.evolve(&events);
        let owner = to.owner_of(&process.spec);
        Self { process, events, owner }
    }
}
