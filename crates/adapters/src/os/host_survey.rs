//! Reports attempts and control groups of this host without changing them.

use super::options::ContainmentChoice;
use super::{attempt_mark, cgroups, launch, procfs};
use longhaul_domain::Containment;
use longhaul_shim::{AttemptDirectory, ExitRecord, FileIdentity, Identity, ProcessStat};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Maximum number of attempts to inspect.
const MAX_ATTEMPTS: usize = 20_000;

/// The started attempts in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSurvey {
    /// Attempts with a live shim, or with a manager that took over from the shim.
    pub supervised: Vec<SupervisedAttempt>,
    /// Live attempts whose directory in this state directory is only a copy, because their shim writes into another
    /// directory.
    pub elsewhere: Vec<SupervisedAttempt>,
    /// Number of attempts with live processes that neither a shim nor a manager supervises.
    pub unsupervised: usize,
    /// Pids of the processes of unsupervised attempts, and of processes that outlived their attempt unintentionally.
    pub survivors: Vec<u32>,
    /// True if the directory contains more attempts than were inspected.
    pub more: bool,
}

/// A live attempt that a shim or a manager supervises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupervisedAttempt {
    /// Attempt directory; the name of its parent directory is the process id.
    pub directory: PathBuf,
    /// Pid of the shim; `None` if a manager took over from it.
    pub supervisor: Option<u32>,
    /// True if a signal has stopped the shim.
    pub is_stopped: bool,
    /// Pid of the command, if it is alive.
    pub command: Option<u32>,
}

impl SupervisedAttempt {
    fn of(path: &Path, identity: Option<&Identity>, living: &LiveProcesses) -> Self {
        let supervisor = identity.and_then(supervisor_of);
        Self {
            directory: path.to_owned(),
            supervisor: supervisor.map(|stat| stat.pid),
            is_stopped: supervisor.is_some_and(|stat| stat.is_stopped()),
            command: identity.and_then(|identity| living.leader(identity)),
        }
    }

    /// Returns true if the attempt is still live now.
    #[must_use]
    pub fn is_live(&self) -> bool {
        AttemptDirectory::open(&self.directory).is_ok_and(|directory| {
            let has_ended = directory.exit_record().ok().flatten().is_some_and(|record| !record.sweeping);
            !has_ended && directory.is_locked().unwrap_or(false)
        })
    }

    /// Returns the id of the process that the attempt belongs to.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.directory.parent()?.file_name()?.to_str()
    }
}

impl HostSurvey {
    /// Inspects a directory of attempts. The directory may be missing. Changes nothing.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn of(attempts: &Path) -> io::Result<Self> {
        let processes = match fs::read_dir(attempts) {
            Ok(processes) => processes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut seen = Self::default();
        let living = LiveProcesses::now();
        let below = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
        let mut all = processes.flatten().flat_map(|process| below(process.path()));
        for attempt in all.by_ref().take(MAX_ATTEMPTS) {
            seen.count(&attempt.path(), &living);
        }
        seen.more = all.next().is_some();
        seen.survivors.sort_unstable();
        Ok(seen)
    }

    fn count(&mut self, path: &Path, living: &LiveProcesses) {
        let Ok(directory) = AttemptDirectory::open(path) else { return };
        let record = directory.exit_record().ok().flatten();
        if record.as_ref().is_some_and(keeps_leftovers) {
            return;
        }
        let has_ended = record.is_some_and(|record| !record.sweeping);
        let identity = directory.identity().ok().flatten();
        let mut alive = living.started_for(path);
        if !has_ended {
            alive.extend(identity.as_ref().and_then(|identity| living.leader(identity)));
        } else if alive.is_empty() {
            return;
        }
        match directory.is_locked() {
            Ok(true) if has_ended => {}
            Ok(true) => self.supervised.push(SupervisedAttempt::of(path, identity.as_ref(), living)),
            // A shim locks the directory that it was started for. If the lock is free but the shim is alive, this
            // directory is a copy.
            Ok(false) if identity.as_ref().and_then(supervisor_of).is_some() => {
                self.elsewhere.push(SupervisedAttempt::of(path, identity.as_ref(), living));
            }
            // An attempt without an identity never ran, and an attempt without live processes needs no report.
            Ok(false) => {
                let is_local_only = !has_ended && !alive.is_empty();
                self.unsupervised = self.unsupervised.saturating_add(usize::from(is_local_only));
                self.survivors.extend(alive);
            }
            Err(_) => {}
        }
    }
}

