//! In-memory store: the reference for the behaviour of every store.
//!
//! One lock protects plain ordered maps: the records, and an index that is derived from the records alone. The data is
//! lost when the program exits.

mod claim;
mod index;
mod label;
mod leases;
mod maintenance;
mod output_tails;
mod query;
mod restore;
mod rows;
pub(crate) mod state;
mod submit;
pub(crate) mod updates;
mod write;

use async_trait::async_trait;
use leases::Leases;
use longhaul_domain::{
    ActionSeq, AttemptNo, LiveStats, NodeId, OpId, PendingAction, Policy, PolicyVersion, ProcessId,
    Retention, Revision, SlotKey, Timestamp,
};
use longhaul_ports::{
    AttemptKey, Change, ClaimCapacity, Clock, EventCursor, EventLog, EventPage, ForgetOutcome,
    HighWaterMarks, History, KnownNode, Lease, Listing, Maintenance, Membership, NodeAdvertisement,
    NodeDescriptor, NodeUpdates, OutputTail, OutputTails, PageRequest, PlacementClass, ProcessFilter,
    ProcessStore, PrunedBatch, QueueState, Queues, RecordPosition, Restore, RestoreOutcome, StoreError,
    StoredProcess, Submission, SubmitOutcome, Writer,
};
use state::MemoryState;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The in-memory store. Its clones share the data. A test can therefore drop an engine and open another one on the same
/// store.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<MemoryState>>,
    changed: Arc<Notify>,
}

/// Snapshot of an in-memory store.
#[derive(Clone, Debug)]
pub struct MemorySnapshot(MemoryState);

impl MemoryStore {
    /// Creates an empty store that uses this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default(), changed: Arc::default() }
    }

    /// Makes leases expire: each renewal extends a lease by `lease`. When a lease has been expired for `grace`, its
    /// node loses the ownership of its processes.
    #[must_use]
    pub fn with_leases(self, lease: Duration, grace: Duration) -> Self {
        self.write(|state, _| state.leases = Leases::ending(lease, grace));
        self
    }

    /// Deletes all data. Simulates a server whose data was flushed.
    pub fn lose_everything(&self) {
        self.write(|state, now| state.forget_everything(now));
    }

    /// Returns a snapshot of the present data.
    #[must_use]
    pub fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot(self.look(Clone::clone))
    }

    /// Restores a snapshot. Simulates a server that was restored from a dump.
    pub fn go_back(&self, to: &MemorySnapshot) {
        self.write(|state, now| state.go_back(now, to.0.clone()));
    }

    fn look<T>(&self, query: impl FnOnce(&MemoryState) -> T) -> T {
        query(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Executes a write and wakes all waiting tasks. Each task checks whether the write concerns it.
    fn write<T>(&self, write: impl FnOnce(&mut MemoryState, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = state.rows.index().first_due();
        let answer = write(&mut state, now);
        if state.rows.index().first_due().is_some_and(|next| due.is_none_or(|due| next < due)) {
            state.updates.for_all();
        }
        drop(state);
        self.changed.notify_waiters();
        answer
    }

    /// Waits until `query` returns a value. Calls `query` again after every write.
    async fn parked<T>(&self, mut query: impl FnMut(&mut MemoryState) -> Option<T> + Send) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(answer) = query(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner)) {
                return answer;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("records", &self.look(|state| state.rows.len()))
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ProcessStore for MemoryStore {
    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        self.write(|state, now| state.submit(now, new))
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        self.write(|state, now| state.claim(now, by, room))
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.write(|state, _| state.commit(change))
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        self.write(|state, _| state.enqueue_action(id, op, action))
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        Ok(self.write(|state, _| {
            live_stats
                .iter()
                .map(|(id, attempt, live_stats)| state.update_live_stats(by, *id, *attempt, live_stats))
                .collect()
        }))
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        Ok(self.look(|state| ids.iter().map(|id| state.stored(id).cloned()).collect()))
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        Ok(self.look(|state| state.list(filter, page)))
    }
}

#[async_trait]
impl Maintenance for MemoryStore {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        self.write(|state, now| state.claim_due(now, by, limit))
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        Ok(self.write(|state, now| state.prune(now, rule, limit)))
    }
}

#[async_trait]
impl Queues for MemoryStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        Ok(self.look(|state| state.policy.clone()))
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        self.write(|state, _| state.set_policy(expected, policy))
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        Ok(self.look(|state| state.queues(only)))
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        Ok(self.look(MemoryState::label_classes))
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        if !wait {
            return Ok(self.look(|state| state.events(after, limit)));
        }
        let page =
            |state: &mut MemoryState| Some(state.events(after, limit)).filter(|page| !page.events.is_empty());
        Ok(self.parked(page).await)
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        Ok(self.look(MemoryState::end))
    }
}

#[async_trait]
impl OutputTails for MemoryStore {
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        self.write(|state, _| state.store_tail(by, key, tail))
    }

    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        Ok(self.look(|state| state.tails.get(&id).cloned()))
    }
}

#[async_trait]
impl Membership for MemoryStore {
    fn leases_expire(&self) -> bool {
        self.look(|state| state.leases.end())
    }

    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        self.write(|state, now| state.register(now, me))
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.record_heartbeat(now, by)?;
        Ok(state.calls(now, by))
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let calls = |state: &mut MemoryState| {
            if let Err(fenced) = state.check(by) {
                return Some(Err(fenced));
            }
            let updates = state.updates.take(&by.node);
            updates.then(|| Ok(state.calls(self.clock.now(), by)))
        };
        self.parked(calls).await
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.write(|state, _| state.leave(by));
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        Ok(self.look(|state| state.members().cloned().collect()))
    }

    async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        self.write(|state, _| state.advertise(by, offer))
    }

    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        let now = self.clock.now();
        Ok(self.look(|state| state.list_nodes(now)))
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        Ok(self.write(|state, _| state.drain(node, drain)))
    }

    async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        Ok(self.write(|state, now| state.forget(now, node)))
    }
}

#[async_trait]
impl Restore for MemoryStore {
    async fn history(&self) -> Result<History, StoreError> {
        Ok(self.look(MemoryState::history))
    }

    async fn record_positions(&self, ids: &[ProcessId]) -> Result<Vec<RecordPosition>, StoreError> {
        Ok(self.look(|state| ids.iter().map(|id| state.record_position(id)).collect()))
    }

    async fn advance_marks(&self, marks: &HighWaterMarks) -> Result<(), StoreError> {
        self.write(|state, _| state.advance_marks(marks));
        Ok(())
    }

    async fn restore(&self, by: &Lease, kept: &[StoredProcess]) -> Result<Vec<RestoreOutcome>, StoreError> {
        self.write(|state, now| state.restore(now, by, kept))
    }
}

#[cfg(test)]
mod tests;
