//! A state directory with at most one manager. The directory and the manager are removed at the end of the test.

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// First line of a shell script that waits until its test calls [`Home::open_gate`].
pub const GATED: &str = "while [ ! -e go ]; do sleep 0.02; done";

/// A state directory. Dropping the value ends its manager and all processes that the manager runs.
#[derive(Debug)]
pub struct Home {
    dir: tempfile::TempDir,
}

/// Output and exit code of a command.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Returns the path of a program of the workspace, which cargo builds next to the tests.
///
/// # Panics
/// If the program was not built: `cargo build --workspace --bins` builds it.
#[must_use]
#[expect(clippy::unwrap_used, reason = "a test without its own path cannot go on")]
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let beside = own.parent().and_then(Path::parent).map(|dir| dir.join(name)).unwrap();
    assert!(
        beside.exists(),
        "{} is missing: run scripts/test, which builds the programs first",
        beside.display()
    );
    beside
}

#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::new_without_default,
    reason = "a test without its world cannot continue"
)]
impl Home {
    /// Creates an empty state directory.
    #[must_use]
    pub fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("lh-").tempdir().unwrap() }
    }

    /// Returns the path of the state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Returns the working directory of the commands.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        let work = self.dir.path().join("work");
        fs::create_dir_all(&work).unwrap();
        work
    }

    /// Returns a `longhaul` command with these arguments, which the caller can change and run.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.command_named(program("longhaul"));
        command.args(args);
        command
    }

    /// Returns a command that runs another program. If that program runs `longhaul`, `longhaul` uses this state
    /// directory.
    #[must_use]
    pub fn command_named(&self, name: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(name);
        command
            .current_dir(self.work())
            .env("LONGHAUL_STATE_DIR", self.state())
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .env_remove("LONGHAUL_ID")
            .env_remove("LONGHAUL_SOCKET")
            .stdin(Stdio::null());
        command
    }

    /// Runs `longhaul` with these arguments, and returns its output and exit code.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Answer {
        Answer::of(self.command(args).output().unwrap())
    }

    /// Runs `longhaul` with these arguments. The exit code must be 0. Returns standard output without the last line
    /// feed.
    #[must_use]
    pub fn ok(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!(answer.code, 0, "longhaul {args:?}: {answer:?}");
        answer.out.trim_end().to_owned()
    }

    /// Launches a command in the background and returns the id of the process.
    #[must_use]
    pub fn launch(&self, command: &[&str]) -> String {
        self.ok(&[&["run", "-b", "--"], command].concat())
    }

    /// Returns the record of a process.
    #[must_use]
    pub fn record(&self, id: &str) -> Value {
        serde_json::from_str(&self.ok(&["inspect", id])).unwrap()
    }

    /// Returns the status of a process.
    #[must_use]
    pub fn status(&self, id: &str) -> String {
        self.record(id)["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a process has this status.
    pub fn until_status(&self, id: &str, status: &str) {
        crate::until(&format!("{id} is {status}"), || (self.status(id) == status).then_some(()));
    }

    /// Opens the gate: a script that starts with [`GATED`] then continues.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn open_gate(&self) {
        fs::write(self.work().join("go"), "").unwrap();
    }

    /// Waits until a command has written a file with this name to its working directory.
    pub fn until_written(&self, name: &str) {
        crate::until(&format!("{name} is written"), || self.work().join(name).exists().then_some(()));
    }

    /// Returns the pid of the command of a running process.
    #[must_use]
    pub fn pid(&self, id: &str) -> u32 {
        crate::until("the command has a pid", || u32::try_from(self.record(id)["pid"].as_u64()?).ok())
    }

    /// Returns the pid of the shim of a running process. The shim is the parent of the command.
    #[must_use]
    pub fn shim(&self, id: &str) -> u32 {
        crate::stat(self.pid(id)).unwrap().parent
    }

    /// Returns the pid of the manager, or `None` if no manager is running.
    #[must_use]
    pub fn manager(&self) -> Option<u32> {
        let lock = fs::read_to_string(self.state().join("manager.lock")).ok()?;
        let pid = lock.lines().find_map(|line| line.strip_prefix("pid="))?.parse().ok()?;
        crate::is_alive(pid).then_some(pid)
    }

    /// Sends a signal to the manager, and waits until the manager has exited.
    pub fn end_manager(&self, signal: &str) {
        let Some(pid) = self.manager() else { return };
        crate::kill(signal, pid);
        crate::until("the manager is gone", || (!crate::is_alive(pid)).then_some(()));
    }
}

impl Drop for Home {
    /// Cancels all live processes and ends the manager. Kills the manager if it does not exit in time.
    fn drop(&mut self) {
        let Some(manager) = self.manager() else { return };
        let _ = self.command(&["cancel", "--all", "--force", "--yes", "--no-autostart"]).output();
        crate::kill("-TERM", manager);
        let begin = std::time::Instant::now();
        while crate::is_alive(manager) && begin.elapsed().as_secs() < 5 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        if crate::is_alive(manager) {
            crate::kill("-KILL", manager);
        }
    }
}

impl Answer {
    /// Converts the output of a finished command.
    #[must_use]
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