/// Returns the shim of an attempt, if it is alive.
fn supervisor_of(identity: &Identity) -> Option<ProcessStat> {
    ProcessStat::read(identity.shim_pid)
        .filter(|stat| stat.start_time == identity.shim_start && !stat.is_dead())
}

/// Returns true if the spec of the attempt allowed the leftovers of the command to continue running.
const fn keeps_leftovers(record: &ExitRecord) -> bool {
    record.leftovers > 0 && record.swept == 0 && !record.sweeping && record.stopped.is_none()
}

/// The processes on this machine that were started for attempts.
#[derive(Debug)]
struct LiveProcesses {
    /// Pids of all live processes, with their start times.
    processes: BTreeSet<(u32, u64)>,
    by_attempt: BTreeMap<(String, u64), Vec<u32>>,
    /// Processes that only their resource limit identifies, by that limit.
    by_limit: BTreeMap<u64, Vec<u32>>,
}

impl LiveProcesses {
    fn now() -> Self {
        let mut all = ProcessStat::everyone();
        all.retain(|stat| !stat.is_dead());
        let processes = all.iter().map(ProcessStat::birth).collect();
        // If a command started a manager or a shim, that program does not count as a process of the command.
        let this = FileIdentity::of_process(std::process::id());
        all.retain(|stat| this.is_none() || FileIdentity::of_process(stat.pid) != this);
        all.retain(|stat| !ProcessStat::has_shim_arguments(stat.pid));
        let (mut by_attempt, mut by_limit) = (BTreeMap::<_, Vec<u32>>::new(), BTreeMap::<_, Vec<u32>>::new());
        for ProcessStat { pid, .. } in all {
            let variables = procfs::entries(pid, launch::MARKS).and_then(|found| launch::attempt_of(&found));
            match (variables.or_else(|| cgroups::attempt_of(pid)), attempt_mark::limit_on(pid)) {
                (Some(attempt), _) => by_attempt.entry(attempt).or_default().push(pid),
                (None, Some(limit)) => by_limit.entry(limit).or_default().push(pid),
                (None, None) => {}
            }
        }
        Self { processes, by_attempt, by_limit }
    }

    /// Returns the processes that were started for an attempt. The last two parts of `path` identify the attempt.
    fn started_for(&self, path: &Path) -> BTreeSet<u32> {
        let mut names = path.iter().rev().filter_map(|name| name.to_str());
        let (Some(Ok(attempt)), Some(id)) = (names.next().map(str::parse::<u64>), names.next()) else {
            return BTreeSet::new();
        };
        let named = self.by_attempt.get(&(id.to_owned(), attempt));
        let limited = self.by_limit.get(&attempt_mark::limit_of(id, attempt));
        named.into_iter().chain(limited).flatten().copied().collect()
    }

    /// Returns the pid of the command of an attempt, if it is alive.
    fn leader(&self, identity: &Identity) -> Option<u32> {
        self.processes.contains(&(identity.pid, identity.start_time)).then_some(identity.pid)
    }
}

/// Returns the mechanism that groups the descendants of a command on this host. If that mechanism is not a control
/// group, also returns the reason.
///
/// Creates and removes a control group as a test.
#[must_use]
pub fn containment_here(choice: ContainmentChoice) -> (Containment, Option<String>) {
    match choice {
        ContainmentChoice::Subreaper => (Containment::Subreaper, Some("set in the configuration".to_owned())),
        ContainmentChoice::Group => (Containment::Group, Some("set in the configuration".to_owned())),
        ContainmentChoice::Auto | ContainmentChoice::Cgroup => match cgroups::probe() {
            Ok(()) => (Containment::Cgroup, None),
            Err(error) => (Containment::Subreaper, Some(format!("no control group can be created: {error}"))),
        },
    }
}

/// Returns the number of empty control groups that killed shims and managers left behind.
#[must_use]
pub fn deserted_groups() -> usize {
    cgroups::deserted()
}

