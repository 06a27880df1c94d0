//! The processes of an attempt that has lost its shim.
//!
//! Without a shim, the descendants of the command no longer have a common parent. They are identified by their session,
//! their parents, their control group, or the mark that every command is started with.

use super::{MAX_RETRY_DELAY, MIN_RETRY_DELAY, SIGKILL};
use crate::os::attempt_mark::AttemptMark;
use crate::os::cgroups;
use crate::os::inspect::{self, CachedSnapshot};
use crate::os::pidfd;
use crate::os::spawner::SpawnerShared;
use crate::os::usage::{TreeMembers, pids_in};
use crate::os::watch::PendingSignal;
use longhaul_domain::{SignalTarget, TreeUsage};
use longhaul_ports::AttemptKey;
use longhaul_shim::{FileIdentity, Identity, ProcessStat};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time after which killed processes are logged if they are still alive.
const SURVIVORS_AFTER: Duration = Duration::from_secs(2);
const MAX_HOLD_PASSES: u32 = 100;
/// Maximum number of scans in one pass. A scan is incomplete if a process ends during the scan.
const SCANS: u32 = 8;
/// Time for which a tree that seems to be empty is scanned again if no scan was complete.
const EMPTY_TREE_CONFIRM: Duration = Duration::from_millis(250);
/// Pid of a process that `/proc` always lists, unless `/proc` hides the processes of other users.
const FIRST_PROCESS: u32 = 1;
const CONTINUE: i32 = 18;
const HALT: i32 = 19;

/// The process tree of one attempt.
#[derive(Clone, Debug)]
pub(super) struct OrphanedTree {
    inner: Arc<TreeInner>,
}

#[derive(Debug)]
struct TreeInner {
    key: AttemptKey,
    leader: u32,
    start_time: u64,
    mark: AttemptMark,
    cgroup: Option<PathBuf>,
    /// Executables whose processes never belong to an attempt, even if its command started them: shims and managers.
    strangers: Vec<FileIdentity>,
}

/// Result of one scan of all processes.
#[derive(Debug, Default)]
struct ProcessScan {
    /// Live processes of the tree.
    members: Vec<ProcessStat>,
    /// Shims and managers that the command started, with all their descendants. They are not part of the tree.
    strangers: BTreeSet<u32>,
    /// Members of the tree that have ended but were not yet reaped.
    dead: BTreeSet<(u32, u64)>,
    /// True if a process ended before it could be inspected.
    has_missed: bool,
    /// True if a member has ended since the previous scan. It may have forked a child that no scan has listed yet.
    has_heirs: bool,
    /// True if this scan has certainly found every live member.
    is_complete: bool,
}

/// Result of killing all processes of a tree.
#[derive(Clone, Copy, Debug)]
pub(in crate::os) struct KillOutcome {
    /// Number of killed processes, not counting the command.
    pub(in crate::os) killed: u64,
    /// True if the last scan was complete and found no live process.
    pub(in crate::os) is_verified: bool,
}

/// The live processes of a tree without the command itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct OtherMembers {
    /// Number of processes found.
    pub(super) count: u64,
    /// True if the scan was complete.
    pub(super) is_verified: bool,
}

/// Result of one round of kills.
#[derive(Debug)]
struct KillRound {
    /// The processes that were killed, as pairs of pid and start time.
    reached: Vec<(u32, u64)>,
    /// True if the round found no process to kill.
    is_empty: bool,
    /// True if the scan of this round was complete.
    is_complete: bool,
}

