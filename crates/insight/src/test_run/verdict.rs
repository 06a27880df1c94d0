//! Compares a test run with its exit code and with earlier runs.

use super::case::TestCounts;
use super::summary::TestSummary;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Reason to doubt a successful test run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TestWarning {
    /// The command exited with code 0, but no test ran.
    NoTests,
    /// The command exited with code 0, but no test result could be read.
    Unreadable,
    /// The command exited with code 0, but fewer tests have a result than the framework found.
    FewerThanCollected {
        /// Number of tests that the framework found.
        collected: u64,
        /// Number of tests with a result.
        ran: u64,
    },
    /// The command exited with code 0, but fewer than half as many tests ran as in the last run.
    FewerThanBefore {
        /// Number of tests in the last run.
        before: u64,
        /// Number of tests in this run.
        now: u64,
    },
    /// The command exited with code 0, although tests failed.
    FailuresIgnored {
        /// Number of failed tests and errors.
        failures: u64,
    },
    /// The results of the individual tests contradict the framework's own summary or another report of the same run.
    Contradiction {
        /// Counts in the summary that is not used.
        stated: TestCounts,
        /// Counts of the results that are used.
        counted: TestCounts,
    },
    /// The command exited with code 0, but the report is incomplete.
    Incomplete,
}

impl TestWarning {
    /// Returns the code of the reason, as in records.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoTests => "no_tests",
            Self::Unreadable => "unreadable",
            Self::FewerThanCollected { .. } => "fewer_than_collected",
            Self::FewerThanBefore { .. } => "fewer_than_before",
            Self::FailuresIgnored { .. } => "failures_ignored",
            Self::Contradiction { .. } => "contradiction",
            Self::Incomplete => "incomplete",
        }
    }
}

impl fmt::Display for TestWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !matches!(self, Self::Contradiction { .. }) {
            f.write_str("the command exited with code 0, but ")?;
        }
        match self {
            Self::Unreadable => f.write_str("no test result could be read"),
            Self::NoTests => f.write_str("no test ran"),
            Self::FewerThanCollected { collected, ran } => {
                write!(f, "only {ran} of {collected} collected tests have a result")
            }
            Self::FewerThanBefore { before, now } => {
                write!(f, "only {now} tests ran, after {before} in the last run")
            }
            Self::FailuresIgnored { failures: 1 } => f.write_str("1 test failed"),
            Self::FailuresIgnored { failures } => write!(f, "{failures} tests failed"),
            Self::Contradiction { stated, counted } => write!(
                f,
                "a summary of the run states {} tests and {} failures, but the results contain {} tests and {} failures",
                stated.total,
                stated.failures(),
                counted.total,
                counted.failures()
            ),
            Self::Incomplete => f.write_str("the test results are incomplete"),
        }
    }
}

impl FailureHistory {
    /// Returns the name of the history, as in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Flaky => "flaky",
        }
    }
}

/// Returns the contradiction between the results and the summary of the source that contains them. The exit code of
/// the command does not matter.
#[must_use]
pub fn contradiction(summary: &TestSummary) -> Option<TestWarning> {
    let stated = summary.contradicting.filter(|_| !summary.complete)?;
    Some(TestWarning::Contradiction { stated, counted: summary.counts })
}

/// Returns a reason to doubt a test run whose command exited with code 0. `before` is the number of tests in the last
/// complete run of the same command. `is_unread` is true if there is a report that was not read completely.
#[must_use]
pub fn doubt(summary: &TestSummary, before: Option<u64>, is_unread: bool) -> Option<TestWarning> {
    if let Some(contradiction) = contradiction(summary) {
        return Some(contradiction);
    }
    let counts = summary.counts;
    let failures = counts.failed.saturating_add(counts.errors);
    if failures > 0 {
        return Some(TestWarning::FailuresIgnored { failures });
    }
    if let Some(stated) = summary.contradicting {
        return Some(TestWarning::Contradiction { stated, counted: counts });
    }
    if counts.total == 0 {
        let is_unreadable = is_unread || summary.unreadable.is_some();
        return Some(if is_unreadable { TestWarning::Unreadable } else { TestWarning::NoTests });
    }
    if let Some(collected) = summary.collected.filter(|collected| *collected > counts.total) {
        return Some(TestWarning::FewerThanCollected { collected, ran: counts.total });
    }
    if let Some(before) = before.filter(|before| counts.total.saturating_mul(2) < *before) {
        return Some(TestWarning::FewerThanBefore { before, now: counts.total });
    }
    (!summary.complete).then_some(TestWarning::Incomplete)
}

