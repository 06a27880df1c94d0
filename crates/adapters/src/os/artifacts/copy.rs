//! Copies the found files into the attempt directory, and enforces the limits on artifacts.

use super::search::{FoundFile, FoundFiles, MAX_SKIPPED, SkippedFiles};
use super::source::{SourceDirectory, modified_at, open_directory};
use longhaul_domain::{Artifact, ArtifactList, ArtifactSkipReason, Timestamp};
use longhaul_failpoint::failpoint;
use longhaul_ports::ArtifactLimits;
use longhaul_shim::leave_headroom;
use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::time::Instant;

/// Number of bytes that are copied between two checks of the deadline.
const PIECE_LEN: usize = 256 << 10;
/// Kernel setting that forbids users to create hard links to files of other users.
const PROTECTED_HARD_LINKS: &str = "/proc/sys/fs/protected_hardlinks";

/// Copies the artifacts of one attempt.
#[derive(Debug)]
pub(super) struct ArtifactCopier<'a> {
    source: &'a SourceDirectory,
    target: OwnedFd,
    limits: ArtifactLimits,
    deadline: Instant,
    total: u64,
    /// True if a hard link in the working directory can lead to a file that the owner of the directory cannot read.
    distrusts_hard_links: bool,
}

/// A file that was copied.
#[derive(Debug)]
struct CopiedFile {
    bytes: u64,
    /// Time of the last change before the copy.
    modified_at: Timestamp,
    /// True if the file changed during the copy.
    has_changed: bool,
}

/// Returns the values that differ between two versions of a file: its size, the time of the last change of its content,
/// and the time of the last change of its metadata. A program can set the time of the content back, but not the time of
/// the metadata.
fn version_of(found: &Stat) -> (i64, [i128; 2]) {
    let nanos = |seconds: i128, nanos: i128| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    let times = [
        nanos(found.st_mtime.into(), found.st_mtime_nsec.into()),
        nanos(found.st_ctime.into(), found.st_ctime_nsec.into()),
    ];
    (found.st_size, times)
}

