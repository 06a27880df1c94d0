//! The store on top of a database.

use super::decoded_values::DecodedValues;
use super::transaction::StoreTransaction;
use super::values::UpdateCounts;
use super::{RowAccess, Rows};
use async_trait::async_trait;
use longhaul_domain::{
    ActionSeq, AttemptNo, LiveStats, NodeId, OpId, PendingAction, Policy, PolicyVersion, ProcessId,
    Retention, Revision, SlotKey,
};
use longhaul_ports::{
    AttemptKey, Change, ClaimCapacity, EventCursor, EventLog, EventPage, ForgetOutcome, HighWaterMarks,
    History, KnownNode, Lease, Listing, LoggedEvent, Maintenance, Membership, Migrate, NodeAdvertisement,
    NodeDescriptor, NodeUpdates, OutputTail, OutputTails, PageRequest, PlacementClass, ProcessFilter,
    ProcessStore, PrunedBatch, QueueState, Queues, RecordPosition, Restore, RestoreOutcome, StoreError,
    StoreMetadata, StoredProcess, Submission, SubmitOutcome, Writer,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Number of records or events that an import writes in one transaction.
const IMPORT_BATCH: usize = 1_000;

/// A store on top of a database. Implements all traits of a store through the rules of this module. Clones share the
/// data and the connection to the database.
#[derive(Debug)]
pub struct StoreOn<R> {
    rows: Arc<R>,
    settings: StoreSettings,
    /// For each node, its lease and the updates that it has received.
    received: Arc<Mutex<BTreeMap<NodeId, (Lease, UpdateCounts)>>>,
    decoded: Arc<DecodedValues>,
}

/// Settings of a [`StoreOn`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreSettings {
    /// Durations of leases. Without them, a lease never expires.
    pub(crate) terms: Option<LeaseTerms>,
    /// Maximum number of events in the event log.
    pub(crate) kept_events: u64,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { terms: None, kept_events: 100_000 }
    }
}

/// Durations of the leases in a shared store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// Time by which a renewal extends a lease.
    pub lease: Duration,
    /// Time after the end of a lease until the node loses its processes.
    pub grace: Duration,
}

impl<R> Clone for StoreOn<R> {
    fn clone(&self) -> Self {
        Self {
            rows: Arc::clone(&self.rows),
            settings: self.settings,
            received: Arc::clone(&self.received),
            decoded: Arc::clone(&self.decoded),
        }
    }
}

impl<R: Rows> StoreOn<R> {
    /// Creates a store whose leases never expire.
    #[must_use]
    pub fn on(rows: R) -> Self {
        Self {
            rows: Arc::new(rows),
            settings: StoreSettings::default(),
            received: Arc::default(),
            decoded: Arc::default(),
        }
    }

    /// Makes leases expire.
    #[must_use]
    pub fn with_lease_terms(mut self, terms: LeaseTerms) -> Self {
        self.settings.terms = Some(terms);
        self
    }

    /// Sets the maximum number of events in the event log. The oldest events are deleted. The default is 100,000.
    #[must_use]
    pub const fn with_kept_events(mut self, events: u64) -> Self {
        self.settings.kept_events = events;
        self
    }

    /// Returns the database.
    #[must_use]
    pub fn database(&self) -> &R {
        &self.rows
    }

