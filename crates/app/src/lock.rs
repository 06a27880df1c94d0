//! The lock on a state directory, which ensures that only one manager serves the directory.

use longhaul_cli::shell_word;
use longhaul_client::{LOG, StateDir};
use longhaul_failpoint::failpoint;
use longhaul_shim::ProcessStat;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// File name of the lock file, inside the state directory.
pub(crate) const LOCK: &str = "manager.lock";
/// Maximum number of bytes that are read from the lock file.
const MAX_LOCK_FILE_LEN: u64 = 4096;
/// Maximum time to wait for the lock of a manager that was killed. The kernel releases this lock as soon as it has
/// closed the manager's files.
const LOCK_RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval between two attempts to take the lock.
const STEP: Duration = Duration::from_millis(2);

/// The lock on a state directory, held by its manager. The operating system releases the lock when the manager exits.
#[derive(Debug)]
pub struct ManagerLock {
    file: File,
}

/// Reason why the lock on a state directory was not acquired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another manager holds the lock.
    #[error("another manager uses the state directory {}: {holder}", state_dir.display())]
    Held {
        /// Path of the state directory.
        state_dir: PathBuf,
        /// Manager that holds the lock.
        holder: LockHolder,
    },
    /// A manager holds the lock but does not respond.
    #[error("the manager of the state directory {} does not answer: {holder}", state_dir.display())]
    Silent {
        /// Path of the state directory.
        state_dir: PathBuf,
        /// Manager that holds the lock.
        holder: LockHolder,
    },
    /// The lock file is a symbolic link.
    #[error("the lock file {} is a symbolic link", path.display())]
    SymbolicLink {
        /// Path of the lock file.
        path: PathBuf,
    },
    /// The lock file cannot be opened, locked or written.
    #[error("cannot acquire the lock on the state directory {}", state_dir.display())]
    Failed {
        /// Path of the state directory.
        state_dir: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
}

/// The manager that holds a lock, as recorded in the lock file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockHolder {
    /// Pid of the manager. `None` if it is not recorded.
    pub pid: Option<u32>,
    /// Version of the manager. `None` if it is not recorded.
    pub version: Option<String>,
    /// Start time of the manager, in clock ticks since boot.
    start: Option<u64>,
}

impl ManagerLock {
    /// Acquires the lock and records this program as its holder. If the previous holder is exiting, waits up to two
    /// seconds for the lock.
    ///
    /// # Errors
    /// [`LockError::Held`] if another manager holds the lock. The other variants if the lock file cannot be used.
    pub fn take(state: &StateDir) -> Result<Self, LockError> {
        let failed = |source: io::Error| LockError::Failed { state_dir: state.path().to_owned(), source };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(state, LOCK, flags, Mode::RUSR | Mode::WUSR);
        let mut file = match opened {
            Ok(file) => File::from(file),
            Err(Errno::LOOP) => return Err(LockError::SymbolicLink { path: state.path().join(LOCK) }),
            Err(errno) => return Err(failed(errno.into())),
        };
        let until = Instant::now() + LOCK_RELEASE_TIMEOUT;
        loop {
            // The holder is inspected before this program tries to take the lock. If the holder exits in between, the
            // lock is free.
            let is_ending = LockHolder::read(&mut file).is_ending() && Instant::now() < until;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // The kernel closes the files of an exiting holder one by one. The lock may therefore be free while the
                // holder's store is still open.
                Ok(()) if !is_ending => break,
                Err(Errno::WOULDBLOCK) if !is_ending => {
                    let holder = LockHolder::read(&mut file);
                    return Err(LockError::Held { state_dir: state.path().to_owned(), holder });
                }
                Ok(()) | Err(Errno::WOULDBLOCK) => std::thread::sleep(STEP),
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        match failpoint!("app.lock").and_then(|()| write_holder(&mut file)) {
            // The recorded holder is for display only. The lock is valid without this record.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            written => written.map_err(failed)?,
        }
        Ok(Self { file })
    }
}

impl AsFd for ManagerLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    let start = ProcessStat::read(std::process::id()).map_or(0, |stat| stat.start_time);
    let text = format!("pid={}\nstart={start}\nversion={}\n", std::process::id(), env!("CARGO_PKG_VERSION"));
    file.seek(SeekFrom::Start(0))?;
    // The old text is overwritten before the file is truncated. If the file were truncated first, another file could
    // take the freed disk block on a full disk.
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

impl LockHolder {
    pub(crate) fn read(file: &mut File) -> Self {
        let mut text = String::new();
        // If the lock file cannot be read, the fields stay empty.
        let _ = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.take(MAX_LOCK_FILE_LEN).read_to_string(&mut text));
        let field = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(found, _)| *found == name)
                .map(|(_, value)| value)
        };
        Self {
            pid: field("pid").and_then(|pid| pid.parse().ok()),
            version: field("version").map(str::to_owned),
            start: field("start").and_then(|start| start.parse().ok()),
        }
    }

    /// Returns true if the holder of the lock was killed or is exiting, and the kernel has not closed all of its files
    /// yet.
    fn is_ending(&self) -> bool {
        let stat = self.pid.and_then(ProcessStat::read).filter(|stat| Some(stat.start_time) == self.start);
        stat.is_some_and(|stat| stat.is_ending() && !stat.is_dead())
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.version) {
            (Some(pid), Some(version)) => write!(f, "process {pid}, version {version}"),
            (Some(pid), None) => write!(f, "process {pid}"),
            (None, _) => f.write_str("its pid is not recorded yet"),
        }
    }
}

