//! Changes to records, the policy and the nodes in the model.

use super::request::ModelRejection;
use super::{ModelRow, StoreModel};
use longhaul_domain::{
    ActionSeq, AttemptNo, Epoch, LiveStats, NodeId, OpId, PendingAction, Policy, PolicyVersion, ProcessId,
    Revision, SlotState,
};
use longhaul_ports::{Change, Lease, NodeDescriptor, StoreRejection, StoredProcess, Writer};
use std::time::Duration;

impl StoreModel {
    pub(super) fn check(&self, lease: &Lease) -> Result<(), ModelRejection> {
        if self.lease(&lease.node).as_ref() == Some(lease) { Ok(()) } else { Err(ModelRejection::Fenced) }
    }

    fn check_author(&self, stored: &StoredProcess, author: &Writer) -> Result<(), ModelRejection> {
        match (&stored.owner, author) {
            (None, Writer::Anyone) => Ok(()),
            (None, Writer::Owner(lease)) => self.check(lease),
            (Some(owner), Writer::Owner(lease)) if owner == lease => self.check(lease),
            (Some(_), Writer::Owner(_) | Writer::Anyone) => Err(ModelRejection::Fenced),
        }
    }

    pub(super) fn commit(&mut self, change: &Change) -> Result<Revision, ModelRejection> {
        if let Some((_, revision)) = self.commits.iter().find(|(op, _)| *op == change.op) {
            return Ok(*revision);
        }
        let id = change.next.id;
        let before = self.row(id).ok_or(ModelRejection::Missing)?.stored.clone();
        if before.revision != change.expected {
            return Err(ModelRejection::Conflict(before.revision));
        }
        self.check_author(&before, &change.author)?;
        let lives = |row: &&ModelRow| {
            row.slot_state() != SlotState::Ended && row.stored.process.lineage.ancestors.contains(&id)
        };
        if let Some(row) = self.rows.iter().find(lives).filter(|_| change.require_no_live_descendants) {
            return Err(ModelRejection::Refused(StoreRejection::DescendantLives { descendant: row.id() }));
        }
        let revision = before.revision.next();
        for row in self.rows.iter_mut().filter(|row| row.id() == id) {
            row.handed_until = None;
            row.stored.process = change.next.clone();
            row.stored.revision = revision;
            row.stored.pending_actions.retain(|(no, _)| *no > change.taken);
            if row.slot_state() != SlotState::Holding {
                row.stored.owner = None;
            }
        }
        self.note(id, revision, &change.events);
        self.commits.push((change.op, revision));
        Ok(revision)
    }

    pub(super) fn enqueue_action(
        &mut self,
        id: ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, ModelRejection> {
        if let Some((_, no)) = self.pending_actions.iter().find(|(known, _)| *known == op) {
            return Ok(*no);
        }
        let row = self.rows.iter_mut().find(|row| row.id() == id).ok_or(ModelRejection::Missing)?;
        if row.stored.pending_actions.len() >= if action.ends() { 20 } else { 16 } {
            return Err(ModelRejection::Refused(StoreRejection::TooManyPendingActions));
        }
        let no = row.last_wish.next();
        row.last_wish = no;
        row.stored.pending_actions.push((no, action));
        self.pending_actions.push((op, no));
        Ok(no)
    }

    pub(super) fn update_live_stats(
        &mut self,
        by: &Writer,
        id: ProcessId,
        attempt: AttemptNo,
        live_stats: &LiveStats,
    ) -> Result<(), ModelRejection> {
        let stored = self.row(id).ok_or(ModelRejection::Missing)?.stored.clone();
        self.check_author(&stored, by)?;
        if stored.process.attempt != attempt || stored.process.status().is_ended() {
            return Err(ModelRejection::Conflict(stored.revision));
        }
        for row in self.rows.iter_mut().filter(|row| row.id() == id) {
            row.stored.live_stats = live_stats.clone();
        }
        Ok(())
    }

    pub(super) fn set_policy(
        &mut self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, ModelRejection> {
        let found = self.policy.0;
        if found != expected {
            return Err(ModelRejection::Refused(StoreRejection::StalePolicy { found }));
        }
        self.policy = (found.next(), policy.clone());
        Ok(found.next())
    }

    pub(super) fn register(&mut self, me: &NodeDescriptor) -> Result<Lease, ModelRejection> {
        let home = self.homes.iter().find(|(node, _)| *node == me.id).map(|(_, home)| home.clone());
        if let (Some(home), Some(mine)) = (home, &me.home)
            && home.id != mine.id
        {
            if self.leases_expire && !self.left.contains(&me.id) {
                let (node, home) = (me.id.clone(), Box::new(home));
                return Err(ModelRejection::Refused(StoreRejection::NameTaken {
                    node,
                    home,
                    heard: Duration::ZERO,
                }));
            }
            let owners = self.rows.iter().filter_map(|row| row.stored.owner.as_ref());
            let open = u64::try_from(owners.filter(|owner| owner.node == me.id).count()).unwrap_or(u64::MAX);
            if open > 0 {
                let (node, home) = (me.id.clone(), Box::new(home));
                return Err(ModelRejection::Refused(StoreRejection::NameHeld {
                    node,
                    home,
                    open,
                    free_in: None,
                }));
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

    pub(super) fn leave(&mut self, by: &Lease) -> Result<(), ModelRejection> {
        if self.check(by).is_ok() && !self.left.contains(&by.node) {
            self.left.push(by.node.clone());
        }
        Ok(())
    }

    /// Returns every node that registered and did not leave, sorted by name.
    pub(super) fn listed(&self) -> Vec<NodeId> {
        let mut listed: Vec<NodeId> = self.nodes.iter().map(|(node, _)| node.clone()).collect();
        listed.retain(|node| !self.left.contains(node));
        listed.sort();
        listed
    }
}
