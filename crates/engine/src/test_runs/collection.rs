//! Collects the results of one test run from all its sources.

use super::plan::TestPlan;
use super::source_reader::SourceReader;
use super::stream_lines::MergedLines;
use crate::engine::EngineShared;
use longhaul_domain::Timestamp;
use longhaul_insight::test_run::{
    EarlierTests, TestCollector, TestCounts, TestResults, TestSource, TestSummary,
};
use longhaul_ports::{AttemptKey, OutputError, OutputRead, OutputSource, TestFileError};
use std::sync::Arc;
use std::time::Duration;

/// Number of bytes in one read.
const PAGE_LEN: u32 = 256 * 1024;
/// Maximum number of bytes that are read from all JUnit reports of a run.
const MAX_REPORT_LEN: u64 = 256 * 1024 * 1024;
/// Maximum number of bytes that are read from the report of the plugin.
const MAX_PLUGIN_LEN: u64 = 1024 * 1024 * 1024;
/// Inaccuracy of the times that a file system records.
const FILE_TIME_PRECISION: Duration = Duration::from_millis(20);
/// Maximum number of notes.
const MAX_NOTES: usize = 8;

/// The results of one test run so far.
#[derive(Debug)]
pub(super) struct TestCollection {
    key: AttemptKey,
    plan: TestPlan,
    directory: String,
    started_at: Timestamp,
    earlier: Arc<EarlierTests>,
    collector: TestCollector,
    plugin: SourceReader,
    plugin_next: u64,
    junit: SourceReader,
    output: SourceReader,
    output_next: u64,
    /// Size of the output when the report of the plugin was last read.
    output_seen: u64,
    lines: MergedLines,
    has_lost_output: bool,
    notes: Vec<String>,
}

impl TestCollection {
    pub(super) fn new(
        key: AttemptKey,
        plan: TestPlan,
        directory: &str,
        started_at: Timestamp,
        earlier: EarlierTests,
    ) -> Self {
        let earlier = Arc::new(earlier);
        let reader = |source| SourceReader::new(source, plan.framework, Arc::clone(&earlier));
        Self {
            key,
            directory: directory.to_owned(),
            started_at,
            collector: TestCollector::new(plan.framework),
            plugin: reader(TestSource::Plugin),
            plugin_next: 0,
            junit: reader(TestSource::Junit),
            output: reader(plan.output),
            output_next: 0,
            output_seen: 0,
            lines: MergedLines::default(),
            has_lost_output: false,
            notes: Vec::new(),
            plan,
            earlier,
        }
    }

    pub(super) const fn key(&self) -> AttemptKey {
        self.key
    }

    /// Returns an offset in the output. Output after this offset may contain new results.
    pub(super) fn output_seen(&self) -> u64 {
        self.output_next.max(self.output_seen)
    }

    pub(super) fn counts(&self) -> TestCounts {
        self.collector.counts()
    }

    /// Reads one page of each source that grows while the tests run. Returns true if a source may have more pages.
    pub(super) async fn read_page(&mut self, core: &EngineShared) -> bool {
        if !self.plan.uses_plugin() {
            return self.read_output_page(core).await;
        }
        // Read the size first, so that output that is written after this step wakes the task again.
        let output_end = core.parts.output.size(self.key).await.map_or(0, |size| size.end);
        let has_more = self.read_plugin_page(core).await;
        if !self.plugin.is_recognized() {
            return self.read_output_page(core).await || has_more;
        }
        // The plugin is the better source, so the output is not read now. It is read later if the plugin's report turns
        // out to be incomplete.
        self.output_seen = output_end;
        has_more
    }

    async fn read_plugin_page(&mut self, core: &EngineShared) -> bool {
        if self.plugin_next >= MAX_PLUGIN_LEN {
            return false;
        }
        let files = &core.settings.test_runs.files;
        let part = files.read(self.key, super::PLUGIN_REPORT, self.plugin_next, PAGE_LEN).await;
        match part {
            Ok(part) if !part.bytes.is_empty() => {
                let len = u64::try_from(part.bytes.len()).unwrap_or(u64::MAX);
                self.plugin_next = self.plugin_next.saturating_add(len);
                self.plugin.push(&part.bytes, &mut self.collector);
                self.plugin.store_large(core, self.key).await;
                true
            }
            // There is no new data, or pytest has not created the report yet.
            Ok(_) | Err(TestFileError::Missing { .. }) => false,
            Err(error) => {
                tracing::debug!(id = %self.key.id, %error, "could not read the report of the pytest plugin");
                false
            }
        }
    }

    async fn read_output_page(&mut self, core: &EngineShared) -> bool {
        let only = match self.plan.output {
            TestSource::Stream => Some(OutputSource::Stdout),
            TestSource::Plugin | TestSource::Junit | TestSource::Console => None,
        };
        let wanted = OutputRead { from: self.output_next, limit: PAGE_LEN, only };
        let page = match core.parts.output.read(self.key, wanted).await {
            Ok(page) => page,
            Err(OutputError::Missing { .. }) => return false,
            Err(error) => {
                tracing::debug!(id = %self.key.id, %error, "could not read the output of a test run");
                return false;
            }
        };
        let Self { output, collector, lines, .. } = self;
        if page.gap > 0 {
            self.has_lost_output = true;
            lines.finish(&mut |bytes| output.push(bytes, collector));
            output.push(b"\n", collector);
        }
        for chunk in &page.chunks {
            lines.push(chunk.source, &chunk.bytes, &mut |bytes| output.push(bytes, collector));
        }
        let has_more = page.next > self.output_next && page.next < page.end;
        self.output_next = self.output_next.max(page.next);
        self.output.store_large(core, self.key).await;
        has_more
    }

