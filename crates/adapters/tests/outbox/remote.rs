//! A fake shared store with outages and lost replies.

use async_trait::async_trait;
use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::*;
use longhaul_ports::*;
use std::sync::{Arc, Mutex};

/// How the fake store handles requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Here,
    /// Rejects every request as if the store were unreachable.
    Away,
    /// Executes every request and loses the reply.
    Mute,
    /// Executes every request and never replies.
    Stuck,
    /// Executes every request. Loses the reply to the next restore and all replies after it.
    Deaf,
}

/// An in-memory shared store that handles requests as planned by the test.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub(super) memory: MemoryStore,
    mood: Arc<Mutex<Mood>>,
}

impl Remote {
    pub(super) fn new(memory: MemoryStore) -> Self {
        Self { memory, mood: Arc::default() }
    }

    pub(super) fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn ask<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Here | Mood::Deaf => answer.await,
            Mood::Away => Err(StoreError::Unavailable { source: "the store is unreachable".into() }),
            Mood::Stuck => {
                answer.await?;
                std::future::pending().await
            }
            Mood::Mute => {
                answer.await?;
                Err(StoreError::Unknown { op: None, source: "the answer got lost".into() })
            }
        }
    }
}

#[async_trait]
impl ProcessStore for Remote {
    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        self.ask(self.memory.submit(new)).await
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        self.ask(self.memory.claim(by, room)).await
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        self.ask(self.memory.commit(change)).await
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        self.ask(self.memory.enqueue_action(id, op, action)).await
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.ask(self.memory.update_live_stats(by, live_stats)).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        self.ask(self.memory.load(ids)).await
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        self.ask(self.memory.list(filter, page)).await
    }
}

#[async_trait]
impl Maintenance for Remote {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        self.ask(self.memory.claim_due(by, limit)).await
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        self.ask(self.memory.prune(rule, limit)).await
    }
}

#[async_trait]
impl Queues for Remote {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        self.ask(self.memory.policy()).await
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        self.ask(self.memory.set_policy(expected, policy)).await
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        self.ask(self.memory.queues(only)).await
    }
}

#[async_trait]
impl EventLog for Remote {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        self.ask(self.memory.read(after, limit, wait)).await
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        self.ask(self.memory.end()).await
    }
}

#[async_trait]
impl OutputTails for Remote {
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        self.ask(self.memory.store_tail(by, key, tail)).await
    }

    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        self.ask(self.memory.load_tail(id)).await
    }
}

#[async_trait]
impl Membership for Remote {
    fn leases_expire(&self) -> bool {
        true
    }

    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        self.ask(self.memory.register(me)).await
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        self.ask(self.memory.renew_lease(by)).await
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        self.ask(self.memory.wait_for_updates(by)).await
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        self.ask(self.memory.leave(by)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        self.ask(self.memory.nodes()).await
    }

    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.ask(self.memory.list_nodes()).await
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        self.ask(self.memory.drain(node, drain)).await
    }
}

#[async_trait]
impl Restore for Remote {
    async fn history(&self) -> Result<History, StoreError> {
        self.ask(self.memory.history()).await
    }

    async fn record_positions(&self, ids: &[ProcessId]) -> Result<Vec<RecordPosition>, StoreError> {
        self.ask(self.memory.record_positions(ids)).await
    }

    async fn advance_marks(&self, marks: &HighWaterMarks) -> Result<(), StoreError> {
        self.ask(self.memory.advance_marks(marks)).await
    }

    async fn restore(&self, by: &Lease, kept: &[StoredProcess]) -> Result<Vec<RestoreOutcome>, StoreError> {
        let answer = self.ask(self.memory.restore(by, kept)).await?;
        if *self.mood.lock().unwrap() == Mood::Deaf {
            self.is(Mood::Mute);
            return self.ask(async { Ok(answer) }).await;
        }
        Ok(answer)
    }
}
