//! What there is of attempts and control groups, for who only looks.

use super::cgroups;
use super::options::ContainmentChoice;
use longhaul_domain::Containment;
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
    /// Those whose supervisor is gone, and of which nobody has recorded an end.
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
        let below = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
        let mut all = processes.flatten().flat_map(|process| below(process.path()));
        for attempt in all.by_ref().take(MOST) {
            seen.count(&attempt.path());
        }
        seen.more = all.next().is_some();
        Ok(seen)
    }

    fn count(&mut self, path: &Path) {
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
            (Ok(false), Ok(Some(_))) => self.unsupervised = self.unsupervised.saturating_add(1),
            // What never opened its gate never ran.
            (Ok(false) | Err(_), _) => {}
        }
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
    fn attempts_are_told_apart_by_lock_and_records() {
        let top = tempfile::tempdir().unwrap();
        let absent = top.path().join("attempts");
        assert_eq!(Survey::of(&absent).unwrap(), Survey::default());
        assert!(!absent.exists(), "who looks makes nothing");
        let attempts = Attempts::open(&absent).unwrap();
        let key =
            |n: u128| AttemptKey { id: ProcessId::new(uuid::Uuid::from_u128(n)), attempt: AttemptNo(1) };
        for n in 1..=4 {
            attempts.create(key(n)).unwrap();
        }
        let identity = longhaul_shim::Identity {
            process: key(2).id.to_string(),
            attempt: 1,
            boot_id: "b".to_owned(),
            shim_pid: 1,
            shim_start: 1,
            pid: 2,
            start_time: 2,
            cgroup: None,
            mechanism: longhaul_shim::Containment::Subreaper,
            started_at: 3,
            wall: 4,
        };
        for n in [2, 3, 4] {
            fs::write(attempts.path_of(key(n)).join(longhaul_shim::IDENTITY), identity.encode()).unwrap();
        }
        let ended = longhaul_shim::ExitRecord::never_ran(1, 2).encode();
        fs::write(attempts.path_of(key(3)).join(longhaul_shim::EXIT), ended).unwrap();
        let _lock = attempts.attempt(key(4)).unwrap().unwrap().lock().unwrap().unwrap();
        let told = Survey::of(attempts.path()).unwrap();
        assert_eq!(told, Survey { supervised: 1, unsupervised: 1, more: false });
    }
}
