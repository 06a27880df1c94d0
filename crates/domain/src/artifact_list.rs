//! The list of the artifacts of one attempt.

use crate::time::Timestamp;

/// The result of copying the artifacts of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactList {
    /// Files that were copied, in the order of their paths.
    pub files: Vec<Artifact>,
    /// Files that match a pattern but were not copied, in the order of their paths.
    pub skipped: Vec<SkippedArtifact>,
    /// Number of skipped files that `skipped` does not contain.
    pub more_skipped: u64,
    /// Patterns that matched no file. Empty if the working directory was not searched completely.
    pub unmatched: Vec<String>,
    /// Reason why the search of the working directory is incomplete; `None` if the search was complete.
    pub problem: Option<ArtifactProblem>,
}

impl ArtifactList {
    /// Returns the total size of the copied files, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add)
    }
}

/// A copied file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Path relative to the working directory.
    pub path: String,
    /// Size of the copy, in bytes.
    pub bytes: u64,
    /// Time of the last change of the file, by the clock of its file system.
    pub modified_at: Timestamp,
    /// True if the last change of the file is older than the attempt, so that the attempt did not write the file.
    pub is_unchanged: bool,
    /// True if the file changed while it was copied, so that the copy may mix old and new content.
    pub has_changed_during_copy: bool,
}

/// A file that matches a pattern but was not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedArtifact {
    /// Path relative to the working directory. If the name is not valid UTF-8, its invalid parts are replaced.
    pub path: String,
    /// Reason why the file was not copied.
    pub reason: ArtifactSkipReason,
    /// Size of the file in bytes, if it is known.
    pub bytes: Option<u64>,
}

/// A reason why a matching file was not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactSkipReason {
    /// The path is a symbolic link, which is never followed.
    Link,
    /// The path is a named pipe, a socket or a device.
    NotAFile,
    /// The file is larger than the limit for one artifact.
    TooLarge,
    /// The attempt already has the maximum number of artifacts.
    TooMany,
    /// With this file, the artifacts of the attempt would exceed the limit on their total size.
    TotalTooLarge,
    /// The time limit was reached before the file was copied.
    OutOfTime,
    /// The file or directory cannot be read.
    Unreadable,
    /// The name is too long or not valid UTF-8, or the file is in too many nested directories.
    BadPath,
    /// The file is a hard link to a file of another user.
    ForeignLink,
    /// The disk of the state directory has no space for the copy.
    DiskFull,
    /// The copy could not be written.
    CopyFailed,
}

impl ArtifactSkipReason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Link,
        Self::NotAFile,
        Self::TooLarge,
        Self::TooMany,
        Self::TotalTooLarge,
        Self::OutOfTime,
        Self::Unreadable,
        Self::BadPath,
        Self::ForeignLink,
        Self::DiskFull,
        Self::CopyFailed,
    ];

    /// Returns the name of the reason in records and interfaces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::NotAFile => "not_a_file",
            Self::TooLarge => "too_large",
            Self::TooMany => "too_many",
            Self::TotalTooLarge => "total_too_large",
            Self::OutOfTime => "out_of_time",
            Self::Unreadable => "unreadable",
            Self::BadPath => "bad_path",
            Self::ForeignLink => "foreign_link",
            Self::DiskFull => "disk_full",
            Self::CopyFailed => "copy_failed",
        }
    }
}

/// A reason why the working directory was not searched completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactProblem {
    /// The working directory does not exist or cannot be opened.
    DirectoryMissing,
    /// The path of the working directory leads to a different directory than at the start of the attempt.
    DirectoryReplaced,
    /// The search reached its time limit.
    OutOfTime,
    /// The search stopped because it had found too many matching files.
    TooManyMatches,
}

impl ArtifactProblem {
    /// All problems.
    pub const ALL: [Self; 4] =
        [Self::DirectoryMissing, Self::DirectoryReplaced, Self::OutOfTime, Self::TooManyMatches];

    /// Returns the name of the problem in records and interfaces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DirectoryMissing => "directory_missing",
            Self::DirectoryReplaced => "directory_replaced",
            Self::OutOfTime => "out_of_time",
            Self::TooManyMatches => "too_many_matches",
        }
    }
}