impl LockError {
    /// Returns the error code.
    pub(crate) const fn slug(&self) -> &'static str {
        match self {
            Self::Held { .. } => "already_running",
            Self::Silent { .. } => "manager_timeout",
            Self::SymbolicLink { .. } | Self::Failed { .. } => "state_dir_unusable",
        }
    }

    /// Returns the reason for the error.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Held { .. } => {
                "two managers of one state directory would start every process twice".to_owned()
            }
            Self::Silent { .. } => {
                "the manager holds the lock but has no socket: it is still starting, or a signal (SIGSTOP) \
                 has stopped it"
                    .to_owned()
            }
            Self::SymbolicLink { .. } => {
                "symbolic links are not followed, because another user could redirect the link to another file".to_owned()
            }
            Self::Failed { source, .. } => source.to_string(),
        }
    }

    /// Returns advice for the user on how to resolve the error.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Held { holder: LockHolder { pid: Some(pid), .. }, .. } => {
                format!("use the running manager, or end it: kill {pid} (its processes continue)")
            }
            Self::Held { .. } => "use the running manager instead".to_owned(),
            Self::Silent { state_dir, holder } => {
                let pid = holder.pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
                format!(
                    "try again in a moment, and read the log {}; if the manager is stopped: kill -CONT {pid}; to \
                     end the manager: kill -9 {pid} (its processes continue)",
                    state_dir.join(LOG).display()
                )
            }
            Self::SymbolicLink { path } => {
                format!(
                    "check the target of the link, then remove the link: rm {}",
                    shell_word(&path.to_string_lossy())
                )
            }
            Self::Failed { .. } => {
                "check with `ls -l` that you own the state directory and all files in it".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_manager_learns_which_manager_has_the_lock() {
        let top = tempfile::tempdir().unwrap();
        let state = StateDir::prepare(top.path()).unwrap();
        let first = ManagerLock::take(&state).unwrap();
        let Err(refused @ LockError::Held { .. }) = ManagerLock::take(&state) else {
            panic!("two have it");
        };
        let me = std::process::id();
        assert!(refused.to_string().contains(&format!("process {me}, version")), "{refused}");
        assert!(refused.help().contains(&format!("kill {me}")));
        drop(first);
        ManagerLock::take(&state).unwrap();
    }

    #[test]
    fn holder_that_runs_is_not_waited_for() {
        let top = tempfile::tempdir().unwrap();
        let state = StateDir::prepare(top.path()).unwrap();
        let _first = ManagerLock::take(&state).unwrap();
        let mut file = File::open(top.path().join(LOCK)).unwrap();
        assert!(!LockHolder::read(&mut file).is_ending());
        assert!(matches!(ManagerLock::take(&state), Err(LockError::Held { .. })));
    }

    #[test]
    fn garbage_in_the_lock_file_does_not_block_a_manager() {
        let top = tempfile::tempdir().unwrap();
        let state = StateDir::prepare(top.path()).unwrap();
        std::fs::write(top.path().join(LOCK), [0xff; 9_000]).unwrap();
        let first = ManagerLock::take(&state).unwrap();
        drop(first);
        let text = std::fs::read_to_string(top.path().join(LOCK)).unwrap();
        assert!(text.starts_with("pid=") && text.ends_with('\n'), "{text:?}");
    }

    #[test]
    fn lock_file_that_is_a_link_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let state = StateDir::prepare(&top.path().join("state")).unwrap();
        let target = top.path().join("target");
        std::os::unix::fs::symlink(&target, state.path().join(LOCK)).unwrap();
        let refused = ManagerLock::take(&state).unwrap_err();
        assert!(refused.to_string().contains("manager.lock is a symbolic link"), "{refused}");
        assert_eq!(refused.slug(), "state_dir_unusable");
        assert!(!target.exists());
    }
}
