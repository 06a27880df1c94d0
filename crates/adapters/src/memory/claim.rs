//! Who is next.

use super::ledger::{Ledger, class, count, is_root, rank, standing};
use longhaul_domain::admission::{self, Line};
use longhaul_domain::{Event, Fact, ProcessId, SlotKey, Standing, Timestamp, Vitals, Work};
use longhaul_ports::{Lease, Room, StoreError, Stored};
use std::collections::BTreeMap;

impl Ledger {
    pub(super) fn claim(
        &mut self,
        now: Timestamp,
        by: &Lease,
        room: &Room,
    ) -> Result<Vec<Stored>, StoreError> {
        self.check(by)?;
        let mut claimed = Vec::new();
        while count(claimed.len()) < room.batch {
            let next = admission::next(self.lines(by, room).into_values());
            let Some(stored) = next.and_then(|id| self.hand_over(now, by, id)) else {
                break;
            };
            claimed.push(stored);
        }
        Ok(claimed)
    }

    /// The line of each key, with its first waiter that the node may run.
    fn lines(&self, by: &Lease, room: &Room) -> BTreeMap<Option<SlotKey>, (ProcessId, Line)> {
        let roots_full = count(self.roots_of(&by.node).count()) >= room.roots;
        let mut lines = BTreeMap::new();
        for stored in self.waiters() {
            let spec = &stored.process.spec;
            if (roots_full && is_root(stored)) || !room.classes.contains(&class(spec)) {
                continue;
            }
            let line = || (stored.process.id, self.line(stored, spec.key.as_ref()));
            lines.entry(spec.key.clone()).or_insert_with(line);
        }
        lines
    }

    fn line(&self, first: &Stored, key: Option<&SlotKey>) -> Line {
        Line {
            first: rank(first),
            served: self.served.get(&key.cloned()).copied().unwrap_or(0),
            slots: key.and_then(|key| self.policy.1.slots_of(key)),
            taken: count(self.holders(key).count()),
            held: key.is_some_and(|key| self.policy.1.held.contains(key)),
        }
    }

    /// Gives a waiter to a node. Reported work runs elsewhere, so nobody owns it.
    pub(super) fn hand_over(&mut self, now: Timestamp, to: &Lease, id: ProcessId) -> Option<Stored> {
        let stored = &mut self.rows.get_mut(&id)?.stored;
        if standing(stored) != Standing::Waiting {
            return None;
        }
        let events = [Event {
            at: now,
            fact: Fact::Claimed { attempt: stored.process.attempt.next(), node: to.node.clone() },
        }];
        stored.process.evolve(&events);
        stored.revision = stored.revision.next();
        stored.vitals = Vitals::default();
        stored.owner = match &stored.process.spec.work {
            Work::Command(_) => Some(to.clone()),
            Work::Reported(_) => None,
        };
        let stored = stored.clone();
        self.claims += 1;
        self.served.insert(stored.process.spec.key.clone(), self.claims);
        self.append(id, stored.revision, &events);
        Some(stored)
    }
}
