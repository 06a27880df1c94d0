//! One piece of live work that something may be told of.

use super::pattern::Pattern;
use super::silence::{Eyes, Silence};
use super::watch::{Begin, Watch};
use super::{Core, ready};
use longhaul_domain::{
    Awake, CommandSpec, Condition, Deadline, Process, Revision, Spec, State, Stdin, Timestamp, Work, millis,
};
use longhaul_ports::{AttemptKey, Stored};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The wait before output is listened to again that was said to have grown and has not; it doubles.
const UNTOLD: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST_UNTOLD: Duration = Duration::from_secs(60);

/// A live attempt, or reported work.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) key: AttemptKey,
    pub(super) as_of: Revision,
    pub(super) phase: Phase,
    pub(super) silence: Silence,
    pub(super) due: Option<Awake>,
    /// The moment under which it is filed.
    pub(super) armed: Option<Awake>,
    spec: Arc<Spec>,
    /// Whether it may be asked from here if it is ready.
    may_ask: bool,
    begin: Begin,
    watch: Watching,
    ready: Option<Task>,
    ear: Option<Task>,
}

/// How far it is, as far as attention goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its start is not answered yet.
    Starting,
    /// It works.
    Working,
    /// It is halted or told to end: silent for that reason.
    Halted,
}

#[derive(Debug)]
enum Watching {
    /// Not begun, or nothing to watch for.
    No,
    Yes(Watch),
    /// Its end was seen, and its last words are being searched.
    Over,
}

