//! Test bench: a spawner in a temporary directory, and helpers for its use.

use longhaul_adapters::os::{ContainmentChoice, OsOptions, OsOutput, OsSpawner};
use longhaul_adapters::system::SystemClock;
use longhaul_domain::{
    AttemptNo, CommandSpec, Condition, Exit, ExitStatus, Observation, ProcessId, Stdin, StopCause,
};
use longhaul_ports::{
    Adopted, AttemptKey, OutputLog, OutputRead, SpawnError, Spawner, StartRequest, StopRequest, TreeSnapshot,
};
use longhaul_shim::{AttemptDirectory, Identity};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time limit for conditions in the tests. It is long enough for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Bench {
    dir: tempfile::TempDir,
    clock: SystemClock,
    pub(crate) containment: ContainmentChoice,
    pub(crate) spawner: OsSpawner,
    pub(crate) output: OsOutput,
    /// Specs of the started commands. A later run of the manager needs them to adopt the attempts.
    commands: Mutex<BTreeMap<AttemptKey, CommandSpec>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(ContainmentChoice::Subreaper)
    }

    pub(crate) fn with(containment: ContainmentChoice) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = SystemClock::open(dir.path()).unwrap();
        let spawner = OsSpawner::open(options(dir.path(), &clock, containment)).unwrap();
        let output = OsOutput::open(&dir.path().join("attempts")).unwrap();
        Self { dir, clock, containment, spawner, output, commands: Mutex::default() }
    }

    /// Opens a new spawner in place of the present one. Simulates the next run of the manager after a crash.
    pub(crate) fn next_life(&mut self) {
        self.spawner = OsSpawner::open(self.options()).unwrap();
    }

    pub(crate) fn options(&self) -> OsOptions {
        options(self.dir.path(), &self.clock, self.containment)
    }

    pub(crate) const fn clock(&self) -> &SystemClock {
        &self.clock
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn attempt(&self, key: AttemptKey) -> PathBuf {
        self.dir.path().join("attempts").join(key.id.to_string()).join(key.attempt.to_string())
    }

    pub(crate) async fn start(&self, key: AttemptKey, script: &str) {
        self.begin(self.order(key, script)).await;
    }

    pub(crate) async fn begin(&self, order: StartRequest) {
        self.commands.lock().unwrap().insert(order.key, order.command.clone());
        self.spawner.start(order).await.unwrap();
    }

    /// Adopts an attempt, as the next run of the manager does.
    pub(crate) async fn adopt(&self, key: AttemptKey) -> Result<Adopted, SpawnError> {
        let started = self.commands.lock().unwrap().get(&key).cloned();
        self.spawner.adopt(key, &started.unwrap_or_else(|| self.order(key, "").command)).await
    }

    pub(crate) fn order(&self, key: AttemptKey, script: &str) -> StartRequest {
        let directory = self.dir.path().to_str().unwrap();
        let mut command = CommandSpec::of("sh", &["-c", script], directory);
        command.stop.grace = Duration::from_millis(300);
        StartRequest {
            key,
            command,
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            leased: false,
        }
    }

    /// Starts a program whose standard input is a pipe.
    pub(crate) async fn start_reading(&self, key: AttemptKey, program: &str, arguments: &[&str]) {
        let mut order = self.order(key, "");
        order.command.program = program.to_owned();
        order.command.args = arguments.iter().map(|each| (*each).to_owned()).collect();
        order.command.stdin = Stdin::Pipe;
        self.begin(order).await;
    }

    /// Writes to the input of a command. Returns the number of bytes that were accepted.
    pub(crate) async fn write(&self, key: AttemptKey, text: &str) -> usize {
        self.spawner.write_input(key, text.as_bytes().to_vec(), false).await.unwrap()
    }

    pub(crate) async fn inspect(&self, key: AttemptKey) -> TreeSnapshot {
        self.spawner.inspect(key).await.unwrap()
    }

    /// Returns the next observation of any kind.
    pub(crate) async fn seen(&self) -> Observation {
        tokio::time::timeout(SOON, self.spawner.next())
            .await
            .expect("the spawner reported nothing")
            .observation
    }

    /// Returns the next observation. Skips observations that a shim was stopped by a signal or continued.
    pub(crate) async fn next(&self) -> Observation {
        loop {
            let seen = self.seen().await;
            if !matches!(seen, Observation::ConditionObserved { condition: Condition::SupervisorStopped, .. })
            {
                return seen;
            }
        }
    }

    pub(crate) async fn spawned(&self) -> u32 {
        match self.next().await {
            Observation::Spawned { pid, .. } => pid.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn exited(&self) -> Exit {
        match self.next().await {
            Observation::Exited { exit, .. } => exit,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn text(&self, key: AttemptKey) -> String {
        let page = self.output.read(key, OutputRead { from: 0, limit: 1 << 20, only: None }).await.unwrap();
        let bytes: Vec<u8> = page.chunks.into_iter().flat_map(|chunk| chunk.bytes).collect();
        String::from_utf8(bytes).unwrap()
    }

    pub(crate) fn identity(&self, key: AttemptKey) -> Identity {
        AttemptDirectory::open(&self.attempt(key)).unwrap().identity().unwrap().unwrap()
    }

    /// Kills the shim of an attempt.
    pub(crate) fn kill_shim(&self, key: AttemptKey) {
        kill(self.identity(key).shim_pid);
    }

    /// Waits until the output contains a text.
    pub(crate) async fn says(&self, key: AttemptKey, text: &str) {
        until(async || self.text(key).await.contains(text)).await;
    }
}

impl Drop for Bench {
    /// Kills all shims and commands that are still running.
    fn drop(&mut self) {
        for process in entries(&self.dir.path().join("attempts")) {
            for attempt in entries(&process) {
                let Ok(directory) = AttemptDirectory::open(&attempt) else { continue };
                if let (Ok(Some(identity)), Ok(None)) = (directory.identity(), directory.exit_record()) {
                    for (pid, start) in
                        [(identity.shim_pid, identity.shim_start), (identity.pid, identity.start_time)]
                    {
                        if started_at(pid) == Some(start) {
                            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
                            let _gone =
                                rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
                        }
                    }
                }
            }
        }
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn started_at(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

pub(crate) fn options(dir: &Path, clock: &SystemClock, containment: ContainmentChoice) -> OsOptions {
    OsOptions {
        attempts_dir: dir.join("attempts"),
        shim: shim(),
        anchor_ms: clock.anchor_ms(),
        boot_id: clock.boot_id().to_owned(),
        containment,
        adopt_orphans: false,
        open_files: None,
    }
}

/// Returns the path of the shim that this package builds for its tests.
fn shim() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let built = me.parent().and_then(Path::parent).unwrap().join("examples/shim-for-tests");
    assert!(built.exists(), "{} is not built: it is an example of this package", built.display());
    built
}

thread_local! {
    /// Random base from which one test derives its process ids. Process ids must be unique on the whole machine.
    static BASE: uuid::Uuid = uuid::Uuid::new_v4();
}

pub(crate) fn key(number: u128) -> AttemptKey {
    let id = BASE.with(|base| uuid::Uuid::from_u128(base.as_u128() ^ number));
    AttemptKey { id: ProcessId::new(id), attempt: AttemptNo(1) }
}

pub(crate) fn by_user(force: bool) -> StopRequest {
    StopRequest { cause: StopCause::User, force }
}

pub(crate) fn code(exit: &Exit) -> i32 {
    match exit.status {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal { number, .. } => panic!("ended by signal {number}"),
    }
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn halt(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
}

pub(crate) fn go_on(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    // An error is ignored: if another program has already resumed the process, the process may have exited.
    let _gone = rustix::process::kill_process(pid, rustix::process::Signal::CONT);
}

/// Returns the state character of a process from `/proc`. Returns `None` if the process does not exist.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Returns true if a process is halted. A process in state `D` also counts as halted, because it may be waiting for a
/// halted child.
pub(crate) fn is_halted(pid: u32) -> bool {
    matches!(state(pid), Some('T' | 'D'))
}

/// Polls until a condition is true. Fails the test after a time limit.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so().await {
        assert!(Instant::now() < deadline, "the condition did not become true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