impl OrphanedTree {
    pub(super) fn new(shared: &SpawnerShared, key: AttemptKey, identity: &Identity) -> Self {
        let programs = [FileIdentity::of_process(std::process::id()), FileIdentity::of(&shared.options.shim)];
        let inner = TreeInner {
            key,
            leader: identity.pid,
            start_time: identity.start_time,
            mark: AttemptMark::of(key),
            cgroup: identity.cgroup.clone(),
            strangers: programs.into_iter().flatten().collect(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Sends a signal to every process of the tree.
    pub(super) async fn signal(&self, signal: i32) {
        self.on_blocking_thread(move |inner| {
            if signal == SIGKILL {
                inner.kill();
            } else {
                inner.signal(signal);
                // Continue the processes, because a stopped process handles a signal only after it continues.
                inner.release();
            }
        })
        .await;
    }

    /// Sends a signal that a user requested. Paused processes receive it when they continue.
    pub(super) async fn send(&self, PendingSignal { signal, target }: PendingSignal) -> Result<(), String> {
        let reached = self.on_blocking_thread(move |inner| {
            let mut members = inner.members();
            members.retain(|member| target == SignalTarget::Tree || member.pid == inner.leader);
            members.iter().filter(|member| deliver(member, signal.number().into())).count()
        });
        match reached.await {
            Some(0) | None => Err("no process was left to receive the signal".to_owned()),
            Some(_) => Ok(()),
        }
    }

    /// Stops every process of the tree with `SIGSTOP`. If some processes keep running, resumes all processes and
    /// returns an error with the number of running processes.
    pub(super) async fn hold(&self) -> Result<(), String> {
        self.on_blocking_thread(|inner| {
            let mut running = 0;
            let mut asked = BTreeSet::new();
            for _ in 0..MAX_HOLD_PASSES {
                let members = inner.members();
                let is_halted = |member: &ProcessStat| {
                    // The process is waiting for another process of the tree (as in `vfork`). The pending `SIGSTOP`
                    // takes effect when it continues.
                    let waits = || asked.contains(&member.birth()) && member.waits_for_one_of(members.iter());
                    member.is_stopped() || waits()
                };
                let awake: Vec<_> = members.iter().filter(|member| !is_halted(member)).collect();
                running = awake.len();
                if running == 0 {
                    return Ok(());
                }
                let reached =
                    awake.into_iter().filter(|member| deliver(member, HALT)).map(ProcessStat::birth);
                asked.extend(reached);
                std::thread::sleep(MIN_RETRY_DELAY);
            }
            // Resume all processes, because a partly paused tree is worse than a running one.
            inner.release();
            Err(format!("{running} processes of the process tree are still running"))
        })
        .await
        .unwrap_or_else(|| Err("the process tree could not be paused".to_owned()))
    }

    /// Resumes every process of the tree.
    pub(super) async fn release(&self) {
        self.on_blocking_thread(TreeInner::release).await;
    }

    /// Returns the resource usage of the whole tree, or `None` if no process of the tree is alive.
    pub(super) async fn usage(&self) -> Option<TreeUsage> {
        self.on_blocking_thread(|inner| {
            let cgroup = inner.cgroup.as_deref();
            TreeMembers::of(inner.members(), cgroup).usage(cgroup)
        })
        .await
        .flatten()
    }

    /// Returns the inputs that the tree is waiting for and the ports that it listens on, or `None` if no process of the
    /// tree is alive.
    pub(super) async fn look(&self) -> Option<CachedSnapshot> {
        self.on_blocking_thread(|inner| {
            let cgroup = inner.cgroup.as_deref();
            inspect::into(&TreeMembers::of(inner.members(), cgroup), cgroup)
        })
        .await
        .flatten()
    }

    /// Counts the live processes of the tree, not including the command.
    pub(super) async fn others(&self) -> OtherMembers {
        let looked = self.on_blocking_thread(|inner| {
            let scan = inner.scan_until_sure();
            let others = scan.members.iter().filter(|member| member.pid != inner.leader).count();
            // At least one process exists, although no scan found it alive.
            let is_hidden =
                scan.members.is_empty() && (scan.has_heirs || !inner.is_group_empty(&scan.strangers));
            (others.max(usize::from(is_hidden)), scan.is_complete)
        });
        let (count, is_verified) = looked.await.unwrap_or((0, false));
        OtherMembers { count: u64::try_from(count).unwrap_or(u64::MAX), is_verified }
    }

    /// Kills processes until the tree is empty.
    pub(super) async fn empty(&self) -> KillOutcome {
        let mut killed = BTreeSet::new();
        let mut pause = MIN_RETRY_DELAY;
        let begin = Instant::now();
        let mut named = false;
        let mut found_empty = None;
        let is_verified = loop {
            match self.on_blocking_thread(TreeInner::kill).await {
                Some(KillRound { reached, is_empty: false, .. }) => {
                    found_empty = None;
                    if !named && begin.elapsed() >= SURVIVORS_AFTER {
                        named = true;
                        let survivors: Vec<u32> = reached.iter().map(|(pid, _)| *pid).collect();
                        let key = self.inner.key;
                        tracing::warn!(
                            id = %key.id, attempt = %key.attempt, ?survivors,
                            "some processes of an attempt are still running after SIGKILL"
                        );
                    }
                    // Retry after a short delay: a process that repeatedly forks a child and then ends must be killed
                    // before it forks again.
                    let has_changed =
                        reached.is_empty() || reached.iter().any(|birth| !killed.contains(birth));
                    pause = if has_changed {
                        MIN_RETRY_DELAY
                    } else {
                        pause.saturating_mul(2).min(MAX_RETRY_DELAY)
                    };
                    killed.extend(reached);
                }
                Some(KillRound { is_empty: true, is_complete, .. }) => {
                    let since: &Instant = found_empty.get_or_insert_with(Instant::now);
                    if is_complete || since.elapsed() >= EMPTY_TREE_CONFIRM {
                        break is_complete;
                    }
                }
                None => break false,
            }
            tokio::time::sleep(pause).await;
        };
        killed.retain(|(pid, _)| *pid != self.inner.leader);
        KillOutcome { killed: u64::try_from(killed.len()).unwrap_or(u64::MAX), is_verified }
    }

    /// Runs `work` in a blocking thread, because it scans all processes of the machine.
    async fn on_blocking_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&TreeInner) -> T + Send + 'static,
    ) -> Option<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner)).await.ok()
    }
}

