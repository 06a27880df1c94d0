//! An in-memory shared store with the outbox of one node.

use async_trait::async_trait;
use longhaul_domain::{
    ActionSeq, AttemptNo, LiveStats, NodeId, OpId, PendingAction, Policy, PolicyVersion, ProcessId,
    Retention, Revision, Seq, SlotKey, SlotState, Timestamp,
};
use longhaul_ports::{
    AttemptKey, Change, ClaimCapacity, Clock, EventCursor, EventLog, EventPage, ForgetOutcome,
    HighWaterMarks, History, KnownNode, Lease, Listing, Maintenance, Membership, NodeAdvertisement,
    NodeDescriptor, NodeUpdates, OutputTail, OutputTails, PageRequest, PlacementClass, ProcessFilter,
    ProcessStore, PrunedBatch, QueueState, Queues, ReconcileResult, RecordPosition, Restore, RestoreOutcome,
    SortOrder, Store, StoreError, StoredProcess, Submission, SubmitOutcome, Writer,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A shared store with the outbox of one node. Clones share the same state.
#[derive(Clone)]
pub struct OutboxFake {
    inner: Arc<dyn Store>,
    restore: Arc<dyn Restore>,
    clock: Arc<dyn Clock>,
    node: NodeId,
    kept: Arc<Mutex<FakeOutboxState>>,
}

#[derive(Debug, Default)]
struct FakeOutboxState {
    /// Processes that were submitted through this node.
    accepted: BTreeSet<ProcessId>,
    records: BTreeMap<ProcessId, StoredProcess>,
    history: Option<History>,
    /// Position of the store's history, as reported in the latest answer to a lease renewal.
    told: Option<History>,
    end: EventCursor,
    seq: Seq,
    policy: Option<(PolicyVersion, Policy)>,
    away_since: Option<Timestamp>,
    accepts_alone: bool,
    /// Processes that this node accepted during an outage of the store and has not yet written to the store.
    alone: BTreeSet<ProcessId>,
    accepted_alone: u64,
}

impl OutboxFake {
    /// Creates an outbox that copies this node's records from the answers of `inner` and restores them through
    /// `restore`.
    /// Both must reach the same store.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Store>,
        restore: Arc<dyn Restore>,
        clock: Arc<dyn Clock>,
        node: NodeId,
    ) -> Self {
        Self { inner, restore, clock, node, kept: Arc::default() }
    }

    /// Enables local-only launches: during an outage of the store, this node accepts launches that involve no other
    /// node.
    #[must_use]
    pub fn accepting_alone(self) -> Self {
        self.kept().accepts_alone = true;
        self
    }

    /// Returns the number of launches that were accepted as local-only.
    #[must_use]
    pub fn accepted_alone(&self) -> u64 {
        self.kept().accepted_alone
    }

    /// Accepts a launch without the store, under the lease of this node. Returns `None` if the launch involves other
    /// nodes, or if its key has no free slot.
    fn accept_alone(&self, new: &Submission) -> Option<StoredProcess> {
        let claimant = new.claim_for.as_ref().filter(|_| new.is_nobody_elses())?;
        let mut kept = self.kept();
        let is_held = |stored: &&StoredProcess| stored.owner.is_some() && !stored.process.status().is_ended();
        let held = kept.records.values().filter(is_held).count();
        if !kept.accepts_alone || held >= usize::try_from(claimant.roots).unwrap_or(usize::MAX) {
            return None;
        }
        let stored = new.claimed_by(claimant.lease.clone(), kept.seq.next(), self.clock.now());
        let id = stored.process.id;
        kept.seq = stored.seq;
        kept.accepted.insert(id);
        kept.alone.insert(id);
        kept.accepted_alone += 1;
        kept.records.insert(id, stored.clone());
        Some(stored)
    }

    fn commit_alone(&self, change: &Change) -> Option<Result<Revision, StoreError>> {
        let mut kept = self.kept();
        if !kept.alone.contains(&change.next.id) {
            return None;
        }
        let known = kept.records.get_mut(&change.next.id)?;
        if known.revision != change.expected {
            return Some(Err(StoreError::Conflict { found: known.revision }));
        }
        (known.process, known.revision) = (change.next.clone(), known.revision.next());
        if known.process.state.slot_state() != SlotState::Holding {
            known.owner = None;
        }
        Some(Ok(known.revision))
    }

    fn kept(&self) -> MutexGuard<'_, FakeOutboxState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn asked<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let answer = question.await;
        let away = matches!(answer, Err(StoreError::Unavailable { .. } | StoreError::Unknown { .. }));
        let mut kept = self.kept();
        kept.away_since = if away { kept.away_since.or_else(|| Some(self.clock.now())) } else { None };
        answer
    }

    fn heard<'a>(&self, told: impl IntoIterator<Item = &'a StoredProcess>) {
        let mut kept = self.kept();
        for stored in told {
            let id = stored.process.id;
            if kept.alone.contains(&id) {
                continue;
            }
            kept.seq = kept.seq.max(stored.seq);
            let owned = stored.owner.as_ref().is_some_and(|owner| owner.node == self.node);
            let known = kept.records.get(&id).map(|known| known.revision);
            if known.is_some_and(|known| known <= stored.revision)
                || (known.is_none() && (owned || kept.accepted.contains(&id)))
            {
                kept.records.insert(id, stored.clone());
            }
        }
    }

    /// Fails if the store has lost data since the last lease renewal.
    async fn check_told(&self) -> Result<(), StoreError> {
        let told = self.kept().told.clone();
        let Some(told) = told else { return Ok(()) };
        let now = self.restore.history().await?;
        if now.incarnation.is_none() || now.continues(&told) {
            return Ok(());
        }
        Err(StoreError::Unavailable { source: "the store has lost data since the last lease renewal".into() })
    }

    fn came_to(&self, history: &History) {
        let mut kept = self.kept();
        kept.told = Some(history.clone());
        if kept.history.as_ref().is_none_or(|before| history.continues(before)) {
            kept.end = kept.end.max(history.end);
            kept.history = Some(history.clone());
        }
    }

    /// Returns the records that are missing from the store or have an older revision in the store. Ended processes come
    /// first, then processes that hold a slot, then all other processes.
    async fn lost(&self) -> Result<Vec<StoredProcess>, StoreError> {
        let ids: Vec<ProcessId> = self.kept().records.keys().copied().collect();
        let mut lost = Vec::new();
        for (id, record_position) in ids.iter().zip(self.restore.record_positions(&ids).await?) {
            let there = self.restore_of(*id).await?;
            let mut kept = self.kept();
            let Some(known) = kept.records.get(id).cloned() else { continue };
            match (record_position, there) {
                (RecordPosition::Pruned, _) => {
                    kept.records.remove(id);
                }
                (RecordPosition::Damaged, _) => {}
                (RecordPosition::Missing, _) => lost.push(known),
                (RecordPosition::At(_), Some(there)) if there.process == known.process => {
                    kept.records.insert(*id, there);
                }
                (RecordPosition::At(at), _) if at < known.revision => lost.push(known),
                (RecordPosition::At(_), there) => kept.records.extend(there.map(|there| (*id, there))),
            }
        }
        lost.sort_by_key(|stored| match stored.process.state.slot_state() {
            SlotState::Ended => 0,
            SlotState::Holding => 1,
            SlotState::Waiting | SlotState::Idle => 2,
        });
        Ok(lost)
    }

    async fn restore_of(&self, id: ProcessId) -> Result<Option<StoredProcess>, StoreError> {
        Ok(self.inner.load(&[id]).await?.pop().flatten())
    }
}

