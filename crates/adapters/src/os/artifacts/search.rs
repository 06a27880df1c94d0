//! Searches a working directory for the files that match a pattern.

use super::source::{SourceDirectory, changed_at, open_directory};
use longhaul_domain::{
    ArtifactPattern, ArtifactProblem, ArtifactSkipReason, PatternProgress, SkippedArtifact, Timestamp,
};
use rustix::fs::{AtFlags, Dir, DirEntry, FileType, statat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// Maximum number of matching files that are considered for copying.
const MAX_FOUND: usize = 10_000;
/// Maximum depth of nested directories. The limit is low, because each level occupies two file descriptors during the
/// search.
const MAX_DEPTH: usize = 64;
/// Maximum length of the path of an artifact, in bytes.
const MAX_PATH_LEN: usize = 4096;
/// Maximum number of skipped files that are listed with their path.
pub(super) const MAX_SKIPPED: usize = 1000;
/// Number of directory entries between two checks of the deadline.
const ENTRIES_PER_CHECK: u64 = 256;

/// A search for artifacts.
#[derive(Debug)]
pub(super) struct ArtifactSearch<'a> {
    patterns: &'a [ArtifactPattern],
    begun_at: Option<Timestamp>,
    deadline: Instant,
    entries: u64,
    has_matched: Vec<bool>,
    found: FoundFiles,
}

/// The result of a search.
#[derive(Debug, Default)]
pub(super) struct FoundFiles {
    pub(super) files: Vec<FoundFile>,
    pub(super) skipped: SkippedFiles,
    pub(super) unmatched: Vec<String>,
    pub(super) problem: Option<ArtifactProblem>,
}

/// A regular file that matches a pattern.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) is_unchanged: bool,
}

/// Skipped files, of which only the first ones are named.
#[derive(Debug, Default)]
pub(super) struct SkippedFiles {
    pub(super) named: Vec<SkippedArtifact>,
    pub(super) more: u64,
}

