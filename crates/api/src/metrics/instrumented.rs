//! A store wrapper that measures the duration of writes.

use crate::metrics::{Metrics, StoreWrite};
use async_trait::async_trait;
use longhaul_domain::{Event, Fact, Revision, SlotState, Timestamp};
use longhaul_engine::ports::{
    Change, ClaimCapacity, Clock, Lease, Store, StoreDecorator, StoreError, StoredProcess, Submission,
    SubmitOutcome,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Store wrapper that measures the duration of writes and reports written processes to the live gauge. All calls are
/// forwarded to the inner store.
#[derive(Debug)]
pub struct InstrumentedStore {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl InstrumentedStore {
    /// Wraps a store. `clock` must be the clock from which the store's events get their times.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        // A store in which leases expire is a shared store, to which other nodes write too.
        metrics.inner.is_shared.store(inner.leases_expire(), Ordering::Relaxed);
        Self { inner, clock, metrics }
    }

    async fn timed<T>(
        &self,
        write: StoreWrite,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let done = work.await;
        self.metrics.wrote(write, begun.elapsed());
        if let Err(StoreError::Unknown { .. }) = done {
            self.metrics.doubt();
        }
        done
    }
}

#[async_trait]
impl StoreDecorator for InstrumentedStore {
    type Inner = dyn Store;

    fn inner(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        let answer = self.timed(StoreWrite::Submit, self.inner.submit(new)).await?;
        if let SubmitOutcome::Waiting(stored) | SubmitOutcome::Claimed(stored) = &answer {
            self.metrics.roll().take(&stored.process, stored.revision);
        }
        Ok(answer)
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let claimed = self.timed(StoreWrite::Claim, self.inner.claim(by, room)).await?;
        for stored in &claimed {
            self.metrics.roll().take(&stored.process, stored.revision);
        }
        Ok(claimed)
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        let exited_at = change.events.iter().find_map(exited_at);
        let next = change.next.clone();
        let revision = self.timed(StoreWrite::Commit, self.inner.commit(change)).await?;
        let before = self.metrics.roll().take(&next, revision);
        // The delay is not measured in three cases. If a process waited for its children, its exit was recorded
        // earlier. If the previous record of a process is unknown, the process may have exited while no manager was
        // running. If an attempt had leftovers, they were stopped before the exit was recorded.
        if let Some(exited_at) = exited_at
            && before == Some(SlotState::Holding)
        {
            self.metrics.detected(next.id, self.clock.now().since(exited_at));
        }
        Ok(revision)
    }
}

/// Returns the time at which the last attempt exited, if the event contains an exit without leftovers.
fn exited_at(event: &Event) -> Option<Timestamp> {
    match &event.fact {
        Fact::AwaitingChildren { ending, .. } | Fact::Ended { ending, .. } => {
            let exit = ending.exit()?;
            (exit.leftovers_found == 0 && exit.leftovers_killed == 0).then_some(event.at)
        }
        Fact::Submitted
        | Fact::BecameDue
        | Fact::NeverRan
        | Fact::Claimed { .. }
        | Fact::Spawned { .. }
        | Fact::RetryScheduled { .. }
        | Fact::StageChanged { .. }
        | Fact::OutcomeReported(_)
        | Fact::TestsReported(_)
        | Fact::TestsDoubted(_)
        | Fact::Paused { .. }
        | Fact::Resumed { .. }
        | Fact::StopRequested { .. }
        | Fact::KillStarted { .. }
        | Fact::BecameStuck
        | Fact::CascadeStarted { .. }
        | Fact::CascadeEnded
        | Fact::Prioritized { .. }
        | Fact::SessionEnded { .. }
        | Fact::SessionKept
        | Fact::ConditionStarted { .. }
        | Fact::ConditionEnded { .. }
        | Fact::OutputMatched { .. }
        | Fact::NodeLost { .. }
        | Fact::SignalSent { .. }
        | Fact::OrphanStopRequested { .. }
        | Fact::Restored { .. }
        | Fact::LateExit { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_adapters::memory::MemoryStore;
    use longhaul_testkit::fakes::{ProbeStore, VirtualClock};
    use longhaul_testkit::suite::{StoreFixture, wrapper};

    #[tokio::test]
    async fn every_method_reaches_the_inner_store() {
        let clock = VirtualClock::default();
        let probe = ProbeStore::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))));
        let store =
            InstrumentedStore::new(Arc::new(probe.clone()), Arc::new(clock.clone()), Metrics::default());
        let world = StoreFixture::new(Arc::new(store), clock);
        wrapper::every_method_reaches_the_inner_store(&world, &probe).await;
    }
}
