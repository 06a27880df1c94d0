//! A state directory, its manager, and clients that do not give up.

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

/// How long anything of a run may take, a delay of a second and two managers included.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A manager that refuses so often in a row is ended: some failures are for good until a restart.
const MAX_REFUSALS: u32 = 6;
/// The pause between two looks of a client.
const LOOK_AGAIN: Duration = Duration::from_millis(40);
/// The variable by which every process of a run can be told.
const MARK: &str = "LONGHAUL_CRASH_RUN";

/// What a manager says whose store failed for good.
const READ_ONLY: &str = "the store is read-only from now on";
/// How the directories of runs begin.
const PREFIX: &str = "lhc-";

static RUNS: AtomicU32 = AtomicU32::new(0);

/// Decides what becomes of calls that managers and supervisors make.
pub(crate) type Judge = Arc<dyn Fn(&Call) -> Fate + Send + Sync>;

/// The world of one run.
pub(crate) struct Scene {
    /// A disk of its own for state and store, if it has one; it goes before the directory in which it lies.
    disk: Option<Disk>,
    dir: tempfile::TempDir,
    mark: String,
    owner: Owner,
    store: String,
    manager: Option<Child>,
    /// That manager has answered once.
    answers: bool,
    /// What happens where, while the managers of this run are armed.
    rules: String,
    armed: bool,
    /// Who decides about the calls of the managers of this run, while they are armed.
    judge: Option<Judge>,
    /// So often a manager was ended because its store had failed for good.
    opened_anew: usize,
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
        // Before the managers write to it as this user.
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
            opened_anew: 0,
            _redis: redis,
        }
    }

    /// The same with state and store on a disk of its own, on which there is room for so many files.
    pub(crate) fn on_a_disk(world: World, files: u32) -> Self {
        Self::furnished(world, &[], |ground| Some(Disk::make(ground, files)))
    }

    /// Has this happen at points, while its managers are armed.
    pub(crate) fn with_rules(mut self, rules: &str) -> Self {
        rules.clone_into(&mut self.rules);
        self
    }

    /// Has the calls of its managers decided, while they are armed.
    pub(crate) fn watched_by(mut self, judge: Judge) -> Self {
        self.judge = Some(judge);
        self
    }

    /// Where state and store lie.
    fn home(&self) -> &Path {
        self.disk.as_ref().map_or(self.dir.path(), Disk::path)
    }

    /// Whether a place is one of the state of its managers, and not of their work.
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

    /// The shell of its commands.
    pub(crate) fn shell(&self) -> String {
        self.owner.shell(self.dir.path()).display().to_string()
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// From here on nothing happens any more at any point.
    pub(crate) fn disarm(&mut self) {
        self.armed = false;
    }

    /// The names of the points that were passed, one for each pass.
    pub(crate) fn passed(&self) -> Vec<String> {
        let seen = fs::read_to_string(self.beside("seen")).unwrap_or_default();
        seen.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }

    /// What its managers and clients told, for people.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.beside("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// `longhaul` with these arguments, without anything that would arm a point.
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

    /// The same, armed as its managers are.
    pub(crate) fn armed(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        if self.armed {
            command
                .env("LONGHAUL_FAILPOINTS", &self.rules)
                .env("LONGHAUL_FAILPOINTS_SEEN", self.beside("seen"));
        }
        command
    }

    /// Sees to it that there is a manager that answers. One that ended follows another: what a point did to the first
    /// happens once.
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

    /// Ends the manager as a crash does.
    pub(crate) fn crash(&mut self) {
        if let Some(mut manager) = self.manager.take() {
            let _ = manager.kill();
            let _ = manager.wait();
        }
    }

    /// The manager that was started last, while it has not ended.
    pub(crate) fn manager(&self) -> Option<u32> {
        self.manager.as_ref().map(Child::id)
    }

    /// Comes back with what its disk kept, in another boot, after everything ended.
    pub(crate) fn come_back(&mut self) {
        self.crash();
        self.disk.as_mut().unwrap().plug_in();
    }

    /// Its disk.
    pub(crate) fn disk(&self) -> &Disk {
        self.disk.as_ref().unwrap()
    }

    /// What is wrong with the files of a database; nothing if it is in order, or if there is none.
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

    /// Asks until it is done, whatever becomes of managers meanwhile; gives what was printed.
    pub(crate) fn ask(&mut self, args: &[&str]) -> Result<String, String> {
        self.ask_before(args, &[])
    }

    /// The same, with what has to come last.
    pub(crate) fn ask_before(&mut self, args: &[&str], last: &[&str]) -> Result<String, String> {
        let begun = Instant::now();
        let mut refusals = 0;
        loop {
            self.serve()?;
            let told = match self.run(&[args, &["--no-autostart"], last].concat()) {
                Ok(printed) => return Ok(printed.trim_end().to_owned()),
                Err(told) => told,
            };
            refusals += 1;
            if refusals == MAX_REFUSALS {
                self.crash();
            }
            self.open_anew();
            if begun.elapsed() > TIMEOUT {
                return Err(format!("{args:?} is never done: {told}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks once; gives what was printed, or code and reason of the refusal. A launch whose command could not be started
    /// was accepted all the same: its id is printed, and its exit code is one of those that shells use for that.
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

    /// Waits until a record is as wanted.
    pub(crate) fn until(
        &mut self,
        id: &str,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let mut records = self.until_all(&[id], what, is_so)?;
        records.pop().ok_or_else(|| format!("{id} has no record"))
    }

    /// Waits until some records are as wanted; gives them in their order.
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
            self.open_anew();
            if begun.elapsed() > TIMEOUT {
                let not_so: Vec<_> = records.iter().filter(|record| !is_so(record)).map(brief).collect();
                return Err(format!("some are never {what}: {not_so:?}"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Ends a manager whose store trusts its disk no more, as its message asks: it acknowledges nothing until then.
    fn open_anew(&mut self) {
        let failures = self.log().matches(READ_ONLY).count();
        if self.judge.is_some() && failures > self.opened_anew {
            self.opened_anew = failures;
            self.crash();
        }
    }

    /// The processes of this run that carry an entry in their environment beside its mark.
    pub(crate) fn alive(&self, entry: &str) -> Vec<u32> {
        processes().filter(|pid| self.is_marked(*pid, entry)).collect()
    }

    /// All processes of this run; supervisors have no environment, and name their directory.
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

    /// Ends all that was started in this run.
    pub(crate) fn end_all(&self) {
        within(TIMEOUT, "the run is over", || {
            let left = self.all();
            kill_together("-KILL", &left);
            left.is_empty().then_some(())
        });
    }

    /// Waits for a file that a command writes.
    pub(crate) fn until_written(&self, name: &str) -> Result<(), String> {
        let begun = Instant::now();
        while !self.work().join(name).exists() {
            if begun.elapsed() > TIMEOUT {
                return Err(format!("{name} is never written"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// All processes that have not ended.
fn processes() -> impl Iterator<Item = u32> {
    let all = fs::read_dir("/proc").unwrap();
    let all = all.filter_map(|each| each.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| is_alive(*pid))
}

/// What of a record matters here.
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
