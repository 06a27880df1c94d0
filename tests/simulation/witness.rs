//! The store of all nodes, with an oracle that looks at every write.

use crate::oracle::Oracle;
use async_trait::async_trait;
use futures_util::FutureExt;
use longhaul_domain::{
    AttemptNo, Epoch, NodeId, OpId, Policy, PolicyVersion, ProcessId, Retention, Revision, SlotKey, Standing,
    Vitals, Wish, WishNo,
};
use longhaul_engine::ports::{
    AttemptKey, Author, Calls, Change, Cursor, EventLog, EventPage, Filter, KeptTail, KnownNode, Lease,
    Listing, Membership, NodeFacts, NodeOffer, PageAsk, Parting, PlacementClass, Presence, ProcessStore,
    QueueView, Queues, Room, Store, StoreError, Stored, Submission, Submitted, Swept, Tails, Upkeep,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A promise that the store breaks, to see whether the oracle sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// It forgets the limits of its keys.
    ForgetsLimits,
    /// It changes records and keeps no event of it.
    ForgetsEvents,
    /// It answers a submission and forgets it.
    LosesLaunches,
    /// It never calls anybody for freed slots: what waits goes on waiting.
    SwallowsCalls,
    /// It takes children under parents that are closing.
    ForgetsMarks,
    /// It takes what a lost node writes, whatever became of the record meanwhile.
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

    /// Those that show only where leases end.
    pub(crate) const LEASED: [Self; 1] = [Self::TakesOldLeases];

    /// What the oracle says about it.
    pub(crate) const fn shows(self) -> &'static str {
        match self {
            Self::ForgetsLimits => "is holder",
            Self::ForgetsEvents => "the events tell",
            Self::LosesLaunches => "was acknowledged and is lost",
            Self::SwallowsCalls => "waits although",
            Self::ForgetsMarks => "while it was closing",
            Self::TakesOldLeases => "under an old lease",
        }
    }
}

/// A store that answers at once, with an oracle that looks at every write. Nothing can happen between the write and the look.
#[derive(Clone)]
pub(crate) struct Witness {
    inner: Arc<dyn Store>,
    cursor: Arc<Mutex<Option<Cursor>>>,
    oracle: Arc<Mutex<Oracle>>,
    newest: Arc<Mutex<BTreeMap<NodeId, Epoch>>>,
    sabotage: Option<Sabotage>,
}

impl Witness {
    pub(crate) fn new(inner: Arc<dyn Store>, oracle: Arc<Mutex<Oracle>>, sabotage: Option<Sabotage>) -> Self {
        Self { inner, cursor: Arc::default(), oracle, newest: Arc::default(), sabotage }
    }

    /// The records, without any fault.
    pub(crate) fn present(&self, id: ProcessId) -> Option<Stored> {
        now(self.inner.load(&[id]))?.ok()?.pop().flatten()
    }

