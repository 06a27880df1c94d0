//! The results of a test run in the form in which they are stored next to the output of the attempt.

use super::case::TestCase;
use super::summary::TestSummary;
use super::verdict::{FailureHistory, TestWarning};
use serde::{Deserialize, Serialize};

/// Format of the stored results.
const FORMAT: u32 = 1;

/// Results of a test run without the list of its tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResults {
    /// Format of the stored results.
    format: u32,
    /// Summary without the list of failed tests, because a separate file contains this list.
    pub summary: TestSummary,
    /// Remarks about the sources, such as the reason why a better source could not be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Reason to doubt the success of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<TestWarning>,
    /// Number of tests that have a result but no name.
    #[serde(default)]
    pub unnamed: u64,
    /// Ids of tests that failed in the last run and passed in this run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<String>,
    /// Number of tests in the last complete run of the same command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_total: Option<u64>,
    /// Ids of the first failed tests, with which later runs determine the history of their failures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_ids: Vec<String>,
}

/// One test in the list of tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedTest {
    /// The test.
    pub case: TestCase,
    /// History of the failure; `None` if the test did not fail or if there are no earlier runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<FailureHistory>,
}

/// An error in stored results.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredResultsError {
    /// The bytes are not valid stored results.
    #[error("the stored test results are damaged: {why}")]
    Damaged {
        /// Description of the damage.
        why: String,
    },
    /// A newer program stored the results.
    #[error("the test results have format {found}; this program reads format {FORMAT}")]
    TooNew {
        /// Format of the results.
        found: u32,
    },
}

impl TestResults {
    /// Creates results from a summary. The list of failed tests is removed from the summary.
    #[must_use]
    pub fn new(mut summary: TestSummary) -> Self {
        summary.failures.clear();
        Self {
            format: FORMAT,
            summary,
            notes: Vec::new(),
            doubt: None,
            unnamed: 0,
            fixed: Vec::new(),
            last_total: None,
            failed_ids: Vec::new(),
        }
    }

    /// Encodes the results.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // The types contain only text, numbers and lists, so the encoding cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes stored results.
    ///
    /// # Errors
    /// Returns [`StoredResultsError`] if the bytes are damaged, or if a newer program wrote them.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoredResultsError> {
        #[derive(Deserialize)]
        struct Stamp {
            format: u32,
        }
        let damaged = |error: serde_json::Error| StoredResultsError::Damaged { why: error.to_string() };
        let Stamp { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(StoredResultsError::TooNew { found: format });
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}

impl ListedTest {
    /// Encodes the test as a line.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Decodes a line. Returns `None` if the line is damaged.
    #[must_use]
    pub fn decode(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::{TestOutcome, TestRun, TestSource};

    #[test]
    fn stored_results_are_read_as_they_were_written() {
        let mut results = TestResults::new(TestRun::new(TestSource::Junit).summary());
        results.notes.push("the plugin was not loaded".to_owned());
        results.doubt = Some(TestWarning::FewerThanBefore { before: 9, now: 2 });
        results.failed_ids.push("a".to_owned());
        assert_eq!(TestResults::decode(&results.encode()), Ok(results));
        let listed = ListedTest {
            case: TestCase::new("tests/a.py::test_ü", TestOutcome::Error),
            history: Some(FailureHistory::Flaky),
        };
        assert_eq!(ListedTest::decode(&listed.encode()), Some(listed));
    }

    #[test]
    fn damaged_and_newer_results_are_refused() {
        let newer = TestResults { format: 2, ..TestResults::new(TestRun::new(TestSource::Junit).summary()) };
        assert_eq!(TestResults::decode(&newer.encode()), Err(StoredResultsError::TooNew { found: 2 }));
        assert!(matches!(TestResults::decode(b"{"), Err(StoredResultsError::Damaged { .. })));
        assert_eq!(ListedTest::decode(b"{\"case\":"), None);
    }
}
