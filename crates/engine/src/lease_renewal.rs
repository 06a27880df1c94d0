//! Signs of life, where leases end without them.

use crate::claim_loop::handle_updates;
use crate::engine::EngineShared;
use crate::error::EngineError;
use crate::reconcile::HistoryQuery;
use longhaul_domain::{Deadline, NodeId, Timestamp};
use longhaul_ports::{KnownNode, Lease, LeaseEnd, NodeUpdates, Presence, StoreError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What this node hears from the others when it gives a sign of life.
#[derive(Debug, Default)]
pub(crate) struct PeerState {
    /// Nodes whose lease is over, since when.
    unreachable: Mutex<BTreeMap<NodeId, Timestamp>>,
    /// Nodes that left in good order, since they were first seen so.
    left: Mutex<BTreeMap<NodeId, Timestamp>>,
    /// What the last sign of life told is being heeded.
    heeding: AtomicBool,
}

impl PeerState {
    /// Since when the lease of a node is over, as far as this node has heard.
    pub(crate) fn unreachable_since(&self, node: &NodeId) -> Option<Timestamp> {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).get(node).copied()
    }

    fn left_at(&self, node: &NodeId) -> Option<Timestamp> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).get(node).copied()
    }

    /// A node that leaves may be back in a moment, so it counts from when it was seen first.
    fn note_left(&self, known: &[KnownNode], now: Timestamp) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = known.iter().filter(|node| node.presence == Presence::Left).map(|node| &node.facts.id);
        *left = nodes.map(|node| (node.clone(), left.get(node).copied().unwrap_or(now))).collect();
    }
}

/// Gives a sign of life again and again, and heeds what is answered.
pub(crate) async fn keep_lease(core: Arc<EngineShared>) {
    while !core.tenure.is_replaced() {
        renew_lease(&core).await;
        let next = core.parts.clock.now().plus(core.settings.lease_renew_interval);
        core.parts.clock.sleep_until(Deadline::At(next)).await;
    }
}

async fn renew_lease(core: &Arc<EngineShared>) {
    let (lease, asked) = (core.lease(), core.asking());
    let patience = asked.at.plus(core.settings.lease_renew_interval.saturating_mul(2));
    let answer = tokio::select! {
        biased;
        answer = core.parts.store.renew_lease(&lease) => answer,
        () = core.parts.clock.sleep_until(Deadline::At(patience)) => {
            core.regard.missed();
            return core.unanswered(None, &RenewalTimeout, "a sign of life was not answered in time");
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
            core.regard.missed();
            core.unanswered(None, &error, "a sign of life was not answered");
        }
    }
}

/// What has to be done must not keep the next sign of life waiting.
fn handle_updates_concurrently(core: &Arc<EngineShared>, calls: NodeUpdates) {
    if core.neighbours.heeding.swap(true, Ordering::Relaxed) {
        return;
    }
    let core = core.clone();
    tokio::spawn(async move {
        if let Err(error) = handle_updates(&core, &calls).await {
            core.unanswered(None, &error, "what a sign of life told waits for the next one");
        }
        core.neighbours.heeding.store(false, Ordering::Relaxed);
    });
}

async fn refresh_members(core: &EngineShared) {
    let patience = core.parts.clock.now().plus(core.settings.lease_renew_interval);
    let known = tokio::select! {
        biased;
        known = core.parts.store.list_nodes() => known,
        () = core.parts.clock.sleep_until(Deadline::At(patience)) => return,
    };
    let Ok(known) = known else { return };
    core.neighbours.note_left(&known, core.parts.clock.now());
    let unreachable =
        known.iter().filter_map(|node| Some((node.facts.id.clone(), node.presence.unreachable_since()?)));
    let unreachable: BTreeMap<NodeId, Timestamp> = unreachable.collect();
    let mut before = core.neighbours.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
    for node in unreachable.keys().filter(|node| !before.contains_key(node)) {
        tracing::warn!(%node, "a node gives no sign of life");
    }
    for node in before.keys().filter(|node| !unreachable.contains_key(node)) {
        tracing::info!(%node, "a node is there again");
    }
    *before = unreachable;
}

/// Stops in time what must not run on when the lease is over.
pub(crate) async fn enforce_lease_deadline(core: Arc<EngineShared>) {
    let mut changed = core.tenure.changes();
    while let Some(until) = core.tenure.until() {
        if until <= core.parts.clock.now() {
            tracing::warn!("the lease of this node is over: nothing is claimed until the store answers");
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

/// Tells those who have to end without this manager, should it be killed, how long the lease lasts.
pub(crate) async fn publish_lease_end(core: Arc<EngineShared>) {
    let mut changed = core.tenure.changes();
    loop {
        if let Some(until) = core.tenure.until() {
            core.parts.spawner.set_lease_end(LeaseEnd::At(until)).await;
        }
        changed.next().await;
    }
}

impl EngineShared {
    /// Since when nobody works at a node: its lease is over, or would be if it had not left in good order.
    pub(crate) fn unreachable_since(&self, node: &NodeId) -> Option<Timestamp> {
        let since_left = || {
            let since = self.tenure.after(self.neighbours.left_at(node)?);
            (since <= self.parts.clock.now()).then_some(since)
        };
        self.neighbours.unreachable_since(node).or_else(since_left)
    }

    /// Begins to work under a lease that was just given.
    pub(crate) async fn enter(self: &Arc<Self>) -> Result<(), EngineError> {
        let lease = self.lease();
        self.parts.store.advertise(&lease, &self.settings.offer).await?;
        let asked = self.asking();
        let calls = self.parts.store.renew_lease(&lease).await?;
        self.heard(&lease, &asked, &calls);
        Ok(())
    }

    /// A sign of life that was sent then was answered.
    pub(crate) fn heard(self: &Arc<Self>, lease: &Lease, asked: &HistoryQuery, calls: &NodeUpdates) {
        self.tenure.prolong(lease, asked.at, calls);
        self.regard(asked, calls);
    }
}

/// Why a sign of life is given up.
#[derive(Debug, thiserror::Error)]
#[error("it took too long")]
struct RenewalTimeout;
