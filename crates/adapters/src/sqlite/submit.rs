//! Submission of new processes, with its checks.

use super::claim::ClaimedRow;
use super::failure::StepAbort;
use super::issued::IssuedRows;
use super::maintenance::first_due;
use super::notifiers::NodeEvent;
use super::row;
use super::write_connection::{WriteConnection, policy_version};
use crate::fingerprint::Fingerprint;
use crate::placement_class;
use longhaul_domain::{
    LiveStats, NodeId, Placement, Process, ProcessHeader, ProcessId, Revision, SlotKey, SlotState, Spec,
    Status, Timestamp,
};
use longhaul_ports::{
    ClaimRequest, Lease, StoreRejection, StoredProcess, Submission, SubmitLimits, SubmitOutcome,
};
use longhaul_wire::record;
use rusqlite::{OptionalExtension, params};

/// Maximum size of a spec in bytes.
const MAX_SPEC_BYTES: usize = 1024 * 1024;

impl WriteConnection {
    pub(super) fn submit(&mut self, new: &Submission) -> Result<SubmitOutcome, StepAbort> {
        if let Some(existing) = self.existing(&new.process)? {
            return Ok(existing);
        }
        if let Some(claimant) = &new.claim_for {
            self.check(&claimant.lease)?;
        }
        let spec = record::encode_spec(&new.process);
        if spec.len() > MAX_SPEC_BYTES {
            let bytes = u64::try_from(spec.len()).unwrap_or(u64::MAX);
            return Err(StoreRejection::TooLarge { bytes }.into());
        }
        let head = new.process.head();
        self.guard(&head, &new.limits)?;
        let at_once = match head.slot_state {
            SlotState::Waiting => self.claimable(new, &head)?,
            SlotState::Holding | SlotState::Idle | SlotState::Ended => ImmediateClaim::None,
        };
        match at_once {
            ImmediateClaim::For(lease) => {
                let handover = ClaimedRow::of(new.process.clone(), self.now(), &lease);
                Ok(SubmitOutcome::Claimed(self.insert(new, &spec, Some(handover))?))
            }
            ImmediateClaim::Blocked(obstacle) if new.fail_if_queued => {
                Err(self.no_slot(&head, &obstacle)?.into())
            }
            ImmediateClaim::Blocked(_) | ImmediateClaim::None => {
                let stored = self.insert(new, &spec, None)?;
                self.notify_submitted(&stored, &head)?;
                Ok(SubmitOutcome::Waiting(stored))
            }
        }
    }

    /// Finds a process with the same id, or with the same launch key in the same session.
    fn existing(&self, process: &Process) -> Result<Option<SubmitOutcome>, StepAbort> {
        let connection = &self.connection;
        if let Some(stored) = row::by_id(connection, &process.id)? {
            return Ok(Some(SubmitOutcome::Existing {
                id: process.id,
                same_spec: stored.process.spec == process.spec,
                stored: Some(stored),
            }));
        }
        let pruned = self
            .sql("SELECT fingerprint FROM tombstone WHERE id = ?1")?
            .query_row([process.id.as_uuid().as_bytes()], |row| row.get::<_, i64>(0))
            .optional()?;
        if let Some(kept) = pruned {
            return Ok(Some(SubmitOutcome::Existing {
                id: process.id,
                stored: None,
                same_spec: kept == fingerprint(&process.spec),
            }));
        }
        let Some(key) = &process.spec.launch_key else {
            return Ok(None);
        };
        let taken = self
            .sql("SELECT id, fingerprint FROM launch WHERE session = ?1 AND key = ?2")?
            .query_row(params![session(&process.spec), key.as_str()], |row| {
                Ok((row.get(0).map(row::id)?, row.get::<_, i64>(1)?))
            })
            .optional()?;
        let Some((id, kept)) = taken else {
            return Ok(None);
        };
        let stored = row::by_id(connection, &id)?;
        Ok(Some(SubmitOutcome::Existing {
            id,
            same_spec: match &stored {
                Some(stored) => stored.process.spec.same_launch(&process.spec),
                None => kept == fingerprint(&process.spec.launch_part()),
            },
            stored,
        }))
    }

    fn guard(&mut self, head: &ProcessHeader, limits: &SubmitLimits) -> Result<(), StepAbort> {
        let found = policy_version(&self.connection)?;
        if limits.policy < found {
            return Err(StoreRejection::StalePolicy { found }.into());
        }
        self.guard_tree(head, limits)?;
        let may_starve = head.status == Status::Pending && !head.ancestors.is_empty();
        if may_starve && let (Some(key), Some(slots)) = (&head.key, limits.slots) {
            let holders = self.holders(head)?;
            let all_ancestors = holders.iter().all(|holder| head.ancestors.contains(holder));
            if row::count(holders.len()) >= slots && all_ancestors {
                return Err(StoreRejection::HeldByAncestors { key: key.clone(), holders }.into());
            }
        }
        Ok(())
    }

