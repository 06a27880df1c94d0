//! What is done about the descendants of a process: they are told to end, and their end is waited for.
//!
//! All of it goes on beside whoever asked, and can be done again at any time: what has to be done stands in the record
//! of the process, and who was told already is left alone.

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

/// So many descendants are told side by side.
const MAX_CONCURRENT: usize = 32;
/// One level waits for the answers of the level below it at most this long: the whole tree has one grace.
const LEVEL_TIMEOUT: Duration = Duration::from_millis(50);
/// The process itself waits for that at most this long.
const CASCADE_TIMEOUT: Duration = Duration::from_millis(500);
/// The first wait before what could not be done is tried again; it doubles.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The longest such wait.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
const PAGE: u32 = 500;
pub(crate) const LIVE: [Status; 5] =
    [Status::Pending, Status::Starting, Status::Running, Status::Paused, Status::Stopping];

/// The processes whose descendants matter to this engine just now.
#[derive(Debug, Default)]
pub(crate) struct CascadeTracker {
    awaited: Mutex<HashMap<ProcessId, CascadeCheck>>,
    /// Whose descendants are being told, and whether without a grace.
    telling: Mutex<HashSet<(ProcessId, bool)>>,
    /// Before the work of an earlier life was looked at, nobody can be told anything.
    open: watch::Sender<bool>,
}

/// Whether somebody looks after the descendants right now, and whether they have to be looked at once more.
#[derive(Clone, Copy, Debug, Default)]
struct CascadeCheck {
    under_way: bool,
    again: bool,
}

impl CascadeTracker {
    /// From here on descendants can be told.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    async fn opened(&self) {
        // The sender lives as long as this does.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    /// Notes that a look begins; false if one is under way, which will then be repeated.
    fn begin(&self, id: ProcessId) -> bool {
        let mut awaited = locked(&self.awaited);
        let look = awaited.entry(id).or_default();
        let free = !look.under_way;
        *look = CascadeCheck { under_way: true, again: !free };
        free
    }

    /// Notes that a look is over; true if it has to be repeated.
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
    /// Tells every live descendant to end, then does the rest: all of a tree are asked at about the same time, deepest
    /// first. Returns at once; what cannot be told now is told later.
    pub(crate) fn cascade(self: &Arc<Self>, stored: &StoredProcess, force: bool, rest: Vec<Effect>) {
        let (core, stored) = (self.clone(), stored.clone());
        tokio::spawn(async move {
            let id = stored.process.id;
            core.kin.opened().await;
            if !locked(&core.kin.telling).insert((id, force)) {
                return core.perform_all(&stored, rest).await;
            }
            let until: AwakeTime = core.parts.clock.awake().plus(CASCADE_TIMEOUT);
            let telling = core.cancel_descendants(&stored, force);
            tokio::pin!(telling);
            // A store that does not answer does not keep the process itself from being asked.
            let told = tokio::select! {
                biased;
                told = &mut telling => Some(told),
                () = core.parts.clock.sleep_until(Deadline::Awake(until)) => None,
            };
            core.perform_all(&stored, rest).await;
            let told = match told {
                Some(told) => told,
                None => telling.await,
            };
            core.cancel_until_accepted(&stored, force, told).await;
            locked(&core.kin.telling).remove(&(id, force));
            core.look_below(id).await;
        });
    }

    /// Tells them once, for a stop that no record tells of.
    pub(crate) fn cascade_unrecorded(
        self: &Arc<Self>,
        stored: &StoredProcess,
        force: bool,
        rest: Vec<Effect>,
    ) {
        let (core, stored) = (self.clone(), stored.clone());
        tokio::spawn(async move {
            core.kin.opened().await;
            let id = stored.process.id;
            // What the store cannot tell, this node knows of its own.
            let below = core.live_below(id).await.unwrap_or_else(|_| core.owned.below(id));
            core.apply_to_all(&stored, below, force).await;
            core.perform_all(&stored, rest).await;
        });
    }

    /// Tells the rules when no descendant lives any more; looks now, and again whenever one ends. Returns at once.
    pub(crate) fn await_descendants(self: &Arc<Self>, id: ProcessId) {
        let core = self.clone();
        tokio::spawn(async move { core.look_below(id).await });
    }

    /// A process ended: whoever waits for its descendants looks again.
    pub(crate) fn descendant_ended(self: &Arc<Self>, after: &StoredProcess) {
        for ancestor in after.process.lineage.ancestors.iter().copied() {
            if self.kin.is_awaited(ancestor) {
                self.await_descendants(ancestor);
            }
        }
    }

