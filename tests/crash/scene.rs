//! The environment of one run: a state directory with its manager, and clients that retry their requests.

use crate::case::World;
use crate::disk::{self, Disk};
use longhaul_tests::{
    Call, Fate, Keeps, Owner, Redis, is_alive, kill_together, program, spawn_watched, within,
};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Time limit of one step of a run. It allows for an injected delay of one second and the start of two managers.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Number of successive rejections after which the manager is restarted, because some failures last until a restart.
const MAX_REFUSALS: u32 = 6;
/// Delay between two requests of a client.
const INTERVAL: Duration = Duration::from_millis(40);
/// Environment variable by which all processes of a run are recognized.
const MARK: &str = "LONGHAUL_CRASH_RUN";

/// Log message of a manager whose store has failed permanently.
const READ_ONLY: &str = "the store became read-only until the manager is restarted";
/// Name prefix of the directories of runs.
const PREFIX: &str = "lhc-";

static RUNS: AtomicU32 = AtomicU32::new(0);

/// Function that decides the result of each system call of managers and shims.
pub(crate) type Judge = Arc<dyn Fn(&Call) -> Fate + Send + Sync>;

/// Environment of one run.
pub(crate) struct Scene {
    /// Disk for the state directory and the store; `None` if they are on the ordinary disk. This field is dropped
    /// before the directory that contains the disk image.
    disk: Option<Disk>,
    dir: tempfile::TempDir,
    mark: String,
    owner: Owner,
    store: String,
    manager: Option<Child>,
    /// True if the current manager has answered.
    answers: bool,
    /// Rules for faults at crash points. They apply to managers that are started while `armed` is true.
    rules: String,
    armed: bool,
    /// Function that decides the results of system calls. It applies to managers that are started while `armed` is
    /// true.
    judge: Option<Judge>,
    /// Number of managers that were restarted because their store had failed permanently.
    reopened: usize,
    _redis: Option<Redis>,
}

impl Scene {
    pub(crate) fn new(world: World, rules: &[&str]) -> Self {
        Self::furnished(world, rules, |_| None)
    }

    fn furnished(world: World, rules: &[&str], disk: impl FnOnce(&Path) -> Option<Disk>) -> Self {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir().unwrap();
        for name in ["work", "config/longhaul"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("config/longhaul/config.toml"), "[keys]\nlimit = { q = 1 }\n").unwrap();
        let redis = (world == World::Redis).then(|| Redis::start(dir.path(), Keeps::EachWrite).unwrap());
        let disk = disk(dir.path());
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let owner = if disk.is_some() { Owner::Same } else { Owner::of_run(number.into()) };
        // The user of the managers must own the log before they write to it.
        fs::write(dir.path().join("log"), "").unwrap();
        for name in ["", "work", "config/longhaul", "log"] {
            owner.give(&dir.path().join(name));
        }
        let home = disk.as_ref().map_or(dir.path(), Disk::path);
        let store = match world {
            World::Sqlite => format!("sqlite:{}", home.join("db").display()),
            World::Fs => format!("fs:{}", home.join("db").display()),
            World::Redis => {
                let socket = dir.path().join("redis/socket");
                format!("redis+unix://{}?namespace=crash&lease=3&grace=1", socket.display())
            }
        };
        let mark = format!("{}-{number}", std::process::id());
        Self {
            disk,
            dir,
            mark,
            owner,
            store,
            manager: None,
            answers: false,
            rules: rules.join(","),
            armed: true,
            judge: None,
            reopened: 0,
            _redis: redis,
        }
    }

    /// Like `new`, but the state directory and the store are on a disk that can contain `files` files.
    pub(crate) fn on_a_disk(world: World, files: u32) -> Self {
        Self::furnished(world, &[], |ground| Some(Disk::make(ground, files)))
    }

    /// Sets the rules for faults at crash points.
    pub(crate) fn with_rules(mut self, rules: &str) -> Self {
        rules.clone_into(&mut self.rules);
        self
    }

    /// Sets the function that decides the results of system calls.
    pub(crate) fn watched_by(mut self, judge: Judge) -> Self {
        self.judge = Some(judge);
        self
    }

    /// Returns the directory that contains the state directory and the store.
    fn home(&self) -> &Path {
        self.disk.as_ref().map_or(self.dir.path(), Disk::path)
    }

