//! Determines the state of an attempt from its directory alone.

use super::attempts::{Attempts, record_end};
use super::options::OsOptions;
use super::{pidfd, translate};
use longhaul_domain::Interruption;
use longhaul_ports::AttemptKey;
use longhaul_shim::{AttemptDirectory, AttemptFileError, ExitRecord, Identity, is_shortage};
use rustix::io::Errno;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::os::fd::OwnedFd;

/// State of an attempt.
#[derive(Debug)]
pub(super) enum ExaminedAttempt {
    /// The attempt has ended and has an exit record.
    Over {
        /// Identity of the command, if it was started.
        identity: Option<Box<Identity>>,
        record: Box<ExitRecord>,
    },
    /// The attempt has a live shim.
    Supervised,
    /// The shim is no longer running; the command may be alive.
    Orphaned(Box<UnsupervisedAttempt>),
    /// The attempt is no longer running, and no program recorded how it ended.
    Lost {
        why: Interruption,
        /// Identity of the command, if it is known and belongs to the current boot.
        identity: Option<Box<Identity>>,
    },
    /// The shim is no longer running and the command has ended, but leftovers of the command may be alive.
    Unswept(Box<AttemptWithLeftovers>),
}

/// An attempt whose shim is no longer running.
#[derive(Debug)]
pub(super) struct UnsupervisedAttempt {
    pub(super) directory: AttemptDirectory,
    /// The lock on the attempt directory. The program that holds it acts as the shim.
    pub(super) lock: OwnedFd,
    /// Identity of the command and its shim.
    pub(super) identity: Identity,
    /// Pidfd of the command.
    pub(super) pidfd: OwnedFd,
}

/// An attempt whose shim is no longer running and whose command has ended, but whose leftovers may be alive.
#[derive(Debug)]
pub(super) struct AttemptWithLeftovers {
    /// The attempt directory and the lock on it; `None` if the directory was removed.
    pub(super) place: Option<(AttemptDirectory, OwnedFd)>,
    /// Identity of the command and its shim, if the directory contains it.
    pub(super) identity: Option<Identity>,
    /// Exit record of the command.
    pub(super) record: ExitRecord,
}

/// Determines the state of an attempt. If the attempt certainly never ran, marks it as ended, so that no shim can run
/// it later.
///
/// `held` is a pidfd of the command and `seen` is an exit record, if the caller has them. They are more reliable than
/// the files in the directory.
///
/// # Errors
/// A message for users, if the directory cannot be read now.
pub(super) fn examine(
    attempts: &Attempts,
    options: &OsOptions,
    key: AttemptKey,
    held: Option<OwnedFd>,
    seen: Option<ExitRecord>,
) -> Result<ExaminedAttempt, String> {
    let reported = |error: std::io::Error| error.to_string();
    let directory = match (attempts.attempt(key).map_err(reported)?, &seen) {
        (Some(directory), _) => directory,
        (None, Some(record)) => {
            let record = record.clone();
            return Ok(ExaminedAttempt::Unswept(Box::new(AttemptWithLeftovers {
                place: None,
                identity: None,
                record,
            })));
        }
        (None, None) => {
            // Create the directory and mark the attempt as ended below. A shim that is starting right now then refuses
            // to run the attempt.
            attempts.create(key).map_err(reported)?;
            attempts.attempt(key).map_err(reported)?.ok_or("the directory of the attempt is being removed")?
        }
    };
    if let Ok(Some(record)) = directory.exit_record()
        && !record.sweeping
    {
        return over(&directory, record);
    }
    if directory.is_locked().map_err(reported)? {
        return Ok(ExaminedAttempt::Supervised);
    }
    let Some(lock) = directory.lock().map_err(reported)? else {
        return Ok(ExaminedAttempt::Supervised);
    };
    // A shim may have written the record after the first read and before this program got the lock.
    match (directory.exit_record(), seen) {
        (Ok(Some(record)), _) if !record.sweeping => return over(&directory, record),
        (Ok(Some(record)), _) | (Ok(None) | Err(_), Some(record)) => {
            return unswept(directory, lock, record, options);
        }
        (Ok(None), None) => {}
        (Err(error), None) => return damaged(error),
    }
    let identity = match directory.identity() {
        Ok(Some(identity)) => identity,
        Ok(None) => {
            let record = ExitRecord::never_ran(steady_ms(options), wall_ms());
            record_end(&directory, &record).map_err(reported)?;
            return Ok(ExaminedAttempt::Over { identity: None, record: Box::new(record) });
        }
        Err(error) => return damaged(error),
    };
    if identity.boot_id != options.boot_id {
        return Ok(ExaminedAttempt::Lost { why: Interruption::Reboot, identity: None });
    }
    let pidfd = match held {
        Some(held) => Some(held),
        None => pidfd::open(identity.pid, identity.start_time).map_err(reported)?,
    };
    match pidfd {
        Some(pidfd) => {
            Ok(ExaminedAttempt::Orphaned(Box::new(UnsupervisedAttempt { directory, lock, identity, pidfd })))
        }
        None => {
            let why = translate::killed("the command has ended too, and its exit is not recorded");
            Ok(ExaminedAttempt::Lost { why, identity: Some(Box::new(identity)) })
        }
    }
}

