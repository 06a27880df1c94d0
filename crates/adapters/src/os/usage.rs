//! Measures the resource usage of the tree of a live attempt.
//!
//! - Processor time comes from the control group of the attempt if it contains no other process. Otherwise, it is the
//!   sum over the live processes, the children that each of them has reaped, and the children that the shim has reaped.
//! - Memory is resident memory (`VmRSS`). Shared pages count once for each process, because the kernel needs about 50
//!   ms per gigabyte to identify shared pages.
//! - Bytes read and written are counted at the storage device, not at caches and pipes.

use super::procfs;
use longhaul_domain::{LimitMechanism, TreeUsage};
use longhaul_shim::{Containment, FileIdentity, Identity, ProcessStat};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Duration of one tick. `/proc` always uses 100 ticks per second, independent of the kernel's internal tick rate.
const TICK: Duration = Duration::from_millis(10);
const KILOBYTE: u64 = 1024;
/// Maximum depth of nested control groups to inspect.
const MAX_DEPTH: u32 = 16;

/// The processes that belong to an attempt.
#[derive(Debug, Default)]
pub(super) struct TreeMembers {
    /// Live processes.
    pub(super) members: Vec<ProcessStat>,
    /// Processor time of the children that the shim has reaped; zero if some of them did not belong to the attempt.
    pub(super) waited_for: Duration,
    /// True if the control group contains only processes of the attempt.
    pub(super) has_group_to_itself: bool,
}

impl TreeMembers {
    /// Lists the live descendants of a shim. Omits nested managers and shims, and the descendants of those.
    ///
    /// Returns `None` if the shim is no longer running.
    pub(super) fn under_shim(identity: &Identity, managers: &[u32]) -> Option<Self> {
        let shim =
            ProcessStat::read(identity.shim_pid).filter(|stat| stat.start_time == identity.shim_start)?;
        let shims = ForeignPrograms { managers, shim: FileIdentity::of_process(shim.pid) };
        let mut seen = BTreeSet::from([shim.pid]);
        let mut strange = BTreeSet::new();
        let mut members = Vec::new();
        let mut open = vec![(shim, false)];
        while let Some((parent, is_strange)) = open.pop() {
            for pid in procfs::children(&parent) {
                if !seen.insert(pid) {
                    continue;
                }
                let Some(stat) = ProcessStat::read(pid).filter(|stat| !stat.is_dead()) else {
                    continue;
                };
                let is_strange = is_strange || pid != identity.pid && shims.include(pid);
                if is_strange {
                    strange.insert(pid);
                } else {
                    members.push(stat);
                }
                open.push((stat, is_strange));
            }
        }
        let inside = identity.cgroup.as_deref().map(pids_in).unwrap_or_default();
        let elsewhere = inside.difference(&seen).filter_map(|pid| ProcessStat::read(*pid));
        let of_group: Vec<ProcessStat> = match identity.mechanism {
            Containment::Group => ProcessStat::everyone(),
            Containment::Cgroup | Containment::Subreaper => Vec::new(),
        };
        // Without a subreaper, a process that has lost its parent can be found only by its process group.
        let is_of_group = |stat: &ProcessStat| {
            stat.group == identity.pid && stat.start_time >= identity.start_time && !seen.contains(&stat.pid)
        };
        let orphans = of_group.into_iter().filter(is_of_group);
        let others = elsewhere
            .chain(orphans)
            .filter(|stat| !stat.is_dead() && !strange.contains(&stat.parent) && !shims.include(stat.pid));
        members.extend(others);
        let has_group_to_itself = is_all_there_is(&inside, &members);
        // A shim may have adopted and reaped leftovers of a nested manager. In that case its total includes time that
        // does not belong to the tree.
        let waited_for = if strange.is_empty() { ticks(shim.waited_for) } else { Duration::ZERO };
        Some(Self { members, waited_for, has_group_to_itself })
    }

    /// Returns the members of a tree without a shim.
    pub(super) fn of(members: Vec<ProcessStat>, cgroup: Option<&Path>) -> Self {
        let inside = cgroup.map(pids_in).unwrap_or_default();
        let has_group_to_itself = is_all_there_is(&inside, &members);
        Self { members, waited_for: Duration::ZERO, has_group_to_itself }
    }

    /// Adds up the usage of all processes. Returns `None` if no process of the tree is alive.
    pub(super) fn usage(&self, cgroup: Option<&Path>) -> Option<TreeUsage> {
        let used: Vec<ProcessUsage> = self.members.iter().filter_map(ProcessUsage::by).collect();
        if used.is_empty() {
            return None;
        }
        let summed = || used.iter().map(|each| each.cpu).fold(self.waited_for, Duration::saturating_add);
        let all = |bytes: fn(&ProcessUsage) -> Option<u64>| {
            used.iter().map(bytes).try_fold(0_u64, |sum, each| Some(sum.saturating_add(each?)))
        };
        Some(TreeUsage {
            processes: u32::try_from(used.len()).unwrap_or(u32::MAX),
            cpu: self.time_of_group(cgroup).unwrap_or_else(summed),
            memory: used.iter().map(|each| each.memory).fold(0, u64::saturating_add),
            read: all(|each| each.read),
            written: all(|each| each.written),
            limited_by: cgroup.map_or(LimitMechanism::Rlimit, mechanism),
        })
    }

