//! Cascades: all descendants of a process are cancelled, and the process waits until they have ended.
//!
//! Cascades run in background tasks and can be repeated at any time: the record of the process contains what has to be
//! done, and descendants with the action already pending or done are skipped.

use crate::engine::EngineShared;
use crate::error::EngineError;
use longhaul_domain::{
    Action, AwakeTime, Deadline, Effect, Input, Level, Observation, PendingAction, ProcessId, Status,
    StopCause,
};
use longhaul_ports::{PageRequest, ProcessFilter, SortOrder, StoredProcess};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Maximum number of descendants that receive the action concurrently.
const MAX_CONCURRENT: usize = 32;
/// Maximum time to wait for the answers of one level of the tree. It is short because all levels share one grace
/// period.
const LEVEL_TIMEOUT: Duration = Duration::from_millis(50);
/// Maximum time by which the cascade delays the stop of the process itself.
const CASCADE_TIMEOUT: Duration = Duration::from_millis(500);
/// Delay before the first retry of a cascade; each further delay is twice as long.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Maximum delay between two retries of a cascade.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
const PAGE: u32 = 500;
pub(crate) const LIVE: [Status; 5] =
    [Status::Pending, Status::Starting, Status::Running, Status::Paused, Status::Stopping];

/// The cascades that this engine runs, and the processes that are waiting for their descendants to end.
#[derive(Debug, Default)]
pub(crate) struct CascadeTracker {
    awaited: Mutex<HashMap<ProcessId, CascadeCheck>>,
    /// The processes whose descendants are being cancelled; the flag is true for a cancel without a grace period.
    telling: Mutex<HashSet<(ProcessId, bool)>>,
    /// True as soon as the work of the previous run has been recovered. No cascade starts before that.
    open: watch::Sender<bool>,
}

/// State of the check for live descendants of one process: whether it is running, and whether it has to be repeated.
#[derive(Clone, Copy, Debug, Default)]
struct CascadeCheck {
    under_way: bool,
    again: bool,
}

impl CascadeTracker {
    /// Allows cascades to start.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    async fn opened(&self) {
        // The wait cannot fail, because `self` owns the sender.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    /// Marks a check as running. If a check is running already, returns false and marks that check to be repeated.
    fn begin(&self, id: ProcessId) -> bool {
        let mut awaited = locked(&self.awaited);
        let look = awaited.entry(id).or_default();
        let free = !look.under_way;
        *look = CascadeCheck { under_way: true, again: !free };
        free
    }

    /// Marks a check as finished. Returns true if it has to be repeated.
    fn finish(&self, id: ProcessId) -> bool {
        let mut awaited = locked(&self.awaited);
        let look = awaited.entry(id).or_default();
        let again = look.again;
        *look = CascadeCheck { under_way: again, again: false };
        again
    }

    fn is_awaited(&self, id: ProcessId) -> bool {
        locked(&self.awaited).contains_key(&id)
    }
}

impl EngineShared {
    /// Cancels all live descendants, deepest level first, and then performs the effects in `rest`. The call returns at
    /// once: a background task cancels the descendants and retries failed requests.
    pub(crate) fn cascade(self: &Arc<Self>, stored: &StoredProcess, force: bool, rest: Vec<Effect>) {
        let (core, stored) = (self.clone(), stored.clone());
        tokio::spawn(async move {
            let id = stored.process.id;
            core.cascades.opened().await;
            if !locked(&core.cascades.telling).insert((id, force)) {
                return core.perform_all(&stored, rest).await;
            }
            let until: AwakeTime = core.parts.clock.awake().plus(CASCADE_TIMEOUT);
            let telling = core.cancel_descendants(&stored, force);
            tokio::pin!(telling);
            // A store that does not answer must not delay the stop of the process itself.
            let reported = tokio::select! {
                biased;
                reported = &mut telling => Some(reported),
                () = core.parts.clock.sleep_until(Deadline::Awake(until)) => None,
            };
            core.perform_all(&stored, rest).await;
            let reported = match reported {
                Some(reported) => reported,
                None => telling.await,
            };
            core.cancel_until_accepted(&stored, force, reported).await;
            locked(&core.cascades.telling).remove(&(id, force));
            core.check_descendants(id).await;
        });
    }

