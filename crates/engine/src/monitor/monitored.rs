//! One piece of live work that something may be told of.

use super::pattern::CompiledPattern;
use super::silence::{InspectMode, SilenceMonitor};
use super::watch::{PatternWatch, WatchStart};
use super::{EngineShared, ready};
use longhaul_domain::{
    AwakeTime, CommandSpec, Condition, Deadline, Process, Revision, Spec, State, Stdin, Timestamp, Work,
    millis,
};
use longhaul_ports::{AttemptKey, StoredProcess};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The wait before output is listened to again that was said to have grown and has not; it doubles.
const GROWTH_RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest such wait.
const MAX_GROWTH_RETRY_DELAY: Duration = Duration::from_secs(60);

/// A live attempt, or reported work.
#[derive(Debug)]
pub(super) struct MonitoredWork {
    pub(super) key: AttemptKey,
    pub(super) as_of: Revision,
    pub(super) phase: MonitorPhase,
    pub(super) silence: SilenceMonitor,
    pub(super) due: Option<AwakeTime>,
    /// The moment under which it is filed.
    pub(super) armed: Option<AwakeTime>,
    spec: Arc<Spec>,
    /// Whether it may be asked from here if it is ready.
    may_ask: bool,
    begin: WatchStart,
    watch: MonitorState,
    ready: Option<TaskGuard>,
    ear: Option<TaskGuard>,
}

/// How far it is, as far as attention goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MonitorPhase {
    /// Its start is not answered yet.
    Starting,
    /// It works.
    Working,
    /// It is halted or told to end: silent for that reason.
    Halted,
}

#[derive(Debug)]
enum MonitorState {
    /// Not begun, or nothing to watch for.
    No,
    Yes(PatternWatch),
    /// Its end was seen, and its last words are being searched.
    Over,
}

/// A task that ends with whoever holds it.
#[derive(Debug)]
struct TaskGuard(JoinHandle<()>);

impl MonitorPhase {
    /// Where a record stands for this node; none if it is of no concern here.
    pub(super) fn of(core: &EngineShared, stored: &StoredProcess) -> Option<Self> {
        let is_mine = stored.owner.as_ref().is_some_and(|owner| owner.node == *core.here());
        match &stored.process.state {
            State::Starting { .. } | State::Stopping { execution: None, .. } if is_mine => {
                Some(Self::Starting)
            }
            State::Running { .. } if is_mine => Some(Self::Working),
            State::Paused { .. } | State::Stopping { execution: Some(_), .. } if is_mine => {
                Some(Self::Halted)
            }
            State::Reported { .. } => Some(Self::Working),
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::Withdrawing { .. }
            | State::Lingering(_)
            | State::Ended(_) => None,
        }
    }
}

impl MonitoredWork {
    /// Work that something may be told of; none if nothing ever will be.
    pub(super) fn of(
        core: &EngineShared,
        stored: &StoredProcess,
        phase: MonitorPhase,
        begin: WatchStart,
    ) -> Option<Self> {
        let process = &stored.process;
        let policy = process.spec.silence.or(core.settings.silence);
        let (eyes, asks) = match &process.spec.work {
            Work::Command(command) => (eyes(core, command), asks(command)),
            Work::Reported(_) => (InspectMode::Closed, false),
        };
        if eyes == InspectMode::Closed && policy.is_none() && !asks {
            return None;
        }
        let end = match begin {
            WatchStart::Here => Some(0),
            WatchStart::Before => None,
        };
        let since = stored.live_stats.last_beat.max(process.started_at).unwrap_or(process.queued_at);
        let since = awake_at(core, since);
        Some(Self {
            key: AttemptKey { id: process.id, attempt: process.attempt },
            as_of: stored.revision,
            phase,
            silence: SilenceMonitor::new(policy, eyes, process.conditions, since, end),
            due: None,
            armed: None,
            spec: Arc::clone(&process.spec),
            may_ask: may_ask(core, process),
            begin,
            watch: MonitorState::No,
            ready: None,
            ear: None,
        })
    }

    /// Takes in what the record says now.
    pub(super) fn take_in(&mut self, core: &Arc<EngineShared>, stored: &StoredProcess, phase: MonitorPhase) {
        self.as_of = stored.revision;
        self.silence.hold(stored.process.conditions);
        if self.phase != phase && phase == MonitorPhase::Working {
            // Whatever it did not say while it was halted or starting is no silence.
            self.silence.broken(core.parts.clock.awake());
            self.silence.hold(stored.process.conditions);
        }
        self.phase = phase;
        match phase {
            MonitorPhase::Starting => {}
            MonitorPhase::Working => {
                self.watch_from_here(core);
                self.ask_whether_ready(core);
            }
            MonitorPhase::Halted => {
                self.watch_from_here(core);
                self.ready = None;
            }
        }
        self.settle(core);
    }

