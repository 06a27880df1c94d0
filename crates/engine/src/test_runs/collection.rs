//! Collects the results of one test run from all its sources.

use super::list_files::{ListFiles, reason_of};
use super::live_tests::LiveTests;
use super::plan::TestPlan;
use crate::engine::EngineShared;
use longhaul_domain::Timestamp;
use longhaul_insight::test_run::{
    EarlierTests, TestCounts, TestResults, TestSource, TestSummary, contradiction,
};
use longhaul_ports::{
    AttemptKey, FoundReport, MAX_REPORTS, OutputError, OutputRead, ReportDirectory, TestFileError,
};
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
/// Maximum time by which the clock of a file server may be ahead.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(2);
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
    tests: Arc<LiveTests>,
    plugin_files: ListFiles,
    plugin_next: u64,
    junit_files: ListFiles,
    output_files: ListFiles,
    /// Size of the output at the last read of the plugin's report.
    output_seen: u64,
    notes: Vec<String>,
    /// Directories with reports at the start of the collection, by pattern.
    directories: Vec<(String, ReportDirectory)>,
    /// True if there is a report that was not read or was read only partly.
    is_unread: bool,
}

impl TestCollection {
    pub(super) fn new(
        key: AttemptKey,
        plan: TestPlan,
        directory: &str,
        started_at: Timestamp,
        earlier: Arc<EarlierTests>,
        tests: Arc<LiveTests>,
    ) -> Self {
        Self {
            key,
            directory: directory.to_owned(),
            started_at,
            tests,
            plugin_files: ListFiles::new(TestSource::Plugin),
            plugin_next: 0,
            junit_files: ListFiles::new(TestSource::Junit),
            output_files: ListFiles::new(plan.output),
            output_seen: 0,
            notes: Vec::new(),
            directories: Vec::new(),
            is_unread: false,
            plan,
            earlier,
        }
    }

    /// Remembers the directories with reports, so that a later replacement can be reported.
    pub(super) async fn remember_directories(&mut self, core: &EngineShared) {
        for pattern in &self.plan.junit {
            let found = core.settings.test_runs.files.report_directory(&self.directory, pattern).await;
            self.directories.extend(found.map(|found| (pattern.clone(), found)));
        }
    }

    pub(super) const fn key(&self) -> AttemptKey {
        self.key
    }

    pub(super) fn counts(&self) -> TestCounts {
        self.tests.lock().collector.counts()
    }

    /// Returns the size of the output at the last read of the plugin's report. Output after this offset may mean that
    /// there are new results.
    pub(super) const fn output_seen(&self) -> u64 {
        self.output_seen
    }

    pub(super) fn uses_plugin(&self) -> bool {
        self.plan.uses_plugin()
    }

    /// Reads one page of the report of the plugin, which grows while the tests run. Returns true if there may be more.
    pub(super) async fn read_page(&mut self, core: &EngineShared) -> bool {
        if !self.uses_plugin() {
            return false;
        }
        // Read the size first, so that output that is written after this step wakes the task again.
        let output_end = core.parts.output.size(self.key).await.map_or(0, |size| size.end);
        let has_more = self.read_plugin_page(core).await;
        self.output_seen = output_end;
        has_more
    }

