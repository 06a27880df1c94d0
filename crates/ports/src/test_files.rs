//! Port for the files that contain the results of test runs.

use crate::{AttemptKey, BoxedError};
use async_trait::async_trait;
use longhaul_domain::Timestamp;
use std::fmt::Debug;

/// Stores files next to the output of an attempt, and reads the test reports that a command wrote.
///
/// The files of an attempt are removed together with its output ([`OutputLog::remove`](crate::OutputLog::remove)). Each
/// `name` is a file name without a directory. Files that a command wrote are not trusted: the port reads only regular
/// files, and follows no symbolic links.
#[async_trait]
pub trait TestFiles: Debug + Send + Sync + 'static {
    /// Returns the absolute path at which the command of an attempt can write a file with this name. Returns `None` if
    /// commands cannot write such files.
    fn path(&self, key: AttemptKey, name: &str) -> Option<String>;

    /// Removes the content of a file after `from` bytes, and appends `bytes`. Creates the file if `from` is 0 and the
    /// file does not exist. The call does not use the disk space that is reserved for records. If the call fails, the
    /// file contains no part of `bytes`.
    ///
    /// # Errors
    /// - [`TestFileError::Missing`] if the attempt has no directory.
    /// - [`TestFileError::DiskFull`] if the disk has no space for `bytes`.
    /// - [`TestFileError::Failed`] on other failures.
    async fn write(
        &self,
        key: AttemptKey,
        name: &str,
        from: u64,
        bytes: Vec<u8>,
    ) -> Result<(), TestFileError>;

    /// Renames a file in one step. Replaces a file that already has the new name.
    ///
    /// # Errors
    /// [`TestFileError::Missing`] if the file does not exist, [`TestFileError::Failed`] on other failures.
    async fn rename(&self, key: AttemptKey, from: &str, to: &str) -> Result<(), TestFileError>;

    /// Reads at most `limit` bytes of a file, starting at offset `from`. Returns no bytes if the offset is behind the
    /// end of the file.
    ///
    /// # Errors
    /// [`TestFileError::Missing`] if the file does not exist, [`TestFileError::Failed`] on other failures.
    async fn read(
        &self,
        key: AttemptKey,
        name: &str,
        from: u64,
        limit: u32,
    ) -> Result<FilePart, TestFileError>;

    /// Finds the reports that match `pattern`, a path in which `*` stands for any characters of one name. The path is
    /// relative to `directory` or absolute. Returns at most [`MAX_REPORTS`] reports, in the order of their paths.
    ///
    /// Only regular files that can be opened are reports. All other matching files, and directories that cannot be
    /// opened, are refused. No symbolic link is followed.
    ///
    /// # Errors
    /// [`TestFileError::Report`] if the directory cannot be read.
    async fn find_reports(&self, directory: &str, pattern: &str) -> Result<FoundReports, TestFileError>;

    /// Returns the directory that contains all reports that match `pattern`, as far as the pattern names it without `*`.
    /// Returns `None` if there is no such directory, or if it cannot be determined.
    async fn report_directory(&self, directory: &str, pattern: &str) -> Option<ReportDirectory> {
        let _ = (directory, pattern);
        None
    }

    /// Reads at most `limit` bytes of a report, starting at offset `from`.
    ///
    /// # Errors
    /// [`TestFileError::Report`] if the report cannot be read, or if it was changed or replaced since it was found.
    async fn read_report(
        &self,
        directory: &str,
        report: &FoundReport,
        from: u64,
        limit: u32,
    ) -> Result<FilePart, TestFileError>;
}

/// Maximum number of reports of one test run.
pub const MAX_REPORTS: usize = 500;

/// Maximum number of refused files that one search names.
pub const MAX_REFUSED_REPORTS: usize = 5;

