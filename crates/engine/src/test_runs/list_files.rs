//! Stores the list of tests of one source.

use super::live_tests::LiveTests;
use crate::engine::EngineShared;
use longhaul_insight::test_run::TestSource;
use longhaul_ports::{AttemptKey, TestFileError};

/// Writes the list of tests of one source to its files.
#[derive(Debug)]
pub(super) struct ListFiles {
    source: TestSource,
    /// Number of bytes in the file of all tests, and in the file of the failed tests.
    stored: [u64; 2],
    /// Reason why a write has failed. After a failure, the files are empty and no further write is made.
    failure: Option<String>,
}

impl ListFiles {
    pub(super) const fn new(source: TestSource) -> Self {
        Self { source, stored: [0, 0], failure: None }
    }

    /// Writes the new part of the list to the files. If a write fails, empties both files, so that they use no disk
    /// space that records need.
    pub(super) async fn store(&mut self, core: &EngineShared, key: AttemptKey, tests: &LiveTests) {
        let parts = tests.take_list(self.source);
        if self.failure.is_some() {
            return;
        }
        if let Err(error) = self.append(core, key, parts).await {
            tracing::warn!(id = %key.id, %error, "could not store the list of tests");
            self.failure = Some(reason_of(&error));
            self.discard(core, key).await;
            self.stored = [0, 0];
        }
    }

    async fn append(
        &mut self,
        core: &EngineShared,
        key: AttemptKey,
        parts: [Vec<u8>; 2],
    ) -> Result<(), TestFileError> {
        for ((name, bytes), stored) in self.names().into_iter().zip(parts).zip(&mut self.stored) {
            let (from, len) = (*stored, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if len > 0 {
                core.settings.test_runs.files.write(key, &name, from, bytes).await?;
                *stored = from.saturating_add(len);
            }
        }
        Ok(())
    }

    /// Returns the reason why the files do not contain the list; `None` if they contain the whole list.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Returns the names of the files with all tests and with the failed tests while the tests run.
    pub(super) fn names(&self) -> [String; 2] {
        let source = self.source.as_str();
        [format!("tests-{source}.part"), format!("failed-tests-{source}.part")]
    }

    /// Gives the files their final names. A list without tests has no file.
    pub(super) async fn publish(&self, core: &EngineShared, key: AttemptKey) -> Result<(), TestFileError> {
        let files = &core.settings.test_runs.files;
        let published = [super::ALL_TESTS, super::FAILED_TESTS];
        for ((name, stored), published) in self.names().into_iter().zip(self.stored).zip(published) {
            if stored == 0 {
                // Empty the file, because an earlier manager may have stored a list in it.
                files.write(key, published, 0, Vec::new()).await?;
            } else {
                files.rename(key, &name, published).await?;
            }
        }
        Ok(())
    }

    /// Empties the files.
    pub(super) async fn discard(&self, core: &EngineShared, key: AttemptKey) {
        for (name, stored) in self.names().into_iter().zip(self.stored) {
            if stored > 0
                && let Err(error) = core.settings.test_runs.files.write(key, &name, 0, Vec::new()).await
            {
                tracing::debug!(id = %key.id, %error, "could not empty a list of tests");
            }
        }
    }
}

/// Returns the reason why a file was not stored, for a note that names the file.
pub(super) fn reason_of(error: &TestFileError) -> String {
    if matches!(error, TestFileError::DiskFull { .. }) {
        "the disk of the state directory is full".to_owned()
    } else {
        crate::error_chain::with_causes(error)
    }
}
