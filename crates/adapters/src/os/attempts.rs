//! Where the directories of attempts lie: `<attempts>/<process>/<n>/`.

use longhaul_domain::ProcessId;
use longhaul_ports::AttemptKey;
use longhaul_shim::{AttemptDirectory, EXIT, ExitRecord, IDENTITY};
use rustix::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// How many parents of a new attempt directory have new entries: the one of its process and the one of all.
pub(super) const NEW_LEVELS: u8 = 2;

const FRESH_EXIT: &str = "exit.tmp";

/// The directory of all attempts, held open so that nothing is followed on the way down.
#[derive(Debug)]
pub(super) struct Attempts {
    path: PathBuf,
    fd: OwnedFd,
}

impl Attempts {
    /// Opens the directory, which is made durably if absent.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let path = fs::canonicalize(path)?;
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        let fd = File::open(&path)?.into();
        Ok(Self { path, fd })
    }

    /// The path of all of them.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one attempt.
    pub(super) fn path_of(&self, key: AttemptKey) -> PathBuf {
        let mut path = self.process(key.id);
        path.push(key.attempt.to_string());
        path
    }

    /// Makes the directory of an attempt; false if there is one already.
    pub(super) fn create(&self, key: AttemptKey) -> io::Result<bool> {
        match mkdirat(&self.fd, key.id.to_string(), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let process = descend(self.fd.as_fd(), &key.id.to_string())?;
        match mkdirat(&process, key.attempt.to_string(), Mode::RWXU) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes back a directory in which nothing was done.
    pub(super) fn discard(&self, key: AttemptKey) -> io::Result<()> {
        let process = descend(self.fd.as_fd(), &key.id.to_string())?;
        Ok(unlinkat(&process, key.attempt.to_string(), AtFlags::REMOVEDIR)?)
    }

    /// Clears away what a shim left that never opened its gate; false if the attempt may have run.
    pub(super) fn clear(&self, key: AttemptKey) -> io::Result<bool> {
        let Some(directory) = self.attempt(key)? else {
            return Ok(true);
        };
        let Some(_lock) = directory.lock()? else {
            return Ok(false);
        };
        for name in [EXIT, IDENTITY] {
            match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => return Ok(false),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        fs::remove_dir_all(self.path_of(key))?;
        Ok(true)
    }

    /// Opens the directory of an attempt; none if there is none.
    pub(super) fn attempt(&self, key: AttemptKey) -> io::Result<Option<AttemptDirectory>> {
        let open =
            || descend(descend(self.fd.as_fd(), &key.id.to_string())?.as_fd(), &key.attempt.to_string());
        match open() {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes everything of a process; nothing there is not an error.
    pub(super) fn remove(&self, id: ProcessId) -> io::Result<()> {
        match fs::remove_dir_all(self.process(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn process(&self, id: ProcessId) -> PathBuf {
        self.path.join(id.to_string())
    }
}

/// Makes an end durable; only for who holds the lock of the attempt, so that there is one writer.
pub(super) fn record_end(directory: &AttemptDirectory, record: &ExitRecord) -> io::Result<()> {
    match unlinkat(directory, FRESH_EXIT, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(directory, FRESH_EXIT, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(&record.encode())?;
    file.sync_all()?;
    renameat(directory, FRESH_EXIT, directory, EXIT)?;
    Ok(fsync(directory)?)
}

fn descend(from: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    openat(from, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::AttemptNo;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn key() -> AttemptKey {
        AttemptKey { id: ProcessId::new(uuid::Uuid::from_u128(9)), attempt: AttemptNo(1) }
    }

    #[test]
    fn an_attempt_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let attempts = Attempts::open(&dir.path().join("attempts")).unwrap();
        assert!(attempts.attempt(key()).unwrap().is_none());
        assert!(attempts.create(key()).unwrap());
        assert!(!attempts.create(key()).unwrap());
        let mode = fs::metadata(attempts.path_of(key())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_link_in_place_of_an_attempt_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let attempts = Attempts::open(dir.path()).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), dir.path().join(key().id.to_string())).unwrap();
        assert!(attempts.create(key()).is_err());
        assert!(attempts.attempt(key()).is_err());
    }

    #[test]
    fn only_what_never_ran_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        let attempts = Attempts::open(dir.path()).unwrap();
        attempts.create(key()).unwrap();
        fs::write(attempts.path_of(key()).join("output.log"), "").unwrap();
        assert!(attempts.clear(key()).unwrap());
        assert!(attempts.attempt(key()).unwrap().is_none());
        for name in [IDENTITY, EXIT] {
            attempts.create(key()).unwrap();
            let file = attempts.path_of(key()).join(name);
            fs::write(&file, "").unwrap();
            assert!(!attempts.clear(key()).unwrap());
            assert!(file.exists());
            attempts.remove(key().id).unwrap();
        }
    }

    #[test]
    fn removing_leaves_what_links_point_to() {
        let dir = tempfile::tempdir().unwrap();
        let attempts = Attempts::open(dir.path()).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("precious"), "x").unwrap();
        attempts.create(key()).unwrap();
        symlink(elsewhere.path(), attempts.path_of(key()).join("link")).unwrap();
        attempts.remove(key().id).unwrap();
        attempts.remove(key().id).unwrap();
        assert!(attempts.attempt(key()).unwrap().is_none());
        assert!(elsewhere.path().join("precious").exists());
    }

    #[test]
    fn a_recorded_end_is_read_by_the_library_of_the_shim() {
        let dir = tempfile::tempdir().unwrap();
        let attempts = Attempts::open(dir.path()).unwrap();
        attempts.create(key()).unwrap();
        let directory = attempts.attempt(key()).unwrap().unwrap();
        let record = ExitRecord::never_ran(1, 2);
        record_end(&directory, &record).unwrap();
        assert_eq!(directory.exit_record().unwrap(), Some(record));
    }
}
