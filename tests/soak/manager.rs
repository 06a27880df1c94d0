//! The manager of a soak run, as a child process of the test.

use crate::run_directory::RunDirectory;
use std::fs::OpenOptions;
use std::process::{Child, Stdio};

/// Maximum number of processes that run at the same time. It exceeds the number that the clients keep alive.
const AT_ONCE: &str = "400";

/// A manager process, running or exited.
pub(crate) struct Manager {
    child: Child,
}

impl Manager {
    pub(crate) fn start(run_directory: &RunDirectory) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(run_directory.log()).unwrap();
        let child = run_directory
            .command(&["serve", "--max-parallel", AT_ONCE])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns a description of the exit status if the manager has exited without being killed.
    pub(crate) fn has_left(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Kills the manager with `SIGKILL`.
    pub(crate) fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.end();
    }
}
