//! Reconciliation with a shared store that has lost data, because it was emptied, was restored from an old dump, or
//! failed over to a server without the latest writes.

use crate::engine::EngineShared;
use crate::error::EngineError;
use crate::recover::examine_unknown_attempts;
use longhaul_domain::{AwakeTime, Deadline, ProcessId, Timestamp};
use longhaul_ports::{History, Lease, NodeUpdates, ReconcileResult, StoreError, StoredProcess};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Delay before the next request to a store after an error.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Maximum number of records in one request.
const MAX_BATCH: usize = 500;
/// Time between two routine comparisons of the outbox with the store.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(60);

/// The newest history position of the store that this node has received, and the state of the comparisons of records.
#[derive(Debug, Default)]
pub(crate) struct HistoryTracker {
    heard: Mutex<HistoryMark>,
    /// True while a comparison is running.
    comparing: AtomicBool,
    /// True if a comparison is required. A comparison that is running is then repeated.
    wanted: AtomicBool,
}

#[derive(Debug, Default)]
struct HistoryMark {
    history: Option<History>,
    /// True if the store did not answer the last request.
    was_away: bool,
    compared: Option<Timestamp>,
}

/// State of this node, taken before a request whose response contains the history position of the store.
#[derive(Debug)]
pub(crate) struct HistoryQuery {
    /// Time at which the request was sent.
    pub(crate) at: Timestamp,
    /// Newest history position that was known before the request. An older position in the answer means that data was
    /// lost.
    known: Option<History>,
}

/// Error: the store has lost a record of which this node has a copy, or has an older revision of it.
#[derive(Debug, thiserror::Error)]
#[error("the store has lost the record of process {id}, which is being restored")]
struct LostRecord {
    id: ProcessId,
}

impl HistoryTracker {
    /// Returns true if an answer proves that the store has lost data and this loss was not detected before.
    fn went_back(&self, asked: &HistoryQuery, now: &History) -> bool {
        let mut heard = self.heard();
        let is_older = |known: &History| !now.continues(known) || now.server != known.server;
        // Another answer may already have shown this loss after the request was sent.
        let went_back =
            asked.known.as_ref().is_some_and(is_older) && heard.history.as_ref().is_none_or(is_older);
        // Answers may arrive out of order. An older position is therefore recorded only if it proves a loss.
        if went_back || heard.history.as_ref().is_none_or(|latest| latest.end <= now.end) {
            heard.history = Some(now.clone());
        }
        went_back
    }

    /// Records that a request was not answered. The next answer may come from a server that lacks data.
    pub(crate) fn missed(&self) {
        self.heard().was_away = true;
    }

    /// Returns true if a comparison is due although nothing indicates a loss.
    fn is_due(&self, now: Timestamp) -> bool {
        let mut heard = self.heard();
        let is_restarted = std::mem::take(&mut heard.was_away);
        is_restarted || heard.compared.is_some_and(|at| now.since(at) >= RECONCILE_INTERVAL)
    }

    fn compares(&self, now: Timestamp) {
        self.heard().compared = Some(now);
    }

    fn heard(&self) -> MutexGuard<'_, HistoryMark> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineShared {
    /// Returns the state to pass to [`heard`](Self::heard). Callers must call this before they send the request.
    pub(crate) fn mark_before_request(&self) -> HistoryQuery {
        HistoryQuery { at: self.parts.clock.now(), known: self.history_tracker.heard().history.clone() }
    }

    /// Checks the history position in an answer. After a loss of data, no process is started until the nodes have had
    /// time to restore records.
    pub(crate) fn check_history(self: &Arc<Self>, asked: &HistoryQuery, calls: &NodeUpdates) {
        let Some(history) = &calls.history else { return };
        if self.history_tracker.went_back(asked, history) {
            tracing::warn!("the store lost data: started to restore the lost records");
            self.lease_state.hold(self.parts.clock.now());
            return self.compare_beside();
        }
        if self.history_tracker.is_due(self.parts.clock.now()) {
            self.compare_beside();
        }
    }

