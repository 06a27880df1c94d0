//! Contract of every spawner.

use crate::fakes::SequentialIds;
use crate::suite::{EVENT_TIMEOUT, PARK_CHECK, instead_of, locked, must, refused, some};
use async_trait::async_trait;
use longhaul_domain::{AttemptNo, Capabilities, CommandSpec, Exit, ExitStatus, Observation, StopCause};
use longhaul_ports::{
    Adopted, AttemptKey, IdSource, SpawnError, Spawner, SpawnerEvent, StartRequest, StopRequest,
};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

mod lives;
mod senses;

pub use lives::{
    a_durable_exit_is_reported_again, an_attempt_of_an_earlier_manager_is_not_started_again,
    an_attempt_without_a_start_request_never_ran, the_next_manager_finds_running_commands,
    the_next_manager_finds_the_exit_of_ended_commands, the_next_manager_reports_an_unobserved_exit,
};
pub use senses::{
    a_command_that_does_not_read_is_never_shown_as_waiting, a_command_that_reads_input_is_shown_as_waiting,
    an_inspection_requires_a_running_attempt, an_inspection_shows_the_listening_ports_of_the_tree,
    input_is_refused_without_an_open_pipe, the_next_manager_can_write_input,
    written_input_arrives_completely_and_ends,
};

/// The commands that the rules run, and the function that lets time pass for these commands.
///
/// The [capabilities](Spawner::capabilities) of a spawner determine which rules apply to it.
#[async_trait]
pub trait TestCommands: Debug + Send + Sync + 'static {
    /// Returns a command that exits with `code` after this time.
    fn exits(&self, after: Duration, code: u8) -> CommandSpec;

    /// Returns a command that runs until it is stopped. If the spawner sends signals, SIGTERM must end the command.
    fn runs(&self) -> CommandSpec;

    /// Returns a command that only SIGKILL ends. Needed for spawners that send signals.
    fn ignores_term(&self) -> Option<CommandSpec> {
        None
    }

    /// Returns a command whose program does not exist.
    fn missing(&self) -> CommandSpec;

    /// Returns a command with a pipe as its standard input. The command copies its input to its output, and exits with
    /// code 0 at the end of the input. Needed for spawners that can write input.
    fn echoes(&self) -> Option<CommandSpec> {
        None
    }

    /// Returns a command with a pipe as its standard input. The command waits for one line, and then continues to run
    /// without reading more input. Needed for spawners that can write input and inspect process trees.
    fn asks(&self) -> Option<CommandSpec> {
        None
    }

    /// Returns a command that listens on this TCP port. Needed for spawners that can inspect process trees.
    fn listens(&self) -> Option<(CommandSpec, u16)> {
        None
    }

    /// Waits until this time has passed for the commands.
    async fn pass(&self, span: Duration);

    /// Opens the spawner for the next run of the manager. The previous spawner was dropped without a shutdown.
    async fn reopen(&self) -> Arc<dyn Spawner>;
}

