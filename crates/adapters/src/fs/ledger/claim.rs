//! Chooses the next process to claim.

use super::index::PlacementQueue;
use super::state::{LedgerState, count};
use longhaul_domain::admission::{self, Rank, ReadyKey};
use longhaul_domain::{Event, Fact, ProcessId, SlotKey, SlotState, Timestamp};
use longhaul_ports::{ClaimCapacity, Lease, StoreError, StoredProcess};

impl LedgerState {
    pub(crate) fn claim(
        &mut self,
        now: Timestamp,
        by: &Lease,
        room: &ClaimCapacity,
    ) -> Result<Vec<StoredProcess>, StoreError> {
        self.check(by)?;
        let mut claimed = Vec::new();
        while count(claimed.len()) < room.batch {
            let next = admission::next(self.lines(by, room));
            let Some(stored) = next.and_then(|id| self.hand_over(now, by, id)) else {
                break;
            };
            claimed.push(stored);
        }
        Ok(claimed)
    }

    /// Returns the queues in which a process is waiting that this node may run, each with the first such process. Each
    /// key has one queue.
    fn lines(&self, by: &Lease, room: &ClaimCapacity) -> impl Iterator<Item = (ProcessId, ReadyKey)> {
        let index = self.rows.index();
        let roots_full = count(index.roots_of(&by.node).len()) >= room.roots;
        let may =
            move |lane: &PlacementQueue| !(roots_full && lane.root) && room.classes.contains(&lane.class);
        index.queues().iter().filter_map(move |(key, queue)| {
            let (rank, id) = queue.first(may)?;
            Some((id, self.line(rank, key, count(queue.holders().len()))))
        })
    }

    fn line(&self, first: Rank, key: &Option<SlotKey>, taken: u32) -> ReadyKey {
        let policy = &self.policy.1;
        ReadyKey {
            first,
            served: self.served.get(key).copied().unwrap_or(0),
            slots: key.as_ref().and_then(|key| policy.slots_of(key)),
            taken,
            held: key.as_ref().is_some_and(|key| policy.held.contains_key(key)),
        }
    }

    /// Assigns a waiting process to a node.
    pub(crate) fn hand_over(&mut self, now: Timestamp, to: &Lease, id: ProcessId) -> Option<StoredProcess> {
        let before = self.stored(&id).filter(|stored| stored.slot_state() == SlotState::Waiting)?;
        let attempt = before.process.attempt.next();
        let events = [Event { at: now, fact: Fact::Claimed { attempt, node: to.node.clone() } }];
        let stored = self.rows.change(&id, |row| {
            row.claimed_until = None;
            row.stored.claim(&events, to);
            row.stored.clone()
        })?;
        self.claims += 1;
        self.served.insert(stored.process.spec.key.clone(), self.claims);
        self.append(id, stored.revision, events);
        Some(stored)
    }
}
