//! Summary of a run of tests.

use super::case::{Framework, TestCounts, TestSource};
use super::failed_test::FailedTest;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Results of a run of tests, complete or so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSummary {
    /// Framework, if it was recognized.
    pub framework: Option<Framework>,
    /// Source of the results.
    pub source: TestSource,
    /// Number of tests with each result.
    #[serde(flatten)]
    pub counts: TestCounts,
    /// Number of tests that the framework found before it ran them, if it says so.
    pub collected: Option<u64>,
    /// Duration of the run as the framework measured it.
    pub duration: Option<Duration>,
    /// True if the framework ended the run itself. False while the tests run, and after a kill.
    pub complete: bool,
    /// The first failed tests, at most [`MAX_NAMED_FAILURES`](super::MAX_NAMED_FAILURES).
    pub failures: Vec<FailedTest>,
    /// Errors of collection, such as a test file with a syntax error, at most
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
    /// Error that kept the framework from running its tests.
    pub broken: Option<String>,
    /// Reason why a part of the report could not be read.
    pub unreadable: Option<String>,
    /// Summary of the framework, or of another report of the run, if it contradicts `counts`.
    #[serde(default)]
    pub contradicting: Option<TestCounts>,
}

/// Failures with the same cause: the same type and the same message except for numbers and addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureGroup {
    /// Type and message, with `#` in place of numbers.
    pub cause: String,
    /// Number of failures.
    pub count: u64,
    /// Id of the first test of the group.
    pub first: String,
}

/// A test with its duration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowTest {
    /// Id of the test.
    pub id: String,
    /// Duration of the test.
    pub duration: Duration,
}
