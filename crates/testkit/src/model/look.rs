//! The model's rules for due processes, pruning and queues.

use super::request::ModelRejection;
use super::{ModelRow, StoreModel};
use longhaul_domain::{ProcessId, Retention, Seq, SlotKey, SlotState, Timestamp};
use longhaul_ports::{Lease, PrunedBatch, QueueState, StoredProcess};
use std::cmp::Reverse;
use std::time::Duration;

impl StoreModel {
    pub(super) fn claim_due(&mut self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, ModelRejection> {
        self.check(by)?;
        let now = self.now;
        let mut due: Vec<(Timestamp, &mut ModelRow)> = Vec::new();
        for row in &mut self.rows {
            let is_free = row.handed_until.is_none_or(|until| until <= now);
            let at = row.due().filter(|at| *at <= now && row.stored.owner.is_none());
            if let Some(at) = at.filter(|_| is_free) {
                due.push((at, row));
            }
        }
        due.sort_by_key(|(at, row)| (*at, row.stored.seq));
        due.truncate(limit as usize);
        let hand = |(_, row): (Timestamp, &mut ModelRow)| {
            row.handed_until = Some(now.plus(Duration::from_secs(5)));
            row.stored.clone()
        };
        Ok(due.into_iter().map(hand).collect())
    }

    /// Returns the earliest time at which a process without an owner is due. A process that was handed out is due again
    /// when its hand-out expires.
    pub(super) fn first_due(&self) -> Option<Timestamp> {
        let mut first: Option<Timestamp> = None;
        for row in self.rows.iter().filter(|row| row.stored.owner.is_none()) {
            let due = row.due().map(|due| row.handed_until.map_or(due, |until| due.max(until)));
            first = first.into_iter().chain(due).min();
        }
        first
    }

    /// Returns the processes that a lease owns and that have pending actions, in order of submission.
    pub(super) fn wished(&self, by: &Lease) -> Vec<ProcessId> {
        let owned = self.rows.iter().filter(|row| row.stored.owner.as_ref() == Some(by));
        owned.filter(|row| !row.stored.pending_actions.is_empty()).map(ModelRow::id).collect()
    }

    pub(super) fn prune(&mut self, rule: &Retention, limit: u32) -> Result<PrunedBatch, ModelRejection> {
        let mut ended: Vec<(Timestamp, Seq, ProcessId, bool)> = Vec::new();
        for row in &self.rows {
            if let Some(at) = row.stored.process.completed_at() {
                ended.push((at, row.stored.seq, row.id(), row.due().is_some()));
            }
        }
        ended.sort_by_key(|(at, seq, ..)| (*at, *seq));
        let count = ended.len();
        let mut covered: Vec<ProcessId> = Vec::new();
        for (older, (at, _, id, is_due)) in ended.into_iter().enumerate() {
            let newer = (count - older - 1) as u64;
            if rule.is_due_for_pruning(self.now, at, newer) && !is_due {
                covered.push(id);
            }
        }
        let more = covered.len() > limit as usize;
        covered.truncate(limit as usize);
        for row in self.rows.extract_if(.., |row| covered.contains(&row.id())) {
            self.gone.push((row.id(), row.stored.process.spec));
        }
        self.swept += covered.len() as u64;
        Ok(PrunedBatch { ids: covered, more, total: self.swept })
    }

    /// Returns the queue of every key with a waiting or running process, sorted by key.
    pub(super) fn queues(&self) -> Vec<QueueState> {
        let mut keys: Vec<Option<SlotKey>> = Vec::new();
        for row in &self.rows {
            let counts = matches!(row.slot_state(), SlotState::Waiting | SlotState::Holding);
            if counts && !keys.contains(&row.key().cloned()) {
                keys.push(row.key().cloned());
            }
        }
        keys.sort();
        keys.into_iter().map(|key| self.queue(key)).collect()
    }

    fn queue(&self, key: Option<SlotKey>) -> QueueState {
        let of_key = |slot_state: SlotState| {
            let fits = |row: &&ModelRow| row.slot_state() == slot_state && row.key() == key.as_ref();
            self.rows.iter().filter(fits).collect::<Vec<_>>()
        };
        let mut waiters = of_key(SlotState::Waiting);
        waiters.sort_by_key(|row| (Reverse(row.stored.process.priority), row.stored.seq));
        QueueState {
            slots: key.as_ref().and_then(|key| self.policy.1.slots_of(key)),
            held: key.as_ref().and_then(|key| self.policy.1.held.get(key)).cloned(),
            holders: of_key(SlotState::Holding).into_iter().map(ModelRow::id).collect(),
            oldest: waiters.iter().map(|row| row.stored.process.queued_at).min(),
            waiters: waiters.into_iter().map(ModelRow::id).collect(),
            key,
        }
    }
}