/// Returns the current steady time in milliseconds.
pub(super) fn steady_ms(options: &OsOptions) -> u64 {
    let boot = millis(clock_gettime(ClockId::Boottime));
    u64::try_from(options.anchor_ms.saturating_add(boot)).unwrap_or(0)
}

/// Returns the current wall-clock time in milliseconds.
pub(super) fn wall_ms() -> i64 {
    millis(clock_gettime(ClockId::Realtime))
}

fn over(directory: &AttemptDirectory, record: ExitRecord) -> Result<ExaminedAttempt, String> {
    // Errors are ignored: the identity is needed only to report the start, and the exit record is valid without it.
    let identity = directory.identity().ok().flatten().map(Box::new);
    Ok(ExaminedAttempt::Over { identity, record: Box::new(record) })
}

fn unswept(
    directory: AttemptDirectory,
    lock: OwnedFd,
    record: ExitRecord,
    options: &OsOptions,
) -> Result<ExaminedAttempt, String> {
    let identity = directory.identity().ok().flatten();
    if identity.as_ref().is_some_and(|identity| identity.boot_id != options.boot_id) {
        // The machine was rebooted, so no process of the attempt is alive.
        return over(&directory, record);
    }
    Ok(ExaminedAttempt::Unswept(Box::new(AttemptWithLeftovers {
        place: Some((directory, lock)),
        identity,
        record,
    })))
}

fn damaged(error: AttemptFileError) -> Result<ExaminedAttempt, String> {
    if let AttemptFileError::Io { source, .. } = &error
        && is_passing(source)
    {
        // The error may be temporary, so the attempt does not count as lost yet.
        return Err(error.to_string());
    }
    let found = format!("a file of the attempt is damaged or replaced: {error}");
    let why = Interruption::RecordLost { found };
    Ok(ExaminedAttempt::Lost { why, identity: None })
}

/// Returns true if the error may be temporary, such as a disk error or a lack of resources.
fn is_passing(error: &std::io::Error) -> bool {
    let troubles = [Errno::IO, Errno::INTR, Errno::STALE, Errno::TIMEDOUT];
    let is_trouble = |raw| troubles.iter().any(|errno| errno.raw_os_error() == raw);
    is_shortage(error) || error.raw_os_error().is_some_and(is_trouble)
}

