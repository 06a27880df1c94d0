//! The start: what became of the work of an earlier life.

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
/// So many attempts are looked at side by side.
const MAX_CONCURRENT: usize = 32;
/// The longest time for which the manager answers no question after its start. A client that started the manager gives up
/// after five seconds.
const BOUND: Duration = Duration::from_secs(3);
/// The statuses in which a command may be there.
pub(crate) const LIVE: [Status; 4] = [Status::Starting, Status::Running, Status::Paused, Status::Stopping];

/// Finds out what became of every live record of this node: ends that were missed are recorded, what lives is watched again.
///
/// No status is older than this start when it returns, except of what is [`Unexamined`](crate::unexamined::Unexamined):
/// no client waits for longer than [`BOUND`], and the returned task examines the rest.
pub(crate) async fn recover(core: &Arc<EngineShared>) -> Result<Option<JoinHandle<()>>, EngineError> {
    core.live_stats.was_away_until(core.parts.clock.now());
    crashpoint!("engine.recover.begin");
    let until = core.parts.clock.awake().plus(BOUND);
    let listed = listed(core, false).await?;
    // Dropping the set ends it, if this start is given up.
    let mut looking = JoinSet::new();
    looking.spawn(look_at(core.clone(), listed));
    let rest = tokio::select! {
        biased;
        _ = looking.join_next() => None,
        () = core.parts.clock.sleep_until(Deadline::Awake(until)) => {
            tracing::warn!(unexamined = core.unexamined.count(), "what became of some attempts is not known yet");
            Some(tokio::spawn(async move {
                looking.join_next().await;
            }))
        }
    };
    crashpoint!("engine.recover.done");
    Ok(rest)
}

/// The same for what this node does not know of, after the store turned out to stand as it stood earlier: what ended
/// since then has not ended there. What cannot be read now is looked at with the next start.
///
/// Its future may be part of a turn, and must not contain itself.
pub(crate) fn look_at_unheard(core: &Arc<EngineShared>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    Box::pin(async move {
        match listed(core, true).await {
            Ok(listed) => look_at(core.clone(), listed).await,
            Err(error) => tracing::warn!(%error, "what became of older work of this node cannot be told now"),
        }
    })
}

/// The live commands of this node, all of which count as unexamined from now on. Reported work is attended to at once.
async fn listed(core: &Arc<EngineShared>, only_unheard: bool) -> Result<Vec<StoredProcess>, EngineError> {
    let filter = ProcessFilter { statuses: LIVE.to_vec(), ..ProcessFilter::default() };
    let mut page = PageRequest { order: SortOrder::OldestFirst, after: None, most: PAGE };
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
                core.attend_again(&stored);
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
    // First of all, so that an order that was accepted while nobody was here is not overtaken by what is found.
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
            commit_with_retry(core, id, Input::Observation(observation)).await;
        }
        Ok(Adopted::Alive(observation)) => {
            core.unexamined.remove(key);
            core.copies.began(&stored.process, key);
            if stored.process.status() == Status::Starting {
                commit_with_retry(core, id, Input::Observation(observation)).await;
            } else {
                core.arm(&stored);
                core.attend_again(&stored);
                core.perform_wanted(&stored).await;
            }
        }
        Err(error) => {
            tracing::error!(%id, %error, "nothing can be told about an attempt yet");
            core.arm(&stored);
            core.attend_again(&stored);
            core.again_later(key);
        }
    }
}

/// The record with the orders answered that were left for it; as it is if they cannot be answered now.
async fn answered(core: &Arc<EngineShared>, stored: StoredProcess) -> Option<StoredProcess> {
    if stored.pending_actions.is_empty() {
        return Some(stored);
    }
    let id = stored.process.id;
    if let Err(error) = core.execute_pending_actions(id).await {
        tracing::warn!(%id, %error, "orders wait until they can be answered");
    }
    // A store that does not tell now was heard when the orders were answered: an older record would undo that.
    let stored = match core.load(id).await {
        Ok(stored) => stored,
        Err(_) => core.owned.take(id).unwrap_or(stored),
    };
    LIVE.contains(&stored.process.status()).then_some(stored)
}
