//! What follows when a store of many machines turns out to have lost something: it was emptied, stands as it stood
//! earlier, or another server took over that lacks the latest writes.

use crate::engine::EngineShared;
use crate::error::EngineError;
use crate::recover::look_at_unheard;
use longhaul_domain::{AwakeTime, Deadline, ProcessId, Timestamp};
use longhaul_ports::{History, Lease, NodeUpdates, ReconcileResult, StoreError, StoredProcess};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The wait before a store that failed is asked again.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The most records that are asked for in one call.
const MAX_BATCH: usize = 500;
/// What this node keeps for itself is compared so often, whatever is heard.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(60);

/// What this node has heard of how far the store has come.
#[derive(Debug, Default)]
pub(crate) struct HistoryTracker {
    heard: Mutex<HistoryMark>,
    /// Somebody compares now.
    comparing: AtomicBool,
    /// It has to be compared, once more if somebody does so now.
    wanted: AtomicBool,
}

#[derive(Debug, Default)]
struct HistoryMark {
    history: Option<History>,
    /// The store did not answer the latest question.
    was_away: bool,
    compared: Option<Timestamp>,
}

/// A question to the store that is answered by how far it has come.
#[derive(Debug)]
pub(crate) struct HistoryQuery {
    /// When it was asked.
    pub(crate) at: Timestamp,
    /// How far it had come by then: what it answers must not be earlier.
    known: Option<History>,
}

/// A record that this node knows is not there, or stands as it stood before.
#[derive(Debug, thiserror::Error)]
#[error("the store lost the record of process {id}, which is being restored")]
struct LostRecord {
    id: ProcessId,
}

impl HistoryTracker {
    /// Whether an answer tells that the store went back since the question.
    fn went_back(&self, asked: &HistoryQuery, now: &History) -> bool {
        let mut heard = self.heard();
        let is_older = |known: &History| !now.continues(known) || now.server != known.server;
        // Somebody may have noticed since it was asked.
        let went_back =
            asked.known.as_ref().is_some_and(is_older) && heard.history.as_ref().is_none_or(is_older);
        // Answers may overtake each other, and an earlier place is news only to whoever knew of it when he asked.
        if went_back || heard.history.as_ref().is_none_or(|latest| latest.end <= now.end) {
            heard.history = Some(now.clone());
        }
        went_back
    }

    /// A question had no answer: who answers the next one may have lost something.
    pub(crate) fn missed(&self) {
        self.heard().was_away = true;
    }

    /// Whether it is time to compare, though nothing was heard.
    fn is_due(&self, now: Timestamp) -> bool {
        let mut heard = self.heard();
        let is_back = std::mem::take(&mut heard.was_away);
        is_back || heard.compared.is_some_and(|at| now.since(at) >= RECONCILE_INTERVAL)
    }

    fn compares(&self, now: Timestamp) {
        self.heard().compared = Some(now);
    }

    fn heard(&self) -> MutexGuard<'_, HistoryMark> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineShared {
    /// To be asked before a question that [`heard`](Self::heard) takes the answer of.
    pub(crate) fn asking(&self) -> HistoryQuery {
        HistoryQuery { at: self.parts.clock.now(), known: self.regard.heard().history.clone() }
    }

    /// Takes in how far the store has come; if it went back, nothing is started until it was given what it lost.
    pub(crate) fn regard(self: &Arc<Self>, asked: &HistoryQuery, calls: &NodeUpdates) {
        let Some(history) = &calls.history else { return };
        if self.regard.went_back(asked, history) {
            tracing::warn!(
                "the store is another one, or stands as it stood before: it is given what it lost"
            );
            self.tenure.hold(self.parts.clock.now());
            return self.compare_beside();
        }
        if self.regard.is_due(self.parts.clock.now()) {
            self.compare_beside();
        }
    }

    /// Compares what this node keeps with what the store has, beside what the caller does.
    pub(crate) fn compare_beside(self: &Arc<Self>) {
        self.regard.wanted.store(true, Ordering::SeqCst);
        if self.regard.comparing.swap(true, Ordering::SeqCst) {
            return;
        }
        let core = self.clone();
        tokio::spawn(async move {
            while core.regard.wanted.swap(false, Ordering::SeqCst) && !core.is_closing() {
                let lease = core.lease();
                if let Err(StoreError::Fenced { .. }) = core.restore_records(&lease).await {
                    core.verify_lease(lease).await;
                }
            }
            core.regard.comparing.store(false, Ordering::SeqCst);
            // Who wanted it since then was told that somebody is at it.
            if core.regard.wanted.load(Ordering::SeqCst) {
                core.compare_beside();
            }
        });
    }