const fn millis(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::super::options::ContainmentChoice;
    use super::*;
    use longhaul_domain::{AttemptNo, ProcessId};
    use longhaul_shim::{Containment, EXIT, IDENTITY, ProgramEnd};
    use std::path::Path;

    fn key() -> AttemptKey {
        AttemptKey { id: ProcessId::new(uuid::Uuid::from_u128(5)), attempt: AttemptNo(1) }
    }

    fn options(dir: &Path) -> OsOptions {
        OsOptions {
            attempts_dir: dir.to_owned(),
            shim: "/bin/false".into(),
            anchor_ms: 1_000,
            boot_id: "this".to_owned(),
            containment: ContainmentChoice::Auto,
            adopt_orphans: false,
            open_files: None,
        }
    }

    fn identity(boot_id: &str, pid: u32) -> Identity {
        Identity {
            process: key().id.to_string(),
            attempt: 1,
            boot_id: boot_id.to_owned(),
            shim_pid: 1,
            shim_start: 1,
            pid,
            start_time: 1,
            cgroup: None,
            mechanism: Containment::Subreaper,
            started_at: 5,
            wall: 6,
        }
    }

    fn judged(prepare: impl FnOnce(&Path)) -> ExaminedAttempt {
        let dir = tempfile::tempdir().unwrap();
        let attempts = Attempts::open(dir.path()).unwrap();
        attempts.create(key()).unwrap();
        prepare(&attempts.path_of(key()));
        examine(&attempts, &options(dir.path()), key(), None, None).unwrap()
    }

    #[test]
    fn an_attempt_without_a_directory_never_ran_and_never_will() {
        let dir = tempfile::tempdir().unwrap();
        let attempts = Attempts::open(dir.path()).unwrap();
        let verdict = examine(&attempts, &options(dir.path()), key(), None, None).unwrap();
        assert!(
            matches!(verdict, ExaminedAttempt::Over { record, .. } if record.ending == ProgramEnd::NeverRan)
        );
        // The shim refuses a directory that contains an exit record.
        assert!(attempts.path_of(key()).join(EXIT).exists());
    }

    #[test]
    fn an_empty_directory_is_closed() {
        let verdict = judged(|_| {});
        assert!(
            matches!(verdict, ExaminedAttempt::Over { record, .. } if record.ending == ProgramEnd::NeverRan)
        );
    }

    #[test]
    fn an_identity_of_another_boot_is_lost_by_the_reboot() {
        let bytes = identity("other", std::process::id()).encode();
        let verdict = judged(|path| std::fs::write(path.join(IDENTITY), bytes).unwrap());
        assert!(matches!(verdict, ExaminedAttempt::Lost { why: Interruption::Reboot, .. }), "{verdict:?}");
    }

    #[test]
    fn a_reused_pid_is_not_mistaken_for_the_command() {
        let bytes = identity("this", std::process::id()).encode();
        let verdict = judged(|path| std::fs::write(path.join(IDENTITY), bytes).unwrap());
        assert!(
            matches!(verdict, ExaminedAttempt::Lost { why: Interruption::SupervisorKilled { .. }, .. }),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_damaged_record_is_reported_and_not_guessed() {
        for name in [IDENTITY, EXIT] {
            let verdict = judged(|path| std::fs::write(path.join(name), "nonsense").unwrap());
            assert!(
                matches!(verdict, ExaminedAttempt::Lost { why: Interruption::RecordLost { .. }, .. }),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn another_kind_of_file_at_the_path_of_a_record_is_reported_without_a_wait() {
        for name in [IDENTITY, EXIT] {
            let link = judged(|path| std::os::unix::fs::symlink("/nowhere", path.join(name)).unwrap());
            let directory = judged(|path| std::fs::create_dir(path.join(name)).unwrap());
            for verdict in [link, directory] {
                assert!(
                    matches!(verdict, ExaminedAttempt::Lost { why: Interruption::RecordLost { .. }, .. }),
                    "{verdict:?}"
                );
            }
        }
    }

    #[test]
    fn a_held_lock_means_that_the_shim_is_running() {
        let mut lock = None;
        let verdict = judged(|path| {
            let directory = AttemptDirectory::open(path).unwrap();
            lock = directory.lock().unwrap();
        });
        assert!(lock.is_some() && matches!(verdict, ExaminedAttempt::Supervised), "{verdict:?}");
    }
}