    /// Compares this node's own copies with the store, in a background task.
    pub(crate) fn compare_beside(self: &Arc<Self>) {
        self.history_tracker.wanted.store(true, Ordering::SeqCst);
        if self.history_tracker.comparing.swap(true, Ordering::SeqCst) {
            return;
        }
        let core = self.clone();
        tokio::spawn(async move {
            while core.history_tracker.wanted.swap(false, Ordering::SeqCst) && !core.is_closing() {
                let lease = core.lease();
                if let Err(StoreError::Fenced { .. }) = core.restore_records(&lease).await {
                    core.verify_lease(lease).await;
                }
            }
            core.history_tracker.comparing.store(false, Ordering::SeqCst);
            // A comparison that was requested between the last check of the loop and this line has no task yet.
            if core.history_tracker.wanted.load(Ordering::SeqCst) {
                core.compare_beside();
            }
        });
    }

    /// Restores lost records in the store, and then examines this node's processes again. Repeats this until it
    /// succeeds or the lease is invalid.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the node has a newer lease; any [`StoreError`] if the engine shuts down.
    async fn restore_records(self: &Arc<Self>, by: &Lease) -> Result<(), StoreError> {
        let reconciled = self.reconciled(by).await?;
        if reconciled.went_back || !reconciled.restored_records.is_empty() {
            self.reexamine_attempts().await;
            examine_unknown_attempts(self).await;
        }
        Ok(())
    }

    /// Repeats the comparison until the store answers. If records were lost, they are then restored, and no process is
    /// started for one lease length.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the node has a newer lease; any [`StoreError`] if the engine shuts down.
    pub(crate) async fn reconciled(self: &Arc<Self>, by: &Lease) -> Result<ReconcileResult, StoreError> {
        let mut is_told = false;
        loop {
            self.history_tracker.compares(self.parts.clock.now());
            match self.parts.store.reconcile(by).await {
                Ok(reconciled) => {
                    if reconciled.went_back {
                        let given = reconciled.restored_records.len();
                        tracing::warn!(
                            given,
                            "the store lost records: this node restored its own records, and starts no \
                            processes for the duration of one lease"
                        );
                        self.lease_state.hold(self.parts.clock.now());
                    }
                    return Ok(reconciled);
                }
                Err(error @ StoreError::Fenced { .. }) => return Err(error),
                Err(error) if self.is_closing() => return Err(error),
                Err(error) if is_told => {
                    tracing::debug!(%error, "could not compare the records of this node with the store; \
                        retrying")
                }
                Err(error) => {
                    self.log_retry(
                        None,
                        &error,
                        "could not compare the records of this node with the \
                        store; retrying",
                    );
                    is_told = true;
                }
            }
            let until: AwakeTime = self.parts.clock.awake().plus(RETRY_DELAY);
            self.parts.clock.sleep_until(Deadline::Awake(until)).await;
        }
    }

    /// Returns the record of a process for display. If the store is unreachable, or has lost a live process of this
    /// node, the record comes from this node's own copy.
    pub(crate) async fn load_or_recall(&self, id: ProcessId) -> Result<StoredProcess, EngineError> {
        let stored = match self.load(id).await {
            Err(error) => match self.recalled(id, &error).await {
                Some(stored) => Ok(self.with_vitals(stored)),
                None => Err(error),
            },
            stored => stored,
        };
        stored.map(|stored| self.with_unrecorded(stored))
    }

