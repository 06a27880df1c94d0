//! Checks which processes, files and memory are left on the machine after all work has ended.

use crate::faults::FaultInjector;
use crate::run_directory::RunDirectory;
use crate::settling::Settled;
use longhaul_tests::{Findings, is_alive};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time limit for all shims to exit. A shim waits up to a second until its exit record is acknowledged, and a killed
/// shim is noticed only at the next check.
const LEAVE: Duration = Duration::from_secs(10);
/// Number of descriptors by which a manager may exceed its number at the start, for example for connections of the
/// store.
const DESCRIPTORS: usize = 12;
/// Maximum memory growth in KiB of a manager under constant work. Some growth is normal, because caches fill at first.
const GROWTH: u64 = 24 * 1_024;
/// Depth below the cgroup root to which leftover cgroups are searched.
const DEPTH: usize = 5;

/// The state of the manager before any work.
#[derive(Debug)]
pub(crate) struct Before {
    descriptors: usize,
}

impl Before {
    pub(crate) fn look(manager: u32) -> Self {
        Self { descriptors: descriptors(manager) }
    }

    /// Checks the machine after all work, and compares the manager with its state before.
    pub(crate) fn check(
        &self,
        run_directory: &RunDirectory,
        manager: u32,
        (early, late): (u64, u64),
        settled: &Settled,
        injector: &FaultInjector,
        findings: &mut Findings,
    ) {
        let state = run_directory.state();
        let socket = run_directory.socket();
        let begun = Instant::now();
        let left = loop {
            let left: Vec<u32> = holders(&state, &socket).into_iter().filter(|pid| *pid != manager).collect();
            if left.is_empty() || begun.elapsed() > LEAVE {
                break left;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        for pid in left {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            findings.note(format_args!(
                "process {pid} is still alive: {}",
                String::from_utf8_lossy(&line).replace('\0', " ")
            ));
        }
        let now = descriptors(manager);
        if now > self.descriptors + DESCRIPTORS {
            findings.note(format_args!("the manager has {now} descriptors, and had {}", self.descriptors));
        }
        if late > early + GROWTH {
            findings.note(format_args!("the manager grew from {early} to {late} KiB"));
        }
        for group in
            groups(Path::new("/sys/fs/cgroup"), DEPTH, &settled.records.keys().map(String::as_str).collect())
        {
            findings.note(format_args!("the control group {} still exists", group.display()));
        }
        for (id, attempt) in attempts(&state) {
            if !settled.records.contains_key(&id) {
                findings
                    .note(format_args!("the directory {} still exists without a record", attempt.display()));
            }
            // The socket of a killed shim may remain until the record of its process is deleted.
            if !injector.past().orphaned.contains(&id) && attempt.join("ctl").exists() {
                findings.note(format_args!("a socket still exists in {}", attempt.display()));
            }
        }
    }
}

/// Returns the pids of the live commands of a process and of their descendants, without the shim.
pub(crate) fn commands_of(id: &str) -> Vec<u32> {
    processes().filter(|pid| is_of(*pid, id)).filter(|pid| is_alive(*pid)).collect()
}

/// Returns true if the environment of a running program names this process id, which means that a manager started the
/// program.
pub(crate) fn is_of(pid: u32, id: &str) -> bool {
    variables(pid).contains(&format!("LONGHAUL_ID={id}"))
}

/// Returns the resident memory of a process in KiB.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Returns the pids of all programs that have a file of the state directory open, or that the manager of this directory
/// started.
fn holders(state: &Path, socket: &Path) -> Vec<u32> {
    let under = format!("LONGHAUL_SOCKET={}", socket.display());
    let mut found = BTreeSet::new();
    for pid in processes() {
        let opened = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let has_opened =
            opened.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|to| to.starts_with(state));
        if (has_opened || variables(pid).contains(&under)) && is_alive(pid) {
            found.insert(pid);
        }
    }
    found.into_iter().collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Returns the environment variables that a program was started with.
fn variables(pid: u32) -> Vec<String> {
    let all = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&all).split('\0').map(str::to_owned).collect()
}

/// Returns the cgroups that were created for attempts of these processes.
fn groups(below: &Path, depth: usize, ids: &BTreeSet<&str>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.rsplit_once('-').is_some_and(|(id, _)| ids.contains(id)) {
            found.push(entry.path());
        } else if depth > 0 {
            found.extend(groups(&entry.path(), depth - 1, ids));
        }
    }
    found
}

/// Returns all attempt directories, each with the id of its process.
fn attempts(state: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for process in fs::read_dir(state.join("attempts")).into_iter().flatten().flatten() {
        let id = process.file_name().to_string_lossy().into_owned();
        for attempt in fs::read_dir(process.path()).into_iter().flatten().flatten() {
            found.push((id.clone(), attempt.path()));
        }
    }
    found
}
