//! Test results: the summary in a process, and the pages with all results.

use super::ProcessView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Summary of the test results of the latest attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestsView {
    /// Test framework: `pytest`, `cargo_test`, `nextest`, `go_test`, `jest`, `vitest`, `tap` or `junit`. Null if no
    /// framework was recognized.
    pub framework: Option<String>,
    /// Source of the results, from the most to the least reliable: `plugin`, `junit`, `stream` (machine-readable
    /// output) or `console` (text for people). Null if no source contains results.
    pub source: Option<String>,
    /// Number of all tests with a result.
    pub total: u64,
    /// Passed tests.
    pub passed: u64,
    /// Failed tests.
    pub failed: u64,
    /// Number of tests that the framework could not run completely, plus the number of files whose tests it could not
    /// collect.
    pub errors: u64,
    /// Skipped tests.
    pub skipped: u64,
    /// Tests that failed as expected.
    pub xfailed: u64,
    /// Tests that passed although a failure was expected.
    pub xpassed: u64,
    /// Planned tests.
    pub todo: u64,
    /// Number of tests that the framework found before it ran them, if it reports this number.
    pub collected: Option<u64>,
    /// Duration of the run in seconds, as the framework measured it.
    pub duration_s: Option<f64>,
    /// True if the framework ended the run normally. False while the tests run, and after the run was killed.
    pub complete: bool,
    /// Reason to doubt the success of the run; null if there is none.
    pub warning: Option<TestWarningView>,
    /// Remarks about the sources, such as the reason why a better source could not be used.
    pub notes: Vec<String>,
    /// First failed tests: at most 5, without traces and captured output.
    pub failures: Vec<TestCaseView>,
}

/// Reason to doubt the success of a test run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestWarningView {
    /// Code of the reason: `no_tests`, `unreadable`, `fewer_than_collected`, `fewer_than_before`, `failures_ignored`,
    /// `contradiction` or `incomplete`.
    pub kind: String,
    /// Reason in one sentence.
    pub message: String,
}

/// One test. Fields that do not apply are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestCaseView {
    /// Name with which the framework can run this test alone.
    pub id: String,
    /// Result: `passed`, `failed`, `error`, `skipped`, `xfailed`, `xpassed` or `todo`.
    pub outcome: String,
    /// Source file of the test or of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in this file; the first line is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Duration of the test in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// Phase that failed: `collect`, `setup`, `call` or `teardown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Type of the exception or assertion, such as `AssertionError`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Message of the failure in one line, without the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Type and message of the failure, with `#` in place of numbers. Failures with the same cause form a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// History of the failure in earlier runs with the same project and name: `new`, `known` or `flaky`. Left out if
    /// there are no earlier runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<String>,
    /// Expected value, if the framework reports it separately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Actual value, if the framework reports it separately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// Full text of the failure, such as a traceback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Output that the framework captured from the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<String>,
    /// Cursor of the position in the output at which the failure is reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_cursor: Option<String>,
}

/// Request for a page of test results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TestsRequest {
    /// Attempt whose results are read; the default is the latest attempt.
    pub attempt: Option<u32>,
    /// True to list only failed tests and errors, with their details; false to list all tests.
    pub failed: bool,
    /// True to leave out traces, captured output and the compared values.
    pub brief: bool,
    /// Maximum number of tests on one page: 1 to 1,000; the default is 100.
    pub limit: Option<u32>,
    /// Cursor from the previous page. A cursor contains the attempt and the filter of its request.
    pub cursor: Option<String>,
    /// Maximum size of the reply in tokens of four bytes: 100 to 100,000. There is no limit by default. To fit the
    /// reply, long texts are cut first, and then tests are left out.
    pub max_tokens: Option<u32>,
}

/// Page of test results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestResultsView {
    /// Id of the process.
    pub id: String,
    /// Name of the process.
    pub name: Option<String>,
    /// Status of the process.
    pub status: String,
    /// Attempt that ran the tests.
    pub attempt: u32,
    /// Summary of the results.
    pub tests: TestsView,
    /// Failures with the same cause, the largest group first; only on the first page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<FailureGroupView>,
    /// Test files that could not be collected; only on the first page. The counts include them as errors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub collection_errors: Vec<TestCaseView>,
    /// Tests that passed only when the framework ran them again in the same run; only on the first page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flaky: Vec<String>,
    /// Slowest tests, slowest first; only on the first page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slowest: Vec<TestCaseView>,
    /// Tests that failed in the last run and passed in this run; only on the first page, at most 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<String>,
    /// Number of tests in the last complete run of the same command; only on the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_total: Option<u64>,
    /// Tests of this page, in the order in which their results were reported.
    pub cases: Vec<TestCaseView>,
    /// Number of tests that have a result but no name, because the output only counts them, such as the dots of pytest.
    /// The summary includes these tests, but the pages do not. Only on the first page.
    #[serde(skip_serializing_if = "is_zero")]
    pub unnamed: u64,
    /// Cursor of the next page; null on the last page.
    pub cursor: Option<String>,
}

/// Failures with the same cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FailureGroupView {
    /// Type and message of the failures, with `#` in place of numbers.
    pub cause: String,
    /// Number of failures.
    pub count: u64,
    /// Id of the first failed test of the group.
    pub first: String,
}

/// Differences between the test results of two processes. Each list contains at most 1,000 tests; the counts include
/// all tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestDiffView {
    /// Id of the process with the newer results.
    pub id: String,
    /// Id of the base: the process that the results are compared with.
    pub base_id: String,
    /// Results that are incomplete: `newer`, `base` or both. A test without a result in incomplete results may have
    /// run, so the lists `added` and `removed` leave such tests out, and a failure in `new` may have existed before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
    /// Tests that fail in the newer results, and passed or did not exist in the base.
    pub new: TestListView,
    /// Tests that pass in the newer results, and failed in the base.
    pub fixed: TestListView,
    /// Tests that fail in the newer results and in the base.
    pub still_failing: TestListView,
    /// Tests that exist only in the newer results.
    pub added: TestListView,
    /// Tests that exist only in the base.
    pub removed: TestListView,
}

/// Number of tests, and the ids of the first tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestListView {
    /// Number of tests.
    pub count: u64,
    /// Ids of the tests; at most 1,000.
    pub ids: Vec<String>,
}

/// Request to rerun the failed tests of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RerunFailedRequest {
    /// Attempt whose failed tests are run again; the default is the latest attempt.
    pub attempt: Option<u32>,
    /// True to return the command without launching it.
    pub dry_run: bool,
}

/// Reply to a request to rerun failed tests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RerunFailedReply {
    /// Command that runs only the failed tests: program and arguments.
    pub command: Vec<String>,
    /// Number of failed tests that the command runs.
    pub tests: u64,
    /// Process that was launched. Its `restarted_from` is the id of the ended process. Null after a dry run.
    pub process: Option<ProcessView>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