    /// Returns records like [`load_or_recall`](Self::load_or_recall), for many processes. If the store has all of them,
    /// few requests are sufficient.
    pub(crate) async fn load_or_recall_all(
        &self,
        ids: &[ProcessId],
    ) -> Result<Vec<StoredProcess>, EngineError> {
        let mut all = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MAX_BATCH) {
            match self.parts.store.load(ids).await {
                Ok(found) if found.iter().all(Option::is_some) => {
                    let reported = found.into_iter().flatten().map(|stored| self.with_vitals(stored));
                    all.extend(reported.map(|stored| self.with_unrecorded(stored)));
                }
                Ok(_) | Err(_) => {
                    for id in ids {
                        all.push(self.load_or_recall(*id).await?);
                    }
                }
            }
        }
        Ok(all)
    }

    /// Returns this node's own copy of a process that could not be loaded because of the error `unread`.
    pub(crate) async fn recalled(&self, id: ProcessId, unread: &EngineError) -> Option<StoredProcess> {
        let is_away = matches!(unread, EngineError::Store { source: StoreError::Unavailable { .. } });
        let is_missing = matches!(unread, EngineError::NotFound { .. });
        if !is_away && !is_missing {
            return None;
        }
        // A live process is never pruned. If the store has no record of a live process, it has lost data.
        self.load_cached(id).await.filter(|kept| is_away || !kept.process.status().is_ended())
    }

    async fn load_cached(&self, id: ProcessId) -> Option<StoredProcess> {
        self.parts.store.load_cached(&[id]).await.pop().flatten()
    }

    /// Returns an error if this node has its own copy of a live process that is missing in the store. The store has
    /// then lost the record, and the caller must wait until the record is restored.
    pub(crate) async fn lost_if_kept(self: &Arc<Self>, id: ProcessId) -> Option<EngineError> {
        let kept = self.load_cached(id).await?;
        (!kept.process.status().is_ended()).then(|| self.lost(id))
    }

    /// Returns an error if this node's own copy has a newer revision than the record in the store.
    pub(crate) async fn lost_if_kept_after(self: &Arc<Self>, found: &StoredProcess) -> Option<EngineError> {
        let kept = self.load_cached(found.process.id).await?;
        (kept.revision > found.revision).then(|| self.lost(found.process.id))
    }

    /// Starts a comparison, and returns the error for a record that the store has lost.
    pub(crate) fn lost(self: &Arc<Self>, id: ProcessId) -> EngineError {
        self.compare_beside();
        StoreError::Unavailable { source: Box::new(LostRecord { id }) }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_ports::EventCursor;

    fn history(server: &str, end: u64) -> History {
        History { incarnation: Some("data".to_owned()), server: server.to_owned(), end: EventCursor(end) }
    }

    fn asked(known: &History) -> HistoryQuery {
        HistoryQuery { at: Timestamp(0), known: Some(known.clone()) }
    }

    fn tracker(known: &History) -> HistoryTracker {
        let tracker = HistoryTracker::default();
        assert!(!tracker.went_back(&HistoryQuery { at: Timestamp(0), known: None }, known));
        tracker
    }

    #[test]
    fn older_position_or_another_server_proves_a_loss_which_counts_once() {
        let known = history("a", 5);
        for later in [history("a", 5), history("a", 6)] {
            assert!(!tracker(&known).went_back(&asked(&known), &later), "{later:?}");
        }
        for lost in [history("a", 4), history("b", 6)] {
            let tracker = tracker(&known);
            assert!(tracker.went_back(&asked(&known), &lost), "{lost:?}");
            assert_eq!(tracker.heard().history.as_ref(), Some(&lost));
            assert!(!tracker.went_back(&asked(&known), &lost), "it was noticed before");
        }
    }

    #[test]
    fn answer_that_was_overtaken_by_a_newer_one_is_no_loss() {
        let (old, new) = (history("a", 5), history("a", 9));
        let tracker = tracker(&old);
        assert!(!tracker.went_back(&asked(&old), &new));
        assert!(!tracker.went_back(&asked(&old), &history("a", 6)));
        assert_eq!(tracker.heard().history.as_ref(), Some(&new), "the newest position is kept");
    }

    #[test]
    fn comparison_is_due_after_its_interval_and_once_after_a_request_without_an_answer() {
        let tracker = HistoryTracker::default();
        let interval = Timestamp(0).plus(RECONCILE_INTERVAL);
        assert!(!tracker.is_due(interval), "nothing was compared before");
        tracker.missed();
        assert!(tracker.is_due(Timestamp(0)));
        assert!(!tracker.is_due(Timestamp(0)));
        tracker.compares(Timestamp(0));
        assert!(!tracker.is_due(Timestamp(interval.0 - 1)));
        assert!(tracker.is_due(interval));
        tracker.compares(interval);
        assert!(!tracker.is_due(interval));
    }
}
