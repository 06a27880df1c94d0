//! Locates and manages the attempt directories: `<attempts>/<process>/<n>/`.

use super::artifacts::DIRECTORY_MARK;
use longhaul_domain::ProcessId;
use longhaul_failpoint::failpoint;
use longhaul_ports::AttemptKey;
use longhaul_shim::{AttemptDirectory, EXIT, ExitRecord, IDENTITY};
use rustix::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Number of parent directories that may get a new entry when an attempt directory is created: the directory of the
/// process, and the directory of all attempts.
pub(super) const NEW_LEVELS: u8 = 2;

/// Size in bytes of the blocks in which the system reports the storage of a file.
const BLOCK: u64 = 512;

const EXIT_TEMP_NAME: &str = "exit.tmp";

/// The directory of all attempts. Subdirectories are opened relative to its descriptor, and no symbolic link is
/// followed.
#[derive(Debug)]
pub(super) struct Attempts {
    path: PathBuf,
    fd: OwnedFd,
}

impl Attempts {
    /// Opens the directory. Creates it durably if it does not exist.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.is_symlink() {
            let why = format!(
                "{} is a symbolic link; configure the directory that the link points to, or mount the \
                directory at this path",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::NotADirectory, why));
        }
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let path = fs::canonicalize(path)?;
        if let Some(parent) = path.parent() {
            failpoint!("os.attempts.directory")?;
            File::open(parent)?.sync_all()?;
        }
        let fd = File::open(&path)?.into();
        Ok(Self { path, fd })
    }

    /// Returns the path of the directory of all attempts.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of one attempt directory.
    pub(super) fn path_of(&self, key: AttemptKey) -> PathBuf {
        let mut path = self.process(key.id);
        path.push(key.attempt.to_string());
        path
    }

    /// Creates an attempt directory. Returns false if it exists already.
    pub(super) fn create(&self, key: AttemptKey) -> io::Result<bool> {
        failpoint!("os.attempt.create")?;
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

    /// Removes an attempt directory without a shim. The directory may contain only the mark of the working directory.
    pub(super) fn discard(&self, key: AttemptKey) -> io::Result<()> {
        let process = descend(self.fd.as_fd(), &key.id.to_string())?;
        if let Ok(attempt) = descend(process.as_fd(), &key.attempt.to_string()) {
            match unlinkat(&attempt, DIRECTORY_MARK, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(unlinkat(&process, key.attempt.to_string(), AtFlags::REMOVEDIR)?)
    }

    /// Removes the files of a shim that never started its command. Returns false if the command may have been started.
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
        failpoint!("os.attempt.clear")?;
        fs::remove_dir_all(self.path_of(key))?;
        Ok(true)
    }

    /// Opens an attempt directory. Returns `None` if it does not exist.
    pub(super) fn attempt(&self, key: AttemptKey) -> io::Result<Option<AttemptDirectory>> {
        let open =
            || descend(descend(self.fd.as_fd(), &key.id.to_string())?.as_fd(), &key.attempt.to_string());
        match open() {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the storage that the attempts of a process use, in bytes; 0 if the process has no attempts.
    pub(super) fn size_on_disk(&self, id: ProcessId) -> io::Result<u64> {
        let absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let attempts = match fs::read_dir(self.process(id)) {
            Err(error) if absent(&error) => return Ok(0),
            other => other?,
        };
        let mut bytes = 0_u64;
        let mut directories = vec![];
        for attempt in attempts {
            directories.push(attempt?.path());
        }
        // Artifacts can be in nested directories.
        while let Some(directory) = directories.pop() {
            let files = match fs::read_dir(&directory) {
                Err(error) if absent(&error) => continue,
                other => other?,
            };
            for file in files {
                let file = file?;
                match file.metadata() {
                    Ok(metadata) => {
                        bytes = bytes.saturating_add(metadata.blocks().saturating_mul(BLOCK));
                        if metadata.is_dir() {
                            directories.push(file.path());
                        }
                    }
                    Err(error) if absent(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(bytes)
    }

    /// Returns up to `limit` ids of processes that have a directory, in the order of the ids, starting after `after`.
    pub(super) fn kept(&self, after: Option<ProcessId>, limit: u32) -> io::Result<Vec<ProcessId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.parse::<ProcessId>().ok());
            // Accept only names as this program writes them. A directory with another spelling of an id belongs to
            // another program.
            if let Some(id) = id.filter(|id| name.to_str() == Some(id.to_string().as_str()))
                && after.is_none_or(|after| id > after)
            {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(ids)
    }

    /// Removes the attempt directories of a process.
    ///
    /// # Errors
    /// If an attempt is still running. A missing directory is not an error.
    pub(super) fn remove(&self, id: ProcessId) -> io::Result<()> {
        if self.is_at_work(id)? {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "an attempt of the process is still running",
            ));
        }
        failpoint!("os.output.remove")?;
        match fs::remove_dir_all(self.process(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns true if an attempt of the process has a live shim and no exit record.
    fn is_at_work(&self, id: ProcessId) -> io::Result<bool> {
        let process = match descend(self.fd.as_fd(), &id.to_string()) {
            Ok(process) => process,
            // If the path is not a directory, another program created it, so no attempt can run in it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        for entry in rustix::fs::Dir::read_from(&process)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.parse::<u32>().is_err() {
                continue;
            }
            let Ok(attempt) = descend(process.as_fd(), &name) else {
                continue;
            };
            let attempt = AttemptDirectory::from(attempt);
            let has_ended = statat(&attempt, EXIT, AtFlags::SYMLINK_NOFOLLOW).is_ok();
            if !has_ended && attempt.is_locked()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns true if the attempt has a shim, or if that cannot be determined.
    pub(super) fn has_shim(&self, key: AttemptKey) -> bool {
        match self.attempt(key) {
            Ok(Some(directory)) => directory.is_locked().unwrap_or(true),
            Ok(None) => false,
            Err(_) => true,
        }
    }

    fn process(&self, id: ProcessId) -> PathBuf {
        self.path.join(id.to_string())
    }
}

/// Writes an exit record durably. The caller must hold the lock on the attempt, so that no other program writes the
/// record.
pub(super) fn record_end(directory: &AttemptDirectory, record: &ExitRecord) -> io::Result<()> {
    let file = match kept_room(directory) {
        Some(file) => file,
        None => fresh_exit(directory)?,
    };
    let written = write_end(directory, file, &record.encode());
    if written.is_err() {
        // The content of a file after a failed fsync cannot be trusted.
        let _is_tried_anew_each_time = unlinkat(directory, EXIT_TEMP_NAME, AtFlags::empty());
    }
    written
}

fn write_end(directory: &AttemptDirectory, mut file: File, bytes: &[u8]) -> io::Result<()> {
    failpoint!("os.end.write")?;
    file.write_all(bytes)?;
    // Truncate the file: the command may have written into the reserved file, and nothing may follow the record.
    file.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    failpoint!("os.end.sync")?;
    file.sync_all()?;
    failpoint!("os.end.rename")?;
    renameat(directory, EXIT_TEMP_NAME, directory, EXIT)?;
    failpoint!("os.end.directory")?;
    Ok(fsync(directory)?)
}

/// Opens the file in which the shim reserved disk space. The file is reused, because another program could use up the
/// space as soon as it is freed.
fn kept_room(directory: &AttemptDirectory) -> Option<File> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(directory, EXIT_TEMP_NAME, flags, Mode::empty()).ok()?);
    let found = file.metadata().ok()?;
    (found.is_file() && found.nlink() == 1).then_some(file)
}

fn fresh_exit(directory: &AttemptDirectory) -> io::Result<File> {
    match unlinkat(directory, EXIT_TEMP_NAME, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(directory, EXIT_TEMP_NAME, flags, Mode::RUSR | Mode::WUSR)?.into())
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
    fn only_attempts_that_never_ran_are_removed() {
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
    fn removal_keeps_the_targets_of_links() {
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

    #[test]
    fn an_exit_record_uses_its_reserved_space_whatever_the_space_contains() {
        let dir = tempfile::tempdir().unwrap();
        let attempts = Attempts::open(dir.path()).unwrap();
        attempts.create(key()).unwrap();
        let path = attempts.path_of(key());
        let directory = attempts.attempt(key()).unwrap().unwrap();
        fs::write(path.join(EXIT_TEMP_NAME), [0; 9_000]).unwrap();
        let room = fs::metadata(path.join(EXIT_TEMP_NAME)).unwrap().ino();
        let record = ExitRecord::never_ran(1, 2);
        record_end(&directory, &record).unwrap();
        assert_eq!(directory.exit_record().unwrap(), Some(record.clone()));
        assert_eq!(fs::metadata(path.join(EXIT)).unwrap().ino(), room);
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, "precious").unwrap();
        for link in [symlink::<&Path, PathBuf>, fs::hard_link] {
            link(&elsewhere, path.join(EXIT_TEMP_NAME)).unwrap();
            record_end(&directory, &record).unwrap();
            assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious");
        }
    }
}
