//! Signs of life, where leases end without them.

use crate::engine::Core;
use crate::error::EngineError;
use crate::pump::heed;
use crate::reconcile::Asked;
use longhaul_domain::{Deadline, NodeId, Timestamp};
use longhaul_ports::{Calls, KnownNode, Lease, LeaseEnd, Presence, StoreError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What this node hears from the others when it gives a sign of life.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// Nodes whose lease is over, since when.
    unreachable: Mutex<BTreeMap<NodeId, Timestamp>>,
    /// Nodes that left in good order, since they were first seen so.
    left: Mutex<BTreeMap<NodeId, Timestamp>>,
    /// What the last sign of life told is being heeded.
    heeding: AtomicBool,
}

impl Neighbours {
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
pub(crate) async fn keep_lease(core: Arc<Core>) {
    while !core.tenure.is_replaced() {
        beat(&core).await;
        let next = core.parts.clock.now().plus(core.settings.beat);
        core.parts.clock.sleep_until(Deadline::At(next)).await;
    }
}

async fn beat(core: &Arc<Core>) {
    let (lease, asked) = (core.lease(), core.asking());
    let patience = asked.at.plus(core.settings.beat.saturating_mul(2));
    let answer = tokio::select! {
        biased;
        answer = core.parts.store.beat(&lease) => answer,
        () = core.parts.clock.sleep_until(Deadline::At(patience)) => {
            core.regard.missed();
            return core.unanswered(None, &TooLong, "a sign of life was not answered in time");
        }
    };
    match answer {
        Ok(calls) => {
            core.heard(&lease, &asked, &calls);
            heed_beside(core, calls);
            look_around(core).await;
        }
        Err(StoreError::Fenced { .. }) => {
            core.doubt(lease).await;
        }
        Err(error) => {
            core.regard.missed();
            core.unanswered(None, &error, "a sign of life was not answered");
        }
    }
}

/// What has to be done must not keep the next sign of life waiting.
fn heed_beside(core: &Arc<Core>, calls: Calls) {
    if core.neighbours.heeding.swap(true, Ordering::Relaxed) {
        return;
    }
    let core = core.clone();
    tokio::spawn(async move {
        if let Err(error) = heed(&core, &calls).await {
            core.unanswered(None, &error, "what a sign of life told waits for the next one");
        }
        core.neighbours.heeding.store(false, Ordering::Relaxed);
    });
}

async fn look_around(core: &Core) {
    let patience = core.parts.clock.now().plus(core.settings.beat);
    let known = tokio::select! {
        biased;
        known = core.parts.store.known_nodes() => known,
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
pub(crate) async fn mind_deadline(core: Arc<Core>) {
    let mut changed = core.tenure.changes();
    while let Some(until) = core.tenure.until() {
        if until <= core.parts.clock.now() {
            tracing::warn!("the lease of this node is over: nothing is claimed until the store answers");
            core.give_up_copies();
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
pub(crate) async fn tell_deadline(core: Arc<Core>) {
    let mut changed = core.tenure.changes();
    loop {
        if let Some(until) = core.tenure.until() {
            core.parts.spawner.lease_lasts(LeaseEnd::At(until)).await;
        }
        changed.next().await;
    }
}

impl Core {
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
        self.parts.store.announce(&lease, &self.settings.offer).await?;
        let asked = self.asking();
        let calls = self.parts.store.beat(&lease).await?;
        self.heard(&lease, &asked, &calls);
        Ok(())
    }

    /// A sign of life that was sent then was answered.
    pub(crate) fn heard(self: &Arc<Self>, lease: &Lease, asked: &Asked, calls: &Calls) {
        self.tenure.prolong(lease, asked.at, calls);
        self.regard(asked, calls);
    }
}

/// Why a sign of life is given up.
#[derive(Debug, thiserror::Error)]
#[error("it takes too long")]
struct TooLong;
