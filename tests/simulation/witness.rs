//! The store that all nodes use, with an oracle that checks every write.

use crate::oracle::Oracle;
use async_trait::async_trait;
use futures_util::FutureExt;
use longhaul_domain::{
    ActionSeq, AttemptNo, Epoch, LiveStats, NodeId, OpId, PendingAction, Policy, PolicyVersion, ProcessId,
    Retention, Revision, SlotKey, SlotState,
};
use longhaul_engine::ports::{
    AttemptKey, Change, ClaimCapacity, EventCursor, EventLog, EventPage, ForgetOutcome, KnownNode, Lease,
    Listing, Maintenance, Membership, NodeAdvertisement, NodeDescriptor, NodeUpdates, OutputTail,
    OutputTails, PageRequest, PlacementClass, Presence, ProcessFilter, ProcessStore, PrunedBatch, QueueState,
    Queues, Store, StoreError, StoredProcess, Submission, SubmitOutcome, Writer,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Promise that the store breaks on purpose, to test whether the oracle detects this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The store ignores the slot limits of concurrency keys.
    ForgetsLimits,
    /// The store changes records without an event.
    ForgetsEvents,
    /// The store acknowledges a submission and loses it.
    LosesLaunches,
    /// The store never notifies a node of a free slot, so that processes keep waiting.
    SwallowsCalls,
    /// The store accepts children of parents that are stopping.
    ForgetsMarks,
    /// The store accepts the writes of a lost node.
    TakesOldLeases,
}

impl Sabotage {
    pub(crate) const ALL: [Self; 5] = [
        Self::ForgetsLimits,
        Self::ForgetsEvents,
        Self::LosesLaunches,
        Self::SwallowsCalls,
        Self::ForgetsMarks,
    ];

    /// Broken promises that are visible only if leases expire.
    pub(crate) const LEASED: [Self; 1] = [Self::TakesOldLeases];

    /// Returns a part of the message with which the oracle reports the broken promise.
    pub(crate) const fn shows(self) -> &'static str {
        match self {
            Self::ForgetsLimits => "is holder",
            Self::ForgetsEvents => "the events lead to",
            Self::LosesLaunches => "was acknowledged and is lost",
            Self::SwallowsCalls => "waits although",
            Self::ForgetsMarks => "while it was closing",
            Self::TakesOldLeases => "under an old lease",
        }
    }
}

/// A store that answers immediately, with an oracle that checks every write. No other step can happen between the write
/// and the check.
#[derive(Clone)]
pub(crate) struct Witness {
    inner: Arc<dyn Store>,
    cursor: Arc<Mutex<Option<EventCursor>>>,
    oracle: Arc<Mutex<Oracle>>,
    newest: Arc<Mutex<BTreeMap<NodeId, Epoch>>>,
    sabotage: Option<Sabotage>,
}

impl Witness {
    pub(crate) fn new(inner: Arc<dyn Store>, oracle: Arc<Mutex<Oracle>>, sabotage: Option<Sabotage>) -> Self {
        Self { inner, cursor: Arc::default(), oracle, newest: Arc::default(), sabotage }
    }

    /// Returns the record of a process. Injected faults do not affect this call.
    pub(crate) fn present(&self, id: ProcessId) -> Option<StoredProcess> {
        now(self.inner.load(&[id]))?.ok()?.pop().flatten()
    }

    /// Returns the queues. Injected faults do not affect this call.
    pub(crate) fn lines(&self) -> Vec<QueueState> {
        now(self.inner.queues(None)).and_then(Result::ok).unwrap_or_default()
    }

    fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Ok(page)) = now(self.inner.read(*cursor, u32::MAX, false)) else { return };
        let mut oracle = self.oracle();
        let mut touched = BTreeSet::new();
        for logged in &page.events {
            *cursor = Some(logged.cursor);
            oracle.happened(logged);
            touched.insert(logged.id);
        }
        for id in touched {
            if let Some(stored) = self.present(id) {
                oracle.compare(&stored);
            }
        }
    }

    /// Returns true if the lease that the writer used is no longer valid for its node.
    fn is_stale(&self, author: &Writer) -> bool {
        let Writer::Owner(lease) = author else { return false };
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = now(self.inner.list_nodes()).and_then(Result::ok).unwrap_or_default();
        let mut mine = known.iter().filter(|node| node.facts.id == lease.node);
        newest.get(&lease.node) != Some(&lease.epoch)
            || mine.any(|node| matches!(node.presence, Presence::Lost { .. }))
    }

    fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    /// Submits a process as if it had no ancestors, so that the store cannot check them.
    async fn orphaned(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        let mut without = new.clone();
        let lineage = std::mem::take(&mut without.process.lineage);
        without.claim_for = None;
        let SubmitOutcome::Waiting(mut stored) = self.inner.submit(without).await? else {
            return self.inner.submit(new).await;
        };
        stored.process.lineage = lineage;
        Ok(SubmitOutcome::Waiting(stored))
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}

/// Returns the result of a store call. Such a call never waits in the simulation.
fn now<T>(answer: impl Future<Output = T>) -> Option<T> {
    answer.now_or_never()
}

