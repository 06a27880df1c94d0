//! Two background loops: one claims processes, the other receives observations from the spawner.

use crate::engine::EngineShared;
use crate::error::EngineError;
use crate::transact::is_orphan;
use longhaul_domain::{AwakeTime, Deadline, Observation, Placement, Status, Timestamp, Work};
use longhaul_failpoint::crashpoint;
use longhaul_ports::{
    AttemptKey, ClaimCapacity, Lease, NodeUpdates, PageRequest, PlacementClass, ProcessFilter, SortOrder,
    StoreError, StoredProcess,
};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of processes in one claim.
const BATCH: u32 = 64;
/// Maximum number of starting processes in one request.
const MAX_STARTING_BATCH: u32 = 1_000;
/// Delay before the next request to a store after an error.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Claims and starts waiting processes whenever the store reports new work, until the engine shuts down.
pub(crate) async fn claim(core: Arc<EngineShared>) {
    let mut closing = core.closing.subscribe();
    let (mut greeted, mut worked) = (None, core.lease());
    loop {
        if core.is_closing() {
            return;
        }
        let lease = core.lease();
        if worked != lease {
            start_unheard(&core).await;
        }
        worked = lease.clone();
        let outcome = tokio::select! {
            biased;
            outcome = round(&core, greeted.as_ref() == Some(&lease)) => outcome,
            _ = closing.changed() => return,
        };
        match outcome {
            Ok(()) => greeted = Some(lease),
            Err(EngineError::Store { source: StoreError::Fenced { node, epoch } }) => {
                if core.verify_lease(Lease { node, epoch }).await {
                    greeted = None;
                    continue;
                }
                tracing::error!("another manager took over this node: stopped claiming");
                return;
            }
            Err(error) => {
                core.log_retry(None, &error, "the store did not answer a claim");
                core.history_tracker.missed();
                // The store may have delivered updates that this engine did not handle, so all pending work is
                // requested again.
                greeted = None;
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        }
    }
}

/// Claims processes and then waits for updates. In the first round, also requests the work that the previous run left
/// pending.
async fn round(core: &Arc<EngineShared>, greeted: bool) -> Result<(), EngineError> {
    let mut changed = core.lease_state.changes();
    let greeted = greeted && core.parts.store.away_since().is_none();
    if !greeted {
        // Renew the lease before any claim: a store that was unavailable may have lost data.
        let (lease, asked) = (core.lease(), core.mark_before_request());
        let calls = core.parts.store.renew_lease(&lease).await?;
        core.heard(&lease, &asked, &calls);
        handle_updates(core, &calls).await?;
    }
    while core.lease_state.may_claim(core.parts.clock.now()) && fill(core).await? {}
    let (lease, asked) = (core.lease(), core.mark_before_request());
    if !core.lease_state.may_claim(asked.at) {
        // No later update reports the processes that are queued while the lease is invalid. Wait for a change of the
        // lease; the next round then claims them.
        changed.next().await;
        return Ok(());
    }
    if !greeted {
        return Ok(());
    }
    let calls = core.parts.store.wait_for_updates(&lease).await?;
    core.heard(&lease, &asked, &calls);
    handle_updates(core, &calls).await
}

/// Starts the processes of a claim whose answer was lost. Called after the node has joined the cluster again.
async fn start_unheard(core: &Arc<EngineShared>) {
    for stored in claimed_without_answer(core).await {
        core.settle(&stored);
        core.answer_beside(stored.process.id);
    }
}

/// Claims a single time. Returns true if more processes may be waiting.
async fn fill(core: &Arc<EngineShared>) -> Result<bool, EngineError> {
    let claimed = match core.parts.store.claim(&core.lease(), &room(core).await?).await {
        Err(StoreError::Unknown { .. }) => claimed_without_answer(core).await,
        answer => answer?,
    };
    if !claimed.is_empty() {
        crashpoint!("engine.claimed");
    }
    let more = u32::try_from(claimed.len()).unwrap_or(u32::MAX) >= BATCH;
    for stored in claimed {
        core.settle(&stored);
        if stored.pending_actions.is_empty() {
            core.perform_beside(stored);
        } else {
            core.answer_beside(stored.process.id);
        }
    }
    Ok(more)
}

/// Returns the processes that may have been taken by a claim whose answer was lost. No other code path would start
/// them.
async fn claimed_without_answer(core: &Arc<EngineShared>) -> Vec<StoredProcess> {
    loop {
        match arm_reported(core).await {
            Ok(()) => match starting(core).await {
                Ok(taken) => return taken,
                Err(error) => {
                    tracing::warn!(%error, "could not determine which processes a claim assigned to this \
                        node; retrying")
                }
            },
            Err(error) => tracing::warn!(%error, "could not determine which processes a claim assigned to \
                this node; retrying"),
        }
        let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
        core.parts.clock.sleep_until(Deadline::Awake(until)).await;
    }
}

/// Sets the heartbeat timers of reported work. Reported work has no owner, so every node monitors its heartbeats.
async fn arm_reported(core: &Arc<EngineShared>) -> Result<(), EngineError> {
    let filter =
        ProcessFilter { statuses: vec![Status::Running, Status::Stopping], ..ProcessFilter::default() };
    for stored in core.all(&filter).await? {
        if matches!(stored.process.spec.work, Work::Reported(_)) {
            core.arm(&stored);
            core.update_from(&stored);
        }
    }
    Ok(())
}

/// Returns the processes that this node owns and that are starting. For a start that is already in progress, this has
/// no effect.
async fn starting(core: &EngineShared) -> Result<Vec<StoredProcess>, EngineError> {
    let filter = ProcessFilter {
        statuses: vec![Status::Starting],
        owner: Some(core.here().clone()),
        ..ProcessFilter::default()
    };
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: MAX_STARTING_BATCH };
    Ok(core.parts.store.list(&filter, &page).await?.processes)
}

