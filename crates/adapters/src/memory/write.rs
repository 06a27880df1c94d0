//! Changes of records.

use super::ledger::{Answer, Ledger, Row, class, standing};
use longhaul_domain::{
    AttemptNo, OpId, Policy, PolicyVersion, Process, ProcessId, Revision, Standing, Vitals, Wish, WishNo,
};
use longhaul_ports::{Author, Change, Refusal, StoreError, most_wishes};

impl Ledger {
    pub(crate) fn commit(&mut self, change: Change) -> Result<Revision, StoreError> {
        if let Some(Answer::Committed(revision)) = self.answered(&change.op) {
            return Ok(revision);
        }
        let id = change.next.id;
        let before = self.stored(&id).ok_or(StoreError::Missing { id })?;
        // First, because whoever decided on an old record may only have been overtaken by a claim.
        if before.revision != change.expected {
            return Err(StoreError::Conflict { found: before.revision });
        }
        self.check_author(before, &change.author)?;
        if change.childless
            && let Some(descendant) = self.live_below(&before.process)
        {
            return Err(StoreError::Refused(Refusal::DescendantLives { descendant }));
        }
        let held = standing(before) == Standing::Holding;
        let revision = before.revision.next();
        let class = class(&before.process.spec);
        let after = self.rows.change(&id, |row| {
            row.handed_until = None;
            let stored = &mut row.stored;
            stored.process = change.next;
            stored.revision = revision;
            stored.wishes.retain(|(no, _)| *no > change.taken);
            let after = standing(stored);
            match after {
                Standing::Holding => {}
                Standing::Waiting | Standing::Idle | Standing::Ended => stored.owner = None,
            }
            after
        });
        if after == Some(Standing::Waiting) {
            self.news.waiter(&class);
        }
        if held && after != Some(Standing::Holding) {
            self.news.for_all();
        }
        self.append(id, revision, change.events);
        self.remember(change.op, Answer::Committed(revision));
        Ok(revision)
    }

    /// The earliest descendant that lives.
    fn live_below(&self, process: &Process) -> Option<ProcessId> {
        let (root, level) = (process.lineage.root(process.id), process.lineage.level());
        let index = self.rows.index();
        if !index.lives_below(root, level) {
            return None;
        }
        let lives =
            |id: &&ProcessId| self.stored(id).is_some_and(|stored| standing(stored) != Standing::Ended);
        index.family_of(&process.id).values().find(lives).copied()
    }

    pub(crate) fn wish(&mut self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        if let Some(Answer::Wished(no)) = self.answered(&op) {
            return Ok(no);
        }
        let stored = self.stored(id).ok_or(StoreError::Missing { id: *id })?;
        if stored.wishes.len() >= usize::try_from(most_wishes(&wish)).unwrap_or(usize::MAX) {
            return Err(StoreError::Refused(Refusal::TooManyWishes));
        }
        if let Some(owner) = stored.owner.clone() {
            self.news.for_one(&owner.node);
        }
        let leave = |row: &mut Row| {
            row.last_wish = row.last_wish.next();
            row.stored.wishes.push((row.last_wish, wish));
            row.last_wish
        };
        let no = self.rows.change(id, leave).ok_or(StoreError::Missing { id: *id })?;
        self.remember(op, Answer::Wished(no));
        Ok(no)
    }

    pub(crate) fn touch(
        &mut self,
        by: &Author,
        id: ProcessId,
        attempt: AttemptNo,
        vitals: &Vitals,
    ) -> Result<(), StoreError> {
        let stored = self.stored(&id).ok_or(StoreError::Missing { id })?;
        self.check_author(stored, by)?;
        if stored.process.attempt != attempt || standing(stored) == Standing::Ended {
            return Err(StoreError::Conflict { found: stored.revision });
        }
        self.rows.change(&id, |row| row.stored.vitals = vitals.clone());
        Ok(())
    }

    pub(crate) fn set_policy(
        &mut self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let found = self.policy.0;
        if found != expected {
            return Err(StoreError::Refused(Refusal::StalePolicy { found }));
        }
        self.policy = (found.next(), policy.clone());
        self.news.for_all();
        Ok(found.next())
    }
}
