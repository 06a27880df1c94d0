//! The working directory whose files are copied.

use longhaul_domain::{ArtifactProblem, Timestamp};
use longhaul_shim::AttemptDirectory;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, StatxFlags, fstat, openat, statat, statx};
use rustix::io::Errno;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

/// Name of the file that identifies the working directory at the start of an attempt. The modification time of this file
/// is the start time in the clock of the file system.
pub(in crate::os) const DIRECTORY_MARK: &str = "artifacts.start";
/// Maximum size of the mark that is read, in bytes.
const MAX_MARK_LEN: u64 = 64 << 10;
/// Maximum time by which the clock of a file system lags behind, in milliseconds.
const CLOCK_LAG_MS: i64 = 20;

/// The open working directory of an attempt.
#[derive(Debug)]
pub(super) struct SourceDirectory {
    fd: OwnedFd,
    /// User that owns the directory.
    owner: u32,
    begun_at: Option<Timestamp>,
}

/// The identity of a working directory.
#[derive(Debug)]
struct DirectoryMark {
    path: String,
    device: u64,
    inode: u64,
    /// Creation time of the directory in nanoseconds; `None` if it is unknown.
    created_at: Option<i64>,
    written_at: Timestamp,
}

/// Writes the identity of the working directory into a new attempt directory. If another directory is at the same path
/// when the attempt ends, the identities differ, and longhaul does not read the other directory.
pub(in crate::os) fn mark_directory(attempt: &AttemptDirectory, directory: &str) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, directory, flags, Mode::empty())?;
    let found = fstat(&opened)?;
    // Store the path without links, because the links may point elsewhere when the attempt ends.
    let resolved = std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    let path = resolved.ok().and_then(|path| path.to_str().map(str::to_owned));
    let text = json!({
        "path": path.as_deref().unwrap_or(directory),
        "device": found.st_dev,
        "inode": found.st_ino,
        "created_at": created_at(&opened),
    });
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(attempt, DIRECTORY_MARK, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(text.to_string().as_bytes())
}

impl SourceDirectory {
    /// Opens the working directory of an attempt.
    ///
    /// If the attempt has no mark, for example because the disk was full, the path must not contain a symbolic link.
    pub(super) fn open(attempt: &AttemptDirectory, directory: &str) -> Result<Self, ArtifactProblem> {
        let mark = read_mark(attempt);
        let path = mark.as_ref().map_or(directory, |mark| mark.path.as_str());
        let missing = |_: Errno| ArtifactProblem::DirectoryMissing;
        let mut fd = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(missing)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            fd = openat(&fd, name, flags, Mode::empty()).map_err(|error| match error {
                Errno::LOOP | Errno::NOTDIR => ArtifactProblem::DirectoryReplaced,
                other => missing(other),
            })?;
        }
        let found = fstat(&fd).map_err(missing)?;
        // A file system can give the inode number of a removed directory to its replacement.
        let was_created = created_at(&fd);
        let is_same = |mark: &DirectoryMark| {
            (mark.device, mark.inode) == (found.st_dev, found.st_ino)
                && mark.created_at.zip(was_created).is_none_or(|(marked, found)| marked == found)
        };
        if !mark.as_ref().is_none_or(is_same) {
            return Err(ArtifactProblem::DirectoryReplaced);
        }
        let fd = openat(&fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(missing)?;
        let begun_at = mark.map(|mark| Timestamp(mark.written_at.0.saturating_sub(CLOCK_LAG_MS)));
        Ok(Self { fd, owner: found.st_uid, begun_at })
    }

    /// Returns the start of the attempt by the clock of the file system. No command of the attempt changed a file
    /// before this time. Returns `None` if the time is unknown.
    pub(super) const fn begun_at(&self) -> Option<Timestamp> {
        self.begun_at
    }

    /// Returns true if the directory was removed after it was opened.
    pub(super) fn is_removed(&self) -> bool {
        fstat(&self.fd).is_ok_and(|found| found.st_nlink == 0)
    }

    pub(super) const fn owner(&self) -> u32 {
        self.owner
    }

    /// Opens a regular file below the directory. No name of the path may be a link.
    pub(super) fn open_file(&self, path: &str) -> Result<File, Errno> {
        let (parents, name) =
            path.rsplit_once('/').map_or((None, path), |(parents, name)| (Some(parents), name));
        let mut directory: Option<OwnedFd> = None;
        for parent in parents.into_iter().flat_map(|parents| parents.split('/')) {
            let from = directory.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            directory = Some(open_directory(from, parent)?);
        }
        open_file(directory.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd), name)
    }
}

