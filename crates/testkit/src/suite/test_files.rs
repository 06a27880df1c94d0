//! Contract tests for the port that stores the files of test runs.

use crate::fakes::SequentialIds;
use crate::suite::{must, refused};
use async_trait::async_trait;
use longhaul_domain::AttemptNo;
use longhaul_ports::{AttemptKey, FoundReport, FoundReports, IdSource as _, TestFileError, TestFiles};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// Actions of commands, which the port itself cannot perform.
#[async_trait]
pub trait TestFileFeed: Debug + Send + Sync + 'static {
    /// Creates an attempt, like the start of its command.
    async fn start(&self, key: AttemptKey);

    /// Appends to a file of an attempt, like the command of the attempt.
    async fn append(&self, key: AttemptKey, name: &str, bytes: &[u8]);

    /// Writes a report to a path in the working directory of the commands.
    async fn write_report(&self, path: &str, bytes: &[u8]);

    /// Returns the working directory of the commands.
    fn directory(&self) -> String;
}

/// Fixture for one rule: an empty set of files, and a writer that acts for the commands.
#[derive(Debug)]
pub struct TestFilesFixture {
    /// Files under test.
    pub files: Arc<dyn TestFiles>,
    /// Writer that acts for the commands.
    pub feed: Arc<dyn TestFileFeed>,
    ids: SequentialIds,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl TestFilesFixture {
    /// Creates a fixture from the files and from a writer that acts for the commands.
    #[must_use]
    pub fn new(files: Arc<dyn TestFiles>, feed: Arc<dyn TestFileFeed>) -> Self {
        Self { files, feed, ids: SequentialIds::default(), _guard: None }
    }

    /// Keeps `guard`, such as a temporary directory, alive as long as the fixture.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }

    async fn started(&self) -> AttemptKey {
        let key = AttemptKey { id: self.ids.process(), attempt: AttemptNo(1) };
        self.feed.start(key).await;
        key
    }

    async fn content(&self, key: AttemptKey, name: &str) -> Vec<u8> {
        must(self.files.read(key, name, 0, 1_000).await).bytes
    }
}

/// Opens a fixture.
pub fn open(open: impl FnOnce() -> TestFilesFixture) -> TestFilesFixture {
    open()
}

/// A write at an offset replaces all bytes after this offset.
pub async fn written_bytes_replace_everything_after_their_offset(world: &TestFilesFixture) {
    let key = world.started().await;
    must(world.files.write(key, "a", 0, b"one two".to_vec()).await);
    must(world.files.write(key, "a", 7, b" three".to_vec()).await);
    assert_eq!(world.content(key, "a").await, b"one two three");
    must(world.files.write(key, "a", 4, b"x".to_vec()).await);
    assert_eq!(world.content(key, "a").await, b"one x");
    must(world.files.write(key, "a", 0, Vec::new()).await);
    assert_eq!(world.content(key, "a").await, b"");
}

/// A read returns at most the requested number of bytes, together with the size of the whole file.
pub async fn read_returns_a_part_and_the_size_of_the_file(world: &TestFilesFixture) {
    let key = world.started().await;
    world.feed.append(key, "report", b"0123").await;
    world.feed.append(key, "report", b"456789").await;
    let part = must(world.files.read(key, "report", 3, 4).await);
    assert_eq!((part.bytes.as_slice(), part.size), (&b"3456"[..], 10));
    assert_eq!(must(world.files.read(key, "report", 50, 4).await).bytes, b"");
}

/// A file or attempt that does not exist is reported as missing.
pub async fn missing_file_is_reported_as_missing(world: &TestFilesFixture) {
    let key = world.started().await;
    refused!(world.files.read(key, "a", 0, 1).await, TestFileError::Missing { .. });
    refused!(world.files.rename(key, "a", "b").await, TestFileError::Missing { .. });
    refused!(world.files.write(key, "a", 5, b"x".to_vec()).await, TestFileError::Missing { .. });
}

/// A file that is renamed replaces the file with the new name.
pub async fn renamed_file_replaces_the_other_file(world: &TestFilesFixture) {
    let key = world.started().await;
    must(world.files.write(key, "draft", 0, b"new".to_vec()).await);
    must(world.files.write(key, "final", 0, b"older text".to_vec()).await);
    must(world.files.rename(key, "draft", "final").await);
    assert_eq!(world.content(key, "final").await, b"new");
    refused!(world.files.read(key, "draft", 0, 1).await, TestFileError::Missing { .. });
}

/// The files of two attempts are separate.
pub async fn each_attempt_has_its_own_files(world: &TestFilesFixture) {
    let (one, other) = (world.started().await, world.started().await);
    must(world.files.write(one, "a", 0, b"one".to_vec()).await);
    refused!(world.files.read(other, "a", 0, 1).await, TestFileError::Missing { .. });
}

/// A report is found by its path and read in parts.
pub async fn report_is_found_and_read(world: &TestFilesFixture) {
    world.feed.write_report("out.xml", b"<testsuite/>").await;
    let directory = world.feed.directory();
    let found = must(world.files.find_reports(&directory, "out.xml").await);
    let paths: Vec<(&str, u64)> =
        found.reports.iter().map(|report| (report.path.as_str(), report.size)).collect();
    assert_eq!(paths, [("out.xml", 12)]);
    for report in found.reports {
        let part = must(world.files.read_report(&directory, &report, 1, 9).await);
        assert_eq!((part.bytes.as_slice(), part.size), (&b"testsuite"[..], 12));
        let other = FoundReport { path: "other.xml".to_owned(), ..report };
        refused!(world.files.read_report(&directory, &other, 0, 1).await, TestFileError::Report { .. });
    }
    assert_eq!(must(world.files.find_reports(&directory, "other.xml").await), FoundReports::default());
}

/// Generates one test for each rule about the files of test runs.
///
/// Takes a function that opens a [`TestFilesFixture`].
#[macro_export]
macro_rules! test_files_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, test_files,
            written_bytes_replace_everything_after_their_offset
            read_returns_a_part_and_the_size_of_the_file
            missing_file_is_reported_as_missing
            renamed_file_replaces_the_other_file
            each_attempt_has_its_own_files
            report_is_found_and_read
        }
    };
}