impl fmt::Debug for OutboxFake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxFake").field("node", &self.node).finish_non_exhaustive()
    }
}

#[async_trait]
impl ProcessStore for OutboxFake {
    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        let id = new.process.id;
        if new.claim_for.is_some() || new.process.spec.launch_key.is_some() {
            self.check_told().await?;
        }
        let copy = new.clone();
        let answer = match self.asked(self.inner.submit(new)).await {
            Err(away @ StoreError::Unavailable { .. }) => {
                return self.accept_alone(&copy).map(SubmitOutcome::Claimed).ok_or(away);
            }
            answer => answer?,
        };
        if let SubmitOutcome::Waiting(stored) | SubmitOutcome::Claimed(stored) = &answer {
            self.kept().accepted.insert(id);
            self.heard([stored]);
        }
        Ok(answer)
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        self.check_told().await?;
        let claimed = self.asked(self.inner.claim(by, room)).await?;
        self.heard(&claimed);
        Ok(claimed)
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        if let Some(answer) = self.commit_alone(&change) {
            return answer;
        }
        let (next, author, taken) = (change.next.clone(), change.author.clone(), change.taken);
        let revision = self.asked(self.inner.commit(change)).await?;
        let mut kept = self.kept();
        if let Some(known) = kept.records.get_mut(&next.id).filter(|known| known.revision < revision) {
            let holds = next.state.slot_state() == SlotState::Holding;
            known.owner = match author {
                Writer::Owner(lease) if holds => Some(lease),
                Writer::Owner(_) | Writer::Anyone => None,
            };
            known.pending_actions.retain(|(no, _)| *no > taken);
            (known.process, known.revision) = (next, revision);
        }
        Ok(revision)
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        self.asked(self.inner.enqueue_action(id, op, action)).await
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.asked(self.inner.update_live_stats(by, live_stats)).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        let is_local_only = {
            let kept = self.kept();
            ids.iter().any(|id| kept.alone.contains(id))
        };
        if is_local_only {
            return Ok(self.load_cached(ids).await);
        }
        let found = self.asked(self.inner.load(ids)).await?;
        self.heard(found.iter().flatten());
        Ok(found)
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        if filter.ancestor.or(filter.parent).is_some_and(|above| self.kept().alone.contains(&above)) {
            return Ok(Listing { processes: Vec::new(), next: None, damaged: Vec::new() });
        }
        let listing = self.asked(self.inner.list(filter, page)).await?;
        self.heard(&listing.processes);
        Ok(listing)
    }

    async fn is_durable(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
        if self.is_local_only(id) {
            return Ok(true);
        }
        self.asked(self.inner.is_durable(id, attempt)).await
    }

    fn away_since(&self) -> Option<Timestamp> {
        self.kept().away_since
    }

    fn is_local_only(&self, id: &ProcessId) -> bool {
        self.kept().alone.contains(id)
    }

    async fn load_cached(&self, ids: &[ProcessId]) -> Vec<Option<StoredProcess>> {
        let kept = self.kept();
        ids.iter().map(|id| kept.records.get(id).cloned()).collect()
    }

    async fn list_cached(&self, filter: &ProcessFilter, page: &PageRequest) -> Option<Listing> {
        let kept = self.kept();
        let mut processes: Vec<StoredProcess> =
            kept.records.values().filter(|stored| filter.admits(stored)).cloned().collect();
        processes.sort_by_key(|stored| stored.seq);
        if page.order == SortOrder::NewestFirst {
            processes.reverse();
        }
        Some(Listing { processes, next: None, damaged: Vec::new() })
    }
}

