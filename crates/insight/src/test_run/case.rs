//! One test and its result.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Maximum length of a test id in bytes.
pub const MAX_ID_LEN: usize = 1024;
/// Maximum length in bytes of each text in the details of a failure.
pub const MAX_TEXT_LEN: usize = 16 * 1024;

/// A test framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framework {
    /// pytest (Python).
    Pytest,
    /// `cargo test` (Rust).
    CargoTest,
    /// `cargo nextest` (Rust).
    Nextest,
    /// `go test`.
    GoTest,
    /// Jest (JavaScript).
    Jest,
    /// Vitest (JavaScript).
    Vitest,
    /// A program that prints the Test Anything Protocol.
    Tap,
    /// Another program that writes JUnit XML.
    Junit,
}

/// Source of the results. The variants are ordered from the most to the least reliable source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestSource {
    /// The longhaul plugin that runs inside the framework.
    Plugin,
    /// A JUnit XML file.
    Junit,
    /// Machine-readable lines in the output, such as `go test -json`.
    Stream,
    /// Text for people in the output.
    Console,
}

/// Result of one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// The test passed.
    Passed,
    /// An assertion or the code under test failed.
    Failed,
    /// The test could not be run to its end, because collection, set-up or tear-down failed.
    Error,
    /// The test was skipped.
    Skipped,
    /// The test failed, as its author expected.
    Xfailed,
    /// The test passed, although its author expected a failure.
    Xpassed,
    /// The test is marked as todo: it is only planned.
    Todo,
}

/// Phase of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestPhase {
    /// Collection: the framework looked for tests.
    Collect,
    /// Set-up, before the test.
    Setup,
    /// The test function itself.
    #[default]
    Call,
    /// Tear-down, after the test.
    Teardown,
}

/// One test with its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCase {
    /// Name with which the framework can run this test alone; at most [`MAX_ID_LEN`] bytes.
    pub id: String,
    /// Result.
    pub outcome: TestOutcome,
    /// Source file. The path is relative to the working directory if the framework reports it that way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line of the test, or of the failure, in the source file; the first line is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Duration of the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Details, if the test failed or ended with an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<TestFailure>>,
    /// Offset in the output at which the report of a failed test starts. `None` if the source of the result is not the
    /// output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl TestCase {
    /// Creates a test for which only the id and the result are known. An id that is too long is cut.
    #[must_use]
    pub fn new(id: &str, outcome: TestOutcome) -> Self {
        Self {
            id: super::text::id(id),
            outcome,
            file: None,
            line: None,
            duration: None,
            failure: None,
            offset: None,
        }
    }
}

/// Details of a failed test. Each text has at most [`MAX_TEXT_LEN`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFailure {
    /// Phase that failed.
    #[serde(default)]
    pub phase: TestPhase,
    /// Type of the exception or assertion, such as `AssertionError`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Message in one line, without the type.
    pub message: String,
    /// Expected value, if the framework reports it separately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Actual value, if the framework reports it separately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// Full text of the failure, such as a traceback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Output that the framework captured from the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<String>,
    /// True if the test passed when the framework ran it again in the same run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flaky: bool,
}

/// Number of tests, in total and by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    /// Number of all tests, regardless of their result.
    pub total: u64,
    /// Passed tests.
    pub passed: u64,
    /// Failed tests.
    pub failed: u64,
    /// Tests that could not be run to their end, and collection errors.
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

impl Framework {
    /// All frameworks.
    const ALL: [Self; 8] = [
        Self::Pytest,
        Self::CargoTest,
        Self::Nextest,
        Self::GoTest,
        Self::Jest,
        Self::Vitest,
        Self::Tap,
        Self::Junit,
    ];

    /// Returns the framework with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|framework| framework.as_str() == name)
    }

    /// Returns the name of the framework, as in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::CargoTest => "cargo_test",
            Self::Nextest => "nextest",
            Self::GoTest => "go_test",
            Self::Jest => "jest",
            Self::Vitest => "vitest",
            Self::Tap => "tap",
            Self::Junit => "junit",
        }
    }
}

impl TestSource {
    /// Returns the name of the source, as in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Junit => "junit",
            Self::Stream => "stream",
            Self::Console => "console",
        }
    }
}

impl TestPhase {
    /// Returns the name of the phase.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Setup => "setup",
            Self::Call => "call",
            Self::Teardown => "teardown",
        }
    }
}

impl TestOutcome {
    /// Returns the name of the outcome.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Skipped => "skipped",
            Self::Xfailed => "xfailed",
            Self::Xpassed => "xpassed",
            Self::Todo => "todo",
        }
    }

    /// Returns true if the test failed or could not be run to its end.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }
}

impl TestCounts {
    /// No tests.
    pub const ZERO: Self =
        Self { total: 0, passed: 0, failed: 0, errors: 0, skipped: 0, xfailed: 0, xpassed: 0, todo: 0 };

    /// Returns the sum of two counts, for each result.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            total: self.total.saturating_add(other.total),
            passed: self.passed.saturating_add(other.passed),
            failed: self.failed.saturating_add(other.failed),
            errors: self.errors.saturating_add(other.errors),
            skipped: self.skipped.saturating_add(other.skipped),
            xfailed: self.xfailed.saturating_add(other.xfailed),
            xpassed: self.xpassed.saturating_add(other.xpassed),
            todo: self.todo.saturating_add(other.todo),
        }
    }

    /// Returns the counts for a single test with this result.
    #[must_use]
    pub fn one(outcome: TestOutcome) -> Self {
        let mut counts = Self::ZERO;
        counts.add(outcome);
        counts
    }

    /// Returns true if each of these numbers is at least as high as the same number of `other`.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.total >= other.total
            && self.passed >= other.passed
            && self.failed >= other.failed
            && self.errors >= other.errors
            && self.skipped >= other.skipped
            && self.xfailed >= other.xfailed
            && self.xpassed >= other.xpassed
            && self.todo >= other.todo
    }

    /// Returns the number of tests that failed or could not be run to their end.
    #[must_use]
    pub const fn failures(self) -> u64 {
        self.failed.saturating_add(self.errors)
    }

    /// Adds one test.
    pub fn add(&mut self, outcome: TestOutcome) {
        let count = match outcome {
            TestOutcome::Passed => &mut self.passed,
            TestOutcome::Failed => &mut self.failed,
            TestOutcome::Error => &mut self.errors,
            TestOutcome::Skipped => &mut self.skipped,
            TestOutcome::Xfailed => &mut self.xfailed,
            TestOutcome::Xpassed => &mut self.xpassed,
            TestOutcome::Todo => &mut self.todo,
        };
        *count = count.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }
}