    /// Reads the rest of all sources, because the attempt has ended.
    pub(super) async fn read_rest(&mut self, core: &EngineShared) {
        if self.plan.uses_plugin() {
            while self.read_plugin_page(core).await {
                tokio::task::yield_now().await;
            }
            self.plugin.finish(&mut self.collector);
            if !self.plugin.is_recognized() && core.settings.test_runs.plugin_directory.is_some() {
                self.note("pytest did not load the plugin of longhaul, so another source is used".to_owned());
            }
        }
        for pattern in self.plan.junit.clone() {
            self.read_reports(core, &pattern).await;
        }
        if self.collector.is_complete(TestSource::Plugin) {
            return;
        }
        while self.read_output_page(core).await {
            tokio::task::yield_now().await;
        }
        let Self { output, collector, lines, .. } = self;
        lines.finish(&mut |bytes| output.push(bytes, collector));
        output.finish(collector);
        if self.has_lost_output {
            self.note("a part of the output was dropped, so its test results are unknown".to_owned());
        }
    }

    async fn read_reports(&mut self, core: &EngineShared, pattern: &str) {
        let files = &core.settings.test_runs.files;
        let found = match files.find_reports(&self.directory, pattern).await {
            Ok(found) => found,
            Err(error) => {
                return self.note(crate::error_chain::with_causes(&error));
            }
        };
        if found.is_empty() {
            return self.note(format!("there is no report {pattern:?} in {}", self.directory));
        }
        let mut left = MAX_REPORT_LEN;
        for report in found {
            if report.changed_at.plus(FILE_TIME_PRECISION) < self.started_at {
                self.note(format!("the report {} is older than the test run and was ignored", report.path));
                continue;
            }
            left = self.read_report(core, &report.path, left).await;
        }
    }

    /// Reads one report. Returns the number of bytes that may still be read from other reports.
    async fn read_report(&mut self, core: &EngineShared, path: &str, left: u64) -> u64 {
        self.junit.start_report(self.plan.framework);
        let (mut next, mut left) = (0_u64, left);
        loop {
            let limit = u32::try_from(left).unwrap_or(u32::MAX).min(PAGE_LEN);
            if limit == 0 {
                self.note(format!("the report {path} is too long; only its start was read"));
                break;
            }
            match core.settings.test_runs.files.read_report(&self.directory, path, next, limit).await {
                Ok(part) if part.bytes.is_empty() => break,
                Ok(part) => {
                    let len = u64::try_from(part.bytes.len()).unwrap_or(u64::MAX);
                    (next, left) = (next.saturating_add(len), left.saturating_sub(len));
                    self.junit.push(&part.bytes, &mut self.collector);
                    self.junit.store_large(core, self.key).await;
                }
                Err(error) => {
                    self.note(crate::error_chain::with_causes(&error));
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
        self.junit.finish(&mut self.collector);
        left
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Returns true if a source contains results, or if the launch requested results.
    pub(super) fn has_results(&self) -> bool {
        let readers = [&self.plugin, &self.junit, &self.output];
        self.plan.is_requested
            || self.collector.counts().total > 0
            || readers.iter().any(|reader| reader.is_recognized())
    }

    pub(super) fn summary(&self) -> TestSummary {
        self.collector.summary()
    }

    pub(super) const fn earlier(&self) -> &Arc<EarlierTests> {
        &self.earlier
    }

    /// Returns the results so far in their stored form.
    pub(super) fn results(&self, summary: TestSummary) -> TestResults {
        let list = self.reader(summary.source).list();
        let mut results = TestResults::new(summary);
        let unreadable = results.summary.unreadable.clone();
        results.notes.clone_from(&self.notes);
        results.notes.extend(unreadable.map(|why| format!("a part of the results is unreadable: {why}")));
        results.unnamed = results.summary.counts.total.saturating_sub(list.named());
        results.fixed = list.fixed().to_vec();
        results.failed_ids = list.failed_ids().to_vec();
        results.last_total = self.earlier.last_total;
        results
    }

    /// Writes the tests so far to their files. Returns the names of two files: all tests, and the failed tests.
    pub(super) async fn store_so_far(&mut self, core: &EngineShared) -> [String; 2] {
        let key = self.key;
        let source = self.summary().source;
        let reader = self.reader_mut(source);
        reader.store(core, key).await;
        reader.files()
    }

    /// Stores the list of tests of the best source under its final name. Returns false if this failed.
    pub(super) async fn publish(&mut self, core: &EngineShared, best: TestSource) -> bool {
        let key = self.key;
        for source in [TestSource::Plugin, TestSource::Junit, self.plan.output] {
            if source != best {
                self.reader_mut(source).discard(core, key).await;
            }
        }
        let reader = self.reader_mut(best);
        reader.store_rest(core, key).await;
        match reader.publish(core, key).await {
            Ok(()) => reader.is_stored(),
            Err(error) => {
                tracing::warn!(id = %key.id, %error, "could not store the list of tests");
                false
            }
        }
    }

    const fn reader(&self, source: TestSource) -> &SourceReader {
        match source {
            TestSource::Plugin => &self.plugin,
            TestSource::Junit => &self.junit,
            TestSource::Stream | TestSource::Console => &self.output,
        }
    }

    const fn reader_mut(&mut self, source: TestSource) -> &mut SourceReader {
        match source {
            TestSource::Plugin => &mut self.plugin,
            TestSource::Junit => &mut self.junit,
            TestSource::Stream | TestSource::Console => &mut self.output,
        }
    }
}