/// Returns the number of files that can still be created in the file system of a directory. Returns `None` if the file
/// system does not limit the number of files.
///
/// # Errors
/// The error of the system call.
pub fn names_left(directory: &Path) -> io::Result<Option<u64>> {
    let reported = rustix::fs::fstatvfs(File::open(directory)?)?;
    Ok((reported.f_files > 0).then_some(reported.f_favail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::attempts::Attempts;
    use longhaul_domain::{AttemptNo, ProcessId};
    use longhaul_ports::AttemptKey;
    use longhaul_shim::ProgramEnd;
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    #[test]
    fn attempts_are_classified_by_lock_records_and_live_processes() {
        let top = tempfile::tempdir().unwrap();
        let absent = top.path().join("attempts");
        assert_eq!(HostSurvey::of(&absent).unwrap(), HostSurvey::default());
        assert!(!absent.exists(), "who looks makes nothing");
        let attempts = Attempts::open(&absent).unwrap();
        let key =
            |n: u128| AttemptKey { id: ProcessId::new(uuid::Uuid::from_u128(n)), attempt: AttemptNo(1) };
        for n in 1..=9 {
            attempts.create(key(n)).unwrap();
        }
        let me = ProcessStat::read(std::process::id()).unwrap();
        let mut marked = std::process::Command::new("sleep");
        for attempt_mark in launch::marks(key(6)) {
            let (name, value) = attempt_mark.split_once('=').unwrap();
            marked.env(name, value);
        }
        let mut marked = marked.arg("600").spawn().unwrap();
        // The processes of attempts 7 and 8 are identified only by their resource limit, like processes whose
        // environment cannot be read.
        let mut limited = [7, 8].map(|n| {
            let child = std::process::Command::new("sleep").arg("600").env_clear().spawn().unwrap();
            let limit = attempt_mark::limit_of(&key(n).id.to_string(), 1);
            let limit = Rlimit { current: Some(limit), maximum: None };
            prlimit(Some(Pid::from_child(&child)), Resource::Locks, limit).unwrap();
            child
        });
        let copied = (me.pid, me.start_time);
        for (n, start_time, (shim_pid, shim_start)) in [
            (2, me.start_time, (1, u64::MAX)),
            (3, 2, (1, u64::MAX)),
            (4, 2, copied),
            (5, 2, (1, u64::MAX)),
            (6, 2, (1, u64::MAX)),
            (9, me.start_time, copied),
        ] {
            let identity = Identity {
                process: key(n).id.to_string(),
                attempt: 1,
                boot_id: "b".to_owned(),
                shim_pid,
                shim_start,
                pid: me.pid,
                start_time,
                cgroup: None,
                mechanism: longhaul_shim::Containment::Subreaper,
                started_at: 3,
                wall: 4,
            };
            fs::write(attempts.path_of(key(n)).join(longhaul_shim::IDENTITY), identity.encode()).unwrap();
        }
        let ended = ExitRecord { ending: ProgramEnd::Exited { code: 0 }, ..ExitRecord::never_ran(1, 2) };
        let kept = ExitRecord { leftovers: 1, ..ended };
        for (n, record) in [(3, &ended), (7, &ended), (8, &kept)] {
            fs::write(attempts.path_of(key(n)).join(longhaul_shim::EXIT), record.encode()).unwrap();
        }
        let _lock = attempts.attempt(key(4)).unwrap().unwrap().lock().unwrap().unwrap();
        let locked = SupervisedAttempt {
            directory: attempts.path_of(key(4)),
            supervisor: Some(me.pid),
            is_stopped: false,
            command: None,
        };
        assert_eq!(locked.id(), Some(key(4).id.to_string().as_str()));
        // Expected state: the commands of attempts 3 and 5 are gone, and attempt 9 is a copy. Attempt 6 has live
        // processes, and so has attempt 7, which has ended. The processes of attempt 8 were left running on purpose.
        let reported = HostSurvey::of(attempts.path()).unwrap();
        let mut survivors = vec![me.pid, marked.id(), limited[0].id()];
        survivors.sort_unstable();
        for child in limited.iter_mut().chain([&mut marked]) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let copied = SupervisedAttempt {
            directory: attempts.path_of(key(9)),
            supervisor: Some(me.pid),
            is_stopped: false,
            command: Some(me.pid),
        };
        let expected = HostSurvey {
            supervised: vec![locked],
            elsewhere: vec![copied],
            unsupervised: 2,
            survivors,
            more: false,
        };
        assert_eq!(reported, expected);
        let reported = HostSurvey::of(attempts.path()).unwrap();
        assert_eq!(reported, HostSurvey { unsupervised: 1, survivors: vec![me.pid], ..expected });
    }
}
