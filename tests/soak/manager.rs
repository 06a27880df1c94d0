//! The manager, as a child of the test: it can be killed and is waited for.

use crate::ground::Ground;
use std::fs::OpenOptions;
use std::process::{Child, Stdio};

/// More than a run keeps alive.
const AT_ONCE: &str = "400";

/// A manager that runs, or ran.
pub(crate) struct Manager {
    child: Child,
}

impl Manager {
    pub(crate) fn start(ground: &Ground) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(ground.log()).unwrap();
        let child = ground
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

    /// How it went, if it went by itself.
    pub(crate) fn has_left(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Ends it by signal 9: it never gets to tidy up.
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