    /// Cancels the descendants a single time, without retries, for a stop that could not be recorded.
    pub(crate) fn cascade_unrecorded(
        self: &Arc<Self>,
        stored: &StoredProcess,
        force: bool,
        rest: Vec<Effect>,
    ) {
        let (core, stored) = (self.clone(), stored.clone());
        tokio::spawn(async move {
            core.cascades.opened().await;
            let id = stored.process.id;
            // If the store cannot list the descendants, only the descendants that this node owns are cancelled.
            let below = core.live_below(id).await.unwrap_or_else(|_| core.owned.below(id));
            core.apply_to_all(&stored, below, force).await;
            core.perform_all(&stored, rest).await;
        });
    }

    /// Reports `DescendantsEnded` as soon as no descendant is alive. A background task checks now and again whenever a
    /// descendant ends.
    pub(crate) fn await_descendants(self: &Arc<Self>, id: ProcessId) {
        let core = self.clone();
        tokio::spawn(async move { core.check_descendants(id).await });
    }

    /// Repeats the check for live descendants for each ancestor of the ended process that is waiting for its
    /// descendants.
    pub(crate) fn descendant_ended(self: &Arc<Self>, after: &StoredProcess) {
        for ancestor in after.process.lineage.ancestors.iter().copied() {
            if self.cascades.is_awaited(ancestor) {
                self.await_descendants(ancestor);
            }
        }
    }

    /// Returns every live descendant of a process.
    pub(crate) async fn live_below(&self, id: ProcessId) -> Result<Vec<StoredProcess>, EngineError> {
        self.all(&below(id)).await
    }

