//! Test bench: a temporary state directory, and functions that run the program with this directory.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Maximum time that the tests wait for a condition. It is so long that only a hanging program exceeds it.
const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Bench {
    top: tempfile::TempDir,
    state: PathBuf,
    program: PathBuf,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let state = top.path().join("state");
        Self { top, state, program: env!("CARGO_BIN_EXE_longhaul").into() }
    }

    pub(crate) fn at(mut self, below: &str) -> Self {
        self.state = self.top.path().join(below);
        self
    }

    pub(crate) fn with_state(mut self, state: PathBuf) -> Self {
        self.state = state;
        self
    }

    pub(crate) fn with_program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// Writes the user's configuration file. In the text, `{top}` is replaced by the path of the temporary directory.
    pub(crate) fn with_config(self, text: &str) -> Self {
        let config = self.top().join(".config/longhaul");
        std::fs::create_dir_all(&config).unwrap();
        let text = text.replace("{top}", &self.top().display().to_string());
        std::fs::write(config.join("config.toml"), text).unwrap();
        self
    }

    pub(crate) fn top(&self) -> &Path {
        self.top.path()
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Returns a command that runs the program with these arguments and this state directory. Its environment contains
    /// no variables of the user except `HOME`, which is the temporary directory.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.top.path())
            .env("LONGHAUL_STATE_DIR", &self.state)
            .current_dir(self.top.path());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        Said::of(self.command(words).output().unwrap())
    }

    /// Launches a shell script in the background and returns the id of the new process.
    pub(crate) fn launch(&self, line: &str) -> String {
        let said = self.run(&["run", "-b", "--", "sh", "-c", line]);
        assert_eq!(said.code, 0, "{said:?}");
        said.out.trim().to_owned()
    }

    pub(crate) fn show(&self, id: &str) -> serde_json::Value {
        let said = self.run(&["inspect", id]);
        assert_eq!(said.code, 0, "{said:?}");
        let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        value.as_array().map_or(value.clone(), |all| all[0].clone())
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.state.join("manager.log")).unwrap_or_default()
    }

    /// Returns the pid of the manager. Returns `None` if no manager ever took the lock.
    pub(crate) fn manager(&self) -> Option<Pid> {
        let lock = std::fs::read_to_string(self.state.join("manager.lock")).ok()?;
        let pid = lock.lines().find_map(|line| line.strip_prefix("pid="))?;
        Pid::from_raw(pid.parse().ok()?)
    }

    /// Sends the manager a signal and waits until it has exited.
    pub(crate) fn end_manager(&self, signal: Signal) {
        let pid = self.manager().expect("a manager is running");
        kill_process(pid, signal).unwrap();
        until("the manager is gone", || !is_alive(pid));
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.manager().is_some_and(is_alive)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.is_serving() {
            // The processes that a test started must not outlive the test.
            self.run(&["cancel", "--all", "--force", "--yes"]);
            if let Some(pid) = self.manager() {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    }
}

/// Exit code and output of one run of the program.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the manager was not killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Polls until a condition is true. If the time limit is exceeded, fails the test.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < TIMEOUT, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns true if a process exists and is not a zombie.
pub(crate) fn is_alive(pid: Pid) -> bool {
    let pid = pid.as_raw_nonzero();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let runs = stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']));
    // The main thread may exit before other threads. These threads still hold files and locks.
    runs || std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

/// Returns a shell command that executes a script.
pub(crate) fn shell(line: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(line);
    command
}
