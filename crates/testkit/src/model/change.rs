//! Changes of records, of the policy and of the nodes.

use super::request::No;
use super::{Model, Row};
use longhaul_domain::{
    AttemptNo, Epoch, NodeId, OpId, Policy, PolicyVersion, ProcessId, Revision, Standing, Vitals, Wish,
    WishNo,
};
use longhaul_ports::{Author, Change, Lease, NodeFacts, Refusal, Stored};
use std::time::Duration;

impl Model {
    pub(super) fn check(&self, lease: &Lease) -> Result<(), No> {
        if self.lease(&lease.node).as_ref() == Some(lease) { Ok(()) } else { Err(No::Fenced) }
    }

    fn check_author(&self, stored: &Stored, author: &Author) -> Result<(), No> {
        match (&stored.owner, author) {
            (None, Author::Anyone) => Ok(()),
            (None, Author::Owner(lease)) => self.check(lease),
            (Some(owner), Author::Owner(lease)) if owner == lease => self.check(lease),
            (Some(_), Author::Owner(_) | Author::Anyone) => Err(No::Fenced),
        }
    }

    pub(super) fn commit(&mut self, change: &Change) -> Result<Revision, No> {
        if let Some((_, revision)) = self.commits.iter().find(|(op, _)| *op == change.op) {
            return Ok(*revision);
        }
        let id = change.next.id;
        let before = self.row(id).ok_or(No::Missing)?.stored.clone();
        if before.revision != change.expected {
            return Err(No::Conflict(before.revision));
        }
        self.check_author(&before, &change.author)?;
        let lives = |row: &&Row| {
            row.standing() != Standing::Ended && row.stored.process.lineage.ancestors.contains(&id)
        };
        if let Some(row) = self.rows.iter().find(lives).filter(|_| change.childless) {
            return Err(No::Refused(Refusal::DescendantLives { descendant: row.id() }));
        }
        let revision = before.revision.next();
        for row in self.rows.iter_mut().filter(|row| row.id() == id) {
            row.handed_until = None;
            row.stored.process = change.next.clone();
            row.stored.revision = revision;
            row.stored.wishes.retain(|(no, _)| *no > change.taken);
            if row.standing() != Standing::Holding {
                row.stored.owner = None;
            }
        }
        self.note(id, revision, &change.events);
        self.commits.push((change.op, revision));
        Ok(revision)
    }

    pub(super) fn wish(&mut self, id: ProcessId, op: OpId, wish: Wish) -> Result<WishNo, No> {
        if let Some((_, no)) = self.wishes.iter().find(|(known, _)| *known == op) {
            return Ok(*no);
        }
        let row = self.rows.iter_mut().find(|row| row.id() == id).ok_or(No::Missing)?;
        if row.stored.wishes.len() >= if wish.ends() { 20 } else { 16 } {
            return Err(No::Refused(Refusal::TooManyWishes));
        }
        let no = row.last_wish.next();
        row.last_wish = no;
        row.stored.wishes.push((no, wish));
        self.wishes.push((op, no));
        Ok(no)
    }

    pub(super) fn touch(
        &mut self,
        by: &Author,
        id: ProcessId,
        attempt: AttemptNo,
        vitals: &Vitals,
    ) -> Result<(), No> {
        let stored = self.row(id).ok_or(No::Missing)?.stored.clone();
        self.check_author(&stored, by)?;
        if stored.process.attempt != attempt || stored.process.status().is_ended() {
            return Err(No::Conflict(stored.revision));
        }
        for row in self.rows.iter_mut().filter(|row| row.id() == id) {
            row.stored.vitals = vitals.clone();
        }
        Ok(())
    }

    pub(super) fn set_policy(
        &mut self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, No> {
        let found = self.policy.0;
        if found != expected {
            return Err(No::Refused(Refusal::StalePolicy { found }));
        }
        self.policy = (found.next(), policy.clone());
        Ok(found.next())
    }

    pub(super) fn register(&mut self, me: &NodeFacts) -> Result<Lease, No> {
        let home = self.homes.iter().find(|(node, _)| *node == me.id).map(|(_, home)| home.clone());
        if let (Some(home), Some(mine)) = (home, &me.home)
            && home.id != mine.id
        {
            if self.leases_end && !self.left.contains(&me.id) {
                let (node, home) = (me.id.clone(), Box::new(home));
                return Err(No::Refused(Refusal::NameTaken { node, home, heard: Duration::ZERO }));
            }
            let owners = self.rows.iter().filter_map(|row| row.stored.owner.as_ref());
            let open = u64::try_from(owners.filter(|owner| owner.node == me.id).count()).unwrap_or(u64::MAX);
            if open > 0 {
                let (node, home) = (me.id.clone(), Box::new(home));
                return Err(No::Refused(Refusal::NameHeld { node, home, open, free_in: None }));
            }
        }
        self.homes.retain(|(node, _)| *node != me.id);
        self.homes.extend(me.home.clone().map(|home| (me.id.clone(), home)));
        let before = self.lease(&me.id).map_or(Epoch(0), |lease| lease.epoch);
        let lease = Lease { node: me.id.clone(), epoch: before.next() };
        self.nodes.retain(|(node, _)| *node != me.id);
        self.nodes.push((me.id.clone(), lease.epoch));
        self.left.retain(|node| *node != me.id);
        for owner in self.rows.iter_mut().filter_map(|row| row.stored.owner.as_mut()) {
            if owner.node == me.id {
                owner.epoch = lease.epoch;
            }
        }
        Ok(lease)
    }

    pub(super) fn leave(&mut self, by: &Lease) -> Result<(), No> {
        if self.check(by).is_ok() && !self.left.contains(&by.node) {
            self.left.push(by.node.clone());
        }
        Ok(())
    }

    /// Every node that registered and did not leave, by name.
    pub(super) fn listed(&self) -> Vec<NodeId> {
        let mut listed: Vec<NodeId> = self.nodes.iter().map(|(node, _)| node.clone()).collect();
        listed.retain(|node| !self.left.contains(node));
        listed.sort();
        listed
    }
}
