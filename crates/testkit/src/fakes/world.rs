//! The simulated machine on which scripted processes run; it outlives every manager.

use super::clock::before;
use super::journal::{FakeCall, JournalEntry};
use super::script::{ChildScript, RunBehavior, StartBehavior, StopBehavior};
use super::{FakeOutput, VirtualClock};
use longhaul_domain::{
    AwakeTime, CommandSpec, Containment, Exit, ExitStatus, Interruption, Observation, ProgressDetection,
    Signal, SignalTarget, StopCause, Timestamp,
};
use longhaul_ports::{AttemptKey, Clock, OutputSource, StopRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// All attempts that were ever requested, and their state.
#[derive(Debug)]
pub(super) struct FakeAttempts {
    clock: VirtualClock,
    output: FakeOutput,
    attempts: BTreeMap<AttemptKey, FakeAttempt>,
    /// Attempts that have not ended.
    live: BTreeSet<AttemptKey>,
    journal: Vec<JournalEntry>,
    /// Attempts that a later run of the manager tried to adopt, with their commands.
    pub(super) adopted: Vec<(AttemptKey, CommandSpec)>,
    next_pid: u32,
    /// Number of observations so far, over all attempts.
    seen: u64,
}

#[derive(Debug)]
struct FakeAttempt {
    command: CommandSpec,
    script: ChildScript,
    phase: FakeStopPhase,
    /// Stop request that arrived before the result of the start.
    stop: Option<StopRequest>,
    /// Observations of the attempt, each with its position among the observations of all attempts.
    seen: Vec<(u64, Observation)>,
}

#[derive(Debug)]
enum FakeStopPhase {
    Starting { answer_at: Option<AwakeTime> },
    Alive(FakeAttemptPhase),
    Over,
}

#[derive(Debug)]
struct FakeAttemptPhase {
    /// Time at which the attempt exits or is lost according to the script.
    course_at: Option<AwakeTime>,
    timeout_at: Option<AwakeTime>,
    halted: Option<AwakeTime>,
    stopping: Option<FakeStop>,
}

#[derive(Clone, Copy, Debug)]
struct FakeStop {
    cause: StopCause,
    obeys_at: Option<AwakeTime>,
    kill_at: Option<AwakeTime>,
}

/// An event that a script or a timer causes at a certain time, without a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ScheduledEvent {
    Answer,
    Course,
    Obeys,
    Kill,
    TimeIsOver,
}

impl FakeAttempts {
    pub(super) const fn new(clock: VirtualClock, output: FakeOutput) -> Self {
        Self {
            clock,
            output,
            attempts: BTreeMap::new(),
            live: BTreeSet::new(),
            journal: Vec::new(),
            adopted: Vec::new(),
            next_pid: 1000,
            seen: 0,
        }
    }

    /// Executes all events that are due, in the order of their times.
    pub(super) fn catch_up(&mut self) {
        let awake = self.clock.awake();
        while let Some((at, moment, key)) = self.next_of_all()
            && at <= awake
        {
            self.happen(key, moment, at);
        }
    }

    /// Returns the time of the next scheduled event.
    pub(super) fn next_moment(&self) -> Option<AwakeTime> {
        self.next_of_all().map(|(at, ..)| at)
    }

    pub(super) fn note(&mut self, key: AttemptKey, act: FakeCall) {
        let at = self.clock.now();
        self.journal.push(JournalEntry { at, key, act });
    }

    pub(super) fn journal(&self) -> &[JournalEntry] {
        &self.journal
    }

    pub(super) fn knows(&self, key: AttemptKey) -> bool {
        self.attempts.contains_key(&key)
    }

    pub(super) fn is_live(&self, key: AttemptKey) -> bool {
        self.live.contains(&key)
    }