    /// Begins a transaction that may write.
    pub(super) async fn writing(&self) -> Result<StoreTransaction<'_>, StoreError> {
        StoreTransaction::begin(self.rows.begin(RowAccess::Write).await?, self.settings, &self.decoded).await
    }

    /// Begins a transaction that reads, among other things, counters or the policy.
    async fn reading(&self) -> Result<StoreTransaction<'_>, StoreError> {
        StoreTransaction::begin(self.rows.begin(RowAccess::Read).await?, self.settings, &self.decoded).await
    }

    /// Begins a transaction that reads only rows, index entries, values and events.
    pub(super) async fn looking(&self) -> Result<StoreTransaction<'_>, StoreError> {
        Ok(StoreTransaction::without_counters(
            self.rows.begin(RowAccess::Read).await?,
            self.settings,
            &self.decoded,
        ))
    }

    fn updates_received(&self, by: &Lease) -> Option<UpdateCounts> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.get(&by.node).filter(|(lease, _)| lease == by).map(|(_, counts)| *counts)
    }

    fn set_received(&self, by: &Lease, counts: UpdateCounts) {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.insert(by.node.clone(), (by.clone(), counts));
    }

    async fn pending_work(
        &self,
        step: &mut StoreTransaction<'_>,
        by: &Lease,
    ) -> Result<NodeUpdates, StoreError> {
        let updates = step.pending_work(by).await?;
        let history = self.settings.terms.is_some().then(|| step.history(self.rows.server()));
        Ok(NodeUpdates { history, ..updates })
    }
}

#[async_trait]
impl<R: Rows> ProcessStore for StoreOn<R> {
    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        let mut step = self.writing().await?;
        let outcome = step.submit(new, self.rows.max_fixed_bytes()).await?;
        step.commit(outcome).await
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let mut step = self.writing().await?;
        let claimed = step.claim(by, room).await?;
        step.commit(claimed).await
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        let mut step = self.writing().await?;
        let revision = step.commit_change(change).await?;
        step.commit(revision).await
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        let mut step = self.writing().await?;
        let no = step.enqueue_action(id, op, action).await?;
        step.commit(no).await
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut step = self.writing().await?;
        let results = step.update_live_stats(by, live_stats).await?;
        step.commit(results).await
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        self.load_each(ids).await?.into_iter().collect()
    }

    async fn load_each(
        &self,
        ids: &[ProcessId],
    ) -> Result<Vec<Result<Option<StoredProcess>, StoreError>>, StoreError> {
        let rows = self.looking().await?.rows(ids).await?;
        Ok(rows.into_iter().map(|found| Ok(found?.map(|row| row.stored.clone()))).collect())
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        self.looking().await?.list(filter, page).await
    }
}

#[async_trait]
impl<R: Rows> Maintenance for StoreOn<R> {
    async fn claim_due(&self, by: &Lease, limit: u32) -> Result<Vec<StoredProcess>, StoreError> {
        let mut step = self.writing().await?;
        let due = step.claim_due(by, limit).await?;
        step.commit(due).await
    }

    async fn prune(&self, rule: &Retention, limit: u32) -> Result<PrunedBatch, StoreError> {
        let mut step = self.writing().await?;
        let pruned = step.prune(rule, limit).await?;
        step.commit(pruned).await
    }
}

#[async_trait]
impl<R: Rows> Queues for StoreOn<R> {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        Ok(self.reading().await?.policy.as_ref().clone())
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        let mut step = self.writing().await?;
        let version = step.set_policy(expected, policy)?;
        step.commit(version).await
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        self.reading().await?.queues(only).await
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        self.looking().await?.label_classes().await
    }
}

#[async_trait]
impl<R: Rows> EventLog for StoreOn<R> {
    async fn read(
        &self,
        after: Option<EventCursor>,
        limit: u32,
        wait: bool,
    ) -> Result<EventPage, StoreError> {
        let changes = self.rows.changes();
        loop {
            let count = changes.count();
            let page = self.looking().await?.event_page(after, limit).await?;
            if !wait || !page.events.is_empty() {
                return Ok(page);
            }
            changes.wait(count).await;
        }
    }

    async fn end(&self) -> Result<EventCursor, StoreError> {
        Ok(EventCursor(self.reading().await?.counters.cursor))
    }
}

#[async_trait]
impl<R: Rows> OutputTails for StoreOn<R> {
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        let mut step = self.writing().await?;
        let stored = step.store_tail(by, key, tail).await?;
        step.commit(stored).await
    }

    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        self.looking().await?.tail(&id).await
    }
}

#[async_trait]
impl<R: Rows> Membership for StoreOn<R> {
    fn leases_expire(&self) -> bool {
        self.settings.terms.is_some()
    }

