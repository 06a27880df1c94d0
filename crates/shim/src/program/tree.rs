//! The processes of an attempt: who belongs to it, and how they are reached.

use std::{cell::OnceCell, collections::BTreeSet, io, os::fd::OwnedFd};

use rustix::process::{Pid, PidfdFlags};

use super::{cgroup::Cgroup, procfs::ProcfsSource, sys};
use crate::{
    containment::Containment, file_identity::FileIdentity, out_of_memory::has_killed_in_group,
    process_stat::ProcessStat,
};

const MAX_MANAGERS: usize = 16;
/// A tree that changes is looked at so often before it counts as empty.
const SCANS: u32 = 8;

/// A process and its start, which together name one process for ever.
pub(super) type ProcessStart = (u32, u64);

/// The tree of one attempt.
pub(super) struct ProcessTree {
    containment: Containment,
    cgroup: Option<Cgroup>,
    leader: ProcessStart,
    pidfd: OwnedFd,
    shim: u32,
    /// Looked at only when there is somebody to tell apart, which for most attempts there never is.
    executable: OnceCell<Option<FileIdentity>>,
    kernel_lists: OnceCell<bool>,
    managers: Vec<ProcessStart>,
}

/// One living process of the tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct TreeMember {
    pub(super) stat: ProcessStat,
    /// It is the shim's own child, so that its pid cannot pass to another before the shim has waited for it.
    direct: bool,
}

/// What a look at the tree found beside its members.
#[derive(Debug, Default)]
struct TreeVisit {
    /// The pids of those who do not belong to it.
    strangers: BTreeSet<u32>,
    /// The pids of those in other groups, who need not be looked at a moment later.
    others: BTreeSet<u32>,
    /// Somebody ended while it was looked at, or is in its group and was not found.
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

    /// Remembers a manager, which is never part of the tree, not even one that the work started.
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

    /// Lists the managers that live.
    pub(super) fn managers(&self) -> Vec<u32> {
        let lives = |birth: &&ProcessStart| {
            ProcessStat::read(birth.0).is_some_and(|stat| stat.start_time == birth.1 && !stat.is_dead())
        };
        self.managers.iter().filter(lives).map(|birth| birth.0).collect()
    }

    /// Lists who is alive.
    pub(super) fn members(&self) -> Vec<TreeMember> {
        let (mut members, mut found) = (Vec::new(), TreeVisit::default());
        for _ in 0..SCANS {
            found = TreeVisit { others: found.others, ..TreeVisit::default() };
            self.visit_anew(&mut found, |member| members.push(member));
            // Whoever has just ended may have left an heir that was not looked at.
            if !members.is_empty() || !found.changed {
                break;
            }
        }
        members
    }

    /// Tells whether nobody is alive, if the kernel says so of the tree as a whole: no look at one process after the other
    /// finds those who make an heir and end all the time. None where it cannot tell.
    pub(super) fn is_surely_empty(&self, require_no_live_descendants: bool) -> Option<bool> {
        let empty = match self.containment {
            Containment::Subreaper => require_no_live_descendants,
            Containment::Cgroup => require_no_live_descendants && self.is_unpopulated(),
            Containment::Group => {
                let asked = sys::signal_group_through(&self.pidfd, 0);
                return match asked.map_err(|error| error.raw_os_error()) {
                    Err(Some(libc::ESRCH)) => Some(true),
                    // For want of a permission, too, there is somebody; but who is no part of it may be all there is.
                    Ok(()) | Err(Some(libc::EPERM)) => {
                        self.visit(|_| {}).strangers.is_empty().then_some(false)
                    }
                    Err(_) => None,
                };
            }
        };
        // What the work started and is no part of it lives on below this shim.
        (empty || self.visit(|_| {}).strangers.is_empty()).then_some(empty)
    }

    /// Returns the cgroup, if nothing but the tree is in it, so that it can be acted on as a whole.
    pub(super) fn whole_cgroup(&self) -> Option<&Cgroup> {
        let cgroup = self.cgroup.as_ref()?;
        let strangers = self.visit(|_| {}).strangers;
        let inside = cgroup.pids();
        (!inside.iter().any(|pid| strangers.contains(pid))).then_some(cgroup)
    }

    /// Tells whether the kernel killed somebody in the cgroup for want of memory.
    pub(super) fn has_run_out_of_memory(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| has_killed_in_group(cgroup.path()))
    }

    /// Tells whether the kernel knows nobody in the cgroup, nor in those below it.
    pub(super) fn is_unpopulated(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| cgroup.is_populated().is_ok_and(|populated| !populated))
    }

    /// Removes the cgroup at the end.
    pub(super) fn remove_cgroup(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
    }

    /// Lets a frozen cgroup go on, whoever is in it.
    pub(super) fn thaw(&self) {
        if let Some(cgroup) = &self.cgroup {
            drop(cgroup.freeze(false));
        }
    }

    /// Sends a signal to the program that was launched.
    pub(super) fn signal_leader(&self, signal: i32) -> io::Result<()> {
        sys::signal_through(&self.pidfd, signal)
    }

    /// Sends a signal to everybody, the leader first; returns whom it reached.
    pub(super) fn signal_all(&self, signal: i32) -> Vec<ProcessStart> {
        let mut reached = Vec::new();
        if self.containment == Containment::Group {
            let births: Vec<ProcessStart> = self.members().iter().map(TreeMember::birth).collect();
            // At one moment, so that nobody is born in between; but those who are no part of it are spared.
            if self.visit(|_| {}).strangers.is_empty()
                && sys::signal_group_through(&self.pidfd, signal).is_ok()
            {
                return births;
            }
        }
        if self.signal_leader(signal).is_ok() {
            reached.push(self.leader);
        }
        self.visit(|member| {
            if member.birth() != self.leader && self.deliver(&member, signal) {
                reached.push(member.birth());
            }
        });
        reached
    }

    /// Sends a signal to one member, and to nobody who got its pid later.
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

    /// Shows every living member to `see`, parents first.
    fn visit(&self, see: impl FnMut(TreeMember)) -> TreeVisit {
        let mut found = TreeVisit::default();
        self.visit_anew(&mut found, see);
        found
    }

    fn visit_anew(&self, found: &mut TreeVisit, mut see: impl FnMut(TreeMember)) {
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

    /// Shows a process that is in the cgroup but was born behind the back of the walk.
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

    /// Tells whether a process is another shim or a manager.
    fn is_stranger(&self, stat: &ProcessStat) -> bool {
        let birth = (stat.pid, stat.start_time);
        // Before it is executed, the leader is a copy of this shim.
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