    pub(super) fn live(&self) -> impl Iterator<Item = AttemptKey> + '_ {
        self.live.iter().copied()
    }

    /// Returns the script, the command and the start time of a running attempt.
    pub(super) fn alive(&self, key: AttemptKey) -> Option<(&ChildScript, &CommandSpec, Timestamp)> {
        let attempt =
            self.attempts.get(&key).filter(|attempt| matches!(attempt.phase, FakeStopPhase::Alive(_)))?;
        let began = attempt.seen.iter().find_map(|(_, observation)| {
            if let Observation::Spawned { at, .. } = observation { Some(*at) } else { None }
        })?;
        Some((&attempt.script, &attempt.command, began))
    }

    /// Writes to the standard output of an attempt.
    pub(super) fn say(&self, key: AttemptKey, bytes: &[u8]) {
        self.output.write(key, OutputSource::Stdout, bytes);
    }

    pub(super) fn seen(&self, key: AttemptKey) -> &[(u64, Observation)] {
        self.attempts.get(&key).map_or(&[], |attempt| attempt.seen.as_slice())
    }

    pub(super) fn order(&mut self, key: AttemptKey, command: CommandSpec, script: ChildScript) {
        self.note(key, FakeCall::Ordered);
        let answer_at = match script.answer {
            StartBehavior::Silence => None,
            StartBehavior::Spawned
            | StartBehavior::Refused(_)
            | StartBehavior::Failed(_)
            | StartBehavior::NeverRan => Some(self.clock.awake().plus(script.answered_after)),
        };
        let attempt = FakeAttempt {
            command,
            script,
            phase: FakeStopPhase::Starting { answer_at },
            stop: None,
            seen: Vec::new(),
        };
        self.attempts.insert(key, attempt);
        self.live.insert(key);
        self.catch_up();
    }

    /// Records that an unknown attempt never ran and will never run.
    pub(super) fn rule_out(&mut self, key: AttemptKey) {
        let attempt = FakeAttempt {
            command: CommandSpec::of("", &[], "/"),
            script: ChildScript::never_runs(),
            phase: FakeStopPhase::Over,
            stop: None,
            seen: Vec::new(),
        };
        self.attempts.insert(key, attempt);
        self.see(key, Observation::NeverRan { attempt: key.attempt });
    }

    pub(super) fn stop(&mut self, key: AttemptKey, order: StopRequest) {
        self.note(key, FakeCall::StopAsked(order));
        let now = self.clock.awake();
        let Some(attempt) = self.attempts.get_mut(&key) else {
            return;
        };
        match &mut attempt.phase {
            FakeStopPhase::Starting { answer_at: None } => {
                self.end(key, Observation::NeverRan { attempt: key.attempt });
            }
            FakeStopPhase::Starting { answer_at: Some(_) } => {
                let force = order.force || attempt.stop.is_some_and(|before| before.force);
                attempt.stop = Some(StopRequest { force, ..order });
            }
            FakeStopPhase::Alive(life) => {
                life.thaw(now);
                life.stop(order, now, &attempt.command, attempt.script.obedience);
            }
            FakeStopPhase::Over => {}
        }
        self.catch_up();
    }

    /// Pauses or resumes an attempt. Returns false if the attempt is not running.
    pub(super) fn set_halted(&mut self, key: AttemptKey, halted: bool) -> bool {
        let now = self.clock.awake();
        let Some(FakeStopPhase::Alive(life)) = self.attempts.get_mut(&key).map(|attempt| &mut attempt.phase)
        else {
            return false;
        };
        if halted {
            life.halted.get_or_insert(now);
        } else {
            life.thaw(now);
        }
        self.note(key, if halted { FakeCall::Paused } else { FakeCall::Resumed });
        self.catch_up();
        true
    }

    /// Sends a signal to an attempt. Returns false if the attempt is not running.
    pub(super) fn signal(&mut self, key: AttemptKey, signal: Signal, target: SignalTarget) -> bool {
        let is_alive =
            matches!(self.attempts.get(&key).map(|attempt| &attempt.phase), Some(FakeStopPhase::Alive(_)));
        if is_alive {
            self.note(key, FakeCall::Signalled { signal, target });
        }
        is_alive
    }

    /// Makes a live attempt exit now, regardless of its script.
    pub(super) fn exit(&mut self, key: AttemptKey, status: ExitStatus) {
        if self.is_live(key) {
            let now = self.clock.awake();
            self.exited(key, now, status);
        }
    }

    /// Removes the supervisor of a live attempt, so that its exit is not observed.
    pub(super) fn lose(&mut self, key: AttemptKey, why: Interruption) {
        if self.is_live(key) {
            let attempt = key.attempt;
            self.end(key, Observation::SupervisorLost { attempt, why });
        }
    }

    fn next_of_all(&self) -> Option<(AwakeTime, ScheduledEvent, AttemptKey)> {
        self.live
            .iter()
            .filter_map(|key| {
                let (at, moment) = self.attempts.get(key)?.phase.next()?;
                Some((at, moment, *key))
            })
            .min()
    }

    fn happen(&mut self, key: AttemptKey, moment: ScheduledEvent, at: AwakeTime) {
        let Some(attempt) = self.attempts.get_mut(&key) else {
            return;
        };
        match moment {
            ScheduledEvent::Answer => self.answer(key, at),
            ScheduledEvent::Course => match attempt.script.course.clone() {
                RunBehavior::Exits { status, .. } => self.exited(key, at, status),
                RunBehavior::Lost { why, .. } => {
                    let attempt = key.attempt;
                    self.end(key, Observation::SupervisorLost { attempt, why });
                }
                RunBehavior::Runs => {}
            },
            ScheduledEvent::Obeys => {
                let number = attempt.command.stop.signal;
                self.exited(key, at, ExitStatus::Signal { number, core: false });
            }
            ScheduledEvent::Kill => match attempt.script.obedience {
                StopBehavior::Ends { .. } | StopBehavior::OnlyKill => {
                    let killed = ExitStatus::Signal { number: 9, core: false };
                    self.exited(key, at, killed);
                }
                StopBehavior::Never => {
                    if let FakeStopPhase::Alive(life) = &mut attempt.phase {
                        life.give_up();
                    }
                }
            },
            ScheduledEvent::TimeIsOver => {
                if let FakeStopPhase::Alive(life) = &mut attempt.phase {
                    let order = StopRequest { cause: StopCause::Timeout, force: false };
                    life.stop(order, at, &attempt.command, attempt.script.obedience);
                }
            }
        }
    }

    fn answer(&mut self, key: AttemptKey, at: AwakeTime) {
        let Some(attempt) = self.attempts.get_mut(&key) else {
            return;
        };
        match attempt.script.answer.clone() {
            StartBehavior::Failed(failure) | StartBehavior::Refused(failure) => {
                let attempt = key.attempt;
                self.end(key, Observation::SpawnFailed { attempt, failure });
            }
            StartBehavior::NeverRan | StartBehavior::Silence => {
                self.end(key, Observation::NeverRan { attempt: key.attempt });
            }
            StartBehavior::Spawned => {
                let mut life = FakeAttemptPhase {
                    course_at: match &attempt.script.course {
                        RunBehavior::Exits { after, .. } | RunBehavior::Lost { after, .. } => {
                            Some(at.plus(*after))
                        }
                        RunBehavior::Runs => None,
                    },
                    timeout_at: attempt.command.timeout.map(|timeout| at.plus(timeout)),
                    halted: None,
                    stopping: None,
                };
                if let Some(order) = attempt.stop {
                    life.stop(order, at, &attempt.command, attempt.script.obedience);
                }
                attempt.phase = FakeStopPhase::Alive(life);
                let prints = std::mem::take(&mut attempt.script.prints);
                if attempt.command.progress != ProgressDetection::Off {
                    self.output.write_progress(key, b"");
                }
                self.began(key, at, &prints);
            }
        }
    }

    fn began(&mut self, key: AttemptKey, at: AwakeTime, prints: &[u8]) {
        self.next_pid += 1;
        self.output.open(key);
        if !prints.is_empty() {
            self.output.write(key, OutputSource::Stdout, prints);
        }
        self.note(key, FakeCall::Began);
        let spawned = Observation::Spawned {
            attempt: key.attempt,
            pid: Some(self.next_pid),
            containment: Some(Containment::Subreaper),
            at: self.steady(at),
        };
        self.see(key, spawned);
    }

    fn exited(&mut self, key: AttemptKey, at: AwakeTime, status: ExitStatus) {
        let stopping = match self.attempts.get(&key).map(|attempt| &attempt.phase) {
            Some(FakeStopPhase::Alive(life)) => life.stopping,
            Some(FakeStopPhase::Starting { .. } | FakeStopPhase::Over) | None => None,
        };
        let exit = Exit {
            stopped: stopping.map(|stopping| stopping.cause),
            last_signal: match (stopping, status) {
                (Some(_), ExitStatus::Signal { number, .. }) => Some(number),
                (Some(_) | None, _) => None,
            },
            output_bytes: self.output.written(key),
            ..Exit::of(status, self.steady(at))
        };
        let attempt = key.attempt;
        self.end(key, Observation::Exited { attempt, exit });
    }

    fn end(&mut self, key: AttemptKey, observation: Observation) {
        self.live.remove(&key);
        if let Some(attempt) = self.attempts.get_mut(&key) {
            attempt.phase = FakeStopPhase::Over;
        }
        self.output.close(key);
        self.note(key, FakeCall::Ended);
        self.see(key, observation);
    }

    fn see(&mut self, key: AttemptKey, observation: Observation) {
        self.seen += 1;
        let place = self.seen;
        if let Some(attempt) = self.attempts.get_mut(&key) {
            attempt.seen.push((place, observation));
        }
    }

    /// Converts a past awake time to steady time.
    fn steady(&self, at: AwakeTime) -> Timestamp {
        before(self.clock.now(), self.clock.awake().since(at))
    }
}

