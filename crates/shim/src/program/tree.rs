//! The process tree of an attempt: finds its processes and sends signals to them.

use std::{cell::OnceCell, collections::BTreeSet, io, os::fd::OwnedFd};

use rustix::process::{Pid, PidfdFlags};

use super::{cgroup::Cgroup, procfs::ProcfsSource, sys};
use crate::{
    containment::Containment, file_identity::FileIdentity, out_of_memory::has_killed_in_group,
    process_stat::ProcessStat,
};

const MAX_MANAGERS: usize = 16;
/// Maximum number of scans of a changing tree. If no scan finds a process, the tree then counts as empty.
const SCANS: u32 = 8;

/// Pid and start time of a process. Together they are unique, although the kernel reuses pids.
pub(super) type ProcessStart = (u32, u64);

/// Process tree of one attempt.
pub(super) struct ProcessTree {
    containment: Containment,
    cgroup: Option<Cgroup>,
    leader: ProcessStart,
    pidfd: OwnedFd,
    shim: u32,
    /// Executable of this shim, used to recognize other shims. It is read on first use, because most attempts never
    /// need it.
    executable: OnceCell<Option<FileIdentity>>,
    kernel_lists: OnceCell<bool>,
    managers: Vec<ProcessStart>,
}

/// One living process of the tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct TreeMember {
    pub(super) stat: ProcessStat,
    /// True if the process is a child of the shim. The kernel cannot reuse the pid of such a process before the shim
    /// has reaped it.
    direct: bool,
}

/// Result of one scan of the process tree, without the list of its members.
#[derive(Debug, Default)]
struct TreeVisit {
    /// Pids of descendants that do not belong to the tree: managers, other shims and their children.
    strangers: BTreeSet<u32>,
    /// Pids of processes in other process groups. The next scan skips them.
    others: BTreeSet<u32>,
    /// True if the scan may be incomplete: a process ended during the scan, or the process group still has members.
    changed: bool,
}

impl TreeMember {
    pub(super) fn birth(&self) -> ProcessStart {
        self.stat.birth()
    }
}

impl ProcessTree {
    pub(super) fn new(
        containment: Containment,
        cgroup: Option<Cgroup>,
        leader: ProcessStart,
        pidfd: OwnedFd,
    ) -> Self {
        Self {
            containment,
            cgroup,
            leader,
            pidfd,
            shim: std::process::id(),
            executable: OnceCell::new(),
            kernel_lists: OnceCell::new(),
            managers: Vec::new(),
        }
    }

    pub(super) fn containment(&self) -> Containment {
        self.containment
    }

    pub(super) fn leader(&self) -> u32 {
        self.leader.0
    }

    pub(super) fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// Registers a manager. A manager is never part of the tree, even if the command started it.
    pub(super) fn exclude_manager(&mut self, pid: u32) {
        let Some(stat) = ProcessStat::read(pid) else {
            return;
        };
        let birth = (stat.pid, stat.start_time);
        if birth != self.leader && !self.managers.contains(&birth) {
            if self.managers.len() >= MAX_MANAGERS {
                self.managers.remove(0);
            }
            self.managers.push(birth);
        }
    }

    /// Returns the pids of the living managers that were registered as outside the tree.
    pub(super) fn managers(&self) -> Vec<u32> {
        let lives = |birth: &&ProcessStart| {
            ProcessStat::read(birth.0).is_some_and(|stat| stat.start_time == birth.1 && !stat.is_dead())
        };
        self.managers.iter().filter(lives).map(|birth| birth.0).collect()
    }

    /// Returns all living processes of the tree.
    pub(super) fn members(&self) -> Vec<TreeMember> {
        let (mut members, mut found) = (Vec::new(), TreeVisit::default());
        for _ in 0..SCANS {
            found = TreeVisit { others: found.others, ..TreeVisit::default() };
            self.revisit(&mut found, |member| members.push(member));
            // Scan again if a process ended during the scan: the process may have forked a child that the scan missed.
            if !members.is_empty() || !found.changed {
                break;
            }
        }
        members
    }