    /// Sets its next moment, and listens for what would end its silence.
    pub(super) fn settle(&mut self, core: &Arc<EngineShared>) {
        self.due = match self.phase {
            MonitorPhase::Working => self.silence.due(),
            MonitorPhase::Starting | MonitorPhase::Halted => None,
        };
        let listens = self.phase == MonitorPhase::Working && self.is_command() && self.silence.wants_ear();
        if !listens {
            self.ear = None;
        } else if self.ear.is_none() {
            self.ear = Some(TaskGuard(tokio::spawn(listen(core.clone(), self.key, self.silence.end()))));
        }
    }

    pub(super) fn is_command(&self) -> bool {
        self.spec.command().is_some()
    }

    /// Whether it is known without asking that it has said nothing: somebody listens, and nothing is about to be told for
    /// which his word would not do.
    pub(super) fn is_heard(&mut self, awake: AwakeTime) -> bool {
        let listens = self.ear.as_ref().is_some_and(|ear| !ear.0.is_finished());
        listens && self.silence.goes_on(awake)
    }

    /// Whoever listened has heard something, or it is looked at anyway.
    pub(super) fn listened(&mut self) {
        self.ear = None;
    }

    /// Its end was seen: its watch, for whoever waits for its last words; it is not begun again.
    pub(super) fn last_watch(&mut self, core: &Arc<EngineShared>) -> Option<PatternWatch> {
        self.watch_from_here(core);
        match std::mem::replace(&mut self.watch, MonitorState::Over) {
            MonitorState::Yes(watch) => Some(watch),
            MonitorState::No | MonitorState::Over => None,
        }
    }

    fn watch_from_here(&mut self, core: &Arc<EngineShared>) {
        let Some(command) = self.spec.command().filter(|command| !command.watch.is_empty()) else {
            return;
        };
        if matches!(self.watch, MonitorState::No) {
            let patterns = CompiledPattern::of(command);
            self.watch = MonitorState::Yes(PatternWatch::start(core, self.key, patterns, self.begin));
        }
    }

    fn ask_whether_ready(&mut self, core: &Arc<EngineShared>) {
        let asks = self.may_ask && asks_if_ready(&self.spec);
        let is_asked = self.ready.as_ref().is_some_and(|task| !task.0.is_finished());
        if !asks || self.silence.held().holds(Condition::Ready) {
            self.ready = None;
        } else if !is_asked {
            let (core, key, spec) = (core.clone(), self.key, Arc::clone(&self.spec));
            self.ready = Some(TaskGuard(tokio::spawn(ready::ask(core, key, spec))));
        }
    }
}

/// The question may be a command, or go to an address: nobody but who launched it may choose those.
fn may_ask(core: &EngineShared, process: &Process) -> bool {
    let verified = if asks_if_ready(&process.spec) { core.verify(process) } else { Ok(()) };
    verified.inspect_err(|error| tracing::error!(%error, "whether it is ready is not asked")).is_ok()
}

fn asks_if_ready(spec: &Spec) -> bool {
    spec.command().is_some_and(|command| command.ready_when.is_some())
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks about an attempt as soon as there is new output.
async fn listen(core: Arc<EngineShared>, key: AttemptKey, end: u64) {
    let mut wait = GROWTH_RETRY_DELAY;
    loop {
        let told = core.parts.output.grown(key, end).await;
        match core.parts.output.size(key).await {
            Ok(size) if told.is_ok() && size.end > end => break,
            Ok(_) | Err(_) => {}
        }
        let again = core.parts.clock.awake().plus(wait);
        core.parts.clock.sleep_until(Deadline::Awake(again)).await;
        wait = wait.saturating_mul(2).min(MAX_GROWTH_RETRY_DELAY);
    }
    core.attention.poke(key, core.parts.clock.awake());
}

fn eyes(core: &EngineShared, command: &CommandSpec) -> InspectMode {
    if !core.parts.spawner.capabilities().looks {
        return InspectMode::Closed;
    }
    match command.stdin {
        Stdin::Null | Stdin::File(_) => InspectMode::Open,
        Stdin::Pipe => InspectMode::OnInput,
    }
}

const fn asks(command: &CommandSpec) -> bool {
    command.ready_when.is_some() || !command.watch.is_empty()
}

/// The awake time of a moment of steady time, if the machine was not suspended since.
fn awake_at(core: &EngineShared, moment: Timestamp) -> AwakeTime {
    let (now, awake) = (core.parts.clock.now(), core.parts.clock.awake());
    AwakeTime(awake.0.saturating_sub(millis(now.since(moment))))
}
