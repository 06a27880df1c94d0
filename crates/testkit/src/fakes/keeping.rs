//! A store of many machines, with what one node keeps of its own work, in memory.

use async_trait::async_trait;
use longhaul_domain::{
    AttemptNo, NodeId, OpId, Policy, PolicyVersion, ProcessId, Retention, Revision, Seq, SlotKey, Standing,
    Timestamp, Vitals, Wish, WishNo,
};
use longhaul_ports::{
    AttemptKey, Author, Calls, Change, Clock, Cursor, EventLog, EventPage, Filter, Footing, History,
    KeptTail, KnownNode, Lease, Listing, Marks, Membership, NodeFacts, NodeOffer, Order, PageAsk, Parting,
    PlacementClass, ProcessStore, QueueView, Queues, Reconciled, Restore, Restored, Room, Store, StoreError,
    Stored, Submission, Submitted, Swept, Tails, Upkeep,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store of many machines, with what one node keeps of its own work. Clones are the same.
#[derive(Clone)]
pub struct KeepingStore {
    inner: Arc<dyn Store>,
    restore: Arc<dyn Restore>,
    clock: Arc<dyn Clock>,
    node: NodeId,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// What this node was asked for.
    accepted: BTreeSet<ProcessId>,
    records: BTreeMap<ProcessId, Stored>,
    history: Option<History>,
    /// How far the store had come by its latest answer to a sign of life.
    told: Option<History>,
    end: Cursor,
    seq: Seq,
    policy: Option<(PolicyVersion, Policy)>,
    away_since: Option<Timestamp>,
    accepts_alone: bool,
    /// What this node accepted while the store was away, and has not given to it.
    alone: BTreeSet<ProcessId>,
    accepted_alone: u64,
}

impl KeepingStore {
    /// Keeps what `inner` says of the work of this node, and gives it back through `restore`, which reaches the same
    /// store whenever `inner` does.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Store>,
        restore: Arc<dyn Restore>,
        clock: Arc<dyn Clock>,
        node: NodeId,
    ) -> Self {
        Self { inner, restore, clock, node, kept: Arc::default() }
    }

    /// The same, accepting by itself what concerns nobody else while the store is away.
    #[must_use]
    pub fn accepting_alone(self) -> Self {
        self.kept().accepts_alone = true;
        self
    }

    /// How many launches it accepted by itself.
    #[must_use]
    pub fn accepted_alone(&self) -> u64 {
        self.kept().accepted_alone
    }

    /// What this node accepts without the store, under its lease and in a free place.
    fn accept_alone(&self, new: &Submission) -> Option<Stored> {
        let claimant = new.claim_for.as_ref().filter(|_| new.is_nobody_elses())?;
        let mut kept = self.kept();
        let is_held = |stored: &&Stored| stored.owner.is_some() && !stored.process.status().is_ended();
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
        if known.process.state.standing() != Standing::Holding {
            known.owner = None;
        }
        Some(Ok(known.revision))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn asked<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let answer = question.await;
        let away = matches!(answer, Err(StoreError::Unavailable { .. } | StoreError::Unknown { .. }));
        let mut kept = self.kept();
        kept.away_since = if away { kept.away_since.or_else(|| Some(self.clock.now())) } else { None };
        answer
    }

    fn heard<'a>(&self, told: impl IntoIterator<Item = &'a Stored>) {
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

    /// Refuses to take anything from a store that lost something since the last sign of life.
    async fn check_told(&self) -> Result<(), StoreError> {
        let told = self.kept().told.clone();
        let Some(told) = told else { return Ok(()) };
        let now = self.restore.history().await?;
        if now.founding.is_none() || now.continues(&told) {
            return Ok(());
        }
        Err(StoreError::Unavailable { source: "the store lost something since the last sign of life".into() })
    }

    fn came_to(&self, history: &History) {
        let mut kept = self.kept();
        kept.told = Some(history.clone());
        if kept.history.as_ref().is_none_or(|before| history.continues(before)) {
            kept.end = kept.end.max(history.end);
            kept.history = Some(history.clone());
        }
    }

    /// Those that the store has not, or not as far: ends first, then what lives, then what waits.
    async fn lost(&self) -> Result<Vec<Stored>, StoreError> {
        let ids: Vec<ProcessId> = self.kept().records.keys().copied().collect();
        let mut lost = Vec::new();
        for (id, footing) in ids.iter().zip(self.restore.footings(&ids).await?) {
            let there = self.restore_of(*id).await?;
            let mut kept = self.kept();
            let Some(known) = kept.records.get(id).cloned() else { continue };
            match (footing, there) {
                (Footing::Swept, _) => {
                    kept.records.remove(id);
                }
                (Footing::Damaged, _) => {}
                (Footing::Missing, _) => lost.push(known),
                (Footing::At(_), Some(there)) if there.process == known.process => {
                    kept.records.insert(*id, there);
                }
                (Footing::At(at), _) if at < known.revision => lost.push(known),
                (Footing::At(_), there) => kept.records.extend(there.map(|there| (*id, there))),
            }
        }
        lost.sort_by_key(|stored| match stored.process.state.standing() {
            Standing::Ended => 0,
            Standing::Holding => 1,
            Standing::Waiting | Standing::Idle => 2,
        });
        Ok(lost)
    }

    async fn restore_of(&self, id: ProcessId) -> Result<Option<Stored>, StoreError> {
        Ok(self.inner.load(&[id]).await?.pop().flatten())
    }
}

