//! Changes of records.

use super::ledger::{Answer, Ledger, class, standing};
use longhaul_domain::{
    AttemptNo, OpId, Policy, PolicyVersion, ProcessId, Revision, Standing, Vitals, Wish, WishNo,
};
use longhaul_ports::{Author, Change, Refusal, StoreError};

/// The most wishes that are open for one process.
const MOST_WISHES: usize = 16;

impl Ledger {
    pub(super) fn commit(&mut self, change: Change) -> Result<Revision, StoreError> {
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
        let held = standing(before) == Standing::Holding;
        let revision = before.revision.next();
        let Some(row) = self.rows.get_mut(&id) else {
            return Err(StoreError::Missing { id });
        };
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
        let class = class(&stored.process.spec);
        if after == Standing::Waiting {
            self.news.waiter(&class);
        }
        if held && after != Standing::Holding {
            self.news.for_all();
        }
        self.append(id, revision, &change.events);
        self.remember(change.op, Answer::Committed(revision));
        Ok(revision)
    }

    pub(super) fn wish(&mut self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        if let Some(Answer::Wished(no)) = self.answered(&op) {
            return Ok(no);
        }
        let row = self.rows.get_mut(id).ok_or(StoreError::Missing { id: *id })?;
        if row.stored.wishes.len() >= MOST_WISHES {
            return Err(StoreError::Refused(Refusal::TooManyWishes));
        }
        row.last_wish = row.last_wish.next();
        let no = row.last_wish;
        row.stored.wishes.push((no, wish));
        if let Some(owner) = &row.stored.owner {
            self.news.for_one(&owner.node);
        }
        self.remember(op, Answer::Wished(no));
        Ok(no)
    }

    pub(super) fn touch(
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
        if let Some(row) = self.rows.get_mut(&id) {
            row.stored.vitals = vitals.clone();
        }
        Ok(())
    }

    pub(super) fn set_policy(
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
