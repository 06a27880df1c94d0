//! A node: a manager that runs on one of the simulated machines.

use crate::machines::Machines;
use crate::partition::Machine;
use longhaul_tests::ask::{Answer, ask};
use longhaul_tests::{program, within};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Maximum number of root processes on a node. It is higher than the number of processes that the clients launch.
const ROOTS: usize = 64;
const BEGINNING: Duration = Duration::from_secs(20);
const ANSWERING: Duration = Duration::from_secs(10);

/// A node. Its manager is killed when the value is dropped.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    home: PathBuf,
    manager: Child,
}

impl Node {
    /// Starts a node and waits until its manager answers requests.
    pub(crate) fn start(
        ground: &Path,
        machines: &Machines,
        name: &'static str,
        machine: Machine,
        store: &str,
    ) -> Self {
        let mut manager = serving(ground, machines, name, machine, store);
        let home = ground.join(name);
        let log = File::create(home.join("serve.log")).unwrap();
        let manager = manager.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut node = Self { name, home, manager };
        within(BEGINNING, "the manager serves", || {
            let exited = node.manager.try_wait().unwrap();
            assert!(exited.is_none(), "{name} does not start: {}", node.log());
            let answer = ask(&node.socket(), "GET", "/v1/processes?limit=1", &Value::Null, ANSWERING);
            matches!(answer, Answer::Response { status: 200, .. }).then_some(())
        });
        node
    }

    /// Starts a manager that must refuse to start with this store. Returns its output.
    pub(crate) fn refused(ground: &Path, machines: &Machines, machine: Machine, store: &str) -> Output {
        let output =
            serving(ground, machines, "refused", machine, store).stdout(Stdio::piped()).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        output
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join("state/longhaul.sock")
    }

    /// Returns the log of the manager.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.home.join("serve.log")).unwrap_or_default()).into_owned()
    }

    pub(crate) fn is_up(&mut self) -> bool {
        matches!(self.manager.try_wait(), Ok(None))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.manager.kill();
        let _ = self.manager.wait();
    }
}

fn serving(ground: &Path, machines: &Machines, name: &str, machine: Machine, store: &str) -> Command {
    let home = ground.join(name);
    fs::create_dir_all(&home).unwrap();
    let mut command = machines.command(machine, program("longhaul"));
    for (variable, _) in std::env::vars_os() {
        if variable.to_str().is_some_and(|name| name.starts_with("LONGHAUL_")) {
            command.env_remove(variable);
        }
    }
    command
        .args(["serve", "--max-parallel", &ROOTS.to_string()])
        .current_dir(&home)
        .env("LONGHAUL_STATE_DIR", home.join("state"))
        .env("LONGHAUL_NODE_ID", name)
        .env("LONGHAUL_STORE", store)
        // All nodes use the same cluster key file.
        .env("XDG_CONFIG_HOME", ground.join("config"))
        .stdin(Stdio::null());
    command
}