impl TreeInner {
    fn signal(&self, signal: i32) {
        for member in self.members() {
            deliver(&member, signal);
        }
    }

    /// Kills every process of the tree. If the control group contains only processes of the tree, kills the whole group
    /// in a single step, so that no process can escape by a fork.
    fn kill(&self) -> KillRound {
        self.thaw();
        // Kill the command first. If its children ended first, the command could react to that and exit in another way.
        if let Some(command) =
            ProcessStat::read(self.leader).filter(|stat| stat.start_time == self.start_time)
        {
            deliver(&command, SIGKILL);
        }
        let mut reached = if self.cgroup.is_none() { self.kill_marked() } else { Vec::new() };
        let scan = self.scan_until_sure();
        for member in &scan.members {
            deliver(member, SIGKILL);
        }
        reached.extend(scan.members.iter().map(ProcessStat::birth));
        let is_group_empty = self.is_group_empty(&scan.strangers);
        let is_empty = reached.is_empty() && !scan.has_heirs && is_group_empty;
        if let Some(cgroup) = self.cgroup.as_ref().filter(|_| !is_group_empty && scan.strangers.is_empty()) {
            reached
                .extend(pids_in(cgroup).into_iter().filter_map(|pid| Some(ProcessStat::read(pid)?.birth())));
            cgroups::kill(cgroup);
        }
        KillRound { reached, is_empty, is_complete: scan.is_complete }
    }

