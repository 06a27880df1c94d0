//! Runs one probe command. Its exit code shows whether another command works.

use crate::os::pidfd::{self, EndStatus};
use crate::os::procfs;
use crate::os::program;
use crate::os::spawner::SpawnerShared;
use longhaul_ports::ProbeCommand;
use longhaul_shim::ProcessStat;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// Environment variable that marks every process started by a probe command.
const VARIABLE: &str = "LONGHAUL_PROBE";
const KILL: i32 = 9;
/// Maximum number of clean-up passes.
const MAX_PASSES: u32 = 100;
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(20);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A running probe command. Dropping it kills the command with all its descendants.
#[derive(Debug)]
pub(super) struct ProbeProcess {
    shared: Arc<SpawnerShared>,
    pid: u32,
    /// Pidfd of the command; `None` after the command was reaped.
    pidfd: Option<OwnedFd>,
    mark: String,
}

impl ProbeProcess {
    /// Starts the probe command in its own process group.
    pub(super) async fn start(shared: &Arc<SpawnerShared>, order: ProbeCommand) -> Result<Self, String> {
        let shared = Arc::clone(shared);
        // If the caller has stopped waiting, the send fails and drops the started probe, which kills it.
        let (begun, started) = oneshot::channel();
        drop(tokio::task::spawn_blocking(move || drop(begun.send(Self::begin(shared, &order)))));
        started.await.unwrap_or_else(|_| Err("the start of the command was cancelled".to_owned()))
    }

    fn begin(shared: Arc<SpawnerShared>, order: &ProbeCommand) -> Result<Self, String> {
        program::check_directory(&order.directory).map_err(|failure| failure.detail)?;
        let found = program::find(&order.program, &order.directory, &order.environment);
        let found = found.map_err(|failure| failure.detail)?;
        let value =
            format!("{}#{}.{}", scope(&shared), std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new(found);
        command
            .arg0(&order.program)
            .args(&order.args)
            .env_clear()
            .envs(order.environment.iter().map(|(name, value)| (name, value)))
            .env(VARIABLE, &value)
            .current_dir(&order.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let (child, ()) =
            shared.reaper.start(|| Ok((command.spawn()?, ()))).map_err(|error| error.to_string())?;
        let pid = child.id();
        let mark = format!("{VARIABLE}={value}");
        let Some(pidfd) = pidfd::open_child(pid) else {
            // Without a pidfd the command cannot be watched, so kill it.
            end_group(pid);
            let mut child = child;
            let waited = child.wait();
            shared.reaper.release(pid);
            end_marked(&shared, &mark);
            return Err(waited
                .map_or_else(|error| error.to_string(), |_| "the command cannot be observed".to_owned()));
        };
        Ok(Self { shared, pid, pidfd: Some(pidfd), mark })
    }

    /// Waits until the command has ended. Returns false if it exits with a code other than 0 or exceeds the time limit.
    pub(super) async fn succeeds(mut self, time_limit: Duration) -> bool {
        let Some(watched) = self.pidfd.as_ref().and_then(|pidfd| pidfd.try_clone().ok()) else {
            return false;
        };
        let ended = tokio::time::timeout(time_limit, pidfd::ended(watched)).await;
        if !matches!(ended, Ok(Ok(()))) {
            return false;
        }
        let Some(pidfd) = self.pidfd.take() else {
            return false;
        };
        let (shared, pid, mark) = (Arc::clone(&self.shared), self.pid, self.mark.clone());
        let status = tokio::task::spawn_blocking(move || conclude(&shared, pid, &pidfd, &mark)).await;
        matches!(status, Ok(Some(EndStatus::Code(0))))
    }
}

impl Drop for ProbeProcess {
    fn drop(&mut self) {
        let Some(pidfd) = self.pidfd.take() else {
            return;
        };
        end_group(self.pid);
        let (shared, pid, mark) = (Arc::clone(&self.shared), self.pid, std::mem::take(&mut self.mark));
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || conclude(&shared, pid, &pidfd, &mark))),
            // Without a runtime, this thread may block: either this program is about to exit, or the thread runs no
            // tasks.
            Err(_) => drop(conclude(&shared, pid, &pidfd, &mark)),
        }
    }
}

