//! In-memory files of test runs.

use crate::fakes::locked;
use async_trait::async_trait;
use longhaul_domain::Timestamp;
use longhaul_ports::{
    AttemptKey, FilePart, FoundReport, FoundReports, RefusedReport, ReportDirectory, ReportIdentity,
    TestFileError, TestFiles,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Content of each file of an attempt.
type FilesByName = BTreeMap<(AttemptKey, String), Vec<u8>>;
/// Content of each report, and the time of its last change.
type ReportsByPath = BTreeMap<String, (Vec<u8>, Timestamp)>;

/// In-memory files of test runs. Clones share the files. A report pattern matches only a path that is equal to it.
#[derive(Clone, Debug, Default)]
pub struct FakeTestFiles {
    files: Arc<Mutex<FilesByName>>,
    reports: Arc<Mutex<ReportsByPath>>,
    refused: Arc<Mutex<Vec<RefusedReport>>>,
    has_more: Arc<Mutex<bool>>,
    directory: Arc<Mutex<Option<ReportDirectory>>>,
    /// Maximum number of bytes in all files; `None` if there is no maximum.
    capacity: Option<usize>,
}

impl FakeTestFiles {
    /// Limits the number of bytes in all files, like a disk of this size.
    #[must_use]
    pub fn with_capacity(self, capacity: usize) -> Self {
        Self { capacity: Some(capacity), ..self }
    }

    /// Appends to a file, like the command of an attempt.
    pub fn append(&self, key: AttemptKey, name: &str, bytes: &[u8]) {
        locked(&self.files).entry((key, name.to_owned())).or_default().extend_from_slice(bytes);
    }

    /// Returns the content of a file.
    #[must_use]
    pub fn content(&self, key: AttemptKey, name: &str) -> Option<Vec<u8>> {
        locked(&self.files).get(&(key, name.to_owned())).cloned()
    }

    /// Makes each search refuse the file at this path, for the reason `why`.
    pub fn refuse_report(&self, path: &str, why: &str) {
        locked(&self.refused).push(RefusedReport { path: path.to_owned(), why: why.to_owned() });
    }

    /// Makes each search match more files than it returns.
    pub fn match_more_reports(&self) {
        *locked(&self.has_more) = true;
    }

    /// Sets the directory of all reports. Each `number` stands for another directory.
    pub fn set_report_directory(&self, path: &str, number: u64) {
        let identity = ReportIdentity([number, 0, 0, 0]);
        *locked(&self.directory) = Some(ReportDirectory { path: path.to_owned(), identity });
    }

    /// Writes a report with the given time of its last change.
    pub fn write_report(&self, path: &str, bytes: &[u8], changed_at: Timestamp) {
        locked(&self.reports).insert(path.to_owned(), (bytes.to_vec(), changed_at));
    }
}

#[async_trait]
impl TestFiles for FakeTestFiles {
    fn path(&self, key: AttemptKey, name: &str) -> Option<String> {
        Some(format!("/attempts/{}/{}/{name}", key.id, key.attempt))
    }

    async fn write(
        &self,
        key: AttemptKey,
        name: &str,
        from: u64,
        bytes: Vec<u8>,
    ) -> Result<(), TestFileError> {
        let mut files = locked(&self.files);
        let file = (key, name.to_owned());
        if from > 0 && !files.contains_key(&file) {
            return Err(TestFileError::Missing { key, name: name.to_owned() });
        }
        files.entry(file.clone()).or_default().resize(usize::try_from(from).unwrap_or(usize::MAX), 0);
        let used: usize = files.values().map(Vec::len).sum();
        let is_full = self.capacity.is_some_and(|capacity| used.saturating_add(bytes.len()) > capacity);
        if is_full && !bytes.is_empty() {
            return Err(TestFileError::DiskFull { key, name: name.to_owned() });
        }
        files.entry(file).or_default().extend_from_slice(&bytes);
        Ok(())
    }

    async fn rename(&self, key: AttemptKey, from: &str, to: &str) -> Result<(), TestFileError> {
        let mut files = locked(&self.files);
        let content = files.remove(&(key, from.to_owned()));
        let content = content.ok_or_else(|| TestFileError::Missing { key, name: from.to_owned() })?;
        files.insert((key, to.to_owned()), content);
        Ok(())
    }

    async fn read(
        &self,
        key: AttemptKey,
        name: &str,
        from: u64,
        limit: u32,
    ) -> Result<FilePart, TestFileError> {
        let files = locked(&self.files);
        let content = files.get(&(key, name.to_owned()));
        let content = content.ok_or_else(|| TestFileError::Missing { key, name: name.to_owned() })?;
        Ok(part(content, from, limit))
    }

    async fn find_reports(&self, _directory: &str, pattern: &str) -> Result<FoundReports, TestFileError> {
        let reports = locked(&self.reports);
        let found = reports.get(pattern).map(|(bytes, changed_at)| FoundReport {
            path: pattern.to_owned(),
            size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            changed_at: *changed_at,
            identity: ReportIdentity::default(),
        });
        let refused = locked(&self.refused).clone();
        let refused = refused.into_iter().filter(|refused| refused.path == pattern).collect();
        let has_more = *locked(&self.has_more);
        Ok(FoundReports { reports: found.into_iter().collect(), refused, has_more })
    }

    async fn report_directory(&self, _directory: &str, _pattern: &str) -> Option<ReportDirectory> {
        locked(&self.directory).clone()
    }

    async fn read_report(
        &self,
        _directory: &str,
        report: &FoundReport,
        from: u64,
        limit: u32,
    ) -> Result<FilePart, TestFileError> {
        let reports = locked(&self.reports);
        let source = "there is no such report".into();
        let missing = TestFileError::Report { path: report.path.clone(), source };
        let (bytes, _) = reports.get(&report.path).ok_or(missing)?;
        Ok(part(bytes, from, limit))
    }
}

fn part(content: &[u8], from: u64, limit: u32) -> FilePart {
    let start = usize::try_from(from).unwrap_or(usize::MAX).min(content.len());
    let end = start.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX)).min(content.len());
    FilePart {
        bytes: content.get(start..end).unwrap_or_default().to_vec(),
        size: u64::try_from(content.len()).unwrap_or(u64::MAX),
    }
}