    /// Returns the processor time that the tree has used so far.
    pub(super) fn processor_time(&self, cgroup: Option<&Path>) -> Duration {
        let used = self.members.iter().map(|each| ticks(each.used.saturating_add(each.waited_for)));
        self.time_of_group(cgroup).unwrap_or_else(|| used.fold(self.waited_for, Duration::saturating_add))
    }

    fn time_of_group(&self, cgroup: Option<&Path>) -> Option<Duration> {
        cgroup.filter(|_| self.has_group_to_itself).and_then(processor_time)
    }
}

/// Returns the mechanism that limits the tree: the control group if it has a limit, or else the limits of each process.
pub(super) fn mechanism(cgroup: &Path) -> LimitMechanism {
    let is_limited = |file| {
        let value = fs::read_to_string(cgroup.join(file));
        value.is_ok_and(|value| !value.trim_end().is_empty() && value.trim_end() != "max")
    };
    if is_limited("memory.max") || is_limited("pids.max") {
        LimitMechanism::Cgroup
    } else {
        LimitMechanism::Rlimit
    }
}

/// Returns the processes in a control group and in its subgroups.
pub(super) fn pids_in(cgroup: &Path) -> BTreeSet<u32> {
    let mut pids = BTreeSet::new();
    let mut open = vec![(cgroup.to_owned(), 0)];
    while let Some((path, depth)) = open.pop() {
        let listed = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
        pids.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
        if depth < MAX_DEPTH {
            open.extend(directories(&path).map(|below| (below, depth + 1)));
        }
    }
    pids
}

fn directories(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

fn is_all_there_is(inside: &BTreeSet<u32>, members: &[ProcessStat]) -> bool {
    let members: BTreeSet<u32> = members.iter().map(|member| member.pid).collect();
    inside.is_subset(&members)
}

/// Returns the processor time of all processes that were ever in a control group.
fn processor_time(cgroup: &Path) -> Option<Duration> {
    let text = fs::read_to_string(cgroup.join("cpu.stat")).ok()?;
    let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    used.parse().ok().map(Duration::from_micros)
}

fn ticks(ticks: u64) -> Duration {
    TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
}

/// Programs that run inside a process tree but do not belong to it.
struct ForeignPrograms<'a> {
    managers: &'a [u32],
    shim: Option<FileIdentity>,
}

impl ForeignPrograms<'_> {
    fn include(&self, pid: u32) -> bool {
        self.managers.contains(&pid)
            || self.shim.is_some()
                && FileIdentity::of_process(pid) == self.shim
                && ProcessStat::has_shim_arguments(pid)
    }
}

/// Resource usage of one process.
struct ProcessUsage {
    cpu: Duration,
    memory: u64,
    read: Option<u64>,
    written: Option<u64>,
}

impl ProcessUsage {
    /// Measures a process. Returns `None` if the process has ended.
    fn by(stat: &ProcessStat) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{}/status", stat.pid)).ok()?;
        // An ended process that was not yet reaped uses no memory.
        let resident = number_after(&status, "VmRSS:").unwrap_or(0);
        let io = fs::read_to_string(format!("/proc/{}/io", stat.pid));
        let now =
            ProcessStat::read(stat.pid).filter(|now| now.start_time == stat.start_time && !now.is_dead())?;
        let io = io.ok();
        Some(Self {
            cpu: ticks(now.used.saturating_add(now.waited_for)),
            memory: resident.saturating_mul(KILOBYTE),
            read: io.as_deref().and_then(|io| number_after(io, "read_bytes:")),
            written: io.as_deref().and_then(|io| number_after(io, "write_bytes:")),
        })
    }
}

fn number_after(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_that_has_a_limit_is_named_as_the_mechanism() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(mechanism(dir.path()), LimitMechanism::Rlimit);
        for (file, value, expected) in [
            ("memory.max", "max\n", LimitMechanism::Rlimit),
            ("pids.max", "max\n", LimitMechanism::Rlimit),
            ("pids.max", "20\n", LimitMechanism::Cgroup),
        ] {
            fs::write(dir.path().join(file), value).unwrap();
            assert_eq!(mechanism(dir.path()), expected, "{file} {value}");
        }
    }

    #[test]
    fn time_of_the_group_counts_only_if_it_contains_no_other_process() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cpu.stat"), "usage_usec 1500000\nuser_usec 1\n").unwrap();
        let census = |has_group_to_itself| TreeMembers {
            members: ProcessStat::read(std::process::id()).into_iter().collect(),
            waited_for: Duration::from_secs(7_000_000),
            has_group_to_itself,
        };
        let alone = census(true).usage(Some(dir.path())).unwrap();
        assert_eq!((alone.cpu, alone.processes), (Duration::from_millis(1_500), 1));
        assert!(alone.memory > 0 && alone.read.is_some());
        let shared = census(false).usage(Some(dir.path())).unwrap();
        assert!(shared.cpu >= Duration::from_secs(7_000_000));
    }

    #[test]
    fn empty_tree_has_no_resource_usage() {
        assert_eq!(TreeMembers::default().usage(None), None);
        let mut gone = ProcessStat::read(std::process::id()).unwrap();
        gone.start_time = 1;
        let census = TreeMembers { members: vec![gone], ..TreeMembers::default() };
        assert_eq!(census.usage(None), None);
    }

    #[test]
    fn groups_below_belong_to_a_group() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("cgroup.procs"), "5\n").unwrap();
        fs::write(dir.path().join("a/b/cgroup.procs"), "6\n7\n").unwrap();
        assert_eq!(pids_in(dir.path()), BTreeSet::from([5, 6, 7]));
    }
}
