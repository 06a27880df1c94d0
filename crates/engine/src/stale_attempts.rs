//! Stale attempts: attempts on this machine that outlived their manager while their process continued on another node.

use crate::engine::EngineShared;
use crate::rejoin::runs_again_if_lost;
use crate::transact::is_orphan;
use longhaul_domain::{AttemptNo, AwakeTime, Deadline, Ending, Exit, Observation, ProcessId, State};
use longhaul_ports::{Adopted, AttemptKey, StoredProcess};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of processes in one request.
const PAGE: u32 = 500;
/// Delay before another examination of attempts that could not be examined.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Before the first claim, searches this machine for attempts that this node no longer owns. If the process of an
/// attempt is running on another node, the attempt is stopped. Exits of interrupted processes are recorded as late
/// exits. Failed examinations are repeated; until they succeed, no later attempt of any process starts on this node.
pub(crate) async fn examine_stale_attempts(core: &Arc<EngineShared>) {
    if pass(core).await {
        return core.copies.are_known();
    }
    let core = core.clone();
    tokio::spawn(async move {
        while !core.is_closing() {
            let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
            core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            if pass(&core).await {
                return core.copies.are_known();
            }
        }
    });
}

/// Examines each attempt one time. Returns false if some attempts could not be examined.
async fn pass(core: &Arc<EngineShared>) -> bool {
    let mut after: Option<ProcessId> = None;
    let mut is_whole = true;
    let mut unknown = Vec::new();
    loop {
        let kept = match core.parts.output.kept(after, PAGE).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%error, "could not list earlier attempts of this node; retrying");
                return false;
            }
        };
        let Some(last) = kept.last().copied() else {
            if is_whole {
                log_unknown(&unknown);
            }
            return is_whole;
        };
        let found = match core.parts.store.load_each(&kept).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "could not examine earlier attempts of this node; retrying");
                return false;
            }
        };
        for (id, stored) in kept.iter().zip(&found) {
            is_whole &= match stored {
                Ok(Some(stored)) => look(core, stored).await,
                Ok(None) => {
                    unknown.push(*id);
                    true
                }
                Err(error) => {
                    tracing::warn!(%id, %error, "the record of an earlier attempt cannot be read");
                    true
                }
            };
        }
        after = Some(last);
    }
}

/// Logs the attempts whose process has no record. They are not stopped, because their process cannot be live on another
/// node: its record would then exist. An attempt whose process is retried after the loss of its node stops with the
/// lease anyway, even without a manager.
fn log_unknown(unknown: &[ProcessId]) {
    if let Some(first) = unknown.first() {
        let count = unknown.len();
        tracing::warn!(%first, count, "the store has no record of an earlier attempt; if it is still running, it \
                                       continues");
    }
}

async fn look(core: &Arc<EngineShared>, stored: &StoredProcess) -> bool {
    let process = &stored.process;
    let Some(command) = process.spec.command() else {
        return true;
    };
    let mut is_told = true;
    let is_mine = stored.owner.as_ref().is_some_and(|owner| owner.node == *core.here());
    let is_interrupted = match &process.state {
        State::Ended(ended) => ended.late.is_none() && matches!(ended.ending, Ending::Interrupted { .. }),
        State::Pending(_)
        | State::Starting { .. }
        | State::Running { .. }
        | State::Reported { .. }
        | State::Paused { .. }
        | State::Stopping { .. }
        | State::CancelRequested { .. }
        | State::AwaitingChildren(_) => false,
    };
    // The process was taken away from this node while the node was unreachable, but it is not recorded as lost yet.
    let is_orphan = is_orphan(stored) && process.node.as_ref() == Some(core.here());
    if is_orphan {
        core.lanes.seen(process.id, Observation::OwnerLost);
    }
    let goes_on = is_interrupted || (is_orphan && !runs_again_if_lost(process));
    let is_over_here = process.status().is_ended() && process.node.as_ref() == Some(core.here());
    let is_settled = is_over_here && !is_interrupted && !is_unseen(&process.state);
    for number in 1..=process.attempt.0 {
        let key = AttemptKey { id: process.id, attempt: AttemptNo(number) };
        let is_latest = key.attempt == process.attempt;
        if core.copies.is_known(key) || (is_latest && (is_mine || is_settled)) {
            continue;
        }
        match core.parts.spawner.adopt(key, command).await {
            Ok(Adopted::Alive(_)) if is_latest && goes_on => {
                core.copies.began(process, key);
                core.stop_orphan(stored);
            }
            Ok(Adopted::Alive(_)) => core.end_copy(process, key),
            // The attempt was stopped on this node while the store was unreachable, so its process may continue on
            // another node.
            Ok(Adopted::Over(seen)) if is_latest && goes_on || was_stopped(&seen) => {
                core.lanes.seen(key.id, core.copies.seen(key.id, seen));
            }
            Ok(Adopted::Over(_)) => {}
            Err(error) => {
                tracing::warn!(id = %key.id, %error, "could not examine an earlier attempt; retrying");
                is_told = false;
            }
        }
    }
    is_told
}

/// Returns true if the process was cancelled while it was waiting. In this case, no record contains the exit of its
/// last attempt. If the attempt was lost with this node, it may still be running on this node.
const fn is_unseen(state: &State) -> bool {
    match state {
        State::Ended(ended) => matches!(ended.ending, Ending::Cancelled { exit: None, .. }),
        State::Pending(_)
        | State::Starting { .. }
        | State::Running { .. }
        | State::Reported { .. }
        | State::Paused { .. }
        | State::Stopping { .. }
        | State::CancelRequested { .. }
        | State::AwaitingChildren(_) => false,
    }
}

fn was_stopped(seen: &Observation) -> bool {
    matches!(seen, Observation::Exited { exit: Exit { stopped: Some(_), .. }, .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{ExitStatus, StopCause, Timestamp};

    #[test]
    fn only_an_exit_with_a_cause_was_a_stop() {
        let exited = |stopped| Observation::Exited {
            attempt: AttemptNo(1),
            exit: Exit { stopped, ..Exit::of(ExitStatus::Code(0), Timestamp(1)) },
        };
        assert!(was_stopped(&exited(Some(StopCause::User))));
        assert!(!was_stopped(&exited(None)));
        assert!(!was_stopped(&Observation::NeverRan { attempt: AttemptNo(1) }));
    }
}