    /// Who holds and who waits, without any fault.
    pub(crate) fn lines(&self) -> Vec<QueueView> {
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

    /// Whether whoever writes so does it under a lease that its node has lost.
    fn is_stale(&self, author: &Author) -> bool {
        let Author::Owner(lease) = author else { return false };
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = now(self.inner.known_nodes()).and_then(Result::ok).unwrap_or_default();
        let mut mine = known.iter().filter(|node| node.facts.id == lease.node);
        newest.get(&lease.node) != Some(&lease.epoch)
            || mine.any(|node| matches!(node.presence, Presence::Lost { .. }))
    }

    fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    /// A submission whose ancestors the store no longer sees.
    async fn orphaned(&self, new: Submission) -> Result<Submitted, StoreError> {
        let mut without = new.clone();
        let lineage = std::mem::take(&mut without.process.lineage);
        without.claim_for = None;
        let Submitted::Waiting(mut stored) = self.inner.submit(without).await? else {
            return self.inner.submit(new).await;
        };
        stored.process.lineage = lineage;
        Ok(Submitted::Waiting(stored))
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}

/// The store never parks in these calls.
fn now<T>(answer: impl Future<Output = T>) -> Option<T> {
    answer.now_or_never()
}

#[async_trait]
impl ProcessStore for Witness {
    async fn submit(&self, mut new: Submission) -> Result<Submitted, StoreError> {
        let asked = new.clone();
        if self.is(Sabotage::ForgetsLimits) {
            new.limits.slots = None;
        }
        let answer = if self.is(Sabotage::ForgetsMarks) && !new.process.lineage.ancestors.is_empty() {
            self.orphaned(new).await
        } else if self.is(Sabotage::LosesLaunches) && new.process.lineage.ancestors.is_empty() {
            let stored = Stored {
                process: new.process,
                revision: Revision(1),
                seq: longhaul_domain::Seq(1),
                owner: None,
                wishes: Vec::new(),
                vitals: Vitals::default(),
            };
            return Ok(Submitted::Waiting(stored));
        } else {
            self.inner.submit(new).await
        };
        match &answer {
            Ok(Submitted::Waiting(stored) | Submitted::Claimed(stored)) => {
                self.oracle().accepted(&asked, stored);
            }
            Ok(Submitted::Existing { .. }) | Err(_) => {}
        }
        self.look();
        answer
    }

    async fn claim(&self, by: &Lease, room: &Room) -> Result<Vec<Stored>, StoreError> {
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
                (stored.owner.map_or(Author::Anyone, Author::Owner), stored.revision);
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

    async fn wish(&self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        self.inner.wish(id, op, wish).await
    }

    async fn touch(
        &self,
        by: &Author,
        vitals: &[(ProcessId, AttemptNo, Vitals)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.inner.touch(by, vitals).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.inner.load(ids).await
    }

    async fn list(&self, filter: &Filter, page: &PageAsk) -> Result<Listing, StoreError> {
        self.inner.list(filter, page).await
    }
}

#[async_trait]
impl Upkeep for Witness {
    async fn attention(&self, by: &Lease, most: u32) -> Result<Vec<Stored>, StoreError> {
        let answer = self.inner.attention(by, most).await;
        let known: Vec<ProcessId> = self.oracle().lives.keys().copied().collect();
        let there = now(self.inner.load(&known)).and_then(Result::ok).unwrap_or_default();
        for stored in there.into_iter().flatten() {
            self.oracle().owned(stored.process.id, stored.owner.as_ref().map(|owner| &owner.node));
        }
        answer
    }

    async fn sweep(&self, rule: &Retention, most: u32) -> Result<Swept, StoreError> {
        let answer = self.inner.sweep(rule, most).await;
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

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueView>, StoreError> {
        self.inner.queues(only).await
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.inner.label_classes().await
    }
}

#[async_trait]
impl EventLog for Witness {
    async fn read(&self, after: Option<Cursor>, most: u32, wait: bool) -> Result<EventPage, StoreError> {
        self.inner.read(after, most, wait).await
    }

    async fn end(&self) -> Result<Cursor, StoreError> {
        self.inner.end().await
    }
}

#[async_trait]
impl Tails for Witness {
    async fn keep_tail(&self, by: &Lease, key: AttemptKey, tail: &KeptTail) -> Result<bool, StoreError> {
        self.inner.keep_tail(by, key, tail).await
    }

    async fn kept_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, KeptTail)>, StoreError> {
        self.inner.kept_tail(id).await
    }
}

#[async_trait]
impl Membership for Witness {
    fn leases_end(&self) -> bool {
        self.inner.leases_end()
    }

    async fn register(&self, me: &NodeFacts) -> Result<Lease, StoreError> {
        let lease = self.inner.register(me).await?;
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = newest.insert(lease.node.clone(), lease.epoch);
        if before.is_some_and(|before| before >= lease.epoch) {
            self.oracle().violated(format_args!("{lease:?} is not newer than {before:?}"));
        }
        Ok(lease)
    }

    async fn beat(&self, by: &Lease) -> Result<Calls, StoreError> {
        self.inner.beat(by).await
    }

    async fn called(&self, by: &Lease) -> Result<Calls, StoreError> {
        loop {
            let calls = self.inner.called(by).await?;
            if !self.is(Sabotage::SwallowsCalls) || self.has_nothing_for(&calls) {
                return Ok(calls);
            }
        }
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.inner.leave(by).await
    }

    async fn nodes(&self) -> Result<Vec<NodeFacts>, StoreError> {
        self.inner.nodes().await
    }

    async fn announce(&self, by: &Lease, offer: &NodeOffer) -> Result<(), StoreError> {
        self.inner.announce(by, offer).await
    }

    async fn known_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.inner.known_nodes().await
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        self.inner.drain(node, drain).await
    }

    async fn forget(&self, node: &NodeId) -> Result<Parting, StoreError> {
        self.inner.forget(node).await
    }
}

impl Witness {
    /// Calls that are no mere news of a slot or a waiter.
    fn has_nothing_for(&self, calls: &Calls) -> bool {
        let waits = self.oracle().lives.values().any(|life| life.standing() == Standing::Waiting);
        !calls.wishes.is_empty() || !waits
    }
}
