//! Determines the live processes of a test program, independently of the manager.

use longhaul_tests::is_alive;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// File in which every process of one test program registers itself. An environment variable of the program contains
/// its path.
#[derive(Clone, Debug)]
pub(crate) struct Census {
    file: PathBuf,
}

/// Name of the environment variable with the path of the census file. A process that clears its environment does not
/// have it.
pub(crate) const VARIABLE: &str = "ZOO_CENSUS";

impl Census {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file
    }

    /// Returns the path of a message file, which is next to the census file.
    pub(crate) fn beside(&self, what: &str) -> PathBuf {
        let mut path = self.file.clone().into_os_string();
        path.push(".");
        path.push(what);
        path.into()
    }

    /// Returns the pids and start times of all processes that have registered themselves.
    pub(crate) fn born(&self) -> BTreeSet<(u32, u64)> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines()
            .filter_map(|line| {
                let (pid, start) = line.split_once(' ')?;
                Some((pid.parse().ok()?, start.parse().ok()?))
            })
            .collect()
    }

    /// Returns the pids of all live processes of the test program: those that registered themselves, and those with the
    /// environment variable.
    pub(crate) fn alive(&self) -> BTreeSet<u32> {
        let enrolled = self.born().into_iter().filter(|(pid, start)| start_of(*pid) == Some(*start));
        let enrolled = enrolled.map(|(pid, _)| pid).filter(|pid| is_alive(*pid));
        enrolled.chain(self.marked().filter(|pid| is_alive(*pid))).collect()
    }

    /// Returns the registered processes that the kernel still lists, including zombies.
    pub(crate) fn unburied(&self) -> Vec<(u32, u64)> {
        self.born().into_iter().filter(|(pid, start)| start_of(*pid) == Some(*start)).collect()
    }

    fn marked(&self) -> impl Iterator<Item = u32> {
        let mark = format!("{VARIABLE}={}", self.file.display());
        let pids =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(move |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
    }
}

/// Returns the start time of a process, in clock ticks since boot.
pub(crate) fn start_of(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit(") ").next()?.split_ascii_whitespace().nth(19)?.parse().ok()
}