impl SkippedFiles {
    pub(super) fn add(&mut self, path: String, reason: ArtifactSkipReason, bytes: Option<u64>) {
        if self.named.len() < MAX_SKIPPED {
            self.named.push(SkippedArtifact { path, reason, bytes });
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

impl<'a> ArtifactSearch<'a> {
    pub(super) fn new(
        patterns: &'a [ArtifactPattern],
        begun_at: Option<Timestamp>,
        deadline: Instant,
    ) -> Self {
        let has_matched = vec![false; patterns.len()];
        Self { patterns, begun_at, deadline, entries: 0, has_matched, found: FoundFiles::default() }
    }

    /// Searches the working directory. Files that were changed after the start of the attempt come first in the result,
    /// so that old files do not use up the limits.
    pub(super) fn run(mut self, source: &SourceDirectory) -> FoundFiles {
        let begin: Vec<PatternProgress> = self.patterns.iter().map(ArtifactPattern::begin).collect();
        match open_directory(source, ".") {
            Ok(directory) => self.directory(&directory, "", &begin, 0),
            Err(_) => self.found.problem = Some(ArtifactProblem::DirectoryMissing),
        }
        let mut found = self.found;
        found
            .files
            .sort_by(|one, other| (one.is_unchanged, &one.path).cmp(&(other.is_unchanged, &other.path)));
        if found.problem.is_none() && source.is_removed() {
            found.problem = Some(ArtifactProblem::DirectoryMissing);
        }
        if found.problem.is_some() {
            // The search is incomplete, so it may have missed files that match the remaining patterns.
            return found;
        }
        let unmatched = self.patterns.iter().zip(self.has_matched).filter(|(_, has_matched)| !has_matched);
        found.unmatched = unmatched.map(|(pattern, _)| pattern.to_string()).collect();
        found
    }

    fn directory(&mut self, directory: &OwnedFd, prefix: &str, at: &[PatternProgress], depth: usize) {
        let Ok(mut entries) = Dir::read_from(directory) else {
            return self.found.skipped.add(prefix.to_owned(), ArtifactSkipReason::Unreadable, None);
        };
        while let Some(entry) = entries.read() {
            let Ok(entry) = entry else {
                return self.found.skipped.add(prefix.to_owned(), ArtifactSkipReason::Unreadable, None);
            };
            if self.is_over() {
                return;
            }
            let name = entry.file_name();
            if name.to_bytes() == b"." || name.to_bytes() == b".." {
                continue;
            }
            let shown = name.to_string_lossy();
            let next: Vec<PatternProgress> =
                self.patterns.iter().zip(at).map(|(pattern, at)| pattern.enter(*at, &shown)).collect();
            if next.iter().all(|next| next.is_dead()) {
                continue;
            }
            let path = if prefix.is_empty() { shown.to_string() } else { format!("{prefix}/{shown}") };
            let Some(kind) = kind_of(directory, &entry) else { continue };
            let is_text = name.to_str().is_ok() && path.len() <= MAX_PATH_LEN;
            match kind {
                FileType::Directory if self.goes_on(&next) => {
                    if is_text && depth < MAX_DEPTH {
                        self.below(directory, &shown, &path, &next, depth);
                    } else {
                        self.found.skipped.add(path, ArtifactSkipReason::BadPath, None);
                    }
                }
                FileType::Directory => {}
                FileType::Symlink => {
                    if self.is_named(at, &shown) || self.accepts(&next) {
                        self.found.skipped.add(path, ArtifactSkipReason::Link, None);
                    }
                }
                FileType::RegularFile
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown
                    if !self.accepts(&next) => {}
                FileType::RegularFile if !is_text => {
                    self.found.skipped.add(path, ArtifactSkipReason::BadPath, None)
                }
                FileType::RegularFile => self.file(directory, &shown, path),
                FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => self.found.skipped.add(path, ArtifactSkipReason::NotAFile, None),
            }
        }
    }

    fn below(&mut self, directory: &OwnedFd, name: &str, path: &str, next: &[PatternProgress], depth: usize) {
        match open_directory(directory, name) {
            Ok(inner) => self.directory(&inner, path, next, depth.saturating_add(1)),
            Err(Errno::NOENT) => {}
            Err(Errno::LOOP | Errno::NOTDIR) => {
                self.found.skipped.add(path.to_owned(), ArtifactSkipReason::Link, None);
            }
            Err(_) => self.found.skipped.add(path.to_owned(), ArtifactSkipReason::Unreadable, None),
        }
    }

    fn file(&mut self, directory: impl AsFd, name: &str, path: String) {
        // If this call fails, the file was removed during the search.
        let Ok(found) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        self.found.files.push(FoundFile {
            path,
            bytes: u64::try_from(found.st_size).unwrap_or(0),
            is_unchanged: self.begun_at.is_some_and(|begun_at| changed_at(&found) < begun_at),
        });
    }

    /// Returns true if the search has to stop, and records the reason.
    fn is_over(&mut self) -> bool {
        self.entries = self.entries.saturating_add(1);
        if self.found.files.len() >= MAX_FOUND {
            self.found.problem = Some(ArtifactProblem::TooManyMatches);
        } else if self.entries.is_multiple_of(ENTRIES_PER_CHECK) && Instant::now() >= self.deadline {
            self.found.problem = Some(ArtifactProblem::OutOfTime);
        }
        self.found.problem.is_some()
    }

    fn goes_on(&self, next: &[PatternProgress]) -> bool {
        self.patterns.iter().zip(next).any(|(pattern, next)| pattern.goes_on(*next))
    }

    fn is_named(&mut self, at: &[PatternProgress], name: &str) -> bool {
        let named: Vec<bool> =
            self.patterns.iter().zip(at).map(|(pattern, at)| pattern.names(*at, name)).collect();
        self.note(&named)
    }

    fn accepts(&mut self, next: &[PatternProgress]) -> bool {
        let accepted: Vec<bool> =
            self.patterns.iter().zip(next).map(|(pattern, next)| pattern.accepts(*next)).collect();
        self.note(&accepted)
    }

    /// Records the patterns that have matched. Returns true if a pattern has matched.
    fn note(&mut self, matched: &[bool]) -> bool {
        for (has_matched, now) in self.has_matched.iter_mut().zip(matched) {
            *has_matched |= now;
        }
        matched.contains(&true)
    }
}

/// Returns the kind of a directory entry, or `None` if the entry was removed. Some file systems do not report the kind in
/// the listing.
fn kind_of(directory: &OwnedFd, entry: &DirEntry) -> Option<FileType> {
    if entry.file_type() != FileType::Unknown {
        return Some(entry.file_type());
    }
    let found = statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(found.st_mode))
}
