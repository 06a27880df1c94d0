//! In-memory index of the outbox: just enough data about each record to decide whether a reply of the store changes it.

use super::row::{HandoffStage, OutboxMeta, OutboxRow, RowHeader};
use super::writer::{OutboxChange, OutboxWriter};
use longhaul_domain::{
    ActionSeq, LiveStats, NodeId, PendingAction, Placement, Policy, PolicyVersion, Process, ProcessId,
    Revision, Seq, SlotState, Timestamp,
};
use longhaul_ports::{Change, History, Lease, StoreError, StoredProcess, Submission, Writer};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// In-memory index of the outbox, without the records themselves.
#[derive(Debug)]
pub(super) struct OutboxIndex {
    /// Lease of this node. `None` before the node has registered.
    me: Option<Lease>,
    /// Time for which the record of an ended process stays in the outbox after the store acknowledged the end.
    keeps_ended: Duration,
    max_ended: usize,
    known: HashMap<ProcessId, IndexedRecord>,
    /// Processes that this node accepted and that the shared store does not have yet. Usually empty.
    local_only: BTreeSet<ProcessId>,
    ended: BTreeSet<(Timestamp, ProcessId)>,
    mark: OutboxMeta,
    /// Maximum number of root processes that this node runs at the same time. `None` before the first claim of the
    /// node.
    roots: Option<u32>,
}

#[derive(Clone, Debug)]
pub(super) struct IndexedRecord {
    offer: LaunchState,
    revision: Revision,
    seq: Seq,
    owner: Option<Lease>,
    pending_actions: Vec<(ActionSeq, PendingAction)>,
    ended_at: Option<Timestamp>,
    is_root: bool,
}

/// Result of a change to a process that may be local-only.
#[derive(Debug)]
pub(super) enum LocalOnlyChange {
    /// The process is not local-only: the change must go to the shared store.
    Shared,
    /// The change was refused.
    Refused(StoreError),
    /// The change was made in the index. It takes effect when `entry` is written.
    Changed {
        revision: Revision,
        entry: Box<OutboxRow>,
        /// State of the index before the change, for [`OutboxIndex::undo`] if the write fails.
        before: IndexedRecord,
    },
}

/// State of a launch that is sent to the shared store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaunchState {
    /// The launch is currently being sent to the store.
    Open,
    /// The launch was sent, but the store did not answer.
    Doubtful,
    /// The store has acknowledged the launch.
    Accepted,
}

impl OutboxIndex {
    pub(super) fn new(
        keeps_ended: Duration,
        max_ended: usize,
        mark: OutboxMeta,
        found: Vec<RowHeader>,
    ) -> Self {
        // `local_only` is empty at first. The next comparison finds the local-only processes, because the store does
        // not have them.
        let (known, local_only, ended) = (HashMap::new(), BTreeSet::new(), BTreeSet::new());
        let mut index =
            Self { me: None, keeps_ended, max_ended, known, local_only, ended, mark, roots: None };
        for heading in found {
            let offer = match heading.stage {
                HandoffStage::Offered => LaunchState::Doubtful,
                HandoffStage::Accepted => LaunchState::Accepted,
            };
            if let Some(at) = heading.ended_at {
                index.ended.insert((at, heading.id));
            }
            let RowHeader { id, revision, seq, owner, ended_at, pending_actions, .. } = heading;
            index.known.insert(
                id,
                IndexedRecord { offer, revision, seq, owner, pending_actions, ended_at, is_root: true },
            );
        }
        index
    }

    pub(super) const fn mark(&self) -> &OutboxMeta {
        &self.mark
    }

    /// Calls `change` with the metadata about the shared store. If the metadata has changed, it is written soon.
    pub(super) fn update_meta(&mut self, writer: &OutboxWriter, change: impl FnOnce(&mut OutboxMeta)) {
        let mut next = self.mark.clone();
        change(&mut next);
        if next != self.mark {
            self.mark = next.clone();
            writer.soon(OutboxChange::Mark(Box::new(next)));
        }
    }

    /// Records the history that the store reported. If the store has lost data, keeps the earlier history, so that the
    /// next comparison detects the loss.
    pub(super) fn note_history(&mut self, writer: &OutboxWriter, history: &History) {
        self.update_meta(writer, |mark| {
            mark.end = mark.end.max(history.end);
            if mark.history.as_ref().is_none_or(|earlier| history.continues(earlier)) {
                mark.history = Some(history.clone());
            }
        });
    }

    /// Records the policy in force. Ignores a version that is older than the recorded one, because a store that reports
    /// it has lost the newer policy.
    pub(super) fn set_policy(&mut self, writer: &OutboxWriter, version: PolicyVersion, policy: &Policy) {
        if self.mark.policy.as_ref().is_none_or(|(known, _)| *known < version) {
            self.update_meta(writer, |mark| mark.policy = Some((version, policy.clone())));
        }
    }