    async fn register(&self, me: &NodeDescriptor) -> Result<Lease, StoreError> {
        let mut step = self.writing().await?;
        let lease = step.register(me).await?;
        step.commit(lease).await
    }

    async fn renew_lease(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let mut step = self.writing().await?;
        step.record_heartbeat(by).await?;
        let updates = self.pending_work(&mut step, by).await?;
        step.commit(updates).await
    }

    async fn wait_for_updates(&self, by: &Lease) -> Result<NodeUpdates, StoreError> {
        let changes = self.rows.changes();
        loop {
            let count = changes.count();
            let mut step = self.reading().await?;
            let (updates, before) = step.updates_of(by).await?;
            if updates != self.updates_received(by).unwrap_or(before) {
                let pending = self.pending_work(&mut step, by).await?;
                self.set_received(by, updates);
                return Ok(pending);
            }
            drop(step);
            changes.wait(count).await;
        }
    }

    async fn leave(&self, by: &Lease) -> Result<(), StoreError> {
        let mut step = self.writing().await?;
        step.leave(by).await?;
        step.commit(()).await
    }

    async fn nodes(&self) -> Result<Vec<NodeDescriptor>, StoreError> {
        self.looking().await?.members().await
    }

    async fn advertise(&self, by: &Lease, offer: &NodeAdvertisement) -> Result<(), StoreError> {
        let mut step = self.writing().await?;
        step.advertise(by, offer).await?;
        step.commit(()).await
    }

    async fn list_nodes(&self) -> Result<Vec<KnownNode>, StoreError> {
        self.looking().await?.known_nodes().await
    }

    async fn drain(&self, node: &NodeId, drain: bool) -> Result<bool, StoreError> {
        let mut step = self.writing().await?;
        let known = step.drain(node, drain).await?;
        step.commit(known).await
    }

    async fn forget(&self, node: &NodeId) -> Result<ForgetOutcome, StoreError> {
        let mut step = self.writing().await?;
        let outcome = step.forget(node).await?;
        step.commit(outcome).await
    }
}

#[async_trait]
impl<R: Rows> Restore for StoreOn<R> {
    async fn history(&self) -> Result<History, StoreError> {
        Ok(self.reading().await?.history(self.rows.server()))
    }

    async fn record_positions(&self, ids: &[ProcessId]) -> Result<Vec<RecordPosition>, StoreError> {
        self.looking().await?.record_positions(ids).await
    }

    async fn advance_marks(&self, marks: &HighWaterMarks) -> Result<(), StoreError> {
        let mut step = self.writing().await?;
        step.advance_marks(marks);
        step.commit(()).await
    }

    async fn restore(&self, by: &Lease, kept: &[StoredProcess]) -> Result<Vec<RestoreOutcome>, StoreError> {
        let mut step = self.writing().await?;
        let outcomes = step.restore(by, kept).await?;
        step.commit(outcomes).await
    }
}

#[async_trait]
impl<R: Rows> Migrate for StoreOn<R> {
    async fn store_metadata(&self) -> Result<StoreMetadata, StoreError> {
        self.reading().await?.store_metadata().await
    }

    async fn import_processes(&self, processes: &[StoredProcess]) -> Result<(), StoreError> {
        for batch in processes.chunks(IMPORT_BATCH) {
            let mut step = self.writing().await?;
            step.import_processes(batch).await?;
            step.commit(()).await?;
        }
        Ok(())
    }

    async fn import_events(&self, events: &[LoggedEvent]) -> Result<(), StoreError> {
        for batch in events.chunks(IMPORT_BATCH) {
            let mut step = self.writing().await?;
            step.import_events(batch);
            step.commit(()).await?;
        }
        Ok(())
    }

    async fn import_metadata(&self, store_metadata: &StoreMetadata) -> Result<(), StoreError> {
        let mut step = self.writing().await?;
        step.import_metadata(store_metadata).await?;
        step.commit(()).await
    }
}