impl AsFd for SourceDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Returns the creation time of a file in nanoseconds, or `None` if the file system does not record it.
fn created_at(file: impl AsFd) -> Option<i64> {
    let found = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok()?;
    let is_known = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let seconds = found.stx_btime.tv_sec.checked_mul(1_000_000_000)?;
    is_known.then(|| seconds.checked_add(found.stx_btime.tv_nsec.into())).flatten()
}

fn read_mark(attempt: &AttemptDirectory) -> Option<DirectoryMark> {
    let file = open_file(attempt, DIRECTORY_MARK).ok()?;
    let written_at = modified_at(&fstat(&file).ok()?);
    let mut text = String::new();
    file.take(MAX_MARK_LEN).read_to_string(&mut text).ok()?;
    let mark: Value = serde_json::from_str(&text).ok()?;
    Some(DirectoryMark {
        path: mark.get("path")?.as_str()?.to_owned(),
        device: mark.get("device")?.as_u64()?,
        inode: mark.get("inode")?.as_u64()?,
        created_at: mark.get("created_at").and_then(Value::as_i64),
        written_at,
    })
}

/// Opens a directory without following a link.
pub(super) fn open_directory(from: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(from, name, flags, Mode::empty())
}

/// Opens a regular file for reading without following a link. Never waits for the other end of a named pipe.
pub(super) fn open_file(from: impl AsFd, name: &str) -> Result<File, Errno> {
    // Check the kind of the file first, because opening a device can have effects.
    let found = statat(&from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    refuse_special(&found)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(from, name, flags, Mode::empty())?;
    // Check the kind again, because another program may have replaced the file between the two calls.
    refuse_special(&fstat(&file)?)?;
    Ok(file.into())
}

fn refuse_special(found: &Stat) -> Result<(), Errno> {
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Symlink => Err(Errno::LOOP),
        FileType::Directory => Err(Errno::ISDIR),
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Err(Errno::NODEV),
    }
}

/// Returns the time of the last change of the content.
pub(super) fn modified_at(found: &Stat) -> Timestamp {
    Timestamp(in_millis(found.st_mtime, found.st_mtime_nsec))
}

/// Returns the time of the last change of the content or of the file itself, for example by a rename.
pub(super) fn changed_at(found: &Stat) -> Timestamp {
    modified_at(found).max(Timestamp(in_millis(found.st_ctime, found.st_ctime_nsec)))
}

fn in_millis(seconds: impl TryInto<i64>, nanos: impl TryInto<i64>) -> i64 {
    let nanos = nanos.try_into().unwrap_or(0);
    seconds.try_into().unwrap_or(0).saturating_mul(1000).saturating_add(nanos / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn removed_and_replaced_directories_are_noticed() {
        let top = tempfile::tempdir().unwrap();
        let [attempt, work] = ["attempt", "work"].map(|name| top.path().join(name));
        [&attempt, &work].into_iter().for_each(|each| fs::create_dir(each).unwrap());
        let attempt = AttemptDirectory::open(&attempt).unwrap();
        let opened = || SourceDirectory::open(&attempt, work.to_str().unwrap());
        mark_directory(&attempt, work.to_str().unwrap()).unwrap();
        let held = opened().unwrap();
        assert!(!held.is_removed());
        fs::remove_dir(&work).unwrap();
        assert!(held.is_removed());
        assert_eq!(opened().map(|_| ()), Err(ArtifactProblem::DirectoryMissing));
        drop(held);
        // Many file systems give the new directory the inode number of the removed one.
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::create_dir(&work).unwrap();
        assert_eq!(opened().map(|_| ()), Err(ArtifactProblem::DirectoryReplaced));
    }

    #[test]
    fn link_is_never_opened_at_any_place_of_a_path() {
        let top = tempfile::tempdir().unwrap();
        let [attempt, work, outside] = ["attempt", "work", "outside"].map(|name| top.path().join(name));
        for each in [&attempt, &work, &outside, &work.join("d")] {
            fs::create_dir(each).unwrap();
        }
        fs::write(outside.join("secret"), "x").unwrap();
        fs::write(work.join("d/own"), "x").unwrap();
        symlink(&outside, work.join("link")).unwrap();
        symlink(outside.join("secret"), work.join("d/file")).unwrap();
        let attempt = AttemptDirectory::open(&attempt).unwrap();
        let source = SourceDirectory::open(&attempt, work.to_str().unwrap()).unwrap();
        assert!(source.open_file("d/own").is_ok());
        for path in ["link/secret", "d/file"] {
            assert!(source.open_file(path).is_err(), "{path}");
        }
        let through_a_link = Path::join(&work, "link");
        let opened = SourceDirectory::open(&attempt, through_a_link.to_str().unwrap());
        assert_eq!(opened.map(|_| ()), Err(ArtifactProblem::DirectoryReplaced));
    }
}
