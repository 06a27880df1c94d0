//! Restores records that a store has lost.

use super::FoundRow;
use super::index;
use super::process_row::{ProcessRow, RestoredFrom, class_of};
use super::submit::launch_fingerprint;
use super::transaction::StoreTransaction;
use super::values::{self, LaunchKeyValue, NodeRow, StoreCounters};
use longhaul_domain::{ActionSeq, Event, Fact, ProcessId, Seq, SlotState};
use longhaul_ports::{
    EventCursor, HighWaterMarks, History, Lease, NodeDescriptor, RecordPosition, RestoreOutcome, SortOrder,
    StoreError, StoredProcess,
};

/// Amount that is added to a counter after a restore, because another node may have received a higher value before the
/// loss.
const MARK_MARGIN: u64 = 100_000;

impl StoreTransaction<'_> {
    /// Returns the current incarnation and event cursor of this store.
    pub(crate) fn history(&self, server: String) -> History {
        let StoreCounters { incarnation, raised_to, cursor, .. } = &self.counters;
        let incarnation = Some(format!("{incarnation}/{raised_to}"));
        History { incarnation, server, end: EventCursor(*cursor) }
    }

    pub(crate) async fn record_positions(
        &mut self,
        ids: &[ProcessId],
    ) -> Result<Vec<RecordPosition>, StoreError> {
        let rows = self.rows(ids).await?;
        let keys: Vec<_> = ids.iter().map(values::tombstone_key).collect();
        let tombstones = self.values(&keys).await?;
        let position = |(row, tombstone): (FoundRow, Option<String>)| match (row, tombstone) {
            (Ok(Some(row)), _) => Ok(RecordPosition::At(row.position())),
            (Ok(None), Some(_)) => Ok(RecordPosition::Pruned),
            (Ok(None), None) => Ok(RecordPosition::Missing),
            (Err(error), _) if error.is_damage() => Ok(RecordPosition::Damaged),
            (Err(error), _) => Err(error),
        };
        rows.into_iter().zip(tombstones).map(position).collect()
    }

    pub(crate) fn advance_marks(&mut self, marks: &HighWaterMarks) {
        let counters = &mut self.counters;
        if marks.end.0 > counters.cursor {
            let raised = marks.end.0.saturating_add(MARK_MARGIN);
            // The skipped cursors have no events, so they do not count as events to keep.
            counters.trimmed = counters.trimmed.saturating_add(raised.saturating_sub(counters.cursor));
            counters.cursor = raised;
            // Nodes that register later must detect the loss, although the cursor of the newest event no longer shows
            // it.
            counters.raised_to = raised;
        }
        if marks.seq.0 > counters.seq {
            counters.seq = marks.seq.0.saturating_add(MARK_MARGIN);
        }
        if let Some((version, policy)) = marks.policy.as_ref().filter(|(version, _)| *version > self.policy.0)
        {
            self.replace_policy(*version, policy);
            self.notify_all();
        }
    }

    pub(crate) async fn restore(
        &mut self,
        by: &Lease,
        kept: &[StoredProcess],
    ) -> Result<Vec<RestoreOutcome>, StoreError> {
        self.check(by).await?;
        let mut outcomes = Vec::with_capacity(kept.len());
        for kept in kept {
            outcomes.push(self.restore_record(by, kept).await?);
        }
        Ok(outcomes)
    }

    async fn restore_record(
        &mut self,
        by: &Lease,
        kept: &StoredProcess,
    ) -> Result<RestoreOutcome, StoreError> {
        let id = kept.process.id;
        if self.value(values::tombstone_key(&id)).await?.is_some() {
            return Ok(RestoreOutcome::Pruned);
        }
        let found = self.row(&id).await?;
        let key = index::launch_key(&kept.process);
        let holder = match &key {
            Some(key) => self.value(key.clone()).await?.as_deref().map(LaunchKeyValue::decode).transpose()?,
            None => None,
        };
        let key_of_another = holder.as_ref().is_some_and(|holder| holder.id != id);
        if found.is_none() && kept.seq == Seq(0) && key_of_another {
            return Ok(RestoreOutcome::Pruned);
        }
        if let Some(row) = found.as_ref().filter(|row| !row.gives_way_to(by, kept)) {
            return Ok(RestoreOutcome::AlreadyPresent(row.stored.revision));
        }
        let at = found.as_ref().map_or(kept.revision, |row| row.stored.revision.max(kept.revision)).next();
        let last_action = found.as_ref().map_or(ActionSeq(0), |row| row.last_action);
        let seq = match &found {
            Some(row) => row.stored.seq,
            None if self.is_taken(kept.seq).await? => Seq(self.counters.seq).next(),
            None => kept.seq,
        };
        self.counters.seq = self.counters.seq.max(seq.0);
        let owner = match &kept.owner {
            Some(owner) => self.newest_of(owner).await?,
            None => None,
        };
        // The node that runs the process may still register again and report the process.
        let is_orphan = kept.owner.is_some() && owner.is_none();
        let grace =
            self.settings.terms.map(|terms| terms.lease.saturating_add(terms.grace)).unwrap_or_default();
        let row = ProcessRow {
            last_action: kept.pending_actions.iter().map(|(no, _)| *no).fold(last_action, ActionSeq::max),
            stored: StoredProcess { revision: at, seq, owner: owner.clone(), ..kept.clone() },
            claimed_until: None,
            orphaned: is_orphan.then(|| self.now.plus(grace)),
            restored: Some(RestoredFrom { from: kept.revision, at }),
        };
        if let Some(key) = key.filter(|_| holder.is_none()) {
            let launch = launch_fingerprint(&kept.process.spec);
            self.set_value(key, Some(LaunchKeyValue { id, launch, retired: false }.encode()));
        }
        if row.slot_state() == SlotState::Waiting {
            self.notify_of_waiter(&class_of(&kept.process.spec)).await?;
        }
        if let Some(owner) = owner.filter(|_| !kept.pending_actions.is_empty()) {
            self.notify_one(&owner.node).await?;
        }
        self.put(found.as_deref(), Some(row)).await?;
        self.append(id, at, [Event { at: self.now, fact: Fact::Restored { node: by.node.clone() } }]);
        Ok(RestoreOutcome::Inserted(at))
    }

    /// Returns true if a row has this sequence number.
    async fn is_taken(&mut self, seq: Seq) -> Result<bool, StoreError> {
        let range = super::KeyRange {
            from: super::RowKey::of("all").seq(seq),
            to: super::RowKey::of("all").seq(seq.next()),
        };
        Ok(!self.scan(&[range], SortOrder::OldestFirst, 1).await?.concat().is_empty())
    }

    /// Returns the newest lease of the former owner, or `None` if that lease is lost. An unknown node is expected to
    /// register again, so it gets a lease with its former epoch.
    async fn newest_of(&mut self, owner: &Lease) -> Result<Option<Lease>, StoreError> {
        if self.node(&owner.node).await?.is_none() {
            let facts = NodeDescriptor {
                id: owner.node.clone(),
                home: None,
                boot: String::new(),
                version: String::new(),
            };
            self.begin_lease(NodeRow::of(facts, owner.epoch)).await?;
        }
        let node = self.node(&owner.node).await?;
        let here = node.filter(|node| !node.forgotten && !node.lost);
        Ok(here.map(|node| Lease { node: owner.node.clone(), epoch: node.epoch }))
    }
}

impl ProcessRow {
    fn gives_way_to(&self, by: &Lease, kept: &StoredProcess) -> bool {
        // An ending is final: a record that has not ended is older, whatever its revision.
        if self.slot_state() == SlotState::Ended && kept.slot_state() != SlotState::Ended {
            return false;
        }
        let owns = |lease: &Option<Lease>| lease.as_ref().is_some_and(|lease| lease.node == by.node);
        let was_restored = self.position() != self.stored.revision;
        if kept.revision == self.position() {
            return was_restored && self.stored.owner.is_none() && owns(&kept.owner);
        }
        let node_of = |lease: &Option<Lease>| lease.as_ref().map(|lease| lease.node.clone());
        let is_others = self.stored.owner.is_some()
            && !owns(&self.stored.owner)
            && node_of(&self.stored.owner) != node_of(&kept.owner);
        let has_ended = kept.slot_state() == SlotState::Ended;
        let stays = is_others && !has_ended && self.stored.process.attempt >= kept.process.attempt;
        kept.revision > self.position() && !stays
    }
}
