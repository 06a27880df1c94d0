//! A manager with its own state directory, for measurements.

use crate::Failure;
use crate::act::ACT;
use crate::api::Api;
use crate::directories;
use rustix::fs::{CWD, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Name of the socket in a state directory.
const SOCKET: &str = "longhaul.sock";
/// Timeout for the start and the exit of a manager.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A state directory with a manager. Dropping the value ends the manager and all its processes.
pub(crate) struct ManagerFixture {
    program: PathBuf,
    state: PathBuf,
    slots: u32,
    settings: Vec<(&'static str, String)>,
    manager: Option<Child>,
    home: PathBuf,
}

impl ManagerFixture {
    /// Starts a manager with `slots` slots. The state directory is empty, or a copy of the directory `seed`.
    pub(crate) fn start(program: &Path, slots: u32, seed: Option<&Path>) -> Result<Self, Failure> {
        let mut fixture = Self::prepare(program, slots, seed)?;
        fixture.restart()?;
        Ok(fixture)
    }

    /// Starts a manager on an empty state directory, with additional environment variables.
    pub(crate) fn adjusted(
        program: &Path,
        slots: u32,
        settings: &[(&'static str, &str)],
    ) -> Result<Self, Failure> {
        let mut fixture = Self::prepare(program, slots, None)?;
        fixture.settings.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        fixture.restart()?;
        Ok(fixture)
    }

    /// Prepares the state directory, but does not start a manager.
    fn prepare(program: &Path, slots: u32, seed: Option<&Path>) -> Result<Self, Failure> {
        let home = directories::patch("fixture-")?;
        let state = home.join("state");
        fs::DirBuilder::new().mode(0o700).create(&state)?;
        if let Some(seed) = seed {
            for entry in fs::read_dir(seed)? {
                let entry = entry?;
                // Skip this file: it would mark the state directory as a copy, and a manager refuses to use a copy.
                if entry.file_name() == "location" {
                    continue;
                }
                fs::copy(entry.path(), state.join(entry.file_name()))?;
            }
        }
        Ok(Self { program: program.to_owned(), state, slots, settings: Vec::new(), manager: None, home })
    }

    /// Starts the manager. Returns the time until the manager answered.
    pub(crate) fn restart(&mut self) -> Result<Duration, Failure> {
        let began = Instant::now();
        let log = fs::File::create(self.home.join("serve.log"))?;
        let manager = self
            .command()
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .args(["serve", "--max-parallel", &self.slots.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let manager = self.manager.insert(manager);
        let socket = self.state.join(SOCKET);
        while UnixStream::connect(&socket).is_err() {
            let over = manager.try_wait()?.is_some() || began.elapsed() > TIMEOUT;
            if over {
                let log = fs::read_to_string(self.home.join("serve.log"))?;
                return Err(format!("the manager does not respond: {log}").into());
            }
            sleep(Duration::from_micros(500));
        }
        self.api()?.health()?;
        Ok(began.elapsed())
    }

    /// Stops the manager; the running processes continue.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        let Some(mut manager) = self.manager.take() else {
            return Ok(());
        };
        let pid = Pid::from_child(&manager);
        kill_process(pid, Signal::TERM)?;
        let began = Instant::now();
        while manager.try_wait()?.is_none() {
            if began.elapsed() > TIMEOUT {
                manager.kill()?;
                manager.wait()?;
                return Err("the manager did not exit on request".into());
            }
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Returns a `longhaul` command that uses this state directory.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.home).env("LONGHAUL_STATE_DIR", &self.state);
        for (name, _) in env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("LONGHAUL_"));
            if ours && name != "LONGHAUL_STATE_DIR" {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs `longhaul` until it exits, and discards its output.
    pub(crate) fn call(&self, arguments: &[&str]) -> Result<(), Failure> {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status()?;
        if status.success() {
            return Ok(());
        }
        Err(format!("longhaul {} ended with {status}", arguments.join(" ")).into())
    }

    /// Opens a connection to the manager.
    pub(crate) fn api(&self) -> Result<Api, Failure> {
        Api::connect(&self.socket(), &self.home)
    }

    /// Returns the path of the socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.state.join(SOCKET)
    }

    /// Returns the process id of the manager.
    pub(crate) fn manager(&self) -> Result<u32, Failure> {
        Ok(self.manager.as_ref().ok_or("no manager runs")?.id())
    }

    /// Returns the path of a file with this name next to the state directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Creates a named pipe with this name.
    pub(crate) fn pipe(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        Ok(path)
    }

    fn clear(&mut self) -> Result<(), Failure> {
        if self.manager.is_none() {
            self.restart()?;
        }
        let mut api = self.api()?;
        loop {
            let live = api.live(100)?;
            if live.is_empty() {
                break;
            }
            for process in &live {
                api.kill(&process.id)?;
            }
            for process in &live {
                api.wait(&process.id, "ended")?;
            }
        }
        drop(api);
        self.stop()
    }
}

impl Drop for ManagerFixture {
    fn drop(&mut self) {
        // Kill a manager that does not stop, because `drop` cannot return an error. The processes of the manager then
        // end by themselves, because no command of a measurement runs longer than ten minutes.
        if self.clear().is_err()
            && let Some(manager) = &mut self.manager
        {
            let _ = manager.kill();
            let _ = manager.wait();
        }
    }
}

/// Returns a command line that starts the benchmark program in a role, for example as a command that writes output.
pub(crate) fn part(name: &str, arguments: &[&str]) -> Result<Vec<String>, Failure> {
    let me = env::current_exe()?.to_string_lossy().into_owned();
    let mut command = vec![me, ACT.to_owned(), name.to_owned()];
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    Ok(command)
}
