//! The store in memory: the reference for what every store does.
//!
//! One lock around plain ordered maps: the records, and an index over them that follows from the records alone. It is not
//! durable beyond the process that holds it.

mod claim;
mod index;
mod label;
mod leases;
pub(crate) mod ledger;
mod look;
pub(crate) mod news;
mod restore;
mod rows;
mod submit;
mod tails;
mod upkeep;
mod write;

use async_trait::async_trait;
use leases::Leases;
use ledger::Ledger;
use longhaul_domain::{
    AttemptNo, NodeId, OpId, Policy, PolicyVersion, ProcessId, Retention, Revision, SlotKey, Timestamp,
    Vitals, Wish, WishNo,
};
use longhaul_ports::{
    AttemptKey, Author, Calls, Change, Clock, Cursor, EventLog, EventPage, Filter, Footing, History,
    KeptTail, KnownNode, Lease, Listing, Marks, Membership, NodeFacts, NodeOffer, PageAsk, Parting,
    PlacementClass, ProcessStore, QueueView, Queues, Restore, Restored, Room, StoreError, Stored, Submission,
    Submitted, Swept, Tails, Upkeep,
};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The store in memory. Clones are the same store, so that an engine can be dropped and another one opened on it.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    ledger: Arc<Mutex<Ledger>>,
    changed: Arc<Notify>,
}

/// All that was in a store in memory once.
#[derive(Clone, Debug)]
pub struct Snapshot(Ledger);

