//! A state directory, its manager, and clients that do not give up.

use crate::case::World;
use crate::redis::Redis;
use longhaul_tests::{is_alive, kill, program, within};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything of a run may take, a delay of a second and two managers included.
const PATIENCE: Duration = Duration::from_secs(20);
/// A manager that refuses so often in a row is ended: some failures are for good until a restart.
const MOST_REFUSALS: u32 = 6;
/// The pause between two looks of a client.
const LOOK_AGAIN: Duration = Duration::from_millis(40);
/// The variable by which every process of a run can be told.
const MARK: &str = "LONGHAUL_CRASH_RUN";

static RUNS: AtomicU32 = AtomicU32::new(0);

/// The world of one run.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    mark: String,
    store: String,
    manager: Option<Child>,
    /// That manager has answered once.
    answers: bool,
    /// What happens where, while the managers of this run are armed.
    rules: String,
    armed: bool,
    _redis: Option<Redis>,
}

impl Scene {
    pub(crate) fn new(world: World, rules: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("lhc-").tempdir().unwrap();
        for name in ["work", "config/longhaul"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("config/longhaul/config.toml"), "[keys]\nlimit = { q = 1 }\n").unwrap();
        let redis = (world == World::Redis).then(|| Redis::start(dir.path()));
        let store = match world {
            World::Sqlite => format!("sqlite:{}", dir.path().join("db").display()),
            World::Fs => format!("fs:{}", dir.path().join("db").display()),
            World::Redis => {
                let socket = dir.path().join("redis/socket");
                format!("redis+unix://{}?namespace=crash&lease=3&grace=1", socket.display())
            }
        };
        let mark = format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
        Self {
            dir,
            mark,
            store,
            manager: None,
            answers: false,
            rules: rules.join(","),
            armed: true,
            _redis: redis,
        }
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn store(&self) -> &str {
        &self.store
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
        let mut command = Command::new(program("longhaul"));
        command
            .args(args)
            .current_dir(self.work())
            .env("LONGHAUL_STATE_DIR", self.beside("state"))
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
        while begun.elapsed() < PATIENCE {
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
                self.manager = Some(command.spawn().unwrap());
            }
            let socket = self.beside("state/longhaul.sock");
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
            if refusals == MOST_REFUSALS {
                self.crash();
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{args:?} is never done: {told}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn run(&self, args: &[&str]) -> Result<String, String> {
        let output = self.command(args).output().unwrap();
        match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
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
            if begun.elapsed() > PATIENCE {
                let not_so: Vec<_> = records.iter().filter(|record| !is_so(record)).map(brief).collect();
                return Err(format!("some are never {what}: {not_so:?}"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The processes of this run that carry an entry in their environment beside its mark.
    pub(crate) fn alive(&self, entry: &str) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.mark);
        let carries = |pid: u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let has =
                |wanted: &str| environment.split(|byte| *byte == 0).any(|each| each == wanted.as_bytes());
            has(&mark) && has(entry)
        };
        let all =
            fs::read_dir("/proc").unwrap().filter_map(|each| each.ok()?.file_name().to_str()?.parse().ok());
        all.filter(|pid| is_alive(*pid) && carries(*pid)).collect()
    }

    /// Waits for a file that a command writes.
    pub(crate) fn until_written(&self, name: &str) -> Result<(), String> {
        let begun = Instant::now();
        while !self.work().join(name).exists() {
            if begun.elapsed() > PATIENCE {
                return Err(format!("{name} is never written"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// What of a record matters here.
pub(crate) fn brief(record: &Value) -> String {
    let parts = ["launch_key", "status", "exit_code", "attempt", "reason"];
    parts.map(|part| format!("{part}={}", record[part])).join(" ")
}

impl Drop for Scene {
    /// Ends all that was started in this run, by its mark.
    fn drop(&mut self) {
        self.crash();
        let mark = format!("{MARK}={}", self.mark);
        within(PATIENCE, "the run is over", || {
            let left = self.alive(&mark);
            left.iter().for_each(|pid| kill("-KILL", *pid));
            left.is_empty().then_some(())
        });
    }
}
