//! One node: a state directory, and a manager that is killed and stopped during the run.

use crate::outage::{self, Outage};
use crate::process::signal;
use longhaul_tests::{Owner, program};
use rustix::process::Signal;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

/// Maximum number of root processes that run at the same time on a node.
pub(crate) const ROOTS: usize = 6;
/// The concurrency keys, each with its number of slots.
pub(crate) const KEYS: [(&str, usize); 3] = [("one", 1), ("two", 2), ("three", 3)];

/// A node and the history of its managers.
pub(crate) struct Member {
    name: String,
    home: PathBuf,
    config: PathBuf,
    owner: Owner,
    course: Course,
    outages: Vec<Outage>,
    /// Exit statuses of the managers that exited without being killed.
    left: Vec<ExitStatus>,
}

enum Course {
    Up(Child),
    Halted(Child),
    Down,
}

impl Member {
    /// Starts a manager for this node. All nodes share one configuration directory.
    pub(crate) fn start(name: &str, home: &Path, config: &Path, owner: Owner) -> Self {
        fs::create_dir_all(home).unwrap();
        owner.give(home);
        let mut member = Self {
            name: name.to_owned(),
            home: home.to_owned(),
            config: config.to_owned(),
            owner,
            course: Course::Down,
            outages: Vec::new(),
            left: Vec::new(),
        };
        member.serve();
        member
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join("state/longhaul.sock")
    }

    pub(crate) fn outages(&self) -> &[Outage] {
        &self.outages
    }

    pub(crate) fn left(&self) -> &[ExitStatus] {
        &self.left
    }

    /// Returns the logs of all managers of this node.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.home.join("serve.log")).unwrap_or_default()).into_owned()
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.course, Course::Up(_))
    }

    pub(crate) fn kill(&mut self) {
        match std::mem::replace(&mut self.course, Course::Down) {
            Course::Up(mut manager) => {
                self.outages.push(Outage::begins());
                let _ = manager.kill();
                let _ = manager.wait();
            }
            other @ (Course::Halted(_) | Course::Down) => self.course = other,
        }
    }

    pub(crate) fn halt(&mut self) {
        match std::mem::replace(&mut self.course, Course::Down) {
            Course::Up(manager) => {
                self.outages.push(Outage::begins());
                signal(manager.id(), Signal::STOP);
                self.course = Course::Halted(manager);
            }
            other @ (Course::Halted(_) | Course::Down) => self.course = other,
        }
    }

    /// Restarts the manager if it was killed, or continues it if it was stopped.
    pub(crate) fn recover(&mut self) {
        match std::mem::replace(&mut self.course, Course::Down) {
            Course::Halted(manager) => {
                signal(manager.id(), Signal::CONT);
                self.course = Course::Up(manager);
            }
            Course::Down => self.serve(),
            up @ Course::Up(_) => self.course = up,
        }
        outage::ends(&mut self.outages);
    }

    /// Restarts the manager if it has exited without being killed. A manager does so if the store is unreachable when
    /// it starts.
    pub(crate) fn restart_if_exited(&mut self) {
        if let Course::Up(manager) = &mut self.course
            && let Ok(Some(exited)) = manager.try_wait()
        {
            self.left.push(exited);
            self.outages.push(Outage::begins());
            self.serve();
            outage::ends(&mut self.outages);
        }
    }

    fn serve(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.home.join("serve.log")).unwrap();
        let mut command = self.owner.command(program("longhaul"));
        for (variable, _) in std::env::vars_os() {
            if variable.to_str().is_some_and(|name| name.starts_with("LONGHAUL_")) {
                command.env_remove(variable);
            }
        }
        let manager = command
            .args(["serve", "--max-parallel", &ROOTS.to_string()])
            .current_dir(&self.home)
            .env("LONGHAUL_STATE_DIR", self.home.join("state"))
            .env("LONGHAUL_NODE_ID", &self.name)
            .env("LONGHAUL_NODE_LABELS", label(&self.name))
            .env("XDG_CONFIG_HOME", &self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.course = Course::Up(manager);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        match &mut self.course {
            Course::Up(manager) | Course::Halted(manager) => {
                let _ = manager.kill();
                let _ = manager.wait();
            }
            Course::Down => {}
        }
    }
}

/// Returns the label of a node. Each label belongs to two or three nodes.
pub(crate) fn label(name: &str) -> &'static str {
    if name < "cleo" { "even" } else { "odd" }
}