/// Fixture for one rule: a spawner that does not watch any attempt yet.
#[derive(Debug)]
pub struct SpawnerFixture {
    spawner: Mutex<Option<Arc<dyn Spawner>>>,
    actors: Arc<dyn TestCommands>,
    ids: SequentialIds,
    /// Commands of all requested starts. They are needed to adopt the attempts in later runs.
    commands: Mutex<BTreeMap<AttemptKey, CommandSpec>>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl SpawnerFixture {
    /// Creates a fixture around the commands. All spawners, including the first one, are opened with
    /// [`TestCommands::reopen`].
    #[must_use]
    pub fn new(actors: Arc<dyn TestCommands>) -> Self {
        Self {
            spawner: Mutex::default(),
            actors,
            ids: SequentialIds::default(),
            commands: Mutex::default(),
            _guard: None,
        }
    }

    /// Keeps `guard`, such as a temporary directory, alive as long as the fixture.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }

    async fn spawner(&self) -> Arc<dyn Spawner> {
        let open = locked(&self.spawner).clone();
        match open {
            Some(spawner) => spawner,
            None => {
                let spawner = self.actors.reopen().await;
                locked(&self.spawner).insert(spawner).clone()
            }
        }
    }

    /// Simulates a crash of the manager: drops the spawner without a shutdown and opens the next spawner.
    async fn crash(&self) -> Arc<dyn Spawner> {
        drop(locked(&self.spawner).take());
        self.spawner().await
    }

    fn order(&self, command: CommandSpec) -> StartRequest {
        let key = AttemptKey { id: self.ids.process(), attempt: AttemptNo(1) };
        locked(&self.commands).insert(key, command.clone());
        StartRequest {
            key,
            command,
            environment: vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())],
            leased: false,
        }
    }

    /// Adopts an attempt whose start was requested earlier.
    async fn adopt(&self, key: AttemptKey) -> Adopted {
        let command = some(locked(&self.commands).get(&key).cloned());
        must(self.spawner().await.adopt(key, &command).await)
    }

    async fn start(&self, command: CommandSpec) -> AttemptKey {
        let order = self.order(command);
        let key = order.key;
        must(self.spawner().await.start(order).await);
        key
    }

    /// Starts a command and checks that the spawner reports it as running.
    async fn run(&self, command: CommandSpec) -> AttemptKey {
        let key = self.start(command).await;
        let seen = self.next().await;
        assert_eq!(seen.id, key.id);
        assert!(
            matches!(seen.observation, Observation::Spawned { attempt, .. } if attempt == key.attempt),
            "{seen:?}"
        );
        key
    }

    async fn next(&self) -> SpawnerEvent {
        some(self.seen_within(EVENT_TIMEOUT).await)
    }

    async fn can(&self) -> Capabilities {
        self.spawner().await.capabilities()
    }

    /// Checks the exit code. For a spawner that does not report exit codes, checks only whether the command succeeded.
    async fn assert_code(&self, exit: &Exit, code: u8) {
        let expected = ExitStatus::Code(i32::from(code));
        let is_right = if self.can().await.exit_codes {
            exit.status == expected
        } else {
            (exit.status == ExitStatus::Code(0)) == (code == 0)
        };
        assert!(is_right, "{:?} in place of code {code}", exit.status);
    }

    async fn exit(&self, key: AttemptKey) -> Exit {
        let seen = self.next().await;
        assert_eq!(seen.id, key.id);
        let Observation::Exited { attempt, exit } = seen.observation else {
            instead_of("an exit", &seen);
        };
        assert_eq!(attempt, key.attempt);
        exit
    }

    /// Returns the next event of the spawner. Returns `None` if no event arrives within `span` of real time. Meanwhile,
    /// at least as much time passes for the commands.
    async fn seen_within(&self, span: Duration) -> Option<SpawnerEvent> {
        let spawner = self.spawner().await;
        let next = spawner.next();
        tokio::pin!(next);
        let begin = Instant::now();
        while begin.elapsed() < span {
            tokio::select! {
                biased;
                seen = &mut next => return Some(seen),
                () = self.actors.pass(Duration::from_millis(20)) => {}
            }
        }
        None
    }

    async fn assert_silence(&self) {
        assert_eq!(self.seen_within(PARK_CHECK * 3).await, None);
    }
}

/// Opens a fixture.
pub fn open(open: impl FnOnce() -> SpawnerFixture) -> SpawnerFixture {
    open()
}

const GRACEFUL: StopRequest = StopRequest { cause: StopCause::User, force: false };
const NOW: StopRequest = StopRequest { cause: StopCause::User, force: true };
const KILLED: ExitStatus = ExitStatus::Signal { number: 9, core: false };

fn patient(mut command: CommandSpec, grace: Duration) -> CommandSpec {
    command.stop.grace = grace;
    command
}

/// A command is reported exactly once as running, and exactly once as exited, with its exit code.
pub async fn a_command_runs_and_exits_with_its_code(world: &SpawnerFixture) {
    for code in [0, 7, 255] {
        let key = world.run(world.actors.exits(Duration::ZERO, code)).await;
        let exit = world.exit(key).await;
        world.assert_code(&exit, code).await;
        assert_eq!(exit.stopped, None);
        world.spawner().await.end_recorded(key).await;
    }
    world.assert_silence().await;
}

/// Repeated start requests for an attempt start it only one time.
pub async fn an_attempt_is_started_once(world: &SpawnerFixture) {
    let order = world.order(world.actors.exits(Duration::from_millis(100), 3));
    let spawner = world.spawner().await;
    must(spawner.start(order.clone()).await);
    must(spawner.start(order.clone()).await);
    let first = world.next().await;
    assert!(matches!(first.observation, Observation::Spawned { .. }), "{first:?}");
    must(spawner.start(order.clone()).await);
    world.exit(order.key).await;
    must(spawner.start(order).await);
    world.assert_silence().await;
}