#[async_trait]
impl Maintenance for OutboxFake {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        let rows = self.asked(self.inner.claim_due(by, limit)).await?;
        self.heard(&rows);
        Ok(rows)
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let swept = self.asked(self.inner.prune(rule, limit)).await?;
        let mut kept = self.kept();
        swept.ids.iter().for_each(|id| drop(kept.records.remove(id)));
        Ok(swept)
    }

    async fn reconcile(&self, by: &Lease) -> Result<ReconcileResult, StoreError> {
        // The first call shows that the store is reachable. The second one shows whether the store has lost data.
        self.asked(self.inner.end()).await?;
        let history = self.restore.history().await?;
        let mut reconciled = ReconcileResult::default();
        let marks = {
            let kept = self.kept();
            reconciled.went_back = kept.history.as_ref().is_some_and(|before| !history.continues(before));
            HighWaterMarks { end: kept.end, seq: kept.seq, policy: kept.policy.clone() }
        };
        let lost = self.lost().await?;
        if reconciled.went_back || !lost.is_empty() {
            self.restore.advance_marks(&marks).await?;
        }
        let alone = self.kept().alone.clone();
        for (kept, restored) in lost.iter().zip(self.restore.restore(by, &lost).await?) {
            if let RestoreOutcome::Inserted(_) = restored {
                reconciled.restored_records.push(kept.process.id);
            }
            self.kept().alone.remove(&kept.process.id);
            let id = kept.process.id;
            if let Some(there) = self.restore_of(id).await? {
                self.kept().records.insert(id, there);
            }
        }
        reconciled.went_back |= reconciled.restored_records.iter().any(|id| !alone.contains(id));
        self.kept().history = Some(self.restore.history().await?);
        Ok(reconciled)
    }
}

#[async_trait]
impl Queues for OutboxFake {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        let policy = self.asked(self.inner.policy()).await?;
        let mut kept = self.kept();
        if kept.policy.as_ref().is_none_or(|(known, _)| *known <= policy.0) {
            kept.policy = Some(policy.clone());
        }
        Ok(policy)
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let version = self.asked(self.inner.set_policy(expected, policy)).await?;
        self.kept().policy = Some((version, policy.clone()));
        Ok(version)
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        self.asked(self.inner.queues(only)).await
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.asked(self.inner.label_classes()).await
    }
}

#[async_trait]
impl EventLog for OutboxFake {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        self.asked(self.inner.read(after, limit, wait)).await
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        self.asked(self.inner.end()).await
    }
}

#[async_trait]
impl OutputTails for OutboxFake {
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        self.asked(self.inner.store_tail(by, key, tail)).await
    }

    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        self.asked(self.inner.load_tail(id)).await
    }
}

#[async_trait]
impl Membership for OutboxFake {
    fn leases_expire(&self) -> bool {
        self.inner.leases_expire()
    }

    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        self.asked(self.inner.register(me)).await
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let calls = self.asked(self.inner.renew_lease(by)).await?;
        calls.history.iter().for_each(|history| self.came_to(history));
        Ok(calls)
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let calls = self.asked(self.inner.wait_for_updates(by)).await?;
        calls.history.iter().for_each(|history| self.came_to(history));
        Ok(calls)
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.asked(self.inner.leave(by)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        self.asked(self.inner.nodes()).await
    }

    async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        self.asked(self.inner.advertise(by, offer)).await
    }

    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.asked(self.inner.list_nodes()).await
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        self.asked(self.inner.drain(node, drain)).await
    }

    async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        self.asked(self.inner.forget(node)).await
    }
}