impl fmt::Debug for KeepingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepingStore").field("node", &self.node).finish_non_exhaustive()
    }
}

#[async_trait]
impl ProcessStore for KeepingStore {
    async fn submit(&self, new: Submission) -> Result<Submitted, StoreError> {
        let id = new.process.id;
        if new.claim_for.is_some() || new.process.spec.launch_key.is_some() {
            self.check_told().await?;
        }
        let copy = new.clone();
        let answer = match self.asked(self.inner.submit(new)).await {
            Err(away @ StoreError::Unavailable { .. }) => {
                return self.accept_alone(&copy).map(Submitted::Claimed).ok_or(away);
            }
            answer => answer?,
        };
        if let Submitted::Waiting(stored) | Submitted::Claimed(stored) = &answer {
            self.kept().accepted.insert(id);
            self.heard([stored]);
        }
        Ok(answer)
    }

    async fn claim(&self, by: &Lease, room: &Room) -> Result<Vec<Stored>, StoreError> {
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
            let holds = next.state.standing() == Standing::Holding;
            known.owner = match author {
                Author::Owner(lease) if holds => Some(lease),
                Author::Owner(_) | Author::Anyone => None,
            };
            known.wishes.retain(|(no, _)| *no > taken);
            (known.process, known.revision) = (next, revision);
        }
        Ok(revision)
    }

    async fn wish(&self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        self.asked(self.inner.wish(id, op, wish)).await
    }

    async fn touch(
        &self,
        by: &Author,
        vitals: &[(ProcessId, AttemptNo, Vitals)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.asked(self.inner.touch(by, vitals)).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<Stored>>, StoreError> {
        let is_alone = {
            let kept = self.kept();
            ids.iter().any(|id| kept.alone.contains(id))
        };
        if is_alone {
            return Ok(self.recall(ids).await);
        }
        let found = self.asked(self.inner.load(ids)).await?;
        self.heard(found.iter().flatten());
        Ok(found)
    }

    async fn list(&self, filter: &Filter, page: &PageAsk) -> Result<Listing, StoreError> {
        if filter.ancestor.or(filter.parent).is_some_and(|above| self.kept().alone.contains(&above)) {
            return Ok(Listing { processes: Vec::new(), next: None, damaged: Vec::new() });
        }
        let listing = self.asked(self.inner.list(filter, page)).await?;
        self.heard(&listing.processes);
        Ok(listing)
    }

    async fn is_kept(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
        if self.is_alone(id) {
            return Ok(true);
        }
        self.asked(self.inner.is_kept(id, attempt)).await
    }

    fn away_since(&self) -> Option<Timestamp> {
        self.kept().away_since
    }

    fn is_alone(&self, id: &ProcessId) -> bool {
        self.kept().alone.contains(id)
    }

    async fn recall(&self, ids: &[ProcessId]) -> Vec<Option<Stored>> {
        let kept = self.kept();
        ids.iter().map(|id| kept.records.get(id).cloned()).collect()
    }

    async fn recall_page(&self, filter: &Filter, page: &PageAsk) -> Option<Listing> {
        let kept = self.kept();
        let mut processes: Vec<Stored> =
            kept.records.values().filter(|stored| filter.admits(stored)).cloned().collect();
        processes.sort_by_key(|stored| stored.seq);
        if page.order == Order::NewestFirst {
            processes.reverse();
        }
        Some(Listing { processes, next: None, damaged: Vec::new() })
    }
}

#[async_trait]
impl Upkeep for KeepingStore {
    async fn attention(&self, by: &Lease, most: u32) -> Result<Vec<Stored>, StoreError> {
        let rows = self.asked(self.inner.attention(by, most)).await?;
        self.heard(&rows);
        Ok(rows)
    }

    async fn sweep(&self, rule: &Retention, most: u32) -> Result<Swept, StoreError> {
        let swept = self.asked(self.inner.sweep(rule, most)).await?;
        let mut kept = self.kept();
        swept.ids.iter().for_each(|id| drop(kept.records.remove(id)));
        Ok(swept)
    }

    async fn reconcile(&self, by: &Lease) -> Result<Reconciled, StoreError> {
        // Whether the store can be reached is told by the one, what it lost by the other.
        self.asked(self.inner.end()).await?;
        let history = self.restore.history().await?;
        let mut reconciled = Reconciled::default();
        let marks = {
            let kept = self.kept();
            reconciled.went_back = kept.history.as_ref().is_some_and(|before| !history.continues(before));
            Marks { end: kept.end, seq: kept.seq, policy: kept.policy.clone() }
        };
        let lost = self.lost().await?;
        if reconciled.went_back || !lost.is_empty() {
            self.restore.raise(&marks).await?;
        }
        let alone = self.kept().alone.clone();
        for (kept, restored) in lost.iter().zip(self.restore.restore(by, &lost).await?) {
            if let Restored::Given(_) = restored {
                reconciled.given_back.push(kept.process.id);
            }
            self.kept().alone.remove(&kept.process.id);
            let id = kept.process.id;
            if let Some(there) = self.restore_of(id).await? {
                self.kept().records.insert(id, there);
            }
        }
        reconciled.went_back |= reconciled.given_back.iter().any(|id| !alone.contains(id));
        self.kept().history = Some(self.restore.history().await?);
        Ok(reconciled)
    }
}

#[async_trait]
impl Queues for KeepingStore {
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

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueView>, StoreError> {
        self.asked(self.inner.queues(only)).await
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.asked(self.inner.label_classes()).await
    }
}

#[async_trait]
impl EventLog for KeepingStore {
    async fn read(&self, after: Option<Cursor>, most: u32, wait: bool) -> Result<EventPage, StoreError> {
        self.asked(self.inner.read(after, most, wait)).await
    }

    async fn end(&self) -> Result<Cursor, StoreError> {
        self.asked(self.inner.end()).await
    }
}

#[async_trait]
impl Tails for KeepingStore {
    async fn keep_tail(&self, by: &Lease, key: AttemptKey, tail: &KeptTail) -> Result<bool, StoreError> {
        self.asked(self.inner.keep_tail(by, key, tail)).await
    }

    async fn kept_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, KeptTail)>, StoreError> {
        self.asked(self.inner.kept_tail(id)).await
    }
}