impl FakeStopPhase {
    fn next(&self) -> Option<(AwakeTime, ScheduledEvent)> {
        match self {
            Self::Starting { answer_at } => answer_at.map(|at| (at, ScheduledEvent::Answer)),
            Self::Alive(life) => life.next(),
            Self::Over => None,
        }
    }
}

impl FakeAttemptPhase {
    fn next(&self) -> Option<(AwakeTime, ScheduledEvent)> {
        if self.halted.is_some() {
            return None;
        }
        let stopping = self.stopping;
        let timeout_at = self.timeout_at.filter(|_| stopping.is_none());
        [
            self.course_at.map(|at| (at, ScheduledEvent::Course)),
            stopping.and_then(|stopping| stopping.obeys_at.map(|at| (at, ScheduledEvent::Obeys))),
            stopping.and_then(|stopping| stopping.kill_at.map(|at| (at, ScheduledEvent::Kill))),
            timeout_at.map(|at| (at, ScheduledEvent::TimeIsOver)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn thaw(&mut self, now: AwakeTime) {
        let Some(since) = self.halted.take() else {
            return;
        };
        let lost: Duration = now.since(since);
        self.course_at = self.course_at.map(|at| at.plus(lost));
        self.timeout_at = self.timeout_at.map(|at| at.plus(lost));
    }

    /// Requests a stop. The cause of the first request is kept. A later forced stop only changes the time of the kill
    /// to an earlier time.
    fn stop(&mut self, order: StopRequest, now: AwakeTime, command: &CommandSpec, obedience: StopBehavior) {
        let first = self.stopping.is_none();
        let stopping = self.stopping.get_or_insert(FakeStop {
            cause: order.cause,
            obeys_at: None,
            kill_at: Some(now.plus(command.stop.total_grace())),
        });
        if order.force {
            stopping.kill_at = Some(now);
        } else if first && let StopBehavior::Ends { after } = obedience {
            stopping.obeys_at = Some(now.plus(after));
        }
    }

    /// Cancels the kill, because the process survived the signal.
    const fn give_up(&mut self) {
        if let Some(stopping) = &mut self.stopping {
            stopping.kill_at = None;
            stopping.obeys_at = None;
        }
    }
}
