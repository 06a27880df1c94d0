//! Submission of new processes, with its checks.

use super::index::{self, Lane, may_run};
use super::key::KeyRange;
use super::process_row::{ProcessRow, class_of};
use super::transaction::StoreTransaction;
use super::values::{self, LaunchKeyValue};
use crate::fingerprint::Fingerprint;
use longhaul_domain::{OpId, ProcessHeader, ProcessId, Seq, SlotKey, SlotState, Spec, admission::Rank};
use longhaul_ports::{
    ClaimRequest, SortOrder, StoreError, StoreRejection, StoredProcess, Submission, SubmitLimits,
    SubmitOutcome,
};
use longhaul_wire::record;

/// The reason why a process cannot be claimed immediately.
enum Obstacle {
    /// The key is full or on hold, an earlier process is waiting, or this node may not run the process.
    Key,
    /// The node has no free root slot.
    Roots(ClaimRequest),
}

impl StoreTransaction<'_> {
    /// Accepts a new process, unless its fixed text is longer than `max_bytes`.
    pub(crate) async fn submit(
        &mut self,
        new: Submission,
        max_bytes: Option<usize>,
    ) -> Result<SubmitOutcome, StoreError> {
        self.set_op(OpId::new(*new.process.id.as_uuid()));
        if let Some(existing) = self.existing(&new).await? {
            return Ok(existing);
        }
        if let Some(max_bytes) = max_bytes {
            let bytes = record::encode_spec(&new.process).len();
            if bytes > max_bytes {
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                return Err(StoreError::Refused(StoreRejection::TooLarge { bytes }));
            }
        }
        if let Some(claimant) = &new.claim_for {
            self.check_living(&claimant.lease).await?;
        }
        let head = new.process.head();
        self.guard(&new.process.lineage.ancestors, &head, &new.limits).await?;
        let waits = head.slot_state == SlotState::Waiting;
        let obstacle = if waits { self.obstacle(&new, &head).await? } else { None };
        if new.fail_if_queued
            && let Some(obstacle) = obstacle
        {
            return Err(self.refusal(obstacle, &head).await?);
        }
        let at_once = new.claim_for.clone().filter(|_| waits && obstacle.is_none());
        let row = self.insert(new).await?;
        if let Some(claimant) = at_once {
            return self.hand_over(&claimant.lease, &row).await.map(SubmitOutcome::Claimed);
        }
        if row.slot_state() == SlotState::Waiting {
            self.notify_of_waiter(&class_of(&row.stored.process.spec)).await?;
        }
        Ok(SubmitOutcome::Waiting(row.stored))
    }

    /// Finds a process with the same id, or with the same launch key in the same session.
    async fn existing(&mut self, new: &Submission) -> Result<Option<SubmitOutcome>, StoreError> {
        let (id, spec) = (new.process.id, &new.process.spec);
        if let Some(row) = self.row(&id).await? {
            let same_spec = row.stored.process.spec == *spec;
            return Ok(Some(SubmitOutcome::Existing { id, stored: Some(row.stored.clone()), same_spec }));
        }
        let launch = index::launch_key(&new.process);
        let mut keys = vec![values::tombstone_key(&id)];
        keys.extend(launch);
        let mut found = self.values(&keys).await?.into_iter();
        if let Some(tombstone) = found.next().flatten() {
            let same_spec = values::decode_fingerprint(&tombstone)? == Fingerprint::of(spec);
            return Ok(Some(SubmitOutcome::Existing { id, stored: None, same_spec }));
        }
        let Some(first) = found.next().flatten() else { return Ok(None) };
        let first = LaunchKeyValue::decode(&first)?;
        let stored = self.row(&first.id).await?.map(|row| row.stored.clone());
        let same_spec = first.launch == launch_fingerprint(spec);
        Ok(Some(SubmitOutcome::Existing { id: first.id, stored, same_spec }))
    }

    async fn guard(
        &mut self,
        ancestors: &[ProcessId],
        head: &ProcessHeader,
        limits: &SubmitLimits,
    ) -> Result<(), StoreError> {
        if limits.policy < self.policy.0 {
            return refused(StoreRejection::StalePolicy { found: self.policy.0 });
        }
        self.guard_tree(ancestors, head, limits).await?;
        let will_wait = head.slot_state == SlotState::Waiting || head.due.is_some();
        if will_wait && let (Some(key), Some(slots)) = (&head.key, limits.slots) {
            let is_full = self.taken(key).await? >= slots;
            if is_full && (slots == 0 || !ancestors.is_empty()) {
                let holders = self.holders(key).await?;
                if holders.iter().all(|holder| ancestors.contains(holder)) {
                    return refused(StoreRejection::HeldByAncestors { key: key.clone(), holders });
                }
            }
        }
        Ok(())
    }

    async fn guard_tree(
        &mut self,
        ancestors: &[ProcessId],
        head: &ProcessHeader,
        limits: &SubmitLimits,
    ) -> Result<(), StoreError> {
        let (Some(root), Some(parent)) = (ancestors.first(), ancestors.last()) else {
            return Ok(());
        };
        let rows = self.rows(ancestors).await?;
        let mut heads = Vec::with_capacity(rows.len());
        for (ancestor, row) in ancestors.iter().zip(rows) {
            // A deleted ancestor needs no check, because it had ended before it was deleted.
            heads.extend(row?.map(|row| (*ancestor, row.stored.process.head())));
        }
        if !heads.iter().any(|(ancestor, _)| ancestor == parent) {
            return refused(StoreRejection::ParentMissing { parent: *parent });
        }
        let closing =
            heads.iter().find(|(ancestor, head)| head.is_ending() || (ancestor == parent && head.closing));
        if let Some((ancestor, _)) = closing {
            return refused(StoreRejection::AncestorClosing { ancestor: *ancestor });
        }
        if head.level > limits.tree.max_level {
            let max_level = limits.tree.max_level;
            return refused(StoreRejection::TooDeep { level: head.level, max_level });
        }
        let live = self.number(index::live_on(root, head.level)).await?;
        if live >= limits.tree.per_level {
            let limit = limits.tree.per_level;
            return refused(StoreRejection::LevelFull { level: head.level, live, limit });
        }
        Ok(())
    }

    /// Returns a stored count.
    pub(crate) async fn number(&mut self, key: super::RowKey) -> Result<u32, StoreError> {
        let number = values::number(self.value(key).await?.as_deref())?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }

    async fn taken(&mut self, key: &SlotKey) -> Result<u32, StoreError> {
        self.number(index::taken(Some(key))).await
    }

    async fn holders(&mut self, key: &SlotKey) -> Result<Vec<ProcessId>, StoreError> {
        self.ids(index::holders_of(Some(key)), u32::MAX).await
    }

    /// Returns the reason why the process cannot be claimed immediately, or `None`.
    async fn obstacle(
        &mut self,
        new: &Submission,
        head: &ProcessHeader,
    ) -> Result<Option<Obstacle>, StoreError> {
        let Some(claimant) = &new.claim_for else { return Ok(Some(Obstacle::Key)) };
        let node = &claimant.lease.node;
        let draining = self.node(node).await?.is_some_and(|node| node.draining);
        if draining || !may_run(node, &class_of(&new.process.spec)) {
            return Ok(Some(Obstacle::Key));
        }
        if let Some(key) = &head.key {
            let is_full = match new.limits.slots {
                Some(slots) => self.taken(key).await? >= slots,
                None => false,
            };
            if is_full || self.policy.1.held.contains_key(key) {
                return Ok(Some(Obstacle::Key));
            }
        }
        let roots_full = self.number(index::roots_taken(node)).await? >= claimant.roots;
        if roots_full && head.ancestors.is_empty() {
            return Ok(Some(Obstacle::Roots(claimant.clone())));
        }
        let me = Rank { priority: head.priority, seq: Seq(self.counters.seq).next() };
        let lanes = self.scan_values(&index::lanes_of(head.key.as_ref()), u32::MAX).await?;
        let lanes = lanes.iter().map(|(key, _)| Lane::stored(key));
        let may = lanes.filter(|lane| index::may_run_lane(node, lane) && !(roots_full && lane.root));
        let heads: Vec<KeyRange> = may.map(|lane| lane.waiting()).collect();
        if heads.is_empty() {
            return Ok(None);
        }
        let heads = self.scan(&heads, SortOrder::OldestFirst, 1).await?;
        let is_before = heads.iter().flatten().any(|(key, _)| key.last_rank().is_some_and(|rank| rank < me));
        Ok(is_before.then_some(Obstacle::Key))
    }

    async fn refusal(&mut self, obstacle: Obstacle, head: &ProcessHeader) -> Result<StoreError, StoreError> {
        Ok(StoreError::Refused(match obstacle {
            Obstacle::Key => {
                let holders = match &head.key {
                    Some(key) => self.holders(key).await?,
                    None => Vec::new(),
                };
                StoreRejection::NoSlot { key: head.key.clone(), holders }
            }
            Obstacle::Roots(claimant) => {
                let holders = self.ids(index::roots_of(&claimant.lease.node), u32::MAX).await?;
                StoreRejection::NoSlot { key: None, holders }
            }
        }))
    }

    async fn insert(&mut self, new: Submission) -> Result<ProcessRow, StoreError> {
        let id = new.process.id;
        self.counters.seq = self.counters.seq.saturating_add(1);
        if let Some(key) = index::launch_key(&new.process) {
            let launch = launch_fingerprint(&new.process.spec);
            self.set_value(key, Some(LaunchKeyValue { id, launch, retired: false }.encode()));
        }
        let row = ProcessRow::of(StoredProcess::accepted(new.process, Seq(self.counters.seq)));
        self.append(id, row.stored.revision, new.events);
        self.put(None, Some(row.clone())).await?;
        Ok(row)
    }
}

/// Returns the fingerprint of the parts of a spec that are compared when its launch key is used again.
pub(crate) fn launch_fingerprint(spec: &Spec) -> u64 {
    Fingerprint::of(&spec.launch_part())
}

fn refused(rejection: StoreRejection) -> Result<(), StoreError> {
    Err(StoreError::Refused(rejection))
}
