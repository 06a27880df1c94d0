//! Use cases for test runs: their results, the comparison of two runs, and the launch of the failed tests.

use crate::api::Api;
use crate::convert::{launched, listed_test, results_page};
use crate::error::ApiError;
use crate::peers::{PROMPT, PeerRequest, PeerRequestError, elsewhere};
use crate::test_results::{TestCursor, fit};
use longhaul_domain::{AttemptNo, NodeId, Process, Revision};
use longhaul_engine::TestPageRequest;
use longhaul_engine::ports::{AttemptKey, StoredProcess};
use longhaul_engine::test_run::{FailedTest, Framework, TestPhase, rerun_command};
use longhaul_wire::api::{
    RerunFailedReply, RerunFailedRequest, TestCaseView, TestDiffView, TestListView, TestResultsView,
    TestsRequest,
};
use std::collections::BTreeMap;

/// Default number of tests on one page.
const DEFAULT_LIMIT: u32 = 100;
/// Maximum number of tests on one page.
const MAX_LIMIT: u32 = 1_000;
/// Minimum token budget of a page.
const MIN_TOKENS: u32 = 100;
/// Maximum token budget of a page.
const MAX_TOKENS: u32 = 100_000;
/// Assumed size of a token, in bytes.
const TOKEN: usize = 4;
/// Maximum size of a page from another node, in bytes.
const MAX_PAGE_BYTES: usize = 64 * 1024 * 1024;
/// Maximum number of test ids in each list of a comparison.
const MAX_LISTED: usize = 1_000;
/// Maximum number of tests that a comparison reads from one run.
const MAX_COMPARED: usize = 1_000_000;
/// Maximum number of failed tests that one command can run again.
const MAX_RERUN: usize = 10_000;

impl Api {
    /// Returns a page of the test results of an attempt. The tests may still be running.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, the process has no test results, the
    /// results are on a node that cannot be reached, or the request is invalid.
    pub async fn tests(&self, reference: &str, request: &TestsRequest) -> Result<TestResultsView, ApiError> {
        let id = self.engine.find(reference).await?;
        let stored = self.engine.process(id).await?;
        self.tests_of(&stored, request).await
    }