    /// Sets the lease that this node uses from now on.
    pub(super) fn set_lease(&mut self, lease: &Lease) {
        self.me = Some(lease.clone());
    }

    pub(super) fn is_me(&self, node: &NodeId) -> bool {
        self.me.as_ref().is_some_and(|me| me.node == *node)
    }

    pub(super) fn revision_of(&self, id: &ProcessId) -> Option<Revision> {
        self.known.get(id).map(|known| known.revision)
    }

    /// Returns the ids of all accepted processes in the order in which they must be restored: first ended processes,
    /// then processes with an owner, then waiting processes.
    pub(super) fn accepted(&self) -> Vec<ProcessId> {
        let accepted = self.known.iter().filter(|(_, known)| known.offer == LaunchState::Accepted);
        let mut ids: Vec<_> = accepted
            .map(|(id, known)| (known.ended_at.is_none(), known.owner.is_none(), known.seq, *id))
            .collect();
        ids.sort_unstable();
        ids.into_iter().map(|(.., id)| id).collect()
    }

    pub(super) fn is_doubtful(&self, id: &ProcessId) -> bool {
        self.known.get(id).is_some_and(|known| known.offer == LaunchState::Doubtful)
    }

    /// Returns the launches that the store did not answer, so that it is unknown whether the store has them.
    pub(super) fn doubtful(&self) -> Vec<ProcessId> {
        let doubtful = self.known.iter().filter(|(_, known)| known.offer == LaunchState::Doubtful);
        doubtful.map(|(id, _)| *id).collect()
    }

    /// Records that a launch is about to be sent to the store. Returns the record to write, or `None` if the launch is
    /// already in the outbox.
    pub(super) fn offer(&mut self, process: &Process) -> Option<OutboxChange> {
        if let Some(known) = self.known.get_mut(&process.id) {
            if known.offer == LaunchState::Doubtful {
                known.offer = LaunchState::Open;
            }
            return None;
        }
        let stored = StoredProcess {
            process: process.clone(),
            revision: Revision(1),
            seq: Seq(0),
            owner: None,
            pending_actions: Vec::new(),
            live_stats: LiveStats::default(),
        };
        self.known.insert(process.id, IndexedRecord::of(&stored, LaunchState::Open, None));
        let line = OutboxRow {
            stage: HandoffStage::Offered,
            stored,
            writes_live_stats: false,
            ended_at: None,
            is_new: true,
        };
        Some(OutboxChange::Put(Box::new(line)))
    }

    /// Marks a launch as doubtful if the store has not answered.
    pub(super) fn mark_doubtful(&mut self, id: &ProcessId) {
        if let Some(known) = self.known.get_mut(id).filter(|known| known.offer == LaunchState::Open) {
            known.offer = LaunchState::Doubtful;
        }
    }

    /// Returns true if the launch is in the outbox and the store has not acknowledged it.
    pub(super) fn is_offered(&self, id: &ProcessId) -> bool {
        self.known.get(id).is_some_and(|known| known.offer != LaunchState::Accepted)
    }

    /// Sets the maximum number of root processes that this node runs at the same time.
    pub(super) fn set_root_limit(&mut self, roots: u32) {
        self.roots = Some(roots);
    }

    /// Returns the lease under which this node may accept the launch `new` without the store. Returns `None` if:
    ///
    /// - the node has no lease,
    /// - the process is not pinned to this node,
    /// - the node is draining, or
    /// - all root slots of the node are taken, or their number is not known yet.
    pub(super) fn lease_for(&self, new: &Submission) -> Option<Lease> {
        let me = self.me.clone()?;
        let holds = |known: &&IndexedRecord| {
            known.is_root && known.ended_at.is_none() && self.is_owned_here(known.owner.as_ref())
        };
        let held = u32::try_from(self.known.values().filter(holds).count()).unwrap_or(u32::MAX);
        let is_here = new.process.spec.placement == Placement::Node(me.node.clone());
        (is_here && !self.mark.draining && held < self.roots?).then_some(me)
    }

    /// Returns the next sequence number. Used for a local-only launch.
    pub(super) const fn next_seq(&self) -> Seq {
        Seq(self.mark.seq.0.saturating_add(1))
    }

