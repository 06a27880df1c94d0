//! Copies found files into the attempt directory, within the limits.

use super::search::{FoundFile, FoundFiles, MAX_SKIPPED, SkippedFiles};
use super::source::{SourceDirectory, open_directory};
use longhaul_domain::{Artifact, ArtifactList, ArtifactSkipReason};
use longhaul_failpoint::failpoint;
use longhaul_ports::ArtifactLimits;
use longhaul_shim::leave_headroom;
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat};
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
                Ok(bytes) => {
                    self.total = self.total.saturating_add(bytes);
                    let FoundFile { path, modified_at, is_unchanged, .. } = file;
                    copied.push(Artifact { path, bytes, modified_at, is_unchanged });
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

    /// Copies one file and returns the number of its bytes. An incomplete copy is removed.
    fn copy(&self, found: &FoundFile, count: usize) -> Result<u64, ArtifactSkipReason> {
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
        if self.distrusts_hard_links && metadata.nlink() > 1 && metadata.uid() != self.source.owner() {
            return Err(ArtifactSkipReason::ForeignLink);
        }
        let (directory, name) = self.parents(&found.path).map_err(|error| reason_of(&error))?;
        let directory = directory.as_ref().unwrap_or(&self.target);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = openat(directory, name, flags, Mode::RUSR | Mode::WUSR);
        let target = File::from(target.map_err(|error| reason_of(&error.into()))?);
        let copied = self.content(source, target);
        if copied.is_err() {
            // If the removal fails too, the file is not listed, so no reader sees it.
            let _ = unlinkat(directory, name, AtFlags::empty());
        }
        copied
    }

    fn content(&self, mut source: File, mut target: File) -> Result<u64, ArtifactSkipReason> {
        let mut piece = vec![0; PIECE_LEN];
        let mut bytes = 0_u64;
        loop {
            // Check the size again, because a file can grow during the copy, and some files of the kernel report no
            // size.
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