    fn guard_tree(&self, head: &ProcessHeader, limits: &SubmitLimits) -> Result<(), StepAbort> {
        let (Some(root), Some(parent)) = (head.ancestors.first(), head.ancestors.last()) else {
            return Ok(());
        };
        // Returns two flags: whether the ancestor is closing, and whether its work is over.
        let closing = |id: &ProcessId| {
            self.sql("SELECT closing, slot_state = 3 AND due IS NULL FROM process WHERE id = ?1")?
                .query_row([id.as_uuid().as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        };
        if closing(parent)?.is_none() {
            return Err(StoreRejection::ParentMissing { parent: *parent }.into());
        }
        for ancestor in &head.ancestors {
            // A pruned ancestor needs no check, because it had ended before it was pruned.
            let (closing, is_over) = closing(ancestor)?.unwrap_or((true, true));
            if closing && (ancestor == parent || !is_over) {
                return Err(StoreRejection::AncestorClosing { ancestor: *ancestor }.into());
            }
        }
        if head.level > limits.tree.max_level {
            return Err(
                StoreRejection::TooDeep { level: head.level, max_level: limits.tree.max_level }.into()
            );
        }
        let live: u32 = self
            .sql("SELECT count(*) FROM process WHERE root = ?1 AND level = ?2 AND slot_state < 3")?
            .query_row(params![root.as_uuid().as_bytes(), head.level.0], |row| row.get(0))?;
        if live >= limits.tree.per_level {
            return Err(
                StoreRejection::LevelFull { level: head.level, live, limit: limits.tree.per_level }.into()
            );
        }
        Ok(())
    }

    /// Returns the processes that hold a slot of the key, in the order of their submission.
    fn holders(&self, head: &ProcessHeader) -> Result<Vec<ProcessId>, StepAbort> {
        let sql = "SELECT id FROM process INDEXED BY live
            WHERE slot_state < 3 AND slot_state = 1 AND key = ?1 ORDER BY seq";
        row::ids(&self.connection, sql, [row::key(head)])
    }

    /// Determines whether the process may be claimed immediately: there must be a free slot, and no earlier process of
    /// its key may be waiting.
    fn claimable(&mut self, new: &Submission, head: &ProcessHeader) -> Result<ImmediateClaim, StepAbort> {
        let Some(claimant) = &new.claim_for else {
            return Ok(ImmediateClaim::Blocked(ClaimObstacle::Key));
        };
        let node = &claimant.lease.node;
        if !may_run(node, &new.process.spec.placement) {
            return Ok(ImmediateClaim::Blocked(ClaimObstacle::Key));
        }
        if let Some(key) = &head.key {
            let held = self.policy()?.1.held.contains_key(key);
            if held || self.is_full(key, new.limits.slots)? {
                return Ok(ImmediateClaim::Blocked(ClaimObstacle::Key));
            }
        }
        let roots_full = self.roots_of(node)? >= claimant.roots;
        if roots_full && head.ancestors.is_empty() {
            return Ok(ImmediateClaim::Blocked(ClaimObstacle::Roots(node.clone())));
        }
        if self.someone_ahead(claimant, head, roots_full)? {
            return Ok(ImmediateClaim::Blocked(ClaimObstacle::Key));
        }
        Ok(ImmediateClaim::For(claimant.lease.clone()))
    }

    fn is_full(&self, key: &SlotKey, slots: Option<u32>) -> Result<bool, StepAbort> {
        match slots {
            Some(slots) => Ok(self.taken(key.as_str(), slots)? >= slots),
            None => Ok(false),
        }
    }

    /// Returns the rejection, with the processes that prevent the claim.
    fn no_slot(&self, head: &ProcessHeader, obstacle: &ClaimObstacle) -> Result<StoreRejection, StepAbort> {
        Ok(match obstacle {
            ClaimObstacle::Key => StoreRejection::NoSlot {
                key: head.key.clone(),
                holders: match &head.key {
                    Some(_) => self.holders(head)?,
                    None => Vec::new(),
                },
            },
            ClaimObstacle::Roots(node) => StoreRejection::NoSlot {
                key: None,
                holders: row::ids(
                    &self.connection,
                    "SELECT id FROM process INDEXED BY live
                    WHERE slot_state < 3 AND slot_state = 1 AND owner_node = ?1 AND child = 0
                    ORDER BY seq",
                    [node.as_str()],
                )?,
            },
        })
    }

    /// Finds an earlier waiting process of the same key. Ignores processes that are pinned to another node or blocked
    /// by the limit on roots.
    fn someone_ahead(
        &self,
        claimant: &ClaimRequest,
        head: &ProcessHeader,
        roots_full: bool,
    ) -> Result<bool, StepAbort> {
        let mut last = None;
        while let Some(group) = self.next_group_of(row::key(head), last.as_ref())? {
            let elsewhere = group.class.starts_with(placement_class::PINNED)
                && group.class != placement_class::pinned(&claimant.lease.node);
            let held_back = roots_full && group.is_root();
            if !elsewhere && !held_back {
                let first = self.first_of(row::key(head), &group)?;
                if first.is_some_and(|first| first.priority >= head.priority) {
                    return Ok(true);
                }
            }
            last = Some(group);
        }
        Ok(false)
    }

    fn insert(
        &mut self,
        new: &Submission,
        spec: &str,
        claimed: Option<ClaimedRow>,
    ) -> Result<StoredProcess, StepAbort> {
        let id = new.process.id;
        let (process, revision, owner) = match &claimed {
            Some(handover) => (&handover.process, Revision(2), handover.owner.clone()),
            None => (&new.process, Revision(1), None),
        };
        let seq = row::insert(&self.connection, process, spec, revision, owner.as_ref())?;
        self.process_added();
        self.lines.moved(process.spec.key.as_ref());
        if let Some(key) = &new.process.spec.launch_key {
            self.sql("INSERT INTO launch (session, key, id, fingerprint) VALUES (?1, ?2, ?3, ?4)")?.execute(
                params![
                    session(&new.process.spec),
                    key.as_str(),
                    id.as_uuid().as_bytes(),
                    fingerprint(&new.process.spec.launch_part())
                ],
            )?;
        }
        self.append(&id, Revision(1), &new.events)?;
        let process = match claimed {
            Some(handover) => {
                self.append(&id, revision, &handover.events)?;
                self.serve(&handover.process)?;
                handover.process
            }
            None => new.process.clone(),
        };
        Ok(StoredProcess {
            process,
            revision,
            seq,
            owner,
            pending_actions: Vec::new(),
            live_stats: LiveStats::default(),
        })
    }

    fn notify_submitted(&mut self, stored: &StoredProcess, head: &ProcessHeader) -> Result<(), StepAbort> {
        if head.slot_state == SlotState::Waiting {
            self.notify(waiter_event(&stored.process.spec.placement));
        }
        match head.due {
            Some(due) => self.notify_if_first_due(due.0),
            None => Ok(()),
        }
    }

    /// Notifies the nodes if the row is due before all others, because each node sets a timer for the first due row.
    pub(super) fn notify_if_first_due(&mut self, due: i64) -> Result<(), StepAbort> {
        let first = first_due(&self.connection, &IssuedRows::default())?;
        if first == Some(Timestamp(due)) {
            self.notify(NodeEvent::ForAll);
        }
        Ok(())
    }
}

/// Result of checking whether a submission may be claimed immediately.
enum ImmediateClaim {
    For(Lease),
    Blocked(ClaimObstacle),
    /// The submission does not request an immediate claim.
    None,
}

/// Reason why a submission cannot be claimed immediately.
enum ClaimObstacle {
    /// The key has no free slot, is on hold or has an earlier waiting process, or the submission names no node that may
    /// claim it.
    Key,
    /// This node has reached its limit on root processes.
    Roots(NodeId),
}

/// Returns the event for the nodes that may run a waiting process.
pub(super) fn waiter_event(placement: &Placement) -> NodeEvent {
    match placement {
        Placement::Node(node) => NodeEvent::For(node.clone()),
        Placement::Here | Placement::Labels(_) | Placement::Anywhere => NodeEvent::ForAll,
    }
}

fn may_run(node: &NodeId, placement: &Placement) -> bool {
    match placement {
        Placement::Node(pinned) => pinned == node,
        // The store has no record of the labels of a node. The engine submits only processes that the labels of its
        // node allow.
        Placement::Here | Placement::Labels(_) | Placement::Anywhere => true,
    }
}

fn session(spec: &Spec) -> &str {
    spec.session.as_ref().map_or("", |session| session.as_str())
}

/// Returns the column value of the spec's fingerprint.
pub(super) fn fingerprint(spec: &Spec) -> i64 {
    Fingerprint::of(spec).cast_signed()
}