impl<'a> ArtifactCopier<'a> {
    pub(super) fn new(
        source: &'a SourceDirectory,
        target: OwnedFd,
        limits: ArtifactLimits,
        deadline: Instant,
    ) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let are_protected =
            || std::fs::read(PROTECTED_HARD_LINKS).is_ok_and(|text| text.first() == Some(&b'1'));
        let distrusts_hard_links = is_root && source.owner() != 0 && !are_protected();
        Self { source, target, limits, deadline, total: 0, distrusts_hard_links }
    }

    /// Copies the files and returns their list.
    pub(super) fn run(mut self, found: FoundFiles) -> ArtifactList {
        let FoundFiles { files, mut skipped, unmatched, problem } = found;
        let mut copied = Vec::new();
        for file in files {
            match self.copy(&file, copied.len()) {
                Ok(CopiedFile { bytes, modified_at, has_changed }) => {
                    self.total = self.total.saturating_add(bytes);
                    let FoundFile { path, is_unchanged, .. } = file;
                    copied.push(Artifact {
                        path,
                        bytes,
                        modified_at,
                        is_unchanged,
                        has_changed_during_copy: has_changed,
                    });
                }
                Err(reason) => skipped.add(file.path, reason, Some(file.bytes)),
            }
        }
        copied.sort_by(|one, other| one.path.cmp(&other.path));
        let SkippedFiles { named: mut skipped, more } = skipped;
        debug_assert!(skipped.len() <= MAX_SKIPPED);
        skipped.sort_by(|one, other| one.path.cmp(&other.path));
        ArtifactList { files: copied, skipped, more_skipped: more, unmatched, problem }
    }

    /// Copies one file. An incomplete copy is removed.
    fn copy(&self, found: &FoundFile, count: usize) -> Result<CopiedFile, ArtifactSkipReason> {
        self.check(found.bytes)?;
        if count >= usize::try_from(self.limits.files).unwrap_or(usize::MAX) {
            return Err(ArtifactSkipReason::TooMany);
        }
        let source = self.source.open_file(&found.path).map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR => ArtifactSkipReason::Link,
            Errno::NODEV | Errno::ISDIR => ArtifactSkipReason::NotAFile,
            _ => ArtifactSkipReason::Unreadable,
        })?;
        let metadata = source.metadata().map_err(|_| ArtifactSkipReason::Unreadable)?;
        let before = fstat(&source).map_err(|_| ArtifactSkipReason::Unreadable)?;
        if self.distrusts_hard_links && metadata.nlink() > 1 && metadata.uid() != self.source.owner() {
            return Err(ArtifactSkipReason::ForeignLink);
        }
        let (directory, name) = self.parents(&found.path).map_err(|error| reason_of(&error))?;
        let directory = directory.as_ref().unwrap_or(&self.target);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = openat(directory, name, flags, Mode::RUSR | Mode::WUSR);
        let target = File::from(target.map_err(|error| reason_of(&error.into()))?);
        let copied = self.content(&source, target);
        if copied.is_err() {
            // If the removal fails too, readers still do not see the file, because the list does not contain it.
            let _ = unlinkat(directory, name, AtFlags::empty());
        }
        // If the file cannot be examined again, assume that it has changed.
        let has_changed = fstat(&source).map_or(true, |after| version_of(&after) != version_of(&before));
        Ok(CopiedFile { bytes: copied?, modified_at: modified_at(&before), has_changed })
    }

    fn content(&self, mut source: &File, mut target: File) -> Result<u64, ArtifactSkipReason> {
        let mut piece = vec![0; PIECE_LEN];
        let mut bytes = 0_u64;
        loop {
            // Check the size again, because a file can grow during the copy, and some virtual files of the kernel
            // report no size.
            self.check(bytes)?;
            leave_headroom(&target).map_err(|error| reason_of(&error))?;
            let read = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => piece.get(..read).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(ArtifactSkipReason::Unreadable),
            };
            let written = failpoint!("os.artifacts.write").and_then(|()| target.write_all(read));
            written.map_err(|error| reason_of(&error))?;
            bytes = bytes.saturating_add(read.len() as u64);
        }
        let synced = failpoint!("os.artifacts.sync").and_then(|()| target.sync_data());
        synced.map_err(|error| reason_of(&error))?;
        Ok(bytes)
    }

    fn check(&self, bytes: u64) -> Result<(), ArtifactSkipReason> {
        if bytes > self.limits.file_bytes {
            return Err(ArtifactSkipReason::TooLarge);
        }
        if self.total.saturating_add(bytes) > self.limits.total_bytes {
            return Err(ArtifactSkipReason::TotalTooLarge);
        }
        if Instant::now() >= self.deadline {
            return Err(ArtifactSkipReason::OutOfTime);
        }
        Ok(())
    }

    /// Creates the directories of a path. Returns the innermost directory, or `None` if the path has no directory. Also
    /// returns the name of the file.
    fn parents<'p>(&self, path: &'p str) -> io::Result<(Option<OwnedFd>, &'p str)> {
        let Some((parents, name)) = path.rsplit_once('/') else { return Ok((None, path)) };
        let mut directory: Option<OwnedFd> = None;
        for parent in parents.split('/') {
            let from = directory.as_ref().unwrap_or(&self.target);
            match mkdirat(from, parent, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            directory = Some(open_directory(from, parent)?);
        }
        Ok((directory, name))
    }
}

fn reason_of(error: &io::Error) -> ArtifactSkipReason {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        ArtifactSkipReason::DiskFull
    } else {
        ArtifactSkipReason::CopyFailed
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::ArtifactSearch;
    use super::*;
    use longhaul_domain::ArtifactPattern;
    use longhaul_shim::AttemptDirectory;
    use std::fs;
    use std::os::unix::fs::FileExt as _;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    /// Copies all files of a directory, and returns the paths of the files that changed during the copy.
    fn changed_during_copy(work: &Path) -> Vec<String> {
        let top = tempfile::tempdir().unwrap();
        let attempt = AttemptDirectory::open(top.path()).unwrap();
        let source = SourceDirectory::open(&attempt, work.to_str().unwrap()).unwrap();
        let target = tempfile::tempdir().unwrap();
        let to = open_directory(rustix::fs::CWD, target.path().to_str().unwrap()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let patterns = [ArtifactPattern::new("*").unwrap()];
        let found = ArtifactSearch::new(&patterns, None, deadline).run(&source);
        let list = ArtifactCopier::new(&source, to, ArtifactLimits::default(), deadline).run(found);
        assert_eq!(list.skipped, []);
        list.files.into_iter().filter(|file| file.has_changed_during_copy).map(|file| file.path).collect()
    }

    #[test]
    fn file_that_changes_during_its_copy_is_marked() {
        let work = tempfile::tempdir().unwrap();
        fs::write(work.path().join("calm"), "x").unwrap();
        assert_eq!(changed_during_copy(work.path()), [""; 0]);
        let busy = work.path().join("busy");
        fs::write(&busy, vec![b'x'; 32 << 20]).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let file = fs::OpenOptions::new().write(true).open(&busy).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    file.write_all_at(b"y", 16 << 20).unwrap();
                    std::thread::sleep(Duration::from_micros(200));
                }
            });
            let changed = changed_during_copy(work.path());
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(changed, ["busy"]);
        });
    }
}