    /// Returns true if a path belongs to the state of managers, false if it belongs to their commands.
    pub(crate) fn is_of_the_state(place: &Path) -> bool {
        let is_ours = |part: std::path::Component<'_>| part.as_os_str().to_string_lossy().starts_with(PREFIX);
        let mut below = place.components().skip_while(|part| !is_ours(*part)).skip(1);
        let first = below.find(|part| part.as_os_str() != disk::NAME);
        let first = first.map(|part| part.as_os_str().to_string_lossy().into_owned());
        first.is_some_and(|first| first == "state" || first.starts_with("db"))
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    /// Returns the path of the shell that runs the commands.
    pub(crate) fn shell(&self) -> String {
        self.owner.shell(self.dir.path()).display().to_string()
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Switches off all faults for programs that are started from now on.
    pub(crate) fn disarm(&mut self) {
        self.armed = false;
    }

    /// Returns the names of the crash points that were passed, one entry per pass.
    pub(crate) fn passed(&self) -> Vec<String> {
        let seen = fs::read_to_string(self.beside("seen")).unwrap_or_default();
        seen.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }

    /// Returns the log of the managers and clients.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.beside("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Returns a `longhaul` command that runs without faults.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.owner.command(program("longhaul"));
        command
            .args(args)
            .current_dir(self.work())
            .env("LONGHAUL_STATE_DIR", self.home().join("state"))
            .env("LONGHAUL_STORE", &self.store)
            .env("XDG_CONFIG_HOME", self.beside("config"))
            .env(MARK, &self.mark)
            .env_remove("LONGHAUL_ID")
            .env_remove("LONGHAUL_SOCKET")
            .stdin(Stdio::null());
        command
    }

    /// Returns a `longhaul` command that runs with the same faults as the managers.
    pub(crate) fn armed(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        if self.armed {
            command
                .env("LONGHAUL_FAILPOINTS", &self.rules)
                .env("LONGHAUL_FAILPOINTS_SEEN", self.beside("seen"));
        }
        command
    }

    /// Ensures that a manager answers. Starts another manager if the current one has ended. The fault does not happen
    /// again in that manager, because it happens only once per run.
    pub(crate) fn serve(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < TIMEOUT {
            let is_gone = match &mut self.manager {
                Some(manager) => manager.try_wait().unwrap().is_some(),
                None => true,
            };
            if self.answers && !is_gone {
                return Ok(());
            }
            if is_gone {
                self.answers = false;
                let log: fn(&Path) -> File =
                    |path| OpenOptions::new().append(true).create(true).open(path).unwrap();
                let mut command = self.armed(&["serve", "--listen", "127.0.0.1:0", "--store", &self.store]);
                command.stdout(Stdio::null()).stderr(log(&self.beside("log")));
                self.manager = Some(match self.judge.clone().filter(|_| self.armed) {
                    Some(judge) => spawn_watched(&mut command, move |call| judge(call)).unwrap(),
                    None => command.spawn().unwrap(),
                });
            }
            let socket = self.home().join("state/longhaul.sock");
            if UnixStream::connect(socket).is_ok() {
                self.answers = true;
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("no manager answers".to_owned())
    }

    /// Kills the manager with SIGKILL, if there is one.
    pub(crate) fn crash(&mut self) {
        if let Some(mut manager) = self.manager.take() {
            let _ = manager.kill();
            let _ = manager.wait();
        }
    }

    /// Returns the pid of the current manager, or `None` if there is none.
    pub(crate) fn manager(&self) -> Option<u32> {
        self.manager.as_ref().map(Child::id)
    }

    /// Kills the manager and mounts the disk again, with the data that it kept and with a new simulated boot. All other
    /// programs must have ended.
    pub(crate) fn come_back(&mut self) {
        self.crash();
        self.disk.as_mut().unwrap().plug_in();
    }

    /// Returns the disk of the run.
    pub(crate) fn disk(&self) -> &Disk {
        self.disk.as_ref().unwrap()
    }

    /// Returns the defects of the database file. The list is empty if the database is intact or the store is not a
    /// database.
    pub(crate) fn flaws(&self) -> Vec<String> {
        let Some(path) = self.store.strip_prefix("sqlite:") else { return Vec::new() };
        let found: rusqlite::Result<String> = rusqlite::Connection::open(path)
            .and_then(|database| database.query_row("PRAGMA integrity_check", [], |row| row.get(0)));
        match found {
            Ok(all) if all == "ok" => Vec::new(),
            Ok(flaws) => vec![format!("the database is damaged: {flaws}")],
            Err(error) => vec![format!("the database cannot be read: {error}")],
        }
    }

    /// Repeats a request until it succeeds. Restarts the manager if necessary. Returns the printed text.
    pub(crate) fn ask(&mut self, args: &[&str]) -> Result<String, String> {
        self.ask_before(args, &[])
    }

    /// Like `ask`, with additional arguments `last` that must come at the end.
    pub(crate) fn ask_before(&mut self, args: &[&str], last: &[&str]) -> Result<String, String> {
        let begun = Instant::now();
        let mut refusals = 0;
        loop {
            self.serve()?;
            let reported = match self.run(&[args, &["--no-autostart"], last].concat()) {
                Ok(printed) => return Ok(printed.trim_end().to_owned()),
                Err(reported) => reported,
            };
            refusals += 1;
            if refusals == MAX_REFUSALS {
                self.crash();
            }
            self.reopen();
            if begun.elapsed() > TIMEOUT {
                return Err(format!("{args:?} never succeeded: {reported}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends a request one time. Returns the printed text, or the exit code and the message of a rejection. A launch
    /// whose command could not be started counts as accepted: its id is printed, and its exit code is 126 or 127.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String, String> {
        let output = self.command(args).output().unwrap();
        match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Some(125..=127) if !output.stdout.is_empty() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            code => Err(format!("{code:?} {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Waits until the record of a process meets a condition.
    pub(crate) fn until(
        &mut self,
        id: &str,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let mut records = self.until_all(&[id], what, is_so)?;
        records.pop().ok_or_else(|| format!("{id} has no record"))
    }

    /// Waits until the records of several processes meet a condition. Returns the records in the order of `ids`.
    pub(crate) fn until_all(
        &mut self,
        ids: &[&str],
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>, String> {
        let begun = Instant::now();
        loop {
            let text = self.ask(&[&["inspect"], ids].concat())?;
            let records: Result<Vec<Value>, _> =
                serde_json::Deserializer::from_str(&text).into_iter().collect();
            let records = records.map_err(|error| format!("{error}: {text}"))?;
            if records.len() == ids.len() && records.iter().all(&is_so) {
                return Ok(records);
            }
            self.reopen();
            if begun.elapsed() > TIMEOUT {
                let not_so: Vec<_> = records.iter().filter(|record| !is_so(record)).map(brief).collect();
                return Err(format!("not {what} within {TIMEOUT:?}: {not_so:?}"));
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// Kills a manager whose store has failed permanently, because its log message requests a restart. Without a
    /// restart it acknowledges no write.
    fn reopen(&mut self) {
        let failures = self.log().matches(READ_ONLY).count();
        if self.judge.is_some() && failures > self.reopened {
            self.reopened = failures;
            self.crash();
        }
    }

    /// Returns the processes of this run that have the given entry in their environment.
    pub(crate) fn alive(&self, entry: &str) -> Vec<u32> {
        processes().filter(|pid| self.is_marked(*pid, entry)).collect()
    }

    /// Returns the pids of all processes of this run. Shims do not have the environment variable, but their
    /// command-line arguments contain the directory of the run.
    fn all(&self) -> Vec<u32> {
        let (mark, ground) = (format!("{MARK}={}", self.mark), self.dir.path().display().to_string());
        let names_it = |pid: u32| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            arguments.starts_with(b"longhaul-shim") && String::from_utf8_lossy(&arguments).contains(&ground)
        };
        processes().filter(|pid| self.is_marked(*pid, &mark) || names_it(*pid)).collect()
    }

    fn is_marked(&self, pid: u32, entry: &str) -> bool {
        let mark = format!("{MARK}={}", self.mark);
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |wanted: &str| environment.split(|byte| *byte == 0).any(|each| each == wanted.as_bytes());
        has(&mark) && has(entry)
    }

    /// Kills all processes of this run.
    pub(crate) fn end_all(&self) {
        within(TIMEOUT, "all processes of the run have exited", || {
            let left = self.all();
            kill_together("-KILL", &left);
            left.is_empty().then_some(())
        });
    }

    /// Waits until a command has written this file.
    pub(crate) fn until_written(&self, name: &str) -> Result<(), String> {
        let begun = Instant::now();
        while !self.work().join(name).exists() {
            if begun.elapsed() > TIMEOUT {
                return Err(format!("no command wrote {name}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Returns the pids of all live processes on the machine.
fn processes() -> impl Iterator<Item = u32> {
    let all = fs::read_dir("/proc").unwrap();
    let all = all.filter_map(|each| each.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| is_alive(*pid))
}

/// Returns a short description of a record, for failure messages.
pub(crate) fn brief(record: &Value) -> String {
    let parts = ["launch_key", "status", "exit_code", "attempt", "reason"];
    parts.map(|part| format!("{part}={}", record[part])).join(" ")
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.crash();
        self.end_all();
    }
}
