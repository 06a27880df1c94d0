//! The test results in the record of a process, and the source that a launch requests for them.

use std::time::Duration;

/// Maximum number of failed tests in a [`TestReport`].
pub const MAX_NAMED_FAILED_TESTS: usize = 5;

/// Source of test results that a launch requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TestReporting {
    /// longhaul looks for test results if the process is a test suite or if its command runs a known test framework.
    #[default]
    Detect,
    /// longhaul looks for no test results.
    Off,
    /// longhaul looks for test results of any command.
    Auto,
    /// In addition to the other sources, longhaul reads the JUnit reports at this path. The path is relative to the
    /// working directory and may contain `*` in names.
    Junit(String),
}

/// Test results of one attempt, as the record contains them. The complete results are stored next to the output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestReport {
    /// Name of the test framework, such as `pytest`; `None` if it was not recognized.
    pub framework: Option<String>,
    /// Name of the source of the results, such as `junit`; `None` if no source contains results.
    pub source: Option<String>,
    /// Number of tests, in total and by result.
    pub tally: TestTally,
    /// Number of tests that the framework found before it ran them, if it reports this number.
    pub collected: Option<u64>,
    /// Duration of the run, as measured by the framework.
    pub duration: Option<Duration>,
    /// True if the framework ended the run normally.
    pub complete: bool,
    /// Reason to doubt the success of the run.
    pub doubt: Option<TestDoubt>,
    /// Remarks about the sources, such as the reason why a better source could not be used.
    pub notes: Vec<String>,
    /// The first failed tests; at most [`MAX_NAMED_FAILED_TESTS`].
    pub failures: Vec<NamedFailure>,
}

/// Number of tests, in total and by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestTally {
    /// Number of all tests with a result.
    pub total: u64,
    /// Passed tests.
    pub passed: u64,
    /// Failed tests.
    pub failed: u64,
    /// Tests that the framework could not run completely, and files whose tests it could not collect.
    pub errors: u64,
    /// Skipped tests.
    pub skipped: u64,
    /// Tests that failed as expected.
    pub xfailed: u64,
    /// Tests that passed although a failure was expected.
    pub xpassed: u64,
    /// Planned tests.
    pub todo: u64,
}

/// Reason to doubt the success of a test run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestDoubt {
    /// Code of the reason, such as `no_tests`.
    pub kind: String,
    /// Reason in one sentence.
    pub message: String,
}

/// A failed test in the record of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedFailure {
    /// Name with which the framework can run this test alone.
    pub id: String,
    /// True if the framework could not run the test completely, or could not collect the tests of its file.
    pub is_error: bool,
    /// Source file.
    pub file: Option<String>,
    /// Line in the source file; the first line is 1.
    pub line: Option<u32>,
    /// Type of the exception or assertion.
    pub kind: Option<String>,
    /// Message in one line.
    pub message: String,
    /// History of the failure in earlier runs: `new`, `known` or `flaky`. `None` if there are no earlier runs.
    pub history: Option<String>,
}

impl TestTally {
    /// Returns the number of tests that failed or that the framework could not run completely.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.failed.saturating_add(self.errors)
    }
}