    /// Returns true if no process of the tree is alive, false if at least one process is alive, and `None` if the
    /// kernel gives no certain answer.
    ///
    /// The kernel answers for the tree as a whole. A scan of single processes could miss processes that constantly fork
    /// a child and exit.
    pub(super) fn is_surely_empty(&self, require_no_live_descendants: bool) -> Option<bool> {
        let empty = match self.containment {
            Containment::Subreaper => require_no_live_descendants,
            Containment::Cgroup => require_no_live_descendants && self.is_unpopulated(),
            Containment::Group => {
                let asked = sys::signal_group_through(&self.pidfd, 0);
                return match asked.map_err(|error| error.raw_os_error()) {
                    Err(Some(libc::ESRCH)) => Some(true),
                    // EPERM also means that the group has members. But all these members may be managers or other
                    // shims, which do not belong to the tree.
                    Ok(()) | Err(Some(libc::EPERM)) => {
                        self.visit(|_| {}).strangers.is_empty().then_some(false)
                    }
                    Err(_) => None,
                };
            }
        };
        // The kernel's answer also counts managers and other shims that the command started, because they are
        // descendants of this shim too. If there are any, an answer of "not empty" proves nothing.
        (empty || self.visit(|_| {}).strangers.is_empty()).then_some(empty)
    }

    /// Returns the cgroup if it contains no managers and no other shims, so that it can be frozen or killed as a whole.
    pub(super) fn whole_cgroup(&self) -> Option<&Cgroup> {
        let cgroup = self.cgroup.as_ref()?;
        let strangers = self.visit(|_| {}).strangers;
        let inside = cgroup.pids();
        (!inside.iter().any(|pid| strangers.contains(pid))).then_some(cgroup)
    }

