//! Recovery: when the engine starts, it determines the state of the attempts of the previous run.

use crate::engine::EngineShared;
use crate::error::EngineError;
use crate::inbox::commit_with_retry;
use crate::local_attempts::counted;
use longhaul_domain::{Deadline, Input, Status};
use longhaul_failpoint::crashpoint;
use longhaul_ports::{Adopted, AttemptKey, PageRequest, ProcessFilter, SortOrder, StoredProcess};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};

const PAGE: u32 = 200;
/// Maximum number of attempts that are examined concurrently.
const MAX_CONCURRENT: usize = 32;
/// Maximum time by which recovery delays the start of the manager. A client that started the manager waits for five
/// seconds.
const BOUND: Duration = Duration::from_secs(3);
/// Statuses in which a command may be running.
pub(crate) const LIVE: [Status; 4] = [Status::Starting, Status::Running, Status::Paused, Status::Stopping];

/// Examines every live attempt of this node: ends that were missed are recorded, and live attempts are observed again.
///
/// Returns after [`BOUND`] at the latest. Attempts that have not been examined within this time are listed in
/// [`UnverifiedAttempts`](crate::unverified_attempts::UnverifiedAttempts), and the returned task examines them.
pub(crate) async fn recover(core: &Arc<EngineShared>) -> Result<Option<JoinHandle<()>>, EngineError> {
    core.live_stats.was_away_until(core.parts.clock.now());
    crashpoint!("engine.recover.begin");
    let until = core.parts.clock.awake().plus(BOUND);
    let listed = listed(core, false).await?;
    // Dropping the set aborts the examination if this function is cancelled.
    let mut looking = JoinSet::new();
    looking.spawn(look_at(core.clone(), listed));
    let rest = tokio::select! {
        biased;
        _ = looking.join_next() => None,
        () = core.parts.clock.sleep_until(Deadline::Awake(until)) => {
            tracing::warn!(unexamined = core.unexamined.count(), "could not determine the state of some \
                attempts yet; retrying");
            Some(tokio::spawn(async move {
                looking.join_next().await;
            }))
        }
    };
    crashpoint!("engine.recover.done");
    Ok(rest)
}

/// Examines live attempts of this node that the engine has not found or started itself. This examination is necessary
/// if the store is found in an older state, in which ended attempts may appear as live. If the store cannot be read,
/// the next start examines them.
///
/// The future is boxed because it may be part of a turn, and the future of a turn must not contain itself.
pub(crate) fn examine_unknown_attempts(
    core: &Arc<EngineShared>,
) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    Box::pin(async move {
        match listed(core, true).await {
            Ok(listed) => look_at(core.clone(), listed).await,
            Err(error) => {
                tracing::warn!(%error, "could not examine the earlier processes of this node; the next start of the \
                    node examines them");
            }
        }
    })
}

/// Returns the live commands of this node and marks them as unverified. Starts to monitor reported work immediately.
async fn listed(core: &Arc<EngineShared>, only_unheard: bool) -> Result<Vec<StoredProcess>, EngineError> {
    let filter = ProcessFilter { statuses: LIVE.to_vec(), ..ProcessFilter::default() };
    let mut page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: PAGE };
    let mut listed = Vec::new();
    loop {
        let listing = core.parts.store.list(&filter, &page).await?;
        for stored in listing.processes {
            let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
            if only_unheard && core.copies.is_known(key) {
                continue;
            }
            if stored.process.spec.command().is_none() {
                core.arm(&stored);
                core.resume_from(&stored);
            } else if stored.owner.as_ref().is_some_and(|owner| owner.node == *core.here()) {
                core.unexamined.add(key);
                listed.push(stored);
            }
        }
        match listing.next {
            Some(next) => page.after = Some(next),
            None => return Ok(listed),
        }
    }
}

async fn look_at(core: Arc<EngineShared>, listed: Vec<StoredProcess>) {
    let mut looking = JoinSet::new();
    for stored in listed {
        if looking.len() >= MAX_CONCURRENT {
            looking.join_next().await;
        }
        let core = core.clone();
        looking.spawn(async move { look(&core, stored).await });
    }
    while looking.join_next().await.is_some() {}
}

async fn look(core: &Arc<EngineShared>, stored: StoredProcess) {
    let id = stored.process.id;
    let listed = AttemptKey { id, attempt: stored.process.attempt };
    let spec = Arc::clone(&stored.process.spec);
    let Some(command) = spec.command() else {
        return core.unexamined.remove(listed);
    };
    // Execute pending actions before the attempt is examined, so that the result of the examination does not overtake
    // them.
    let Some(stored) = answered(core, stored).await else {
        return core.unexamined.remove(listed);
    };
    let key = AttemptKey { id, attempt: stored.process.attempt };
    crashpoint!("engine.recover.adopt");
    let found = core.parts.spawner.adopt(key, command).await;
    crashpoint!("engine.recover.found");
    match found {
        Ok(Adopted::Over(observation)) => {
            let observation = counted(observation);
            for missed in core.missed(&stored, &observation).await {
                commit_with_retry(core, id, Input::Observation(missed)).await;
            }
            let observation = core.with_first_error(id, observation).await;
            let (results, observation) = core.with_test_results(id, Some(&stored.process), observation).await;
            if let Some(results) = results {
                commit_with_retry(core, id, Input::Observation(results)).await;
            }
            if core.may_collect(&stored.process) {
                core.collect_artifacts(id, &stored.process.spec, &observation).await;
            }
            commit_with_retry(core, id, Input::Observation(observation)).await;
        }
        Ok(Adopted::Alive(observation)) => {
            core.unexamined.remove(key);
            core.copies.began(&stored.process, key);
            if stored.process.status() == Status::Starting {
                commit_with_retry(core, id, Input::Observation(observation)).await;
            } else {
                core.arm(&stored);
                core.resume_from(&stored);
                core.perform_pending_effects(&stored).await;
            }
        }
        Err(error) => {
            tracing::error!(%id, %error, "could not examine an attempt; retrying");
            core.arm(&stored);
            core.resume_from(&stored);
            core.again_later(key);
        }
    }
}

/// Executes the pending actions of a process and returns its new record. Returns `None` if the process is not
/// live any more.
async fn answered(core: &Arc<EngineShared>, stored: StoredProcess) -> Option<StoredProcess> {
    if stored.pending_actions.is_empty() {
        return Some(stored);
    }
    let id = stored.process.id;
    if let Err(error) = core.execute_pending_actions(id).await {
        tracing::warn!(%id, %error, "could not load the pending actions; retrying");
    }
    // If the store does not answer, use the record that was committed with the actions. An older record would undo the
    // actions.
    let stored = match core.load(id).await {
        Ok(stored) => stored,
        Err(_) => core.owned.take(id).unwrap_or(stored),
    };
    LIVE.contains(&stored.process.status()).then_some(stored)
}