/// Result of a search for reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundReports {
    /// Reports, in the order of their paths; at most [`MAX_REPORTS`].
    pub reports: Vec<FoundReport>,
    /// The first matching files and directories that were refused; at most [`MAX_REFUSED_REPORTS`].
    pub refused: Vec<RefusedReport>,
    /// True if more files match than the search returned.
    pub has_more: bool,
}

/// A matching file or directory that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedReport {
    /// Path of the file or directory.
    pub path: String,
    /// Reason, such as `it is a symbolic link`.
    pub why: String,
}

/// A part of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePart {
    /// Bytes of the part; empty at the end of the file.
    pub bytes: Vec<u8>,
    /// Size of the whole file, in bytes.
    pub size: u64,
}

/// A report that a command may have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundReport {
    /// Path of the report: absolute if the pattern was absolute, otherwise relative to the directory.
    pub path: String,
    /// Size of the report, in bytes.
    pub size: u64,
    /// Time of the last change of the report.
    pub changed_at: Timestamp,
    /// Identity of the report.
    pub identity: ReportIdentity,
}

/// Identity of a report or of a directory with reports, which only the implementation interprets. The identity of a
/// report differs after a change or a replacement, and the identity of a directory after a replacement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportIdentity(pub [u64; 4]);

/// A directory that contains reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportDirectory {
    /// Path of the directory.
    pub path: String,
    /// Identity of the directory.
    pub identity: ReportIdentity,
}

/// An error while a file of a test run is read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestFileError {
    /// The attempt has no such file.
    #[error("attempt {} of process {} has no file {name:?}", key.attempt, key.id)]
    Missing {
        /// Attempt whose file was accessed.
        key: AttemptKey,
        /// Name of the file.
        name: String,
    },
    /// The disk has no space for the file of an attempt.
    #[error("the file {name:?} of attempt {} of process {} was not written, because the disk is full", key.attempt, key.id)]
    DiskFull {
        /// Attempt whose file was written.
        key: AttemptKey,
        /// Name of the file.
        name: String,
    },
    /// A file of an attempt could not be read or written.
    #[error("the file {name:?} of attempt {} of process {} could not be {tried}", key.attempt, key.id)]
    Failed {
        /// Attempt whose file was accessed.
        key: AttemptKey,
        /// Name of the file.
        name: String,
        /// Failed operation as a past participle for the message, such as `read`.
        tried: &'static str,
        /// Underlying error.
        #[source]
        source: BoxedError,
    },
    /// A report could not be found or read.
    #[error("the report {path:?} could not be read")]
    Report {
        /// Path or pattern of the report.
        path: String,
        /// Underlying error.
        #[source]
        source: BoxedError,
    },
}

/// Implementation for a spawner whose commands cannot write files. Stores nothing and finds no reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopTestFiles;

#[async_trait]
impl TestFiles for NoopTestFiles {
    fn path(&self, _key: AttemptKey, _name: &str) -> Option<String> {
        None
    }

    async fn write(
        &self,
        _key: AttemptKey,
        _name: &str,
        _from: u64,
        _bytes: Vec<u8>,
    ) -> Result<(), TestFileError> {
        Ok(())
    }

    async fn rename(&self, _key: AttemptKey, _from: &str, _to: &str) -> Result<(), TestFileError> {
        Ok(())
    }

    async fn read(
        &self,
        key: AttemptKey,
        name: &str,
        _from: u64,
        _limit: u32,
    ) -> Result<FilePart, TestFileError> {
        Err(TestFileError::Missing { key, name: name.to_owned() })
    }

    async fn find_reports(&self, _directory: &str, _pattern: &str) -> Result<FoundReports, TestFileError> {
        Ok(FoundReports::default())
    }

    async fn read_report(
        &self,
        _directory: &str,
        report: &FoundReport,
        _from: u64,
        _limit: u32,
    ) -> Result<FilePart, TestFileError> {
        let source = "this spawner has no reports".into();
        Err(TestFileError::Report { path: report.path.clone(), source })
    }
}