#[async_trait]
impl Membership for KeepingStore {
    fn leases_end(&self) -> bool {
        self.inner.leases_end()
    }

    async fn register(&self, me: &NodeFacts) -> Result<Lease, StoreError> {
        self.asked(self.inner.register(me)).await
    }

    async fn beat(&self, by: &Lease) -> Result<Calls, StoreError> {
        let calls = self.asked(self.inner.beat(by)).await?;
        calls.history.iter().for_each(|history| self.came_to(history));
        Ok(calls)
    }

    async fn called(&self, by: &Lease) -> Result<Calls, StoreError> {
        let calls = self.asked(self.inner.called(by)).await?;
        calls.history.iter().for_each(|history| self.came_to(history));
        Ok(calls)
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.asked(self.inner.leave(by)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeFacts>, StoreError> {
        self.asked(self.inner.nodes()).await
    }

    async fn announce(&self, by: &Lease, offer: &NodeOffer) -> Result<(), StoreError> {
        self.asked(self.inner.announce(by, offer)).await
    }

    async fn known_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.asked(self.inner.known_nodes()).await
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        self.asked(self.inner.drain(node, drain)).await
    }

    async fn forget(&self, node: &NodeId) -> Result<Parting, StoreError> {
        self.asked(self.inner.forget(node)).await
    }
}
