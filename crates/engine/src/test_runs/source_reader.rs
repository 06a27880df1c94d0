//! Reads one source of test results and stores the list of its tests.

use crate::engine::EngineShared;
use longhaul_insight::test_run::{
    EarlierTests, Framework, TestCollector, TestEvent, TestList, TestParser, TestSource, parser_of,
};
use longhaul_ports::{AttemptKey, TestFileError};
use std::sync::Arc;

/// Size in bytes at which the part of the list in memory is written to the files.
const WRITE_LEN: usize = 256 * 1024;

/// Reads one source of test results.
#[derive(Debug)]
pub(super) struct SourceReader {
    source: TestSource,
    parser: Box<dyn TestParser>,
    list: TestList,
    /// Number of bytes in the file of all tests, and in the file of the failed tests.
    stored: (u64, u64),
    /// True as soon as a write has failed. No more writes follow.
    is_broken: bool,
    is_recognized: bool,
}

impl SourceReader {
    pub(super) fn new(source: TestSource, framework: Option<Framework>, earlier: Arc<EarlierTests>) -> Self {
        Self {
            source,
            parser: parser_of(source, framework),
            list: TestList::new(earlier),
            stored: (0, 0),
            is_broken: false,
            is_recognized: false,
        }
    }

    /// Reads the next bytes of the source.
    pub(super) fn push(&mut self, bytes: &[u8], collector: &mut TestCollector) {
        self.parse(collector, |parser, emit| parser.push(bytes, emit));
    }

    /// Handles the end of the source.
    pub(super) fn finish(&mut self, collector: &mut TestCollector) {
        self.parse(collector, |parser, emit| parser.finish(emit));
    }

    /// Starts another report of the same source.
    pub(super) fn start_report(&mut self, framework: Option<Framework>) {
        self.parser = parser_of(self.source, framework);
    }

    fn parse(
        &mut self,
        collector: &mut TestCollector,
        parse: impl FnOnce(&mut dyn TestParser, &mut dyn FnMut(TestEvent)),
    ) {
        let Self { source, parser, list, is_recognized, .. } = self;
        parse(parser.as_mut(), &mut |event| {
            *is_recognized |= matches!(event, TestEvent::Recognized(_));
            list.add(&event);
            collector.add(*source, &event);
        });
    }

    /// Returns true if the source contains the results of a known framework.
    pub(super) const fn is_recognized(&self) -> bool {
        self.is_recognized
    }

    pub(super) const fn list(&self) -> &TestList {
        &self.list
    }

    /// Writes the list to its files if the part in memory has become large.
    pub(super) async fn store_large(&mut self, core: &EngineShared, key: AttemptKey) {
        if self.list.len() >= WRITE_LEN {
            self.store(core, key).await;
        }
    }

    /// Writes the new part of the list to its files.
    pub(super) async fn store(&mut self, core: &EngineShared, key: AttemptKey) {
        if self.list.is_empty() || self.is_broken {
            self.list.take_all();
            self.list.take_failed();
            return;
        }
        let [all, failed] = self.files();
        let parts = [
            (all, self.list.take_all(), &mut self.stored.0),
            (failed, self.list.take_failed(), &mut self.stored.1),
        ];
        for (name, bytes, stored) in parts {
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

    /// Ends the list and writes the rest of it.
    pub(super) async fn store_rest(&mut self, core: &EngineShared, key: AttemptKey) {
        self.list.finish();
        self.store(core, key).await;
    }

    /// Returns true if the files contain the whole list.
    pub(super) const fn is_stored(&self) -> bool {
        !self.is_broken
    }

    /// Returns the names of the temporary files with all tests and with the failed tests.
    pub(super) fn files(&self) -> [String; 2] {
        let source = self.source.as_str();
        [format!("tests-{source}.part"), format!("failed-tests-{source}.part")]
    }

    /// Gives the files their final names. A list without tests has no file.
    pub(super) async fn publish(
        &mut self,
        core: &EngineShared,
        key: AttemptKey,
    ) -> Result<(), TestFileError> {
        let files = &core.settings.test_runs.files;
        for (name, stored, published) in self
            .files()
            .into_iter()
            .zip([self.stored.0, self.stored.1])
            .zip([super::ALL_TESTS, super::FAILED_TESTS])
            .map(|((name, stored), published)| (name, stored, published))
        {
            if stored == 0 {
                // Empty the file first, because an earlier manager may have stored a list in it.
                files.write(key, published, 0, Vec::new()).await?;
            } else {
                files.rename(key, &name, published).await?;
            }
        }
        Ok(())
    }

    /// Empties the files, because another source has better results.
    pub(super) async fn discard(&mut self, core: &EngineShared, key: AttemptKey) {
        for (name, stored) in self.files().into_iter().zip([self.stored.0, self.stored.1]) {
            if stored > 0
                && let Err(error) = core.settings.test_runs.files.write(key, &name, 0, Vec::new()).await
            {
                tracing::debug!(id = %key.id, %error, "could not empty a list of tests");
            }
        }
    }
}