/// A program that does not exist is reported as a failed start, and no command runs.
pub async fn a_missing_program_is_a_failed_start(world: &SpawnerFixture) {
    let order = world.order(world.actors.missing());
    let key = order.key;
    let failure = match world.spawner().await.start(order).await {
        Err(SpawnError::Refused { failure }) => failure,
        answer => {
            must(answer);
            let seen = world.next().await;
            assert_eq!(seen.id, key.id);
            let Observation::SpawnFailed { failure, .. } = seen.observation else {
                instead_of("a failed start", &seen);
            };
            failure
        }
    };
    assert!(!failure.detail.is_empty());
    world.assert_silence().await;
}

/// A stop request ends the command, and the recorded exit contains the cause of the stop.
pub async fn a_stop_ends_the_command(world: &SpawnerFixture) {
    let key = world.run(world.actors.runs()).await;
    must(world.spawner().await.stop(key, GRACEFUL).await);
    let exit = world.exit(key).await;
    assert_eq!(exit.stopped, Some(StopCause::User));
    if world.can().await.signals {
        assert_eq!(exit.last_signal, Some(15));
    }
    world.assert_silence().await;
}

/// A command that ignores a stop request is killed after its grace period.
pub async fn a_command_that_ignores_a_stop_is_killed_after_its_grace_period(world: &SpawnerFixture) {
    if !world.can().await.signals {
        return;
    }
    let command = patient(some(world.actors.ignores_term()), Duration::from_millis(400));
    let key = world.run(command).await;
    must(world.spawner().await.stop(key, GRACEFUL).await);
    let exit = world.exit(key).await;
    assert_eq!(exit.status, KILLED);
    assert_eq!((exit.stopped, exit.last_signal), (Some(StopCause::User), Some(9)));
}

/// A forced stop kills immediately, even if a graceful stop was requested before.
pub async fn a_forced_stop_does_not_wait(world: &SpawnerFixture) {
    if !world.can().await.signals {
        return;
    }
    let command = || patient(some(world.actors.ignores_term()), Duration::from_secs(3600));
    let key = world.run(command()).await;
    must(world.spawner().await.stop(key, NOW).await);
    assert_eq!(world.exit(key).await.status, KILLED);
    let key = world.run(command()).await;
    must(world.spawner().await.stop(key, GRACEFUL).await);
    must(world.spawner().await.stop(key, NOW).await);
    assert_eq!(world.exit(key).await.status, KILLED);
}

/// A stop takes effect even if it is requested before the result of the start is known.
pub async fn a_stop_before_the_result_of_the_start_takes_effect(world: &SpawnerFixture) {
    let key = world.start(world.actors.runs()).await;
    must(world.spawner().await.stop(key, GRACEFUL).await);
    let mut seen = world.next().await.observation;
    if matches!(seen, Observation::Spawned { .. }) {
        seen = world.next().await.observation;
    }
    if let Observation::Exited { exit, .. } = seen {
        assert_eq!(exit.stopped, Some(StopCause::User));
    } else if !matches!(seen, Observation::NeverRan { .. }) {
        instead_of("an end", &seen);
    }
    world.assert_silence().await;
}

/// A stop can be requested twice. The exit is still reported only once.
pub async fn a_stop_can_be_requested_twice(world: &SpawnerFixture) {
    let key = world.run(world.actors.runs()).await;
    let spawner = world.spawner().await;
    must(spawner.stop(key, GRACEFUL).await);
    // At the second stop request, the attempt may already have ended.
    if let Err(error) = spawner.stop(key, GRACEFUL).await {
        assert!(matches!(error, SpawnError::Unknown { .. }), "{error:?}");
    }
    world.exit(key).await;
    world.assert_silence().await;
}

/// An attempt that the spawner does not watch cannot be stopped, paused or resumed.
pub async fn an_unknown_attempt_is_refused(world: &SpawnerFixture) {
    let key = world.order(world.actors.runs()).key;
    let spawner = world.spawner().await;
    refused!(spawner.stop(key, GRACEFUL).await, SpawnError::Unknown { key: named } if *named == key);
    if spawner.capabilities().pause {
        refused!(spawner.pause(key).await, SpawnError::Unknown { .. });
        refused!(spawner.resume(key).await, SpawnError::Unknown { .. });
    }
}

/// A paused command makes no progress until it is resumed. Pause and resume requests can be repeated.
pub async fn a_paused_command_makes_no_progress(world: &SpawnerFixture) {
    let spawner = world.spawner().await;
    if !spawner.capabilities().pause {
        return;
    }
    let key = world.run(world.actors.exits(Duration::from_millis(400), 6)).await;
    must(spawner.pause(key).await);
    must(spawner.pause(key).await);
    assert_eq!(world.seen_within(Duration::from_millis(700)).await, None);
    must(spawner.resume(key).await);
    must(spawner.resume(key).await);
    let exit = world.exit(key).await;
    world.assert_code(&exit, 6).await;
}

