//! What is done about the descendants of a process: they are told to end, and their end is waited for.
//!
//! All of it goes on beside whoever asked, and can be done again at any time: what has to be done stands in the record
//! of the process, and who was told already is left alone.

use crate::engine::Core;
use crate::error::EngineError;
use longhaul_domain::{
    Awake, Command, Deadline, Effect, Input, Level, Observation, ProcessId, Status, StopCause, Wish,
};
use longhaul_ports::{Filter, Order, PageAsk, Stored};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// So many descendants are told side by side.
const SIDE_BY_SIDE: usize = 32;
/// One level waits for the answers of the level below it at most this long: the whole tree has one grace.
const HURRY: Duration = Duration::from_millis(50);
/// The process itself waits for that at most this long.
const PATIENCE: Duration = Duration::from_millis(500);
/// The first wait before what could not be done is tried again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const PAGE: u32 = 500;
pub(crate) const LIVE: [Status; 5] =
    [Status::Pending, Status::Starting, Status::Running, Status::Paused, Status::Stopping];

/// The processes whose descendants matter to this engine just now.
#[derive(Debug, Default)]
pub(crate) struct Kin {
    awaited: Mutex<HashMap<ProcessId, Look>>,
    /// Whose descendants are being told, and whether without a grace.
    telling: Mutex<HashSet<(ProcessId, bool)>>,
    /// Before the work of an earlier life was looked at, nobody can be told anything.
    open: watch::Sender<bool>,
}

/// Whether somebody looks after the descendants right now, and whether they have to be looked at once more.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    under_way: bool,
    again: bool,
}

impl Kin {
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
        *look = Look { under_way: true, again: !free };
        free
    }

    /// Notes that a look is over; true if it has to be repeated.
    fn finish(&self, id: ProcessId) -> bool {
        let mut awaited = locked(&self.awaited);
        let look = awaited.entry(id).or_default();
        let again = look.again;
        *look = Look { under_way: again, again: false };
        again
    }

    fn is_awaited(&self, id: ProcessId) -> bool {
        locked(&self.awaited).contains_key(&id)
    }
}

impl Core {
    /// Tells every live descendant to end, then does the rest: all of a tree are asked at about the same time, deepest
    /// first. Returns at once; what cannot be told now is told later.
    pub(crate) fn cascade(self: &Arc<Self>, stored: &Stored, force: bool, rest: Vec<Effect>) {
        let (core, stored) = (self.clone(), stored.clone());
        tokio::spawn(async move {
            let id = stored.process.id;
            core.kin.opened().await;
            if !locked(&core.kin.telling).insert((id, force)) {
                return core.perform_all(&stored, rest).await;
            }
            let until: Awake = core.parts.clock.awake().plus(PATIENCE);
            let telling = core.tell_below(&stored, force);
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
            core.tell_until_told(&stored, force, told).await;
            locked(&core.kin.telling).remove(&(id, force));
            core.look_below(id).await;
        });
    }

    /// Tells them once, for a stop that no record tells of.
    pub(crate) fn cascade_unrecorded(self: &Arc<Self>, stored: &Stored, force: bool, rest: Vec<Effect>) {
        let (core, stored) = (self.clone(), stored.clone());
        tokio::spawn(async move {
            core.kin.opened().await;
            let id = stored.process.id;
            // What the store cannot tell, this node knows of its own.
            let below = core.live_below(id).await.unwrap_or_else(|_| core.owned.below(id));
            core.tell_all(&stored, below, force).await;
            core.perform_all(&stored, rest).await;
        });
    }

    /// Tells the rules when no descendant lives any more; looks now, and again whenever one ends. Returns at once.
    pub(crate) fn await_descendants(self: &Arc<Self>, id: ProcessId) {
        let core = self.clone();
        tokio::spawn(async move { core.look_below(id).await });
    }

    /// A process ended: whoever waits for its descendants looks again.
    pub(crate) fn descendant_ended(self: &Arc<Self>, after: &Stored) {
        for ancestor in after.process.lineage.ancestors.iter().copied() {
            if self.kin.is_awaited(ancestor) {
                self.await_descendants(ancestor);
            }
        }
    }

    /// Every live descendant of a process.
    pub(crate) async fn live_below(&self, id: ProcessId) -> Result<Vec<Stored>, EngineError> {
        self.all(&below(id)).await
    }