impl MemoryStore {
    /// An empty store that takes its time from this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, ledger: Arc::default(), changed: Arc::default() }
    }

    /// The same with leases that end: each sign of life makes one last for `lease`, and what a node owned is taken from
    /// it when `grace` is over too.
    #[must_use]
    pub fn with_leases(self, lease: Duration, grace: Duration) -> Self {
        self.write(|ledger, _| ledger.leases = Leases::ending(lease, grace));
        self
    }

    /// Loses everything, as a server does that is emptied.
    pub fn lose_everything(&self) {
        self.write(|ledger, now| ledger.forget_everything(now));
    }

    /// All that is here now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.look(Clone::clone))
    }

    /// Stands as it stood once, as a server does that was restored from a dump.
    pub fn go_back(&self, to: &Snapshot) {
        self.write(|ledger, now| ledger.go_back(now, to.0.clone()));
    }

    fn look<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every write wakes those who park here; they look whether it concerns them.
    fn write<T>(&self, write: impl FnOnce(&mut Ledger, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let due = ledger.rows.index().first_due();
        let answer = write(&mut ledger, now);
        if ledger.rows.index().first_due().is_some_and(|next| due.is_none_or(|due| next < due)) {
            ledger.news.for_all();
        }
        drop(ledger);
        self.changed.notify_waiters();
        answer
    }

    /// Parks until `look` has an answer.
    async fn parked<T>(&self, mut look: impl FnMut(&mut Ledger) -> Option<T> + Send) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(answer) = look(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner)) {
                return answer;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("records", &self.look(|ledger| ledger.rows.len()))
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ProcessStore for MemoryStore {
    async fn submit(&self, new: Submission) -> Result<Submitted, StoreError> {
        self.write(|ledger, now| ledger.submit(now, new))
    }

    async fn claim(&self, by: &Lease, room: &Room) -> Result<Vec<Stored>, StoreError> {
        self.write(|ledger, now| ledger.claim(now, by, room))
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.write(|ledger, _| ledger.commit(change))
    }

    async fn wish(&self, id: &ProcessId, op: OpId, wish: Wish) -> Result<WishNo, StoreError> {
        self.write(|ledger, _| ledger.wish(id, op, wish))
    }

    async fn touch(
        &self,
        by: &Author,
        vitals: &[(ProcessId, AttemptNo, Vitals)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        Ok(self.write(|ledger, _| {
            vitals.iter().map(|(id, attempt, vitals)| ledger.touch(by, *id, *attempt, vitals)).collect()
        }))
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<Stored>>, StoreError> {
        Ok(self.look(|ledger| ids.iter().map(|id| ledger.stored(id).cloned()).collect()))
    }

    async fn list(&self, filter: &Filter, page: &PageAsk) -> Result<Listing, StoreError> {
        Ok(self.look(|ledger| ledger.list(filter, page)))
    }
}

#[async_trait]
impl Upkeep for MemoryStore {
    async fn attention(&self, by: &Lease, most: u32) -> Result<Vec<Stored>, StoreError> {
        self.write(|ledger, now| ledger.attention(now, by, most))
    }

    async fn sweep(&self, rule: &Retention, most: u32) -> Result<Swept, StoreError> {
        Ok(self.write(|ledger, now| ledger.sweep(now, rule, most)))
    }
}

#[async_trait]
impl Queues for MemoryStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        Ok(self.look(|ledger| ledger.policy.clone()))
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        self.write(|ledger, _| ledger.set_policy(expected, policy))
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueView>, StoreError> {
        Ok(self.look(|ledger| ledger.queues(only)))
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        Ok(self.look(Ledger::label_classes))
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn read(&self, after: Option<Cursor>, most: u32, wait: bool) -> Result<EventPage, StoreError> {
        if !wait {
            return Ok(self.look(|ledger| ledger.events(after, most)));
        }
        let page =
            |ledger: &mut Ledger| Some(ledger.events(after, most)).filter(|page| !page.events.is_empty());
        Ok(self.parked(page).await)
    }

    async fn end(&self) -> Result<Cursor, StoreError> {
        Ok(self.look(Ledger::end))
    }
}

#[async_trait]
impl Tails for MemoryStore {
    async fn keep_tail(&self, by: &Lease, key: AttemptKey, tail: &KeptTail) -> Result<bool, StoreError> {
        self.write(|ledger, _| ledger.keep_tail(by, key, tail))
    }

    async fn kept_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, KeptTail)>, StoreError> {
        Ok(self.look(|ledger| ledger.tails.get(&id).cloned()))
    }
}

#[async_trait]
impl Membership for MemoryStore {
    fn leases_end(&self) -> bool {
        self.look(|ledger| ledger.leases.end())
    }

    async fn register(&self, me: &NodeFacts) -> Result<Lease, StoreError> {
        self.write(|ledger, now| ledger.register(now, me))
    }

    async fn beat(&self, by: &Lease) -> Result<Calls, StoreError> {
        let now = self.clock.now();
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.beaten(now, by)?;
        Ok(ledger.calls(now, by))
    }

    async fn called(&self, by: &Lease) -> Result<Calls, StoreError> {
        let calls = |ledger: &mut Ledger| {
            if let Err(fenced) = ledger.check(by) {
                return Some(Err(fenced));
            }
            let news = ledger.news.take(&by.node);
            news.then(|| Ok(ledger.calls(self.clock.now(), by)))
        };
        self.parked(calls).await
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.write(|ledger, _| ledger.leave(by));
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeFacts>, StoreError> {
        Ok(self.look(|ledger| ledger.members().cloned().collect()))
    }

    async fn announce(&self, by: &Lease, offer: &NodeOffer) -> Result<(), StoreError> {
        self.write(|ledger, _| ledger.announce(by, offer))
    }

    async fn known_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        let now = self.clock.now();
        Ok(self.look(|ledger| ledger.known_nodes(now)))
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        Ok(self.write(|ledger, _| ledger.drain(node, drain)))
    }

    async fn forget(&self, node: &NodeId) -> Result<Parting, StoreError> {
        Ok(self.write(|ledger, now| ledger.forget(now, node)))
    }
}

#[async_trait]
impl Restore for MemoryStore {
    async fn history(&self) -> Result<History, StoreError> {
        Ok(self.look(Ledger::history))
    }

    async fn footings(&self, ids: &[ProcessId]) -> Result<Vec<Footing>, StoreError> {
        Ok(self.look(|ledger| ids.iter().map(|id| ledger.footing(id)).collect()))
    }

    async fn raise(&self, marks: &Marks) -> Result<(), StoreError> {
        self.write(|ledger, _| ledger.raise(marks));
        Ok(())
    }

    async fn restore(&self, by: &Lease, kept: &[Stored]) -> Result<Vec<Restored>, StoreError> {
        self.write(|ledger, now| ledger.restore(now, by, kept))
    }
}

#[cfg(test)]
mod tests;