/// A task that ends with whoever holds it.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Phase {
    /// Where a record stands for this node; none if it is of no concern here.
    pub(super) fn of(core: &Core, stored: &Stored) -> Option<Self> {
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

impl Subject {
    /// Work that something may be told of; none if nothing ever will be.
    pub(super) fn of(core: &Core, stored: &Stored, phase: Phase, begin: Begin) -> Option<Self> {
        let process = &stored.process;
        let policy = process.spec.silence.or(core.settings.silence);
        let (eyes, asks) = match &process.spec.work {
            Work::Command(command) => (eyes(core, command), asks(command)),
            Work::Reported(_) => (Eyes::Closed, false),
        };
        if eyes == Eyes::Closed && policy.is_none() && !asks {
            return None;
        }
        let end = match begin {
            Begin::Here => Some(0),
            Begin::Before => None,
        };
        let since = stored.vitals.last_beat.max(process.started_at).unwrap_or(process.queued_at);
        let since = awake_at(core, since);
        Some(Self {
            key: AttemptKey { id: process.id, attempt: process.attempt },
            as_of: stored.revision,
            phase,
            silence: Silence::new(policy, eyes, process.conditions, since, end),
            due: None,
            armed: None,
            spec: Arc::clone(&process.spec),
            may_ask: may_ask(core, process),
            begin,
            watch: Watching::No,
            ready: None,
            ear: None,
        })
    }

    /// Takes in what the record says now.
    pub(super) fn take_in(&mut self, core: &Arc<Core>, stored: &Stored, phase: Phase) {
        self.as_of = stored.revision;
        self.silence.hold(stored.process.conditions);
        if self.phase != phase && phase == Phase::Working {
            // Whatever it did not say while it was halted or starting is no silence.
            self.silence.broken(core.parts.clock.awake());
            self.silence.hold(stored.process.conditions);
        }
        self.phase = phase;
        match phase {
            Phase::Starting => {}
            Phase::Working => {
                self.watch_from_here(core);
                self.ask_whether_ready(core);
            }
            Phase::Halted => {
                self.watch_from_here(core);
                self.ready = None;
            }
        }
        self.settle(core);
    }

    /// Sets its next moment, and listens for what would end its silence.
    pub(super) fn settle(&mut self, core: &Arc<Core>) {
        self.due = match self.phase {
            Phase::Working => self.silence.due(),
            Phase::Starting | Phase::Halted => None,
        };
        let listens = self.phase == Phase::Working && self.is_command() && self.silence.wants_ear();
        if !listens {
            self.ear = None;
        } else if self.ear.is_none() {
            self.ear = Some(Task(tokio::spawn(listen(core.clone(), self.key, self.silence.end()))));
        }
    }

    pub(super) fn is_command(&self) -> bool {
        self.spec.command().is_some()
    }

    /// Whether it is known without asking that it has said nothing: somebody listens, and nothing is about to be told for
    /// which his word would not do.
    pub(super) fn is_heard(&mut self, awake: Awake) -> bool {
        let listens = self.ear.as_ref().is_some_and(|ear| !ear.0.is_finished());
        listens && self.silence.goes_on(awake)
    }

    /// Whoever listened has heard something, or it is looked at anyway.
    pub(super) fn listened(&mut self) {
        self.ear = None;
    }

    /// Its end was seen: its watch, for whoever waits for its last words; it is not begun again.
    pub(super) fn last_watch(&mut self, core: &Arc<Core>) -> Option<Watch> {
        self.watch_from_here(core);
        match std::mem::replace(&mut self.watch, Watching::Over) {
            Watching::Yes(watch) => Some(watch),
            Watching::No | Watching::Over => None,
        }
    }

    fn watch_from_here(&mut self, core: &Arc<Core>) {
        let Some(command) = self.spec.command().filter(|command| !command.watch.is_empty()) else {
            return;
        };
        if matches!(self.watch, Watching::No) {
            let patterns = Pattern::of(command);
            self.watch = Watching::Yes(Watch::start(core, self.key, patterns, self.begin));
        }
    }

    fn ask_whether_ready(&mut self, core: &Arc<Core>) {
        let asks = self.may_ask && asks_if_ready(&self.spec);
        let is_asked = self.ready.as_ref().is_some_and(|task| !task.0.is_finished());
        if !asks || self.silence.held().holds(Condition::Ready) {
            self.ready = None;
        } else if !is_asked {
            let (core, key, spec) = (core.clone(), self.key, Arc::clone(&self.spec));
            self.ready = Some(Task(tokio::spawn(ready::ask(core, key, spec))));
        }
    }
}

/// The question may be a command, or go to an address: nobody but who launched it may choose those.
fn may_ask(core: &Core, process: &Process) -> bool {
    let verified = if asks_if_ready(&process.spec) { core.verify(process) } else { Ok(()) };
    verified.inspect_err(|error| tracing::error!(%error, "whether it is ready is not asked")).is_ok()
}

fn asks_if_ready(spec: &Spec) -> bool {
    spec.command().is_some_and(|command| command.ready_when.is_some())
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks about an attempt as soon as there is new output.
async fn listen(core: Arc<Core>, key: AttemptKey, end: u64) {
    let mut wait = UNTOLD;
    loop {
        let told = core.parts.output.grown(key, end).await;
        match core.parts.output.size(key).await {
            Ok(size) if told.is_ok() && size.end > end => break,
            Ok(_) | Err(_) => {}
        }
        let again = core.parts.clock.awake().plus(wait);
        core.parts.clock.sleep_until(Deadline::Awake(again)).await;
        wait = wait.saturating_mul(2).min(LONGEST_UNTOLD);
    }
    core.attention.poke(key, core.parts.clock.awake());
}

fn eyes(core: &Core, command: &CommandSpec) -> Eyes {
    if !core.parts.spawner.capabilities().looks {
        return Eyes::Closed;
    }
    match command.stdin {
        Stdin::Null | Stdin::File(_) => Eyes::Open,
        Stdin::Pipe => Eyes::OnInput,
    }
}

const fn asks(command: &CommandSpec) -> bool {
    command.ready_when.is_some() || !command.watch.is_empty()
}

/// The awake time of a moment of steady time, if the machine was not suspended since.
fn awake_at(core: &Core, moment: Timestamp) -> Awake {
    let (now, awake) = (core.parts.clock.now(), core.parts.clock.awake());
    Awake(awake.0.saturating_sub(millis(now.since(moment))))
}
