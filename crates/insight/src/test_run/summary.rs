//! Summary of a test run.

use super::case::{Framework, TestCounts, TestOutcome, TestSource};
use super::failed_test::FailedTest;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Results of a test run, which may be complete or still in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSummary {
    /// Test framework, if it was recognized.
    pub framework: Option<Framework>,
    /// Source of the results.
    pub source: TestSource,
    /// Number of tests, in total and by result.
    pub counts: TestCounts,
    /// Number of tests that the framework found before it ran them, if the framework reports it.
    pub collected: Option<u64>,
    /// Duration of the run, as measured by the framework.
    pub duration: Option<Duration>,
    /// True if the framework ended the run normally. False while the tests are running, and after the run was killed.
    pub complete: bool,
    /// The first failed tests, at most [`MAX_NAMED_FAILURES`](super::MAX_NAMED_FAILURES).
    pub failures: Vec<FailedTest>,
    /// Collection errors, such as a test file with a syntax error, at most
    /// [`MAX_COLLECTION_ERRORS`](super::MAX_COLLECTION_ERRORS). The counts include them as errors.
    #[serde(default)]
    pub collection_errors: Vec<FailedTest>,
    /// Failures with the same cause, the largest group first, at most [`MAX_GROUPS`](super::MAX_GROUPS).
    pub groups: Vec<FailureGroup>,
    /// Ids of the first tests that passed only when the framework ran them again, at most
    /// [`MAX_FLAKY`](super::MAX_FLAKY).
    #[serde(default)]
    pub flaky: Vec<String>,
    /// The slowest tests, slowest first, at most [`SLOWEST`](super::SLOWEST).
    pub slowest: Vec<SlowTest>,
    /// Error that prevented the framework from running its tests.
    pub broken: Option<String>,
    /// Reason why part of the report is unreadable.
    pub unreadable: Option<String>,
    /// Summary of the framework, or of another report of the same run, if it contradicts `counts`.
    #[serde(default)]
    pub contradicting: Option<TestCounts>,
}

/// Failures with the same cause: they have the same type, and the same message apart from numbers and addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureGroup {
    /// Type and message, with `#` in place of each number.
    pub cause: String,
    /// Number of failures.
    pub count: u64,
    /// Id of the first failed test in the group.
    pub first: String,
}

/// A test with its duration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowTest {
    /// Id of the test.
    pub id: String,
    /// Duration of the test.
    pub duration: Duration,
    /// Result of the test; `None` in results that an older version stored.
    #[serde(default)]
    pub outcome: Option<TestOutcome>,
}