    async fn tests_of(
        &self,
        stored: &StoredProcess,
        request: &TestsRequest,
    ) -> Result<TestResultsView, ApiError> {
        let limit = within("limit", request.limit, 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
        let budget = within("max_tokens", request.max_tokens, MIN_TOKENS, MAX_TOKENS)?;
        let place = TestCursor::of(&stored.process, request)?;
        if let Some(node) = elsewhere(&self.engine, stored, place.attempt).await {
            return self.tests_there(&node, stored, request).await;
        }
        let key = AttemptKey { id: stored.process.id, attempt: place.attempt };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let wanted = TestPageRequest { failed: place.failed, from: place.from, limit };
        let Some(page) = self.engine.test_page(key, wanted).await else {
            return recorded(&stored.process, place.attempt);
        };
        let mut view = results_page(&stored.process, &page.results, place.attempt, place.from == 0);
        view.cases = page.tests.iter().map(|(test, _)| listed_test(key, test, request.brief)).collect();
        if let Some(tokens) = budget {
            fit(&mut view, usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(TOKEN));
        }
        if page.has_more || view.cases.len() < page.tests.len() {
            let ends = page.tests.iter().map(|(_, end)| *end);
            let from = ends.take(view.cases.len()).max().unwrap_or(place.from);
            view.cursor = Some(TestCursor { from, ..place }.to_string());
        }
        Ok(view)
    }

    /// Returns a page of test results from another node.
    async fn tests_there(
        &self,
        node: &NodeId,
        stored: &StoredProcess,
        request: &TestsRequest,
    ) -> Result<TestResultsView, ApiError> {
        let target = crate::output::target(stored, "tests", request);
        let question = PeerRequest { target, body: None, time_limit: PROMPT };
        match self.peers.fetch(&self.engine, node, question, MAX_PAGE_BYTES).await {
            Ok(view) => Ok(view),
            Err(PeerRequestError::Refused(fault)) => Err(fault),
            Err(PeerRequestError::Away(away)) => Err(away.output(stored.process.id)),
        }
    }

    /// Compares the test results of a process with the test results of the process `base`.
    ///
    /// # Errors
    /// Returns the errors of [`tests`](Self::tests) for both processes.
    pub async fn tests_diff(&self, reference: &str, base: &str) -> Result<TestDiffView, ApiError> {
        let id = self.engine.find(reference).await?;
        let base_id = self.engine.find(base).await?;
        let newer = self.named_tests(&self.engine.process(id).await?).await?;
        let older = self.named_tests(&self.engine.process(base_id).await?).await?;
        Ok(TestDiffView { id: id.to_string(), base_id: base_id.to_string(), ..differences(&newer, &older) })
    }

    /// Returns the named tests of the latest attempt, and for each test whether it failed.
    async fn named_tests(&self, stored: &StoredProcess) -> Result<NamedTests, ApiError> {
        let mut named = NamedTests::default();
        let results = self
            .each_test(stored, false, MAX_COMPARED, |case| {
                // A test has several results if its tear-down failed too.
                *named.failed.entry(case.id.clone()).or_default() |= is_failure(case);
            })
            .await?;
        named.has_unnamed = results.unnamed > 0;
        named.is_incomplete = !results.tests.complete;
        Ok(named)
    }

    /// Calls `each` for the tests of the latest attempt. If `failed` is true, calls `each` only for the failed tests.
    /// Stops after the page on which the number of tests reaches `max`. Returns the first page without its tests.
    async fn each_test(
        &self,
        stored: &StoredProcess,
        failed: bool,
        max: usize,
        mut each: impl FnMut(&TestCaseView) + Send,
    ) -> Result<TestResultsView, ApiError> {
        let mut request =
            TestsRequest { failed, brief: true, limit: Some(MAX_LIMIT), ..TestsRequest::default() };
        let (mut first, mut count) = (None, 0_usize);
        loop {
            let mut page = self.tests_of(stored, &request).await?;
            let cases = std::mem::take(&mut page.cases);
            cases.iter().for_each(&mut each);
            count = count.saturating_add(cases.len());
            let next = page.cursor.take().filter(|_| count < max && !cases.is_empty());
            let first = first.get_or_insert(page);
            match next {
                Some(cursor) => request.cursor = Some(cursor),
                None => return Ok(std::mem::take(first)),
            }
        }
    }

    /// Launches a new process that runs only the failed tests of an ended process. The command names each of these
    /// tests in the notation of the test framework. A dry run returns the command and launches nothing.
    ///
    /// # Errors
    /// Returns the errors of [`tests`](Self::tests), and an error if no test failed or if the framework cannot run
    /// these tests by name.
    pub async fn rerun_failed(
        &self,
        reference: &str,
        request: &RerunFailedRequest,
        expected: Option<Revision>,
    ) -> Result<RerunFailedReply, ApiError> {
        let engine = &self.engine;
        let id = engine.find(reference).await?;
        let stored = engine.process(id).await?;
        if !stored.process.status().is_ended() {
            return Err(ApiError::new(409, "not_ended", format!("{} has not ended", id.short()))
                .because("further tests may fail until it ends")
                .help(format!("run `longhaul wait {}` first", id.short())));
        }
        let mut failed = Vec::new();
        let results = self.each_test(&stored, true, MAX_RERUN, |case| failed.push(failed_test(case))).await?;
        let tests = results.tests.failed.saturating_add(results.tests.errors);
        if tests == 0 {
            return Err(ApiError::new(409, "no_failed_tests", format!("no test of {} failed", id.short()))
                .help(format!("`longhaul restart {}` runs all tests again", id.short())));
        }
        let argv = command_of(&stored.process);
        let is_complete = u64::try_from(failed.len()) == Ok(tests);
        let command = results
            .tests
            .framework
            .as_deref()
            .and_then(Framework::named)
            .filter(|_| is_complete)
            .and_then(|framework| rerun_command(framework, &argv, &failed))
            .ok_or_else(|| not_possible(&stored.process, &results, is_complete))?;
        let process = if request.dry_run {
            None
        } else {
            let outcome = engine.restart_with(id, command.clone(), expected).await?;
            Some(launched(engine, &outcome).await.process)
        };
        Ok(RerunFailedReply { command, tests, process })
    }
}

/// Results of the named tests of one run.
#[derive(Debug, Default)]
struct NamedTests {
    /// For each named test, true if the test failed.
    failed: BTreeMap<String, bool>,
    /// True if some tests of the run have no name. A test that is missing in `failed` may then have run.
    has_unnamed: bool,
    /// True if the results are incomplete. A test that is missing in `failed` may then have failed.
    is_incomplete: bool,
}

fn differences(newer: &NamedTests, older: &NamedTests) -> TestDiffView {
    let incomplete = [("newer", newer), ("base", older)].into_iter().filter(|(_, run)| run.is_incomplete);
    let incomplete = incomplete.map(|(name, _)| name.to_owned()).collect();
    let mut diff = TestDiffView { incomplete, ..TestDiffView::default() };
    for (id, is_failed) in &newer.failed {
        match (older.failed.get(id), is_failed) {
            (Some(true), true) => push(&mut diff.still_failing, id),
            (Some(false) | None, true) => push(&mut diff.new, id),
            (Some(true), false) => push(&mut diff.fixed, id),
            (Some(false) | None, false) => {}
        }
        if !older.failed.contains_key(id) && !older.has_unnamed && !older.is_incomplete {
            push(&mut diff.added, id);
        }
    }
    if newer.is_incomplete {
        return diff;
    }
    for (id, was_failed) in older.failed.iter().filter(|(id, _)| !newer.failed.contains_key(*id)) {
        match (newer.has_unnamed, was_failed) {
            // The newer run names all its failed tests. This test is not one of them, so it did not fail again.
            (true, true) => push(&mut diff.fixed, id),
            (true, false) => {}
            (false, _) => push(&mut diff.removed, id),
        }
    }
    diff
}

fn push(list: &mut TestListView, id: &str) {
    list.count = list.count.saturating_add(1);
    if list.ids.len() < MAX_LISTED {
        list.ids.push(id.to_owned());
    }
}

fn is_failure(case: &TestCaseView) -> bool {
    matches!(case.outcome.as_str(), "failed" | "error")
}

fn failed_test(case: &TestCaseView) -> FailedTest {
    let is_collection_error = case.phase.as_deref() == Some(TestPhase::Collect.as_str());
    let phase = if is_collection_error { TestPhase::Collect } else { TestPhase::Call };
    FailedTest { id: case.id.clone(), file: case.file.clone(), phase, ..FailedTest::default() }
}

fn command_of(process: &Process) -> Vec<String> {
    process.spec.command().map_or_else(Vec::new, |command| {
        std::iter::once(&command.program).chain(&command.args).cloned().collect()
    })
}

fn not_possible(process: &Process, results: &TestResultsView, is_complete: bool) -> ApiError {
    let id = process.id.short();
    let why = if is_complete {
        let framework = results.tests.framework.as_deref().unwrap_or("unknown");
        format!("the framework is {framework}, and the command is {}", command_of(process).join(" "))
    } else {
        "the results do not name every failed test".to_owned()
    };
    ApiError::new(409, "rerun_not_possible", format!("the failed tests of {id} cannot be run alone"))
        .because(why)
        .help(format!(
            "`longhaul restart {id}` runs all tests again; if a launch runs the framework directly, such as `pytest` \
             instead of a script, its failed tests can be run alone"
        ))
}

/// Returns the test results in the record of a process. The caller uses them if the result files are missing.
fn recorded(process: &Process, attempt: AttemptNo) -> Result<TestResultsView, ApiError> {
    match &process.tests {
        Some(report) if attempt == process.attempt => {
            let tests = crate::convert::tests(report);
            Ok(TestResultsView {
                cases: tests.failures.clone(),
                tests,
                ..crate::convert::results_of(process, attempt)
            })
        }
        Some(_) | None => Err(no_results(process)),
    }
}

fn no_results(process: &Process) -> ApiError {
    let id = process.id.short();
    let error = ApiError::new(404, "no_test_results", format!("{id} has no test results"));
    if process.status().is_ended() {
        return error.because("longhaul found no results of a test framework in its output").help(
            "launch the command with `--report junit:PATH` if it writes a JUnit report, or with `--report auto`",
        );
    }
    if !longhaul_engine::has_tests(&process.spec) {
        return error
            .because("the process is not a test run")
            .help("if the command runs tests, launch it with `--report auto` or `--report junit:PATH`");
    }
    error.because("no test has a result yet").help("try again while the tests are running")
}

fn within(what: &str, value: Option<u32>, min: u32, max: u32) -> Result<Option<u32>, ApiError> {
    match value {
        Some(value) if !(min..=max).contains(&value) => {
            Err(ApiError::invalid(what, format!("the value must be from {min} to {max}")))
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(tests: &[(&str, bool)], has_unnamed: bool) -> NamedTests {
        let failed = tests.iter().map(|(id, failed)| ((*id).to_owned(), *failed)).collect();
        NamedTests { failed, has_unnamed, is_incomplete: false }
    }

    #[test]
    fn two_runs_differ_in_new_fixed_added_and_removed_tests() {
        let older = named(&[("a", true), ("b", true), ("c", false), ("d", false)], false);
        let newer = named(&[("a", true), ("b", false), ("c", true), ("e", false)], false);
        let diff = differences(&newer, &older);
        let ids = |list: &TestListView| list.ids.join(",");
        assert_eq!((ids(&diff.still_failing), ids(&diff.fixed)), ("a".to_owned(), "b".to_owned()));
        assert_eq!((ids(&diff.new), ids(&diff.added)), ("c".to_owned(), "e".to_owned()));
        assert_eq!(ids(&diff.removed), "d");
    }

    #[test]
    fn tests_that_are_missing_in_incomplete_results_are_not_added_removed_or_fixed() {
        let whole = || named(&[("a", true), ("b", true), ("c", false)], false);
        let cut = || NamedTests { is_incomplete: true, ..named(&[("a", false)], false) };
        let newer_is_cut = differences(&cut(), &whole());
        assert_eq!((newer_is_cut.fixed.count, newer_is_cut.removed.count), (1, 0));
        assert_eq!(newer_is_cut.incomplete, ["newer"]);
        let base_is_cut = differences(&whole(), &cut());
        assert_eq!((base_is_cut.new.count, base_is_cut.added.count), (2, 0));
        assert_eq!(base_is_cut.incomplete, ["base"]);
        assert_eq!(differences(&cut(), &cut()).incomplete, ["newer", "base"]);
    }

    #[test]
    fn without_names_of_passed_tests_nothing_counts_as_added_or_removed() {
        let older = named(&[("a", true), ("b", true)], true);
        let newer = named(&[("a", true), ("c", true)], true);
        let diff = differences(&newer, &older);
        assert_eq!((diff.fixed.count, diff.new.count, diff.still_failing.count), (1, 1, 1));
        assert_eq!((diff.added.count, diff.removed.count), (0, 0));
    }
}