    /// Kills each process that has the mark as soon as it is found, youngest first, and then its process group. Does
    /// not wait for a full scan, because some processes fork a child and end in less time than a scan takes.
    fn kill_marked(&self) -> Vec<(u32, u64)> {
        let marked = ProcessStat::pids().into_iter().rev().filter(|pid| self.mark.limits(*pid));
        let ours = marked.filter_map(ProcessStat::read).filter(|stat| self.is_ours(stat));
        let mut groups = BTreeSet::new();
        let mut reached = Vec::new();
        for stat in ours {
            groups.insert(stat.group);
            reached.extend((!stat.is_dead() && deliver(&stat, SIGKILL)).then(|| stat.birth()));
        }
        if !groups.is_empty() {
            self.kill_groups(groups);
        }
        reached
    }

    /// Kills process groups. The kernel sends the signal to all members of a group in a single step, so that no member
    /// can fork between two signals. Skips groups with an unmarked process: the number of the group may have been
    /// reused, or the group contains a manager.
    fn kill_groups(&self, mut groups: BTreeSet<u32>) {
        for stat in ProcessStat::everyone() {
            if groups.contains(&stat.group) && !(self.mark.limits(stat.pid) && self.is_ours(&stat)) {
                groups.remove(&stat.group);
            }
        }
        for group in groups.into_iter().filter_map(|group| i32::try_from(group).ok().and_then(Pid::from_raw))
        {
            // The signal fails if the group is already empty.
            let _is_empty = kill_process_group(group, Signal::KILL);
        }
    }

    /// Returns true if the control group does not exist, is empty, or contains only `strangers`.
    fn is_group_empty(&self, strangers: &BTreeSet<u32>) -> bool {
        let others = |cgroup: &PathBuf| !strangers.is_empty() && pids_in(cgroup).is_subset(strangers);
        self.cgroup.as_ref().is_none_or(|cgroup| cgroups::is_empty(cgroup) || others(cgroup))
    }

    fn release(&self) {
        self.thaw();
        // Send `SIGCONT` to running processes too: it also cancels a `SIGSTOP` that was sent earlier but has not taken
        // effect yet.
        for member in self.members() {
            deliver(&member, CONTINUE);
        }
    }

    fn thaw(&self) {
        if let Some(cgroup) = &self.cgroup {
            // The write fails if the control group no longer exists. In that case the group freezes no process.
            drop(fs::write(cgroup.join("cgroup.freeze"), "0"));
        }
    }

    /// Returns the live processes of the tree.
    fn members(&self) -> Vec<ProcessStat> {
        self.scan_until_sure().members
    }

    /// Scans until a live process is found or the scan is complete. If a process ends during a scan, it may have forked
    /// a child that the scan did not list.
    fn scan_until_sure(&self) -> ProcessScan {
        let mut foreign = BTreeSet::new();
        let mut last = self.scan(&mut foreign);
        for _ in 1..SCANS {
            if !last.members.is_empty() {
                break;
            }
            let mut scan = self.scan(&mut foreign);
            scan.has_heirs = !scan.dead.is_subset(&last.dead);
            scan.is_complete = match self.cgroup {
                Some(_) => self.is_group_empty(&scan.strangers),
                None => !scan.has_missed && !scan.has_heirs && ProcessStat::read(FIRST_PROCESS).is_some(),
            };
            last = scan;
            if last.is_complete {
                break;
            }
        }
        last
    }