    /// Accepts a launch as local-only. The outbox must already contain the launch as offered. Returns the record
    /// to write.
    pub(super) fn accept_local_only(&mut self, stored: &StoredProcess) -> OutboxChange {
        self.mark.seq = self.mark.seq.max(stored.seq);
        self.known.insert(stored.process.id, IndexedRecord::of(stored, LaunchState::Accepted, None));
        self.local_only.insert(stored.process.id);
        let (stage, stored) = (HandoffStage::Accepted, stored.clone());
        OutboxChange::Put(Box::new(OutboxRow {
            stage,
            stored,
            writes_live_stats: false,
            ended_at: None,
            is_new: false,
        }))
    }

    /// Returns the ids of the local-only processes.
    pub(super) fn local_only(&self) -> BTreeSet<ProcessId> {
        self.local_only.clone()
    }

    /// Returns the number of root slots that live local-only processes use. The store does not count these slots.
    pub(super) fn local_only_roots(&self) -> u32 {
        let holds = |known: &&IndexedRecord| known.owner.is_some() && known.ended_at.is_none();
        let local_only = self.local_only.iter().filter_map(|id| self.known.get(id));
        u32::try_from(local_only.filter(holds).count()).unwrap_or(u32::MAX)
    }

    pub(super) fn is_local_only(&self, id: &ProcessId) -> bool {
        self.local_only.contains(id)
    }

    /// Applies a change to a local-only process. Refuses the change if the expected revision is wrong, or if the author
    /// of the change is the owner under a lease of another node.
    pub(super) fn change_local_only(&mut self, now: Timestamp, change: &Change) -> LocalOnlyChange {
        let Some(before) =
            self.known.get(&change.next.id).filter(|_| self.is_local_only(&change.next.id)).cloned()
        else {
            return LocalOnlyChange::Shared;
        };
        if before.revision != change.expected {
            return LocalOnlyChange::Refused(StoreError::Conflict { found: before.revision });
        }
        if let Writer::Owner(lease) = &change.author
            && !self.is_me(&lease.node)
        {
            return LocalOnlyChange::Refused(StoreError::Fenced {
                node: lease.node.clone(),
                epoch: lease.epoch,
            });
        }
        let revision = before.revision.next();
        let stored = before.changed(change.next.clone(), revision, &change.author, change.taken);
        LocalOnlyChange::Changed { revision, entry: self.line(now, stored, false), before }
    }

    /// Restores the index entry of a process whose change could not be written.
    pub(super) fn undo(&mut self, id: ProcessId, before: IndexedRecord) {
        self.known.insert(id, before);
    }

    /// Removes a process from the outbox. Returns `None` if the process is not in the outbox.
    pub(super) fn remove(&mut self, id: &ProcessId) -> Option<OutboxChange> {
        let known = self.known.remove(id)?;
        self.local_only.remove(id);
        if let Some(at) = known.ended_at {
            self.ended.remove(&(at, *id));
        }
        Some(OutboxChange::Delete(*id))
    }

    /// Records that the store acknowledged a launch of this node.
    pub(super) fn note_accepted(&mut self, now: Timestamp, stored: &StoredProcess) -> Vec<OutboxChange> {
        self.apply_record(now, stored, true)
    }

    /// Updates the outbox from a record that the store returned. Records that do not concern this node are ignored.
    pub(super) fn note_records(&mut self, now: Timestamp, stored: &StoredProcess) -> Vec<OutboxChange> {
        self.mark.seq = self.mark.seq.max(stored.seq);
        if self.known.contains_key(&stored.process.id) || self.belongs_here(stored) {
            return self.apply_record(now, stored, false);
        }
        Vec::new()
    }

    /// Replaces the outbox record with the record of the store, even if the outbox has a later revision.
    pub(super) fn overwrite(&mut self, now: Timestamp, stored: &StoredProcess) -> Vec<OutboxChange> {
        if let Some(known) = self.known.get_mut(&stored.process.id) {
            known.revision = Revision(0);
        }
        self.local_only.remove(&stored.process.id);
        self.note_records(now, stored)
    }

    /// Records a change that the store acknowledged. Processes that are not in the outbox are ignored.
    pub(super) fn note_commit(
        &mut self,
        now: Timestamp,
        next: Process,
        revision: Revision,
        author: &Writer,
        taken: ActionSeq,
    ) -> Vec<OutboxChange> {
        let Some(known) = self.known.get(&next.id) else { return Vec::new() };
        let stored = known.changed(next, revision, author, taken);
        self.put(now, stored, false)
    }

    /// Removes records of ended processes that are too old or exceed the maximum number.
    pub(super) fn remove_outdated(&mut self, now: Timestamp) -> Vec<OutboxChange> {
        let mut gone = Vec::new();
        while let Some(&(at, id)) = self.ended.first()
            && (self.ended.len() > self.max_ended || at.plus(self.keeps_ended) <= now)
        {
            self.ended.pop_first();
            self.known.remove(&id);
            gone.push(OutboxChange::Delete(id));
        }
        gone
    }