    /// Every live descendant of a process.
    pub(crate) async fn live_below(&self, id: ProcessId) -> Result<Vec<StoredProcess>, EngineError> {
        self.all(&below(id)).await
    }

    /// Whether a process has a live descendant.
    pub(crate) async fn has_live_below(&self, id: ProcessId) -> Result<bool, EngineError> {
        let mut page = PageRequest { order: SortOrder::NewestFirst, after: None, most: 1 };
        loop {
            let listing = self.parts.store.list(&below(id), &page).await?;
            match (listing.processes.is_empty(), listing.next) {
                (false, _) => return Ok(true),
                (true, Some(next)) => page.after = Some(next),
                (true, None) => return Ok(false),
            }
        }
    }

    /// Every record that a filter admits, oldest first.
    pub(crate) async fn all(&self, filter: &ProcessFilter) -> Result<Vec<StoredProcess>, EngineError> {
        let mut page = PageRequest { order: SortOrder::OldestFirst, after: None, most: PAGE };
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

    /// Goes on until everybody was told, or somebody else does it: the mark is gone, or its force is another.
    async fn cancel_until_accepted(
        self: &Arc<Self>,
        top: &StoredProcess,
        force: bool,
        first: Result<bool, EngineError>,
    ) {
        let id = top.process.id;
        let (mut told, mut wait) = (first, MIN_RETRY_DELAY);
        loop {
            match told {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%id, %error, "its descendants cannot be found yet"),
            }
            if !self.rest(&mut wait).await {
                return;
            }
            told = match self.load(id).await {
                Ok(stored) if stored.process.cascade.is_some_and(|cascade| cascade.force == force) => {
                    self.cancel_descendants(&stored, force).await
                }
                Ok(_) | Err(EngineError::NotFound { .. }) => return,
                Err(error) => Err(error),
            };
        }
    }

    /// Tells every live descendant, deepest first, with a bounded wait between levels; true if all know now.
    async fn cancel_descendants(
        self: &Arc<Self>,
        top: &StoredProcess,
        force: bool,
    ) -> Result<bool, EngineError> {
        let mut below = self.live_below(top.process.id).await?;
        below.extend(self.left_below(top.process.id).await?);
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
            if goes_with(top, &each) && !self.is_told(&each, &command) {
                by_level.entry(each.process.lineage.level()).or_default().push(each.process.id);
            }
        }
        let mut all = true;
        for ids in by_level.into_values().rev() {
            all &= self.cancel_level(ids, &command).await;
        }
        all
    }

    /// Whether a process would do nothing new about it, or finds an order for it.
    fn is_told(&self, stored: &StoredProcess, command: &Action) -> bool {
        let asked = stored.pending_actions.iter().any(|(_, wish)| match wish {
            PendingAction::Cancel { .. } | PendingAction::Force { .. } => wish.command() == *command,
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

    /// Tells some processes side by side; true if all of them answered in time.
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
                    // Those who do not answer are not waited for, and nobody is left out.
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
                tracing::warn!(%id, %error, "a descendant could not be told to end");
                false
            }
        }
    }

    async fn look_below(self: &Arc<Self>, id: ProcessId) {
        if !self.kin.begin(id) {
            return;
        }
        let mut wait = MIN_RETRY_DELAY;
        loop {
            match self.has_live_below(id).await {
                Ok(false) => {
                    locked(&self.kin.awaited).remove(&id);
                    return self.lanes.seen(id, Observation::DescendantsEnded);
                }
                Ok(true) => {
                    if !self.kin.finish(id) {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%id, %error, "its descendants cannot be looked at yet");
                    if !self.rest(&mut wait).await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits before another try, longer each time; false if this engine ends.
    async fn rest(&self, wait: &mut Duration) -> bool {
        if self.is_closing() {
            return false;
        }
        let until: AwakeTime = self.parts.clock.awake().plus(*wait);
        self.parts.clock.sleep_until(Deadline::Awake(until)).await;
        *wait = wait.saturating_mul(2).min(MAX_RETRY_DELAY);
        !self.is_closing()
    }
}

/// Whether a descendant has to end with the top. The end of a session touches nothing of another one.
fn goes_with(top: &StoredProcess, descendant: &StoredProcess) -> bool {
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
