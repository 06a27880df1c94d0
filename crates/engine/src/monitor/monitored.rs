//! The state that the monitor keeps for one process.

use super::follower::{FollowerTask, WatchStart};
use super::silence::{InspectMode, SilenceMonitor};
use super::{EngineShared, ready, usual_duration};
use longhaul_domain::{
    AgentOutputFormat, AwakeTime, CommandSpec, Condition, Deadline, Process, Progress, Revision, Spec, State,
    Stdin, Timestamp, Work, millis,
};
use longhaul_ports::{AttemptKey, StoredProcess};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Delay before the next wait for output growth if the previous wait ended without growth. Each further delay is twice
/// as long.
const GROWTH_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Maximum delay between two waits for output growth.
const MAX_GROWTH_RETRY_DELAY: Duration = Duration::from_secs(60);

/// A live attempt or reported work that is monitored.
#[derive(Debug)]
pub(super) struct MonitoredWork {
    pub(super) key: AttemptKey,
    pub(super) as_of: Revision,
    pub(super) phase: MonitorPhase,
    pub(super) silence: SilenceMonitor,
    pub(super) due: Option<AwakeTime>,
    /// The inspection time with which the process is in the schedule.
    pub(super) armed: Option<AwakeTime>,
    spec: Arc<Spec>,
    /// True if this node may run the readiness check, because the launch signature is valid.
    may_ask: bool,
    /// True if this node may copy the artifacts of the attempt.
    may_collect: bool,
    begin: WatchStart,
    output: FollowState,
    ready: Option<TaskGuard>,
    ear: Option<TaskGuard>,
    /// Task that estimates the remaining time from earlier runs.
    estimate: Option<TaskGuard>,
}

/// Phase of a process, as far as it matters to the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MonitorPhase {
    /// The start of the attempt is not confirmed yet.
    Starting,
    /// The process is running.
    Working,
    /// The process is paused or stopping, so its silence has no meaning.
    Halted,
}

#[derive(Debug)]
enum FollowState {
    /// The output is not followed yet, or it has no consumer.
    No,
    Yes(FollowerTask),
    /// The end of the attempt was observed, and its last output is being read.
    Over,
}

/// A task that is aborted when this guard is dropped.
#[derive(Debug)]
struct TaskGuard(JoinHandle<()>);

impl MonitorPhase {
    /// Returns the phase of a process, or `None` if this node does not monitor the process.
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
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_)
            | State::Ended(_) => None,
        }
    }
}

impl MonitoredWork {
    /// Creates the monitored state of a process, or returns `None` if no condition of the process can be detected.
    pub(super) fn of(
        core: &EngineShared,
        stored: &StoredProcess,
        phase: MonitorPhase,
        begin: WatchStart,
    ) -> Option<Self> {
        let process = &stored.process;
        let policy = process.spec.silence.or(core.settings.silence);
        let asks = asks(&process.spec);
        let eyes = match &process.spec.work {
            Work::Command(command) => inspect_mode(core, command),
            Work::Reported(_) => InspectMode::Closed,
        };
        if eyes == InspectMode::Closed && policy.is_none() && !asks {
            return None;
        }
        let end = match begin {
            WatchStart::Here => Some(0),
            WatchStart::Before => None,
        };
        let since = stored.live_stats.last_heartbeat.max(process.started_at).unwrap_or(process.queued_at);
        let since = awake_at(core, since);
        let mut silence = SilenceMonitor::new(policy, eyes, process.conditions, since, end);
        if reports_input(&process.spec) || stored.live_stats.reports_input {
            silence.set_input_reported();
        }
        if let Some(rate) = stored.live_stats.progress_rate {
            silence.advanced(awake_at(core, rate.last_at), rate.last == Progress::DONE);
        }
        Some(Self {
            key: AttemptKey { id: process.id, attempt: process.attempt },
            as_of: stored.revision,
            phase,
            silence,
            due: None,
            armed: None,
            spec: Arc::clone(&process.spec),
            may_ask: may_ask(core, process),
            may_collect: core.may_collect(process),
            begin,
            output: FollowState::No,
            ready: None,
            ear: None,
            estimate: None,
        })
    }

    /// Updates the state from a newer record.
    pub(super) fn take_in(&mut self, core: &Arc<EngineShared>, stored: &StoredProcess, phase: MonitorPhase) {
        self.as_of = stored.revision;
        self.silence.hold(stored.process.conditions);
        if self.phase != phase && phase == MonitorPhase::Working {
            // Time without output does not count as silence if the process was paused or starting during that time.
            self.silence.resumed(core.parts.clock.awake());
        }
        self.phase = phase;
        match phase {
            MonitorPhase::Starting => {}
            MonitorPhase::Working => {
                self.follow_output(core);
                self.ask_whether_ready(core);
                self.estimate_duration(core, stored);
            }
            MonitorPhase::Halted => {
                self.follow_output(core);
                self.ready = None;
            }
        }
        self.settle(core);
    }