/// Kills every process that a probe command has started, reaps the command, and returns how the command ended.
fn conclude(shared: &SpawnerShared, pid: u32, pidfd: &OwnedFd, mark: &str) -> Option<EndStatus> {
    end_group(pid);
    let status = pidfd::wait(pidfd);
    shared.reaper.release(pid);
    end_marked(shared, mark);
    status
}

/// Kills the processes that probe commands of an earlier run of this program left behind.
pub(super) fn end_what_is_left(shared: &SpawnerShared) {
    let mine = format!("{VARIABLE}={}#", scope(shared));
    let this = format!("{mine}{}.", std::process::id());
    end_all(|| {
        find_everywhere(|pid| {
            procfs::was_started_with_any(pid, |entry| {
                entry.starts_with(mine.as_bytes()) && !entry.starts_with(this.as_bytes())
            })
        })
    });
}

/// Kills every process that has the mark, even if it has left the process group of the probe command.
fn end_marked(shared: &SpawnerShared, mark: &str) {
    let is_marked = |pid| procfs::was_started_with_any(pid, |entry| entry == mark.as_bytes());
    let mut dead = BTreeSet::new();
    end_all(|| {
        // If this program adopts orphans, every process that has lost its parent is now a child of this program.
        let near = if shared.options.adopt_orphans { procfs::own_children() } else { None };
        match near {
            Some(children) => find_among(children, is_marked, &mut dead),
            None => find_everywhere(is_marked),
        }
    });
}

/// Result of a search for processes to kill.
struct ProcessSearch {
    alive: Vec<ProcessStat>,
    /// False if the search may have missed a process.
    is_complete: bool,
}

fn find_everywhere(is_wanted: impl Fn(u32) -> bool) -> ProcessSearch {
    let alive = |stat: &ProcessStat| !stat.is_dead() && is_wanted(stat.pid);
    ProcessSearch { alive: ProcessStat::everyone().into_iter().filter(alive).collect(), is_complete: true }
}

/// Searches the children of this program. If a child died after the children were listed, its own children were passed
/// on to this program but are not in the list. The search is therefore complete only if no child has died since the
/// previous search, which stored the dead children in `dead`.
fn find_among(
    children: Vec<u32>,
    is_wanted: impl Fn(u32) -> bool,
    dead: &mut BTreeSet<u32>,
) -> ProcessSearch {
    let mut alive = Vec::new();
    let mut dead_now = BTreeSet::new();
    for pid in children {
        let wanted = is_wanted(pid);
        // The environment of a dead process is empty, so the state is read after the environment.
        match ProcessStat::read(pid).filter(|stat| !stat.is_dead()) {
            Some(stat) if wanted => alive.push(stat),
            Some(_) => {}
            None => {
                dead_now.insert(pid);
            }
        }
    }
    let is_complete = dead_now.is_subset(dead);
    *dead = dead_now;
    ProcessSearch { alive, is_complete }
}

fn end_all(mut find: impl FnMut() -> ProcessSearch) {
    let mut pause = Duration::from_micros(500);
    for _ in 0..MAX_PASSES {
        let found = find();
        if found.alive.is_empty() && found.is_complete {
            return;
        }
        for stat in &found.alive {
            if let Ok(Some(fd)) = pidfd::open(stat.pid, stat.start_time) {
                // The signal fails if the process has already ended.
                drop(pidfd::send(&fd, KILL));
            }
        }
        std::thread::sleep(pause);
        pause = pause.saturating_mul(2).min(MAX_POLL_INTERVAL);
    }
    tracing::warn!("could not kill a descendant of a readiness check");
}

/// Kills a process group whose leader was not reaped yet, so that the group number cannot have been reused.
fn end_group(pid: u32) {
    if let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The signal fails if the group is empty.
        let _is_empty = kill_process_group(group, Signal::KILL);
    }
}

/// Returns the part of the mark that distinguishes the probes of this state directory from the probes of other state
/// directories.
fn scope(shared: &SpawnerShared) -> String {
    shared.attempts.path().display().to_string()
}