    /// Returns true if this node owns the process, or if the process is waiting and is pinned to this node.
    fn belongs_here(&self, stored: &StoredProcess) -> bool {
        let Some(me) = &self.me else { return false };
        match stored.process.state.slot_state() {
            SlotState::Holding => self.is_owned_here(stored.owner.as_ref()),
            SlotState::Waiting | SlotState::Idle => {
                stored.process.spec.placement == Placement::Node(me.node.clone())
            }
            SlotState::Ended => false,
        }
    }

    fn is_owned_here(&self, owner: Option<&Lease>) -> bool {
        matches!((owner, &self.me), (Some(owner), Some(me)) if owner.node == me.node)
    }

    /// Applies a record of the store if it is newer than the outbox record. Removes the process from the outbox if
    /// another node owns it.
    fn apply_record(&mut self, now: Timestamp, stored: &StoredProcess, is_answer: bool) -> Vec<OutboxChange> {
        let id = stored.process.id;
        if let Some(known) = self.known.get(&id) {
            // The store does not contain a local-only process until this node has restored the process.
            if self.is_local_only(&id) {
                return Vec::new();
            }
            let is_same = known.revision == stored.revision
                && known.offer == LaunchState::Accepted
                && known.owner == stored.owner
                && known.pending_actions == stored.pending_actions;
            if is_same || known.revision > stored.revision {
                return Vec::new();
            }
            // The answer to this launch has not arrived yet. It will be newer than any record that was read before it.
            if known.offer == LaunchState::Open && !is_answer {
                return Vec::new();
            }
        }
        if stored.owner.is_some() && self.me.is_some() && !self.is_owned_here(stored.owner.as_ref()) {
            return self.remove(&id).into_iter().collect();
        }
        self.put(now, stored.clone(), true)
    }

    fn put(&mut self, now: Timestamp, stored: StoredProcess, writes_live_stats: bool) -> Vec<OutboxChange> {
        let id = stored.process.id;
        self.mark.seq = self.mark.seq.max(stored.seq);
        let known = self.known.get(&id);
        if known.is_some_and(|known| known.revision > stored.revision) {
            return Vec::new();
        }
        if stored.process.status().is_ended() && self.keeps_ended.is_zero() {
            return self.remove(&id).into_iter().collect();
        }
        let mut entries = vec![OutboxChange::Put(self.line(now, stored, writes_live_stats))];
        entries.extend(self.remove_outdated(now));
        entries
    }

    /// Updates the index and returns the row to write. A local-only process is never removed because of its age.
    fn line(&mut self, now: Timestamp, stored: StoredProcess, writes_live_stats: bool) -> Box<OutboxRow> {
        let id = stored.process.id;
        let known = self.known.get(&id);
        let before = known.and_then(|known| known.ended_at);
        let is_local_only = self.is_local_only(&id);
        let is_new = known.is_none();
        let ended_at = stored.process.status().is_ended().then(|| before.unwrap_or(now));
        if let Some(at) = before.filter(|_| before != ended_at) {
            self.ended.remove(&(at, id));
        }
        if let Some(at) = ended_at.filter(|_| !is_local_only) {
            self.ended.insert((at, id));
        }
        self.known.insert(id, IndexedRecord::of(&stored, LaunchState::Accepted, ended_at));
        Box::new(OutboxRow { stage: HandoffStage::Accepted, stored, writes_live_stats, ended_at, is_new })
    }
}

impl IndexedRecord {
    fn of(stored: &StoredProcess, offer: LaunchState, ended_at: Option<Timestamp>) -> Self {
        Self {
            offer,
            revision: stored.revision,
            seq: stored.seq,
            owner: stored.owner.clone(),
            pending_actions: stored.pending_actions.clone(),
            ended_at,
            is_root: stored.process.lineage.ancestors.is_empty(),
        }
    }

    /// Returns the record after the change `next`, with this revision.
    fn changed(&self, next: Process, revision: Revision, author: &Writer, taken: ActionSeq) -> StoredProcess {
        let owner = match (next.state.slot_state(), author) {
            (SlotState::Holding, Writer::Owner(lease)) if next.spec.command().is_some() => {
                Some(lease.clone())
            }
            (SlotState::Holding | SlotState::Waiting | SlotState::Idle | SlotState::Ended, _) => None,
        };
        let pending_actions = self.pending_actions.iter().filter(|(no, _)| *no > taken).copied().collect();
        StoredProcess {
            process: next,
            revision,
            seq: self.seq,
            owner,
            pending_actions,
            live_stats: LiveStats::default(),
        }
    }
}