    /// Scans all processes except those that are known not to belong to the tree. The youngest processes are scanned
    /// first, because some live for less time than a scan takes.
    fn scan(&self, foreign: &mut BTreeSet<u32>) -> ProcessScan {
        let me = std::process::id();
        let inside = self.cgroup.as_deref().map(pids_in).unwrap_or_default();
        let mut scan = ProcessScan::default();
        let (mut marked, mut rest) = (BTreeSet::new(), Vec::new());
        // The kernel does not reuse a pid while a session has this id.
        let mut has_session = true;
        foreign.insert(me);
        // Inspect the process with the pid of the command in every scan. Its start time shows whether the session still
        // belongs to the command.
        foreign.remove(&self.leader);
        for pid in ProcessStat::pids().into_iter().rev() {
            if foreign.contains(&pid) {
                continue;
            }
            let Some(stat) = ProcessStat::read(pid) else {
                scan.has_missed = true;
                continue;
            };
            has_session &= pid != self.leader || stat.start_time == self.start_time;
            if stat.start_time < self.start_time {
                foreign.insert(pid);
                continue;
            }
            let is_marked = self.mark.is_on(pid);
            if !stat.is_dead() {
                marked.extend(is_marked.then_some(pid));
                rest.push(stat);
            } else if is_marked && pid != self.leader {
                scan.dead.insert(stat.birth());
            }
        }
        rest.reverse();
        let mut found: BTreeSet<u32> = BTreeSet::new();
        loop {
            // Each round finds the children of the processes that earlier rounds found.
            let belongs = |stat: &ProcessStat| {
                found.contains(&stat.parent)
                    || has_session && stat.session == self.leader
                    || stat.birth() == (self.leader, self.start_time)
                    || marked.contains(&stat.pid)
                    || inside.contains(&stat.pid)
            };
            let (fresh, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(belongs);
            if fresh.is_empty() {
                foreign.extend(others.iter().map(|stat| stat.pid));
                break;
            }
            found.extend(fresh.iter().map(|stat| stat.pid));
            scan.members.extend(fresh);
            rest = others;
        }
        scan.exclude_foreign(|stat| !self.is_ours(stat));
        // This manager itself may run inside the control group. Even so, the processes that it has adopted belong to
        // the tree.
        scan.strangers.extend(inside.get(&me));
        scan
    }

    /// Returns true if a process is neither a shim nor a manager. Also returns true for the command, even before its
    /// `exec`, when it still looks like a shim.
    fn is_ours(&self, stat: &ProcessStat) -> bool {
        let program = || FileIdentity::of_process(stat.pid);
        stat.pid == self.leader || program().is_none_or(|program| !self.strangers.contains(&program))
    }
}

impl ProcessScan {
    /// Moves shims and managers, with all their descendants, from `members` to `strangers`.
    fn exclude_foreign(&mut self, is_stranger: impl Fn(&ProcessStat) -> bool) {
        loop {
            let known = &self.strangers;
            let is_apart =
                |stat: &ProcessStat| known.contains(&stat.parent) || known.is_empty() && is_stranger(stat);
            let (apart, members): (Vec<_>, Vec<_>) = self.members.drain(..).partition(is_apart);
            self.members = members;
            if apart.is_empty() {
                return;
            }
            self.strangers.extend(apart.iter().map(|stat| stat.pid));
        }
    }
}

/// Sends a signal to one member, and never to another process that has reused its pid. Returns false if the member has
/// ended or may not be signalled.
fn deliver(member: &ProcessStat, signal: i32) -> bool {
    let open = pidfd::open(member.pid, member.start_time);
    open.is_ok_and(|fd| fd.is_some_and(|fd| pidfd::send(&fd, signal).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{AttemptNo, ProcessId};

    #[test]
    fn a_session_whose_pid_has_passed_to_another_is_no_part_of_it() {
        let mut other = std::process::Command::new("setsid").args(["sleep", "60"]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let stat = loop {
            let stat = ProcessStat::read(other.id()).unwrap();
            if stat.session == stat.pid {
                break stat;
            }
            assert!(Instant::now() < deadline, "{stat:?}");
            std::thread::sleep(MIN_RETRY_DELAY);
        };
        let key = AttemptKey { id: ProcessId::new(uuid::Uuid::new_v4()), attempt: AttemptNo(1) };
        let of = |start_time| TreeInner {
            key,
            leader: stat.pid,
            start_time,
            mark: AttemptMark::of(key),
            cgroup: None,
            strangers: Vec::new(),
        };
        let pids = |inner: TreeInner| inner.members().iter().map(|member| member.pid).collect::<Vec<_>>();
        assert_eq!(pids(of(stat.start_time)), [stat.pid]);
        assert_eq!(pids(of(stat.start_time.saturating_sub(1))), [0; 0]);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