    /// Returns true if a process has a live descendant.
    pub(crate) async fn has_live_below(&self, id: ProcessId) -> Result<bool, EngineError> {
        let mut page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 1 };
        loop {
            let listing = self.parts.store.list(&below(id), &page).await?;
            match (listing.processes.is_empty(), listing.next) {
                (false, _) => return Ok(true),
                (true, Some(next)) => page.after = Some(next),
                (true, None) => return Ok(false),
            }
        }
    }

    /// Returns every record that matches a filter, oldest first.
    pub(crate) async fn all(&self, filter: &ProcessFilter) -> Result<Vec<StoredProcess>, EngineError> {
        let mut page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: PAGE };
        let mut found = Vec::new();
        loop {
            let listing = self.parts.store.list(filter, &page).await?;
            found.extend(listing.processes.into_iter().map(|stored| self.with_vitals(stored)));
            match listing.next {
                Some(next) => page.after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Repeats the cascade until every descendant has accepted the action, or until the record no longer contains a
    /// cascade with this `force`.
    async fn cancel_until_accepted(
        self: &Arc<Self>,
        top: &StoredProcess,
        force: bool,
        first: Result<bool, EngineError>,
    ) {
        let id = top.process.id;
        let (mut reported, mut wait) = (first, MIN_RETRY_DELAY);
        loop {
            match reported {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%id, %error, "could not find the descendants of a process; retrying")
                }
            }
            if !self.wait_before_retry(&mut wait).await {
                return;
            }
            reported = match self.load(id).await {
                Ok(stored) if stored.process.cascade.is_some_and(|cascade| cascade.force == force) => {
                    self.cancel_descendants(&stored, force).await
                }
                Ok(_) | Err(EngineError::NotFound { .. }) => return,
                Err(error) => Err(error),
            };
        }
    }

    /// Cancels every live descendant, deepest level first, with a time limit for each level. Returns true if all
    /// descendants have accepted the action.
    async fn cancel_descendants(
        self: &Arc<Self>,
        top: &StoredProcess,
        force: bool,
    ) -> Result<bool, EngineError> {
        let mut below = self.live_below(top.process.id).await?;
        below.extend(self.orphaned_descendants(top.process.id).await?);
        Ok(self.apply_to_all(top, below, force).await)
    }

    async fn apply_to_all(
        self: &Arc<Self>,
        top: &StoredProcess,
        below: Vec<StoredProcess>,
        force: bool,
    ) -> bool {
        let cause = StopCause::Parent;
        let command = if force { Action::Force { cause } } else { Action::Cancel { cause } };
        let mut by_level: BTreeMap<Level, Vec<ProcessId>> = BTreeMap::new();
        for each in below {
            if is_included(top, &each) && !self.is_told(&each, &command) {
                by_level.entry(each.process.lineage.level()).or_default().push(each.process.id);
            }
        }
        let mut all = true;
        for ids in by_level.into_values().rev() {
            all &= self.cancel_level(ids, &command).await;
        }
        all
    }

    /// Returns true if the action is already pending for the process or would change nothing.
    fn is_told(&self, stored: &StoredProcess, command: &Action) -> bool {
        let asked = stored.pending_actions.iter().any(|(_, action)| match action {
            PendingAction::Cancel { .. } | PendingAction::Force { .. } => action.command() == *command,
            PendingAction::Terminate { .. }
            | PendingAction::EndSession { .. }
            | PendingAction::Signal { .. }
            | PendingAction::Pause
            | PendingAction::Resume
            | PendingAction::RetryNow => false,
        });
        let decided =
            stored.process.decide(&self.context(), &stored.live_stats, &Input::Action(command.clone()));
        asked || decided.is_ok_and(|step| step.events.is_empty())
    }

    /// Cancels the given processes concurrently. Returns true if all processes accepted the action within the time
    /// limit.
    async fn cancel_level(self: &Arc<Self>, ids: Vec<ProcessId>, command: &Action) -> bool {
        let until: AwakeTime = self.parts.clock.awake().plus(LEVEL_TIMEOUT);
        let mut left = ids.into_iter();
        let mut telling = JoinSet::new();
        let mut all = true;
        loop {
            while telling.len() < MAX_CONCURRENT
                && let Some(id) = left.next()
            {
                telling.spawn(self.clone().apply_to_one(id, command.clone()));
            }
            tokio::select! {
                biased;
                answer = telling.join_next() => match answer {
                    Some(answer) => all &= answer.unwrap_or(false),
                    None => return all,
                },
                () = self.parts.clock.sleep_until(Deadline::Awake(until)) => {
                    // The time limit is over. The remaining processes are still cancelled, but in the background.
                    for id in left {
                        telling.spawn(self.clone().apply_to_one(id, command.clone()));
                    }
                    telling.detach_all();
                    return false;
                }
            }
        }
    }

    async fn apply_to_one(self: Arc<Self>, id: ProcessId, command: Action) -> bool {
        match self.turn_boxed(id, command).await {
            Ok(_) | Err(EngineError::NotFound { .. } | EngineError::Rejected { .. }) => true,
            Err(error) => {
                tracing::warn!(%id, %error, "could not stop a descendant");
                false
            }
        }
    }

    async fn check_descendants(self: &Arc<Self>, id: ProcessId) {
        if !self.cascades.begin(id) {
            return;
        }
        let mut wait = MIN_RETRY_DELAY;
        loop {
            match self.has_live_below(id).await {
                Ok(false) => {
                    locked(&self.cascades.awaited).remove(&id);
                    return self.lanes.seen(id, Observation::DescendantsEnded);
                }
                Ok(true) => {
                    if !self.cascades.finish(id) {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%id, %error, "could not check the descendants of a process; retrying");
                    if !self.wait_before_retry(&mut wait).await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for `wait` before a retry and doubles `wait`. Returns false if the engine is shutting down.
    async fn wait_before_retry(&self, wait: &mut Duration) -> bool {
        if self.is_closing() {
            return false;
        }
        let until: AwakeTime = self.parts.clock.awake().plus(*wait);
        self.parts.clock.sleep_until(Deadline::Awake(until)).await;
        *wait = wait.saturating_mul(2).min(MAX_RETRY_DELAY);
        !self.is_closing()
    }
}

/// Returns true if a cascade from `top` includes the descendant. A cascade that was caused by the end of a session does
/// not include processes of other sessions.
fn is_included(top: &StoredProcess, descendant: &StoredProcess) -> bool {
    let by_session = top.process.cascade.is_some_and(|cascade| cascade.cause == StopCause::Session);
    let theirs = &descendant.process.spec.session;
    !by_session || theirs.is_none() || *theirs == top.process.spec.session
}

pub(crate) fn below(id: ProcessId) -> ProcessFilter {
    ProcessFilter { statuses: LIVE.to_vec(), ancestor: Some(id), ..ProcessFilter::default() }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, command, running, waiting};
    use longhaul_domain::{ActionSeq, Cascade, SessionId, Spec};
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn check_that_is_requested_while_one_runs_is_repeated_once() {
        let (tracker, id) = (CascadeTracker::default(), waiting(1, command()).process.id);
        assert!(!tracker.is_awaited(id));
        assert!(tracker.begin(id));
        assert!(tracker.is_awaited(id));
        assert!(!tracker.finish(id), "no other check was requested");
        assert!(tracker.begin(id));
        assert!(!tracker.begin(id), "one is running already");
        assert!(tracker.finish(id));
        assert!(!tracker.begin(id), "the repeated check is running");
        assert!(tracker.finish(id) && !tracker.finish(id));
    }

    #[test]
    fn cascades_wait_until_the_work_of_the_previous_run_is_recovered() {
        let tracker = CascadeTracker::default();
        let mut opened = pin!(tracker.opened());
        let mut context = Context::from_waker(Waker::noop());
        assert!(opened.as_mut().poll(&mut context).is_pending());
        tracker.open();
        assert!(opened.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn end_of_a_session_takes_those_of_that_session_and_those_without_one() {
        let of = |session: Option<&str>| {
            let session = session.map(|name| SessionId::new(name).unwrap());
            waiting(1, Spec { session, ..command() })
        };
        let top = |cause| {
            let mut top = of(Some("a"));
            top.process.cascade = Some(Cascade { cause, force: false });
            top
        };
        let ended = top(StopCause::Session);
        assert!(is_included(&ended, &of(Some("a"))) && is_included(&ended, &of(None)));
        assert!(!is_included(&ended, &of(Some("b"))));
        for other in [top(StopCause::User), of(Some("a"))] {
            assert!(is_included(&other, &of(Some("b"))));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn descendant_is_cancelled_once_by_a_pending_action_or_by_its_record() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let cause = StopCause::Parent;
        let (cancel, force) = (Action::Cancel { cause }, Action::Force { cause });
        let mut stored = running(1, command());
        assert!(!core.is_told(&stored, &cancel));
        stored.pending_actions.push((ActionSeq(1), PendingAction::Cancel { cause }));
        assert!(core.is_told(&stored, &cancel) && !core.is_told(&stored, &force));
        stored.pending_actions = vec![(ActionSeq(2), PendingAction::Pause)];
        assert!(!core.is_told(&stored, &cancel));
        let step = stored.process.decide(&core.context(), &stored.live_stats, &Input::Action(cancel.clone()));
        stored.process.evolve(&step.unwrap().events);
        assert!(core.is_told(&stored, &cancel) && !core.is_told(&stored, &force));
    }

    #[tokio::test(start_paused = true)]
    async fn delay_between_retries_doubles_up_to_its_limit_and_none_follows_a_shutdown() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let mut wait = Duration::from_secs(2);
        for (before, after) in [(2, 4), (4, 5), (5, 5)] {
            let began = core.parts.clock.now();
            let waited = core.wait_before_retry(&mut wait);
            assert_eq!(fixture.clock.run_until(Duration::from_secs(60), waited).await, Some(true));
            assert_eq!(core.parts.clock.now().since(began), Duration::from_secs(before));
            assert_eq!(wait, Duration::from_secs(after));
        }
        fixture.engine.abandon();
        let began = core.parts.clock.now();
        let waited = core.wait_before_retry(&mut wait);
        assert_eq!(fixture.clock.run_until(Duration::from_secs(60), waited).await, Some(false));
        assert_eq!(core.parts.clock.now(), began);
    }
}