/// A paused command can be stopped and killed.
pub async fn a_paused_command_can_be_stopped(world: &SpawnerFixture) {
    let spawner = world.spawner().await;
    if !spawner.capabilities().pause {
        return;
    }
    if let Some(command) = world.actors.ignores_term() {
        let key = world.run(command).await;
        must(spawner.pause(key).await);
        must(spawner.stop(key, NOW).await);
        assert_eq!(world.exit(key).await.status, KILLED);
    }
    let key = world.run(world.actors.runs()).await;
    must(spawner.pause(key).await);
    must(spawner.stop(key, GRACEFUL).await);
    assert_eq!(world.exit(key).await.stopped, Some(StopCause::User));
}

/// Resource usage is reported only for running attempts that the spawner watches. Their CPU time never decreases.
pub async fn usage_is_reported_only_for_running_attempts(world: &SpawnerFixture) {
    let stranger = world.order(world.actors.runs()).key;
    let spawner = world.spawner().await;
    refused!(spawner.usage(stranger).await, SpawnError::Unknown { key: named } if *named == stranger);
    let key = world.run(world.actors.runs()).await;
    let first = must(spawner.usage(key).await);
    assert!(first.processes >= 1, "{first:?}");
    world.actors.pass(Duration::from_millis(50)).await;
    let second = must(spawner.usage(key).await);
    assert!(second.processes >= 1 && second.cpu >= first.cpu, "{first:?}, then {second:?}");
    drop(spawner);
    if world.can().await.survives {
        let spawner = world.crash().await;
        refused!(spawner.usage(key).await, SpawnError::Unknown { .. });
        world.adopt(key).await;
        assert!(must(spawner.usage(key).await).processes >= 1);
    }
    let spawner = world.spawner().await;
    must(spawner.stop(key, NOW).await);
    world.exit(key).await;
    spawner.end_recorded(key).await;
    refused!(spawner.usage(key).await, SpawnError::Unknown { .. });
}

/// Many commands can run at the same time; each is reported first as running and then as exited.
pub async fn many_commands_can_run_at_the_same_time(world: &SpawnerFixture) {
    let mut keys = Vec::new();
    for code in 0..12_u8 {
        let after = Duration::from_millis(u64::from(code % 4) * 30);
        keys.push((world.start(world.actors.exits(after, code)).await, code));
    }
    let mut seen = Vec::new();
    for _ in 0..24 {
        seen.push(world.next().await);
    }
    for (key, code) in keys {
        let mine: Vec<_> = seen.iter().filter(|seen| seen.id == key.id).collect();
        let [begin, end] = mine.as_slice() else {
            return assert_eq!(mine.len(), 2);
        };
        assert!(matches!(begin.observation, Observation::Spawned { .. }), "{begin:?}");
        let Observation::Exited { exit, .. } = &end.observation else {
            instead_of("an exit", end);
        };
        world.assert_code(exit, code).await;
    }
    world.assert_silence().await;
}

/// Generates one test for each rule about spawners.
///
/// Takes a function that opens a [`SpawnerFixture`].
#[macro_export]
macro_rules! spawner_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, spawner,
            a_command_runs_and_exits_with_its_code
            an_attempt_is_started_once
            an_attempt_of_an_earlier_manager_is_not_started_again
            a_missing_program_is_a_failed_start
            a_stop_ends_the_command
            a_command_that_ignores_a_stop_is_killed_after_its_grace_period
            a_forced_stop_does_not_wait
            a_stop_before_the_result_of_the_start_takes_effect
            a_stop_can_be_requested_twice
            an_unknown_attempt_is_refused
            a_paused_command_makes_no_progress
            a_paused_command_can_be_stopped
            usage_is_reported_only_for_running_attempts
            the_next_manager_finds_running_commands
            the_next_manager_finds_the_exit_of_ended_commands
            the_next_manager_reports_an_unobserved_exit
            an_attempt_without_a_start_request_never_ran
            many_commands_can_run_at_the_same_time
            written_input_arrives_completely_and_ends
            input_is_refused_without_an_open_pipe
            the_next_manager_can_write_input
            a_command_that_reads_input_is_shown_as_waiting
            a_command_that_does_not_read_is_never_shown_as_waiting
            an_inspection_shows_the_listening_ports_of_the_tree
            a_durable_exit_is_reported_again
            an_inspection_requires_a_running_attempt
        }
    };
}