#[async_trait]
impl ProcessStore for Witness {
    async fn submit(&self, mut new: Submission) -> Result<SubmitOutcome, StoreError> {
        let asked = new.clone();
        if self.is(Sabotage::ForgetsLimits) {
            new.limits.slots = None;
        }
        let answer = if self.is(Sabotage::ForgetsMarks) && !new.process.lineage.ancestors.is_empty() {
            self.orphaned(new).await
        } else if self.is(Sabotage::LosesLaunches) && new.process.lineage.ancestors.is_empty() {
            let stored = StoredProcess {
                process: new.process,
                revision: Revision(1),
                seq: longhaul_domain::Seq(1),
                owner: None,
                pending_actions: Vec::new(),
                live_stats: LiveStats::default(),
            };
            return Ok(SubmitOutcome::Waiting(stored));
        } else {
            self.inner.submit(new).await
        };
        match &answer {
            Ok(SubmitOutcome::Waiting(stored) | SubmitOutcome::Claimed(stored)) => {
                self.oracle().accepted(&asked, stored);
            }
            Ok(SubmitOutcome::Existing { .. }) | Err(_) => {}
        }
        self.look();
        answer
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let answer = self.inner.claim(by, room).await;
        if let Ok(given) = &answer {
            self.oracle().claimed(&by.node, room, given);
        }
        self.look();
        answer
    }

    async fn commit(&self, mut change: Change) -> Result<Revision, StoreError> {
        let id = change.next.id;
        let author = change.author.clone();
        if self.is(Sabotage::ForgetsEvents) {
            change.events.clear();
        }
        let is_stale = self.is_stale(&author);
        if is_stale
            && self.is(Sabotage::TakesOldLeases)
            && let Some(stored) = self.present(id)
        {
            (change.author, change.expected) =
                (stored.owner.map_or(Writer::Anyone, Writer::Owner), stored.revision);
        }
        let answer = self.inner.commit(change).await;
        if is_stale && answer.is_ok() {
            self.oracle().violated(format_args!("a write under an old lease counted: {author:?}"));
        }
        self.look();
        if let (Ok(_), Some(stored)) = (&answer, self.present(id)) {
            self.oracle().compare(&stored);
        }
        answer
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        wish: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        self.inner.enqueue_action(id, op, wish).await
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.inner.update_live_stats(by, live_stats).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        self.inner.load(ids).await
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        self.inner.list(filter, page).await
    }
}

#[async_trait]
impl Maintenance for Witness {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        let answer = self.inner.claim_due(by, limit).await;
        let known: Vec<ProcessId> = self.oracle().lives.keys().copied().collect();
        let there = now(self.inner.load(&known)).and_then(Result::ok).unwrap_or_default();
        for stored in there.into_iter().flatten() {
            self.oracle().owned(stored.process.id, stored.owner.as_ref().map(|owner| &owner.node));
        }
        answer
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let answer = self.inner.prune(rule, limit).await;
        if let Ok(swept) = &answer {
            self.oracle().swept(&swept.ids);
        }
        answer
    }
}

#[async_trait]
impl Queues for Witness {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        self.inner.policy().await
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let kept = if self.is(Sabotage::ForgetsLimits) {
            Policy { slots: std::collections::BTreeMap::new(), default_slots: 0, ..policy.clone() }
        } else {
            policy.clone()
        };
        let answer = self.inner.set_policy(expected, &kept).await;
        if answer.is_ok() {
            let mut oracle = self.oracle();
            oracle.policy = policy.clone();
            oracle.note(format_args!("policy {policy:?}"));
        }
        answer
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        self.inner.queues(only).await
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.inner.label_classes().await
    }
}

#[async_trait]
impl EventLog for Witness {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        self.inner.read(after, limit, wait).await
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        self.inner.end().await
    }
}

#[async_trait]
impl OutputTails for Witness {
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        self.inner.store_tail(by, key, tail).await
    }

    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        self.inner.load_tail(id).await
    }
}

#[async_trait]
impl Membership for Witness {
    fn leases_expire(&self) -> bool {
        self.inner.leases_expire()
    }

    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        let lease = self.inner.register(me).await?;
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = newest.insert(lease.node.clone(), lease.epoch);
        if before.is_some_and(|before| before >= lease.epoch) {
            self.oracle().violated(format_args!("{lease:?} is not newer than {before:?}"));
        }
        Ok(lease)
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        self.inner.renew_lease(by).await
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        loop {
            let calls = self.inner.wait_for_updates(by).await?;
            if !self.is(Sabotage::SwallowsCalls) || self.has_nothing_for(&calls) {
                return Ok(calls);
            }
        }
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.inner.leave(by).await
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        self.inner.nodes().await
    }

    async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        self.inner.advertise(by, offer).await
    }

    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.inner.list_nodes().await
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        self.inner.drain(node, drain).await
    }

    async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        self.inner.forget(node).await
    }
}

impl Witness {
    /// Returns true if these updates must reach the node: they contain an action, or no process waits for a slot.
    fn has_nothing_for(&self, calls: &NodeUpdates) -> bool {
        let waits = self.oracle().lives.values().any(|life| life.standing() == SlotState::Waiting);
        !calls.pending_actions.is_empty() || !waits
    }
}