    /// Whether a process has a live descendant.
    pub(crate) async fn has_live_below(&self, id: ProcessId) -> Result<bool, EngineError> {
        let mut page = PageAsk { order: Order::NewestFirst, after: None, most: 1 };
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
    pub(crate) async fn all(&self, filter: &Filter) -> Result<Vec<Stored>, EngineError> {
        let mut page = PageAsk { order: Order::OldestFirst, after: None, most: PAGE };
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
    async fn tell_until_told(self: &Arc<Self>, top: &Stored, force: bool, first: Result<bool, EngineError>) {
        let id = top.process.id;
        let (mut told, mut wait) = (first, FIRST_WAIT);
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
                    self.tell_below(&stored, force).await
                }
                Ok(_) | Err(EngineError::NotFound { .. }) => return,
                Err(error) => Err(error),
            };
        }
    }

    /// Tells every live descendant, deepest first, with a bounded wait between levels; true if all know now.
    async fn tell_below(self: &Arc<Self>, top: &Stored, force: bool) -> Result<bool, EngineError> {
        let mut below = self.live_below(top.process.id).await?;
        below.extend(self.left_below(top.process.id).await?);
        Ok(self.tell_all(top, below, force).await)
    }

    async fn tell_all(self: &Arc<Self>, top: &Stored, below: Vec<Stored>, force: bool) -> bool {
        let cause = StopCause::Parent;
        let command = if force { Command::Force { cause } } else { Command::Cancel { cause } };
        let mut by_level: BTreeMap<Level, Vec<ProcessId>> = BTreeMap::new();
        for each in below {
            if goes_with(top, &each) && !self.is_told(&each, &command) {
                by_level.entry(each.process.lineage.level()).or_default().push(each.process.id);
            }
        }
        let mut all = true;
        for ids in by_level.into_values().rev() {
            all &= self.tell_level(ids, &command).await;
        }
        all
    }

    /// Whether a process would do nothing new about it, or finds an order for it.
    fn is_told(&self, stored: &Stored, command: &Command) -> bool {
        let asked = stored.wishes.iter().any(|(_, wish)| match wish {
            Wish::Cancel { .. } | Wish::Force { .. } => wish.command() == *command,
            Wish::Terminate { .. }
            | Wish::EndSession { .. }
            | Wish::Signal { .. }
            | Wish::Pause
            | Wish::Resume
            | Wish::RetryNow => false,
        });
        let decided =
            stored.process.decide(&self.context(), &stored.vitals, &Input::Command(command.clone()));
        asked || decided.is_ok_and(|step| step.events.is_empty())
    }

    /// Tells some processes side by side; true if all of them answered in time.
    async fn tell_level(self: &Arc<Self>, ids: Vec<ProcessId>, command: &Command) -> bool {
        let until: Awake = self.parts.clock.awake().plus(HURRY);
        let mut left = ids.into_iter();
        let mut telling = JoinSet::new();
        let mut all = true;
        loop {
            while telling.len() < SIDE_BY_SIDE
                && let Some(id) = left.next()
            {
                telling.spawn(self.clone().tell_one(id, command.clone()));
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
                        telling.spawn(self.clone().tell_one(id, command.clone()));
                    }
                    telling.detach_all();
                    return false;
                }
            }
        }
    }

    async fn tell_one(self: Arc<Self>, id: ProcessId, command: Command) -> bool {
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
        let mut wait = FIRST_WAIT;
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
        let until: Awake = self.parts.clock.awake().plus(*wait);
        self.parts.clock.sleep_until(Deadline::Awake(until)).await;
        *wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        !self.is_closing()
    }
}

/// Whether a descendant has to end with the top. The end of a session touches nothing of another one.
fn goes_with(top: &Stored, descendant: &Stored) -> bool {
    let by_session = top.process.cascade.is_some_and(|cascade| cascade.cause == StopCause::Session);
    let theirs = &descendant.process.spec.session;
    !by_session || theirs.is_none() || *theirs == top.process.spec.session
}

pub(crate) fn below(id: ProcessId) -> Filter {
    Filter { statuses: LIVE.to_vec(), ancestor: Some(id), ..Filter::default() }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