/// History of a failed test in earlier runs with the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureHistory {
    /// The test did not fail in the last run.
    New,
    /// The test failed in the last run as well.
    Known,
    /// The test changed at least twice between success and failure in the earlier runs.
    Flaky,
}

/// Returns the history of a failed test. `earlier` contains, for each earlier complete run, the ids of the failed
/// tests; the newest run is first.
#[must_use]
pub fn history_of(id: &str, earlier: &[BTreeSet<String>]) -> FailureHistory {
    let failed: Vec<bool> = earlier.iter().map(|run| run.contains(id)).collect();
    let changes = failed.windows(2).filter(|pair| pair.first() != pair.last()).count();
    if changes >= 2 {
        return FailureHistory::Flaky;
    }
    if failed.first() == Some(&true) { FailureHistory::Known } else { FailureHistory::New }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::{TestCase, TestEvent, TestOutcome, TestRun, TestSource};

    fn summary(collected: Option<u64>, counts: TestCounts) -> TestSummary {
        let mut run = TestRun::new(TestSource::Console);
        collected.into_iter().for_each(|count| run.add(&TestEvent::Collected(count)));
        run.add(&TestEvent::Totals(counts));
        run.add(&TestEvent::Ended { duration: None });
        run.summary()
    }

    fn passed(passed: u64) -> TestCounts {
        TestCounts { total: passed, passed, ..TestCounts::ZERO }
    }

    #[test]
    fn success_is_doubted_without_tests_with_fewer_tests_and_with_failures() {
        assert_eq!(doubt(&summary(None, passed(5)), Some(9), false), None);
        assert_eq!(doubt(&summary(None, passed(0)), None, false), Some(TestWarning::NoTests));
        assert_eq!(
            doubt(&summary(Some(7), passed(5)), None, false),
            Some(TestWarning::FewerThanCollected { collected: 7, ran: 5 })
        );
        assert_eq!(
            doubt(&summary(None, passed(4)), Some(9), false),
            Some(TestWarning::FewerThanBefore { before: 9, now: 4 })
        );
        let failed = TestCounts { failed: 1, total: 6, ..passed(5) };
        assert_eq!(
            doubt(&summary(None, failed), None, false),
            Some(TestWarning::FailuresIgnored { failures: 1 })
        );
        assert_eq!(doubt(&summary(None, passed(0)), None, true), Some(TestWarning::Unreadable));
        let mut unfinished = TestRun::new(TestSource::Console);
        unfinished.add(&TestEvent::Totals(passed(3)));
        assert_eq!(doubt(&unfinished.summary(), None, false), Some(TestWarning::Incomplete));
    }

    #[test]
    fn totals_that_contradict_the_single_results_are_doubted() {
        let mut run = TestRun::new(TestSource::Junit);
        for outcome in [TestOutcome::Passed, TestOutcome::Passed] {
            run.add(&TestEvent::Finished(TestCase::new("t", outcome)));
        }
        run.add(&TestEvent::Totals(passed(1)));
        run.add(&TestEvent::Ended { duration: None });
        assert_eq!(
            doubt(&run.summary(), None, false),
            Some(TestWarning::Contradiction { stated: passed(1), counted: passed(2) })
        );
    }

    #[test]
    fn history_distinguishes_new_known_and_flaky_failures() {
        let runs = |failed: &[bool]| -> Vec<BTreeSet<String>> {
            failed.iter().map(|failed| failed.then(|| "t".to_owned()).into_iter().collect()).collect()
        };
        assert_eq!(history_of("t", &[]), FailureHistory::New);
        assert_eq!(history_of("t", &runs(&[false, false])), FailureHistory::New);
        assert_eq!(history_of("t", &runs(&[true, true])), FailureHistory::Known);
        assert_eq!(history_of("t", &runs(&[true, false])), FailureHistory::Known);
        assert_eq!(history_of("t", &runs(&[false, true, false])), FailureHistory::Flaky);
    }
}
