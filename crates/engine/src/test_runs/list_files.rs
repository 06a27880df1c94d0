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
    /// True as soon as a write has failed. No further write is then made.
    is_broken: bool,
}

impl ListFiles {
    pub(super) const fn new(source: TestSource) -> Self {
        Self { source, stored: [0, 0], is_broken: false }
    }

    /// Writes the new part of the list to the files.
    pub(super) async fn store(&mut self, core: &EngineShared, key: AttemptKey, tests: &LiveTests) {
        let parts = tests.take_list(self.source);
        if self.is_broken {
            return;
        }
        for ((name, bytes), stored) in self.names().into_iter().zip(parts).zip(&mut self.stored) {
            let (from, len) = (*stored, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            if len == 0 {
                continue;
            }
            match core.settings.test_runs.files.write(key, &name, from, bytes).await {
                Ok(()) => *stored = from.saturating_add(len),
                Err(error) => {
                    tracing::warn!(id = %key.id, %error, "could not store the list of tests");
                    self.is_broken = true;
                    return;
                }
            }
        }
    }

    /// Returns true if the files contain the whole list.
    pub(super) const fn is_stored(&self) -> bool {
        !self.is_broken
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
                // An earlier manager may have stored a list.
                files.write(key, published, 0, Vec::new()).await?;
            } else {
                files.rename(key, &name, published).await?;
            }
        }
        Ok(())
    }

    /// Empties the files, because another source has better results.
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
