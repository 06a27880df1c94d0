//! Lease renewal, for stores with expiring leases.

use crate::claim_loop::handle_updates;
use crate::engine::EngineShared;
use crate::error::EngineError;
use crate::reconcile::HistoryQuery;
use longhaul_domain::{Deadline, NodeId, Timestamp};
use longhaul_ports::{KnownNode, Lease, LeaseEnd, NodeUpdates, Presence, StoreError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// State of the other nodes at the time of the last lease renewal.
#[derive(Debug, Default)]
pub(crate) struct PeerState {
    /// Nodes whose lease has expired, with the time of the expiry.
    unreachable: Mutex<BTreeMap<NodeId, Timestamp>>,
    /// Nodes that left the cluster, with the time at which this node first detected their absence.
    left: Mutex<BTreeMap<NodeId, Timestamp>>,
    /// True while the updates of a lease renewal are being handled.
    heeding: AtomicBool,
}

impl PeerState {
    /// Returns the time at which the lease of a node expired, as far as this node knows.
    pub(crate) fn unreachable_since(&self, node: &NodeId) -> Option<Timestamp> {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).get(node).copied()
    }

    fn left_at(&self, node: &NodeId) -> Option<Timestamp> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).get(node).copied()
    }

    /// Records the nodes that have left. For nodes that are recorded already, the time of the first detection is
    /// preserved. Nodes that have returned are removed.
    fn note_left(&self, known: &[KnownNode], now: Timestamp) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = known.iter().filter(|node| node.presence == Presence::Left).map(|node| &node.facts.id);
        *left = nodes.map(|node| (node.clone(), left.get(node).copied().unwrap_or(now))).collect();
    }
}

/// Renews the lease periodically and handles the updates in the answers.
pub(crate) async fn renew_periodically(core: Arc<EngineShared>) {
    while !core.lease_state.is_replaced() {
        renew_lease(&core).await;
        let next = core.parts.clock.now().plus(core.settings.lease_renew_interval);
        core.parts.clock.sleep_until(Deadline::At(next)).await;
    }
}

async fn renew_lease(core: &Arc<EngineShared>) {
    let (lease, asked) = (core.lease(), core.mark_before_request());
    let time_limit = asked.at.plus(core.settings.lease_renew_interval.saturating_mul(2));
    let answer = tokio::select! {
        biased;
        answer = core.parts.store.renew_lease(&lease) => answer,
        () = core.parts.clock.sleep_until(Deadline::At(time_limit)) => {
            core.history_tracker.missed();
            return core.log_retry(None, &RenewalTimeout, "the store did not answer a lease renewal in time");
        }
    };
    match answer {
        Ok(calls) => {
            core.heard(&lease, &asked, &calls);
            handle_updates_concurrently(core, calls);
            refresh_members(core).await;
        }
        Err(StoreError::Fenced { .. }) => {
            core.verify_lease(lease).await;
        }
        Err(error) => {
            core.history_tracker.missed();
            core.log_retry(None, &error, "the store did not answer a lease renewal");
        }
    }
}

/// Handles updates in the background, so that they do not delay the next lease renewal.
fn handle_updates_concurrently(core: &Arc<EngineShared>, calls: NodeUpdates) {
    if core.neighbours.heeding.swap(true, Ordering::Relaxed) {
        return;
    }
    let core = core.clone();
    tokio::spawn(async move {
        if let Err(error) = handle_updates(&core, &calls).await {
            core.log_retry(
                None,
                &error,
                "could not process the updates of a lease renewal; the next renewal \
             repeats them",
            );
        }
        core.neighbours.heeding.store(false, Ordering::Relaxed);
    });
}

async fn refresh_members(core: &EngineShared) {
    let time_limit = core.parts.clock.now().plus(core.settings.lease_renew_interval);
    let known = tokio::select! {
        biased;
        known = core.parts.store.list_nodes() => known,
        () = core.parts.clock.sleep_until(Deadline::At(time_limit)) => return,
    };
    let Ok(known) = known else { return };
    core.neighbours.note_left(&known, core.parts.clock.now());
    let unreachable =
        known.iter().filter_map(|node| Some((node.facts.id.clone(), node.presence.unreachable_since()?)));
    let unreachable: BTreeMap<NodeId, Timestamp> = unreachable.collect();
    let mut before = core.neighbours.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
    for node in unreachable.keys().filter(|node| !before.contains_key(node)) {
        tracing::warn!(%node, "a node stopped renewing its lease");
    }
    for node in before.keys().filter(|node| !unreachable.contains_key(node)) {
        tracing::info!(%node, "a node started to renew its lease again");
    }
    *before = unreachable;
}

/// Stops local attempts when the lease expires, because other nodes may then start the same processes.
pub(crate) async fn enforce_lease_deadline(core: Arc<EngineShared>) {
    let mut changed = core.lease_state.changes();
    while let Some(until) = core.lease_state.until() {
        if until <= core.parts.clock.now() {
            tracing::warn!(
                "the lease of this node expired: the node claims no processes until the store answers"
            );
            core.stop_local_attempts();
            changed.next().await;
            continue;
        }
        tokio::select! {
            biased;
            () = changed.next() => {}
            () = core.parts.clock.sleep_until(Deadline::At(until)) => {}
        }
    }
}

/// Publishes the end of the lease to the shims, so that they can stop their attempts even if this manager is killed.
pub(crate) async fn publish_lease_end(core: Arc<EngineShared>) {
    let mut changed = core.lease_state.changes();
    loop {
        if let Some(until) = core.lease_state.until() {
            core.parts.spawner.set_lease_end(LeaseEnd::At(until)).await;
        }
        changed.next().await;
    }
}

impl EngineShared {
    /// Returns the time since which a node has been unreachable: the time at which its lease expired. If the node left
    /// the cluster, this is the time at which its lease would have expired.
    pub(crate) fn unreachable_since(&self, node: &NodeId) -> Option<Timestamp> {
        let since_left = || {
            let since = self.lease_state.after(self.neighbours.left_at(node)?);
            (since <= self.parts.clock.now()).then_some(since)
        };
        self.neighbours.unreachable_since(node).or_else(since_left)
    }

    /// Starts to work under a new lease: advertises the properties of this node and renews the lease one time.
    pub(crate) async fn enter(self: &Arc<Self>) -> Result<(), EngineError> {
        let lease = self.lease();
        self.parts.store.advertise(&lease, &self.settings.offer).await?;
        let asked = self.mark_before_request();
        let calls = self.parts.store.renew_lease(&lease).await?;
        self.heard(&lease, &asked, &calls);
        Ok(())
    }

    /// Records the answer to a lease renewal. `asked` contains the time at which the renewal was sent.
    pub(crate) fn heard(self: &Arc<Self>, lease: &Lease, asked: &HistoryQuery, calls: &NodeUpdates) {
        self.lease_state.extend(lease, asked.at, calls);
        self.check_history(asked, calls);
    }
}

/// Error of a lease renewal that the store did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("the lease renewal timed out")]
struct RenewalTimeout;