    /// Gives the store back what it lost, and looks anew at what is this node's. Goes on until it is done or the lease
    /// counts no more.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of this node, or the engine ends.
    async fn restore_records(self: &Arc<Self>, by: &Lease) -> Result<(), StoreError> {
        let reconciled = self.reconciled(by).await?;
        if reconciled.went_back || !reconciled.restored_records.is_empty() {
            self.come_back().await;
            look_at_unheard(self).await;
        }
        Ok(())
    }

    /// Compares until the store has answered. What it lost it has back then, and nothing is started for a while.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is not the newest of this node, or the engine ends.
    pub(crate) async fn reconciled(self: &Arc<Self>, by: &Lease) -> Result<ReconcileResult, StoreError> {
        let mut is_told = false;
        loop {
            self.regard.compares(self.parts.clock.now());
            match self.parts.store.reconcile(by).await {
                Ok(reconciled) => {
                    if reconciled.went_back {
                        let given = reconciled.restored_records.len();
                        tracing::warn!(
                            given,
                            "the store has lost records: this node has given back those that it keeps, and starts nothing new for one \
                             lease"
                        );
                        self.tenure.hold(self.parts.clock.now());
                    }
                    return Ok(reconciled);
                }
                Err(error @ StoreError::Fenced { .. }) => return Err(error),
                Err(error) if self.is_closing() => return Err(error),
                Err(error) if is_told => tracing::debug!(%error, "what the store has cannot be compared yet"),
                Err(error) => {
                    self.unanswered(None, &error, "what the store has cannot be compared yet");
                    is_told = true;
                }
            }
            let until: AwakeTime = self.parts.clock.awake().plus(RETRY_DELAY);
            self.parts.clock.sleep_until(Deadline::Awake(until)).await;
        }
    }

    /// The record of a process to show: what this node keeps of its own work while the store does not answer,
    /// and what lives here although the store has lost it.
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

    /// The same of many, asked for together where the store tells of all of them.
    pub(crate) async fn load_or_recall_all(
        &self,
        ids: &[ProcessId],
    ) -> Result<Vec<StoredProcess>, EngineError> {
        let mut all = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MAX_BATCH) {
            match self.parts.store.load(ids).await {
                Ok(found) if found.iter().all(Option::is_some) => {
                    let told = found.into_iter().flatten().map(|stored| self.with_vitals(stored));
                    all.extend(told.map(|stored| self.with_unrecorded(stored)));
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

    /// What this node keeps of a process that the store does not tell of for this reason.
    pub(crate) async fn recalled(&self, id: ProcessId, unread: &EngineError) -> Option<StoredProcess> {
        let is_away = matches!(unread, EngineError::Store { source: StoreError::Unavailable { .. } });
        let is_missing = matches!(unread, EngineError::NotFound { .. });
        if !is_away && !is_missing {
            return None;
        }
        // What lives is never let go of.
        self.load_cached(id).await.filter(|kept| is_away || !kept.process.status().is_ended())
    }

    async fn load_cached(&self, id: ProcessId) -> Option<StoredProcess> {
        self.parts.store.load_cached(&[id]).await.pop().flatten()
    }

    /// A store that answers so has lost what this node knows; the error with which whatever follows from a record waits
    /// until it is there again.
    pub(crate) async fn lost_if_kept(self: &Arc<Self>, id: ProcessId) -> Option<EngineError> {
        let kept = self.load_cached(id).await?;
        (!kept.process.status().is_ended()).then(|| self.lost(id))
    }

    /// The same if this node keeps a later record than the store told of.
    pub(crate) async fn lost_if_kept_after(self: &Arc<Self>, found: &StoredProcess) -> Option<EngineError> {
        let kept = self.load_cached(found.process.id).await?;
        (kept.revision > found.revision).then(|| self.lost(found.process.id))
    }

    /// The store stands before what it told of a process.
    pub(crate) fn lost(self: &Arc<Self>, id: ProcessId) -> EngineError {
        self.compare_beside();
        StoreError::Unavailable { source: Box::new(LostRecord { id }) }.into()
    }
}