    /// Writes the list of the tests in the output to its files if the list has become long.
    pub(super) async fn store_output_list(&mut self, core: &EngineShared) {
        if self.tests.is_list_long(self.plan.output) {
            self.output_files.store(core, self.key, &self.tests).await;
        }
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
                self.parse(TestSource::Plugin, &part.bytes);
                if self.tests.is_list_long(TestSource::Plugin) {
                    self.plugin_files.store(core, self.key, &self.tests).await;
                }
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

    fn parse(&self, source: TestSource, bytes: &[u8]) {
        let mut parsed = self.tests.lock();
        let (parser, collector) = parsed.source_mut(source);
        parser.push(bytes, collector);
    }

    fn finish_source(&self, source: TestSource) {
        let mut parsed = self.tests.lock();
        let (parser, collector) = parsed.source_mut(source);
        parser.finish(collector);
    }

    /// Reads one page of the output that the output follower did not read before the end of the attempt. Returns true
    /// if there is more.
    async fn read_output_page(&mut self, core: &EngineShared) -> bool {
        let from = self.tests.lock().output_next();
        let wanted = OutputRead { from, limit: PAGE_LEN, only: self.tests.stream() };
        let page = match core.parts.output.read(self.key, wanted).await {
            Ok(page) => page,
            Err(OutputError::Missing { .. }) => return false,
            Err(error) => {
                tracing::debug!(id = %self.key.id, %error, "could not read the output of a test run");
                return false;
            }
        };
        self.tests.lock().push_page(&page);
        self.store_output_list(core).await;
        page.next > from && page.next < page.end
    }

    /// Reads the rest of all sources, because the attempt has ended.
    pub(super) async fn read_rest(&mut self, core: &EngineShared) {
        if self.plan.uses_plugin() {
            while self.read_plugin_page(core).await {
                tokio::task::yield_now().await;
            }
            self.finish_source(TestSource::Plugin);
            let is_recognized = self.tests.lock().source(TestSource::Plugin).is_recognized();
            if !is_recognized && core.settings.test_runs.plugin_directory.is_some() {
                self.note("pytest did not load the plugin of longhaul, so another source is used".to_owned());
            }
        }
        for pattern in self.plan.junit.clone() {
            self.read_reports(core, &pattern).await;
        }
        if self.tests.lock().collector.is_complete(TestSource::Plugin) {
            return;
        }
        while self.read_output_page(core).await {
            tokio::task::yield_now().await;
        }
        self.tests.lock().finish_output();
    }

    async fn read_reports(&mut self, core: &EngineShared, pattern: &str) {
        self.check_directory(core, pattern).await;
        let files = &core.settings.test_runs.files;
        let found = match files.find_reports(&self.directory, pattern).await {
            Ok(found) => found,
            Err(error) => {
                self.is_unread = true;
                return self.note(crate::error_chain::with_causes(&error));
            }
        };
        for refused in &found.refused {
            self.is_unread = true;
            self.note(format!("the report {} was not read: {}", refused.path, refused.why));
        }
        if found.reports.is_empty() && found.refused.is_empty() {
            return self.note(format!("there is no report {pattern:?} in {}", self.directory));
        }
        let latest = core.parts.clock.now().plus(CLOCK_DIFFERENCE);
        let mut left = MAX_REPORT_LEN;
        for report in found.reports {
            // A report with a time in the future may have existed before the start, if the clock was set back.
            let problem = if report.changed_at.plus(FILE_TIME_PRECISION) < self.started_at {
                "is older than the test run"
            } else if report.changed_at > latest {
                "has a modification time in the future"
            } else {
                left = self.read_report(core, &report, left).await;
                continue;
            };
            self.is_unread = true;
            self.note(format!("the report {} {problem} and was ignored", report.path));
        }
        if found.has_more {
            self.lose_reports(&format!(
                "more than {MAX_REPORTS} reports match {pattern:?}; the others were not read"
            ));
        }
    }

    /// Adds a note if the directory with the reports was replaced while the tests ran.
    async fn check_directory(&mut self, core: &EngineShared, pattern: &str) {
        let before = self.directories.iter().find(|(of, _)| of == pattern).map(|(_, before)| before.clone());
        let Some(before) = before else { return };
        match core.settings.test_runs.files.report_directory(&self.directory, pattern).await {
            Some(now) if now.identity == before.identity => {}
            Some(_) => self.note(format!(
                "the directory {} was replaced during the test run; reports that it contained before were not read",
                before.path
            )),
            None => {
                self.is_unread = true;
                self.note(format!(
                    "the directory {} was removed during the test run, or something else replaced it",
                    before.path
                ));
            }
        }
    }

    /// Marks the results as incomplete, because reports were not read.
    fn lose_reports(&mut self, why: &str) {
        self.is_unread = true;
        let mut parsed = self.tests.lock();
        let (parser, collector) = parsed.source_mut(TestSource::Junit);
        parser.lose(why, collector);
    }

    /// Returns true if there is a report that was not read or was read only partly.
    pub(super) const fn is_unread(&self) -> bool {
        self.is_unread
    }

    /// Reads one report. Returns the number of bytes that may still be read from other reports.
    async fn read_report(&mut self, core: &EngineShared, report: &FoundReport, left: u64) -> u64 {
        self.tests.lock().source_mut(TestSource::Junit).0.start_report(self.plan.framework);
        let (mut next, mut left) = (0_u64, left);
        loop {
            let limit = u32::try_from(left).unwrap_or(u32::MAX).min(PAGE_LEN);
            if limit == 0 {
                let why = format!("the report {} is too long; only its start was read", report.path);
                self.lose_reports(&why);
                break;
            }
            match core.settings.test_runs.files.read_report(&self.directory, report, next, limit).await {
                Ok(part) if part.bytes.is_empty() => break,
                Ok(part) => {
                    let len = u64::try_from(part.bytes.len()).unwrap_or(u64::MAX);
                    (next, left) = (next.saturating_add(len), left.saturating_sub(len));
                    self.parse(TestSource::Junit, &part.bytes);
                    if self.tests.is_list_long(TestSource::Junit) {
                        self.junit_files.store(core, self.key, &self.tests).await;
                    }
                }
                Err(error) => {
                    self.lose_reports(&crate::error_chain::with_causes(&error));
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
        self.finish_source(TestSource::Junit);
        left
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Returns true if a source contains results, or if the launch requested results.
    pub(super) fn has_results(&self) -> bool {
        self.plan.is_requested || self.tests.lock().has_results()
    }

    pub(super) fn summary(&self) -> TestSummary {
        self.tests.lock().collector.summary()
    }

    pub(super) const fn earlier(&self) -> &Arc<EarlierTests> {
        &self.earlier
    }

    /// Returns the results so far in their stored form.
    pub(super) fn results(&self, summary: TestSummary) -> TestResults {
        let parsed = self.tests.lock();
        let list = parsed.source(summary.source).list();
        let mut results = TestResults::new(summary);
        let unreadable = results.summary.unreadable.clone();
        results.notes.clone_from(&self.notes);
        results.notes.extend(unreadable.map(|why| format!("a part of the results is unreadable: {why}")));
        if let Some(contradiction) = contradiction(&results.summary) {
            results.notes.push(contradiction.to_string());
        }
        results.unnamed = results.summary.counts.total.saturating_sub(list.named());
        results.fixed = list.fixed().to_vec();
        results.failed_ids = list.failed_ids().to_vec();
        results.last_total = self.earlier.last_total;
        results
    }

    /// Writes the tests so far to their files. Returns the names of two files: all tests, and the failed tests.
    pub(super) async fn store_so_far(&mut self, core: &EngineShared) -> [String; 2] {
        let (key, tests) = (self.key, Arc::clone(&self.tests));
        let source = self.summary().source;
        let files = self.files_mut(source);
        files.store(core, key, &tests).await;
        files.names()
    }

    /// Renames the files with the tests of the best source to their final names. Returns the reason if this failed.
    pub(super) async fn publish(&mut self, core: &EngineShared, best: TestSource) -> Option<String> {
        let (key, tests) = (self.key, Arc::clone(&self.tests));
        for source in [TestSource::Plugin, TestSource::Junit, self.plan.output] {
            if source != best {
                self.files_mut(source).discard(core, key).await;
            }
        }
        tests.lock().source_mut(best).0.list_mut().finish();
        let files = self.files_mut(best);
        files.store(core, key, &tests).await;
        match files.publish(core, key).await {
            Ok(()) => files.failure().map(str::to_owned),
            Err(error) => {
                tracing::warn!(id = %key.id, %error, "could not store the list of tests");
                Some(reason_of(&error))
            }
        }
    }

    const fn files_mut(&mut self, source: TestSource) -> &mut ListFiles {
        match source {
            TestSource::Plugin => &mut self.plugin_files,
            TestSource::Junit => &mut self.junit_files,
            TestSource::Stream | TestSource::Console => &mut self.output_files,
        }
    }
}
