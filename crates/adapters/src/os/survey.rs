//! What there is of attempts and control groups, for who only looks.

use super::options::ContainmentChoice;
use super::usage::pids_in;
use super::{cgroups, launch, procfs};
use longhaul_domain::Containment;
use longhaul_shim::{FileIdentity, Identity, ProcessStat};
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// So many attempts are looked at, and no more.
const MOST: usize = 20_000;

/// What there is of attempts that have begun and not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Those with a living supervisor.
    pub supervised: usize,
    /// Those whose supervisor is gone, and of which something lives.
    pub unsupervised: usize,
    /// There are more attempts than were looked at.
    pub more: bool,
}

impl Survey {
    /// Looks at a directory of attempts, which may be absent; nothing is made or changed.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub fn of(attempts: &Path) -> io::Result<Self> {
        let processes = match fs::read_dir(attempts) {
            Ok(processes) => processes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut seen = Self::default();
        let living = Living::default();
        let below = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
        let mut all = processes.flatten().flat_map(|process| below(process.path()));
        for attempt in all.by_ref().take(MOST) {
            seen.count(&attempt.path(), &living);
        }
        seen.more = all.next().is_some();
        Ok(seen)
    }

    fn count(&mut self, path: &Path, living: &Living) {
        let Ok(directory) = longhaul_shim::AttemptDirectory::open(path) else { return };
        let has_ended = match directory.exit_record() {
            Ok(Some(record)) => !record.sweeping,
            Ok(None) | Err(_) => false,
        };
        if has_ended {
            return;
        }
        match (directory.is_locked(), directory.identity()) {
            (Ok(true), _) => self.supervised = self.supervised.saturating_add(1),
            (Ok(false), Ok(Some(identity))) if living.has(&identity) => {
                self.unsupervised = self.unsupervised.saturating_add(1);
            }
            // What never opened its gate never ran; and of what is gone altogether its record tells.
            (Ok(false) | Err(_), _) => {}
        }
    }
}

/// Who lives on this machine, looked at when it is asked for first.
#[derive(Debug, Default)]
struct Living(OnceCell<Everyone>);

#[derive(Debug)]
struct Everyone {
    /// Process ids with their start times.
    processes: BTreeSet<(u32, u64)>,
    /// The attempts that they were started for.
    marks: BTreeSet<[Vec<u8>; 2]>,
}

impl Living {
    /// Whether anything of an attempt lives.
    fn has(&self, of: &Identity) -> bool {
        let everyone = self.0.get_or_init(Everyone::now);
        let marks = launch::marks_of(&of.process, of.attempt).map(String::into_bytes);
        everyone.processes.contains(&(of.pid, of.start_time))
            || everyone.marks.contains(&marks)
            || of.cgroup.as_deref().is_some_and(|cgroup| !pids_in(cgroup).is_empty())
    }
}

impl Everyone {
    fn now() -> Self {
        let mut all = ProcessStat::everyone();
        all.retain(|stat| !stat.is_dead());
        // A manager that work started is no part of that work.
        let this = FileIdentity::of_process(std::process::id());
        let others = all.iter().filter(|stat| this.is_none() || FileIdentity::of_process(stat.pid) != this);
        let marks = others.filter_map(|stat| procfs::entries(stat.pid, launch::MARKS)).collect();
        Self { processes: all.iter().map(|stat| (stat.pid, stat.start_time)).collect(), marks }
    }
}

/// What would keep the descendants of a command together here, and why that is not a control group, if so.
///
/// To find out, a control group is made and removed.
#[must_use]
pub fn containment_here(choice: ContainmentChoice) -> (Containment, Option<String>) {
    match choice {
        ContainmentChoice::Subreaper => (Containment::Subreaper, Some("it is configured so".to_owned())),
        ContainmentChoice::Group => (Containment::Group, Some("it is configured so".to_owned())),
        ContainmentChoice::Auto | ContainmentChoice::Cgroup => match cgroups::probe() {
            Ok(()) => (Containment::Cgroup, None),
            Err(error) => (Containment::Subreaper, Some(format!("no control group can be made: {error}"))),
        },
    }
}

/// How many control groups lie about that managers left behind and nobody is in.
#[must_use]
pub fn deserted_groups() -> usize {
    cgroups::deserted()
}

/// What the file system of a directory has left in names of files; none where it does not count them.
///
/// # Errors
/// What the system says.
pub fn names_left(directory: &Path) -> io::Result<Option<u64>> {
    let told = rustix::fs::fstatvfs(File::open(directory)?)?;
    Ok((told.f_files > 0).then_some(told.f_favail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::attempts::Attempts;
    use longhaul_domain::{AttemptNo, ProcessId};
    use longhaul_ports::AttemptKey;

    #[test]
    fn attempts_are_told_apart_by_lock_records_and_who_lives() {
        let top = tempfile::tempdir().unwrap();
        let absent = top.path().join("attempts");
        assert_eq!(Survey::of(&absent).unwrap(), Survey::default());
        assert!(!absent.exists(), "who looks makes nothing");
        let attempts = Attempts::open(&absent).unwrap();
        let key =
            |n: u128| AttemptKey { id: ProcessId::new(uuid::Uuid::from_u128(n)), attempt: AttemptNo(1) };
        for n in 1..=6 {
            attempts.create(key(n)).unwrap();
        }
        let me = ProcessStat::read(std::process::id()).unwrap();
        let mut marked = std::process::Command::new("sleep");
        for mark in launch::marks(key(6)) {
            let (name, value) = mark.split_once('=').unwrap();
            marked.env(name, value);
        }
        let mut marked = marked.arg("600").spawn().unwrap();
        for (n, start_time) in [(2, me.start_time), (3, 2), (4, 2), (5, 2), (6, 2)] {
            let identity = Identity {
                process: key(n).id.to_string(),
                attempt: 1,
                boot_id: "b".to_owned(),
                shim_pid: 1,
                shim_start: 1,
                pid: me.pid,
                start_time,
                cgroup: None,
                mechanism: longhaul_shim::Containment::Subreaper,
                started_at: 3,
                wall: 4,
            };
            fs::write(attempts.path_of(key(n)).join(longhaul_shim::IDENTITY), identity.encode()).unwrap();
        }
        let ended = longhaul_shim::ExitRecord::never_ran(1, 2).encode();
        fs::write(attempts.path_of(key(3)).join(longhaul_shim::EXIT), ended).unwrap();
        let _lock = attempts.attempt(key(4)).unwrap().unwrap().lock().unwrap().unwrap();
        // The commands of 3 and 5 are gone; of 6 something lives that it started.
        let told = Survey::of(attempts.path()).unwrap();
        marked.kill().unwrap();
        marked.wait().unwrap();
        assert_eq!(told, Survey { supervised: 1, unsupervised: 2, more: false });
        let told = Survey::of(attempts.path()).unwrap();
        assert_eq!(told, Survey { supervised: 1, unsupervised: 1, more: false });
    }
}