    /// Returns true if the kernel killed a process in the cgroup of this tree because memory was exhausted.
    pub(super) fn has_run_out_of_memory(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| has_killed_in_group(cgroup.path()))
    }

    /// Returns true if the kernel reports that neither the cgroup nor a cgroup below it contains processes.
    pub(super) fn is_unpopulated(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| cgroup.is_populated().is_ok_and(|populated| !populated))
    }

    /// Removes the cgroup at the end of the attempt.
    pub(super) fn remove_cgroup(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
    }

    /// Unfreezes the cgroup, even if it contains managers or other shims.
    pub(super) fn thaw(&self) {
        if let Some(cgroup) = &self.cgroup {
            drop(cgroup.freeze(false));
        }
    }

    /// Sends a signal to the program that was launched.
    pub(super) fn signal_leader(&self, signal: i32) -> io::Result<()> {
        sys::signal_through(&self.pidfd, signal)
    }

    /// Sends a signal to all processes that are in the tree at this moment. Returns the processes that received it.
    ///
    /// A process that a member starts in reaction to the signal does not receive the signal: the command may need other
    /// programs to clean up. A child that is forked during the call by a process outside the group of the leader may
    /// not receive the signal either.
    pub(super) fn signal_all(&self, signal: i32) -> Vec<ProcessStart> {
        // Find all members before the first of them can react.
        let mut members = Vec::new();
        let found = self.visit(|member| members.push(member));
        // Signal the whole group with one call, so that no process can be forked in between. This is not possible if
        // the group may contain managers or other shims, because they must not receive the signal.
        let is_group_reached =
            found.strangers.is_empty() && sys::signal_group_through(&self.pidfd, signal).is_ok();
        let mut reached = Vec::new();
        if !is_group_reached && self.signal_leader(signal).is_ok() {
            reached.push(self.leader);
        }
        for member in members {
            let is_leader = member.birth() == self.leader;
            let has_signal = is_group_reached && self.is_still_in_group(&member);
            if has_signal || (!is_leader && self.deliver(&member, signal)) {
                reached.push(member.birth());
            }
        }
        reached
    }

    /// Sends SIGKILL to all processes of the tree that a scan finds, each as soon as it is found, the leader first.
    /// Returns the processes that received the signal.
    pub(super) fn kill_found(&self) -> Vec<ProcessStart> {
        let mut reached = Vec::new();
        if self.containment == Containment::Group {
            let births: Vec<ProcessStart> = self.members().iter().map(TreeMember::birth).collect();
            if self.visit(|_| {}).strangers.is_empty()
                && sys::signal_group_through(&self.pidfd, libc::SIGKILL).is_ok()
            {
                return births;
            }
        }
        if self.signal_leader(libc::SIGKILL).is_ok() {
            reached.push(self.leader);
        }
        self.visit(|member| {
            if member.birth() != self.leader && self.deliver(&member, libc::SIGKILL) {
                reached.push(member.birth());
            }
        });
        reached
    }

    /// Returns true if a member of the group of the leader has not moved to another group since the scan that found it.
    fn is_still_in_group(&self, member: &TreeMember) -> bool {
        member.stat.group == self.leader.0
            && ProcessStat::read(member.stat.pid)
                .is_none_or(|now| now.start_time != member.stat.start_time || now.group == self.leader.0)
    }

    /// Sends a signal to one process of the tree. Returns false and sends nothing if another process has reused the
    /// pid.
    pub(super) fn deliver(&self, member: &TreeMember, signal: i32) -> bool {
        if member.birth() == self.leader {
            return self.signal_leader(signal).is_ok();
        }
        if member.direct {
            return sys::kill_child(member.stat.pid, signal).is_ok();
        }
        let pid = i32::try_from(member.stat.pid).ok().and_then(Pid::from_raw);
        let Some(pidfd) = pid.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok())
        else {
            return false;
        };
        let now = ProcessStat::read(member.stat.pid);
        now.is_some_and(|now| now.start_time == member.stat.start_time)
            && sys::signal_through(&pidfd, signal).is_ok()
    }

    /// Calls `see` with every living process of the tree, parents first.
    fn visit(&self, see: impl FnMut(TreeMember)) -> TreeVisit {
        let mut found = TreeVisit::default();
        self.revisit(&mut found, see);
        found
    }

    fn revisit(&self, found: &mut TreeVisit, mut see: impl FnMut(TreeMember)) {
        let inside = self.cgroup.as_ref().map_or_else(Vec::new, Cgroup::pids);
        match self.containment {
            Containment::Group => self.visit_group(found, see),
            Containment::Subreaper | Containment::Cgroup => {
                let mut seen = BTreeSet::new();
                self.visit_descendants(&mut seen, found, &mut see);
                for pid in inside.into_iter().filter(|pid| !seen.contains(pid)) {
                    self.see_insider(pid, found, &mut see);
                }
            }
        }
    }

    fn visit_group(&self, found: &mut TreeVisit, mut see: impl FnMut(TreeMember)) {
        for stat in ProcessStat::everyone_but(&found.others) {
            let ours = stat.group == self.leader.0 && stat.start_time >= self.leader.1;
            if stat.group != self.leader.0 {
                found.others.insert(stat.pid);
            } else if ours && !stat.is_dead() {
                if self.is_stranger(&stat) {
                    found.strangers.insert(stat.pid);
                } else {
                    see(TreeMember { stat, direct: stat.parent == self.shim });
                }
            }
        }
        found.changed = sys::signal_group_through(&self.pidfd, 0).is_ok();
    }

    fn visit_descendants(
        &self,
        seen: &mut BTreeSet<u32>,
        found: &mut TreeVisit,
        see: &mut impl FnMut(TreeMember),
    ) {
        let family = ProcfsSource::now(*self.kernel_lists.get_or_init(ProcfsSource::kernel_has_lists));
        let mut open: Vec<(u32, bool)> = vec![(self.shim, false)];
        while let Some((parent, strange)) = open.pop() {
            for pid in family.children(parent) {
                if !seen.insert(pid) {
                    continue;
                }
                let Some(stat) = ProcessStat::read(pid).filter(|stat| !stat.is_dead()) else {
                    found.changed = true;
                    continue;
                };
                let strange = strange || self.is_stranger(&stat);
                if strange {
                    found.strangers.insert(pid);
                } else {
                    see(TreeMember { stat, direct: parent == self.shim && stat.parent == self.shim });
                }
                open.push((pid, strange));
            }
        }
    }

    /// Handles a process that is in the cgroup but was not found by the scan of descendants.
    fn see_insider(&self, pid: u32, found: &mut TreeVisit, see: &mut impl FnMut(TreeMember)) {
        let Some(stat) = ProcessStat::read(pid).filter(|stat| !stat.is_dead()) else {
            found.changed = true;
            return;
        };
        if found.strangers.contains(&stat.parent) || self.is_stranger(&stat) {
            found.strangers.insert(pid);
        } else {
            see(TreeMember { stat, direct: stat.parent == self.shim });
        }
    }

    /// Returns true if a process is another shim or a manager. Such a process is not part of the tree.
    fn is_stranger(&self, stat: &ProcessStat) -> bool {
        let birth = (stat.pid, stat.start_time);
        // Until the leader executes its program, it is a copy of this shim, and must not be mistaken for another shim.
        if birth == self.leader {
            return false;
        }
        if self.managers.contains(&birth) {
            return true;
        }
        let executable = FileIdentity::of_process(stat.pid);
        let own = self.executable.get_or_init(|| FileIdentity::of_process(std::process::id()));
        executable.is_some() && executable == *own && ProcessStat::has_shim_arguments(stat.pid)
    }
}