    /// Sets the next inspection time. If new output would end a silence, starts a task that waits for new output.
    pub(super) fn settle(&mut self, core: &Arc<EngineShared>) {
        self.due = match self.phase {
            MonitorPhase::Working => self.silence.due(),
            MonitorPhase::Starting | MonitorPhase::Halted => None,
        };
        let listens = self.phase == MonitorPhase::Working
            && self.is_command()
            && self.silence.needs_output_notification();
        if !listens {
            self.ear = None;
        } else if self.ear.is_none() {
            self.ear = Some(TaskGuard(tokio::spawn(listen(core.clone(), self.key, self.silence.end()))));
        }
    }

    /// Returns the spec if artifacts of the attempt may be copied.
    pub(super) fn spec_with_artifacts(&self) -> Option<Arc<Spec>> {
        self.may_collect.then(|| Arc::clone(&self.spec))
    }

    pub(super) fn is_command(&self) -> bool {
        self.spec.command().is_some()
    }

    /// Returns true if the process is certainly silent, so that the output size need not be read: a task is waiting for
    /// new output, and no due condition requires the exact size.
    pub(super) fn silence_is_known(&mut self, awake: AwakeTime) -> bool {
        let listens = self.ear.as_ref().is_some_and(|ear| !ear.0.is_finished());
        listens && self.silence.goes_on(awake)
    }

    /// Stops waiting for new output, because new output was found or the process will be inspected anyway.
    pub(super) fn stop_listening(&mut self) {
        self.ear = None;
    }

    /// Returns the output follower and marks the output as finished. The caller can then wait until the last output has
    /// been read.
    pub(super) fn last_follower(&mut self, core: &Arc<EngineShared>) -> Option<FollowerTask> {
        self.follow_output(core);
        match std::mem::replace(&mut self.output, FollowState::Over) {
            FollowState::Yes(follower) => Some(follower),
            FollowState::No | FollowState::Over => None,
        }
    }

    fn follow_output(&mut self, core: &Arc<EngineShared>) {
        if matches!(self.output, FollowState::No) && FollowerTask::is_needed(&self.spec) {
            self.output = FollowState::Yes(FollowerTask::start(core, self.key, &self.spec, self.begin));
        }
    }