async fn room(core: &EngineShared) -> Result<ClaimCapacity, EngineError> {
    let mut classes = vec![
        PlacementClass::Node(core.here().clone()),
        PlacementClass::Shared(Placement::Anywhere),
        PlacementClass::Shared(Placement::Here),
    ];
    let offer = &core.settings.offer;
    if !offer.labels.is_empty() {
        let labelled = core.parts.store.label_classes().await?;
        classes.extend(labelled.into_iter().filter(|class| offer.takes(core.here(), class)));
    }
    Ok(ClaimCapacity { roots: core.settings.roots(), batch: BATCH, classes })
}

pub(crate) async fn handle_updates(core: &Arc<EngineShared>, calls: &NodeUpdates) -> Result<(), EngineError> {
    if calls.policy != core.policy_version() {
        core.refresh_policy().await?;
    }
    for id in &calls.pending_actions {
        core.execute_pending_actions(*id).await?;
    }
    core.timers.schedule_due_check(calls.due);
    Ok(())
}

/// Handles due records that have no owner. Returns the time at which the next record is due.
pub(crate) async fn attend(core: &Arc<EngineShared>) -> Result<Option<Timestamp>, EngineError> {
    if let Some(until) = core.lease_state.held_until(core.parts.clock.now()) {
        // Lost records may not be restored yet, and a record may look due only for that reason.
        return Ok(Some(until));
    }
    loop {
        let due = core.parts.store.claim_due(&core.lease(), BATCH).await?;
        let more = u32::try_from(due.len()).unwrap_or(u32::MAX) >= BATCH;
        for stored in due {
            let id = stored.process.id;
            if is_orphan(&stored) {
                core.lanes.seen(id, Observation::OwnerLost);
            } else {
                core.lanes.tick(id);
            }
            if !stored.pending_actions.is_empty() {
                core.answer_if_ownerless(stored.process.id);
            }
            if stored.process.wanted_below().is_some() {
                core.perform_beside(stored);
            }
        }
        if !more {
            let (lease, asked) = (core.lease(), core.mark_before_request());
            let calls = core.parts.store.renew_lease(&lease).await?;
            core.heard(&lease, &asked, &calls);
            return Ok(calls.due);
        }
    }
}

/// Receives observations from the spawner and passes them to the engine.
pub(crate) async fn observe(core: Arc<EngineShared>) {
    loop {
        let seen = core.parts.spawner.next().await;
        if let Observation::Spawned { attempt, .. } = seen.observation {
            core.unexamined.remove(AttemptKey { id: seen.id, attempt });
        }
        core.take_in(seen.id, core.copies.seen(seen.id, seen.observation));
    }
}