    fn estimate_duration(&mut self, core: &Arc<EngineShared>, stored: &StoredProcess) {
        let live_stats = &stored.live_stats;
        let is_known = live_stats.progress.is_some() || live_stats.reported_eta.is_some();
        if self.estimate.is_none()
            && !is_known
            && self.spec.name.is_some()
            && let Some(started) = stored.process.started_at
        {
            let estimate = usual_duration::estimate(core.clone(), self.key, Arc::clone(&self.spec), started);
            self.estimate = Some(TaskGuard(tokio::spawn(estimate)));
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

/// Returns true if the launch signature is valid. A readiness check may run a command or connect to an address, so it
/// must come from the launch and not from a forged record.
fn may_ask(core: &EngineShared, process: &Process) -> bool {
    let verified = if asks_if_ready(&process.spec) { core.verify(process) } else { Ok(()) };
    verified.inspect_err(|error| tracing::error!(%error, "skipped a readiness check")).is_ok()
}

/// Returns true if the command only follows work that another program does. Such a command itself never waits for
/// input, so an inspection of its process tree would find nothing.
pub(crate) fn reports_input(spec: &Spec) -> bool {
    let runner = spec.command().and_then(|command| command.runner.as_ref());
    runner.is_some_and(|runner| runner.output == AgentOutputFormat::Unread)
}

fn asks_if_ready(spec: &Spec) -> bool {
    spec.command().is_some_and(|command| command.ready_when.is_some())
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for output beyond the offset `end`, and then schedules an inspection of the attempt.
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
    core.attention.schedule_inspection(key, core.parts.clock.awake());
}

fn inspect_mode(core: &EngineShared, command: &CommandSpec) -> InspectMode {
    if !core.parts.spawner.capabilities().inspection {
        return InspectMode::Closed;
    }
    match command.stdin {
        Stdin::Null | Stdin::File(_) => InspectMode::Open,
        Stdin::Pipe => InspectMode::OnInput,
    }
}

/// Returns true if the process is monitored for a reason other than its silence.
fn asks(spec: &Spec) -> bool {
    let has_artifacts = spec.command().is_some_and(|command| !command.artifacts.is_empty());
    asks_if_ready(spec) || FollowerTask::is_needed(spec) || has_artifacts || spec.name.is_some()
}

/// Converts a time to awake time. This assumes that the machine has not been suspended since that time.
fn awake_at(core: &EngineShared, moment: Timestamp) -> AwakeTime {
    let (now, awake) = (core.parts.clock.now(), core.parts.clock.awake());
    AwakeTime(awake.0.saturating_sub(millis(now.since(moment))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, after, command, lease, running, waiting};
    use longhaul_domain::{AttemptNo, NodeId, Observation, ReadyWhen, ReportedSpec, SilencePolicy};
    use longhaul_ports::{Lease, TreeSnapshot};

    fn ready_when() -> Spec {
        let mut spec = command();
        if let Work::Command(command) = &mut spec.work {
            command.ready_when = Some(ReadyWhen::Port(80));
        }
        spec
    }

    fn monitored(core: &EngineShared, stored: &StoredProcess) -> MonitoredWork {
        let phase = MonitorPhase::of(core, stored).unwrap();
        MonitoredWork::of(core, stored, phase, WatchStart::Here).unwrap()
    }

    /// Makes the work silent for such a long time that the monitor requests a notification of new output.
    fn silence(monitored: &mut MonitoredWork, awake: AwakeTime) {
        let later = awake.plus(Duration::from_secs(30));
        monitored.silence.seen(Timestamp(0), later, Some(&TreeSnapshot::default()));
        assert!(monitored.silence.needs_output_notification());
    }

    #[tokio::test(start_paused = true)]
    async fn commands_of_other_nodes_are_not_monitored() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let phase = |stored: &StoredProcess| {
            let there = Lease { node: NodeId::new("there").unwrap(), ..lease() };
            let elsewhere = StoredProcess { owner: Some(there), ..stored.clone() };
            assert_eq!(MonitorPhase::of(core, &elsewhere), None);
            assert_eq!(MonitorPhase::of(core, &StoredProcess { owner: None, ..stored.clone() }), None);
            MonitorPhase::of(core, stored)
        };
        let attempt = AttemptNo(1);
        let starting = after(&waiting(1, command()), &[Observation::Claimed { attempt, node: lease().node }]);
        assert_eq!(phase(&starting), Some(MonitorPhase::Starting));
        let running = running(1, command());
        assert_eq!(phase(&running), Some(MonitorPhase::Working));
        let acted = |action| {
            let mut stored = running.clone();
            let input = longhaul_domain::Input::Action(action);
            let step = stored.process.decide(&core.context(), &stored.live_stats, &input).unwrap();
            stored.process.evolve(&step.events);
            stored
        };
        let cause = longhaul_domain::StopCause::User;
        for action in [longhaul_domain::Action::Pause, longhaul_domain::Action::Cancel { cause }] {
            assert_eq!(phase(&acted(action)), Some(MonitorPhase::Halted));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn output_is_listened_to_only_while_a_running_command_is_silent_for_long() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let stored = running(1, command());
        let awake = core.parts.clock.awake();
        let mut work = monitored(core, &stored);
        work.settle(core);
        assert!(work.ear.is_none() && work.due.is_some());
        assert!(!work.silence_is_known(awake));
        silence(&mut work, awake);
        work.settle(core);
        assert!(work.ear.is_some());
        assert!(work.silence_is_known(awake));
        work.stop_listening();
        assert!(work.ear.is_none() && !work.silence_is_known(awake));
        work.phase = MonitorPhase::Halted;
        work.settle(core);
        assert!(work.ear.is_none() && work.due.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn reported_work_has_no_output_to_listen_to() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let idle_after = Some(Duration::from_secs(5));
        let silence = SilencePolicy { idle_after, stall_after: None };
        let spec = Spec { silence, ..Spec::of(Work::Reported(ReportedSpec::default())) };
        let mut work = monitored(core, &waiting(1, spec));
        assert!(!work.is_command());
        work.silence.seen(Timestamp(0), AwakeTime(i64::MAX), None);
        work.settle(core);
        assert!(work.ear.is_none());
        assert!(monitored(core, &running(2, command())).is_command());
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_is_asked_for_where_it_was_requested_by_one_task_at_a_time() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let plain = running(1, command());
        assert!(!asks_if_ready(&plain.process.spec) && !asks(&plain.process.spec));
        let mut work = monitored(core, &plain);
        work.take_in(core, &plain, MonitorPhase::Working);
        assert!(work.ready.is_none());
        let stored = running(2, ready_when());
        assert!(asks_if_ready(&stored.process.spec) && asks(&stored.process.spec));
        let mut work = monitored(core, &stored);
        work.take_in(core, &stored, MonitorPhase::Working);
        let first = work.ready.as_ref().map(|task| task.0.id());
        assert!(first.is_some());
        work.take_in(core, &stored, MonitorPhase::Working);
        assert_eq!(work.ready.as_ref().map(|task| task.0.id()), first, "the task continues");
        work.take_in(core, &stored, MonitorPhase::Halted);
        assert!(work.ready.is_none());
    }
}
