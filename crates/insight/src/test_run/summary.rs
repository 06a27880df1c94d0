//! Summary of a run of tests, built from the events of a parser.

use super::case::{Framework, TestCase, TestCounts, TestOutcome, TestSource};
use super::cause::cause_of;
use super::event::TestEvent;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Maximum number of failed tests that a summary names. The counts include all of them.
pub const MAX_NAMED_FAILURES: usize = 200;
/// Maximum number of groups of failures in a summary.
pub const MAX_GROUPS: usize = 20;
/// Maximum number of groups that are counted while the tests run.
const MAX_COUNTED_GROUPS: usize = 1000;
/// Number of slowest tests in a summary.
pub const SLOWEST: usize = 10;

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
    /// The first failed tests, at most [`MAX_NAMED_FAILURES`].
    pub failures: Vec<FailedTest>,
    /// Failures with the same cause, the largest group first, at most [`MAX_GROUPS`].
    pub groups: Vec<FailureGroup>,
    /// The slowest tests, slowest first, at most [`SLOWEST`].
    pub slowest: Vec<SlowTest>,
    /// Error that kept the framework from running its tests.
    pub broken: Option<String>,
    /// Reason why a part of the report could not be read.
    pub unreadable: Option<String>,
}

/// A failed test in short form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTest {
    /// Name by which the framework runs this test alone.
    pub id: String,
    /// Source file.
    pub file: Option<String>,
    /// Line in that file.
    pub line: Option<u32>,
    /// Type of the exception or assertion.
    pub kind: Option<String>,
    /// Message in one line.
    pub message: String,
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

/// Builds the summary of a run from the events of a parser. Needs memory for the failures and groups only.
#[derive(Clone, Debug)]
pub struct TestRun {
    source: TestSource,
    framework: Option<Framework>,
    /// Tests that were reported one by one.
    counted: TestCounts,
    /// Sum of the summaries of the framework.
    totals: Option<TestCounts>,
    collected: Option<u64>,
    duration: Option<Duration>,
    has_ended: bool,
    failures: Vec<FailedTest>,
    groups: BTreeMap<String, (u64, String)>,
    slowest: Vec<SlowTest>,
    broken: Option<String>,
    unreadable: Option<String>,
}

impl TestRun {
    /// Creates a run without results.
    #[must_use]
    pub const fn new(source: TestSource) -> Self {
        Self {
            source,
            framework: None,
            counted: TestCounts::ZERO,
            totals: None,
            collected: None,
            duration: None,
            has_ended: false,
            failures: Vec::new(),
            groups: BTreeMap::new(),
            slowest: Vec::new(),
            broken: None,
            unreadable: None,
        }
    }

    /// Returns true if the output or the report was recognized as one of a test framework.
    #[must_use]
    pub const fn is_recognized(&self) -> bool {
        self.framework.is_some()
    }

    /// Adds one event.
    pub fn add(&mut self, event: &TestEvent) {
        match event {
            TestEvent::Recognized(framework) => self.framework = Some(*framework),
            TestEvent::Collected(more) => {
                self.collected = Some(self.collected.unwrap_or(0).saturating_add(*more));
            }
            TestEvent::Finished(case) => self.add_case(case),
            TestEvent::Totals(counts) => {
                self.totals = Some(self.totals.unwrap_or_default().plus(*counts));
            }
            TestEvent::Ended { duration } => {
                self.has_ended = true;
                self.duration = duration.or(self.duration);
            }
            TestEvent::Broken { message } => {
                self.broken.get_or_insert_with(|| message.clone());
            }
            TestEvent::Unreadable { why } => {
                self.unreadable.get_or_insert_with(|| why.clone());
            }
        }
    }

    fn add_case(&mut self, case: &TestCase) {
        self.counted.add(case.outcome);
        if let Some(duration) = case.duration {
            self.add_duration(&case.id, duration);
        }
        let is_failure = matches!(case.outcome, TestOutcome::Failed | TestOutcome::Error);
        if !is_failure {
            return;
        }
        let (kind, message) = match &case.failure {
            Some(failure) => (failure.kind.clone(), failure.message.clone()),
            None => (None, String::new()),
        };
        let cause = cause_of(kind.as_deref(), &message);
        if let Some((count, _)) = self.groups.get_mut(&cause) {
            *count = count.saturating_add(1);
        } else if self.groups.len() < MAX_COUNTED_GROUPS {
            self.groups.insert(cause, (1, case.id.clone()));
        }
        if self.failures.len() < MAX_NAMED_FAILURES {
            let TestCase { id, file, line, .. } = case.clone();
            self.failures.push(FailedTest { id, file, line, kind, message });
        }
    }

    fn add_duration(&mut self, id: &str, duration: Duration) {
        let position = self.slowest.partition_point(|slow| slow.duration >= duration);
        if position < SLOWEST {
            self.slowest.insert(position, SlowTest { id: id.to_owned(), duration });
            self.slowest.truncate(SLOWEST);
        }
    }

    /// Returns the results so far.
    ///
    /// The counts are those of the tests that were reported one by one, or the summary of the framework if that has
    /// more tests: some frameworks print only failed tests one by one.
    #[must_use]
    pub fn summary(&self) -> TestSummary {
        let counts = self.totals.filter(|totals| totals.total >= self.counted.total).unwrap_or(self.counted);
        let mut groups: Vec<FailureGroup> = self
            .groups
            .iter()
            .map(|(cause, (count, first))| FailureGroup {
                cause: cause.clone(),
                count: *count,
                first: first.clone(),
            })
            .collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups.truncate(MAX_GROUPS);
        TestSummary {
            framework: self.framework,
            source: self.source,
            counts,
            collected: self.collected,
            duration: self.duration,
            complete: self.has_ended && self.unreadable.is_none(),
            failures: self.failures.clone(),
            groups,
            slowest: self.slowest.clone(),
            broken: self.broken.clone(),
            unreadable: self.unreadable.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::case::TestFailure;

    fn case(id: &str, outcome: TestOutcome, message: &str) -> TestEvent {
        let failure = (!message.is_empty()).then(|| {
            Box::new(TestFailure {
                kind: Some("AssertionError".to_owned()),
                message: message.to_owned(),
                ..TestFailure::default()
            })
        });
        let duration = Some(Duration::from_millis(id.len() as u64));
        TestEvent::Finished(TestCase {
            id: id.to_owned(),
            outcome,
            file: None,
            line: None,
            duration,
            failure,
        })
    }

    fn run(events: &[TestEvent]) -> TestSummary {
        let mut run = TestRun::new(TestSource::Console);
        events.iter().for_each(|event| run.add(event));
        run.summary()
    }

    #[test]
    fn failures_with_the_same_message_except_for_numbers_are_one_group() {
        let summary = run(&[
            case("a", TestOutcome::Failed, "assert 3 < 3"),
            case("bb", TestOutcome::Failed, "assert 4 < 3"),
            case("ccc", TestOutcome::Error, "no database"),
            case("dddd", TestOutcome::Passed, ""),
        ]);
        assert_eq!((summary.counts.total, summary.counts.failed, summary.counts.errors), (4, 2, 1));
        let groups: Vec<_> = summary
            .groups
            .iter()
            .map(|group| (group.cause.as_str(), group.count, group.first.as_str()))
            .collect();
        assert_eq!(
            groups,
            [("AssertionError: assert # < #", 2, "a"), ("AssertionError: no database", 1, "ccc")]
        );
        assert_eq!(summary.slowest[0].id, "dddd");
    }

    #[test]
    fn run_without_its_end_is_incomplete() {
        let events = [case("a", TestOutcome::Passed, "")];
        assert!(!run(&events).complete);
        let ended = TestEvent::Ended { duration: None };
        assert!(run(&[events[0].clone(), ended.clone()]).complete);
        let cut = TestEvent::Unreadable { why: "the file ends in the middle of a tag".to_owned() };
        assert!(!run(&[events[0].clone(), ended, cut]).complete);
    }

    #[test]
    fn totals_count_only_where_they_have_more_tests_than_were_reported_one_by_one() {
        let totals = |total, passed| TestEvent::Totals(TestCounts { total, passed, ..TestCounts::ZERO });
        let one = case("a", TestOutcome::Passed, "");
        assert_eq!(run(&[one.clone(), totals(3, 3), totals(2, 2)]).counts.passed, 5);
        assert_eq!(run(&[one.clone(), one, totals(1, 1)]).counts.passed, 2);
    }

    #[test]
    fn hundred_thousand_failures_need_bounded_memory() {
        let mut run = TestRun::new(TestSource::Junit);
        for number in 0..100_000 {
            run.add(&case(&format!("t{number}"), TestOutcome::Failed, &"x".repeat(number % 300)));
        }
        let summary = run.summary();
        assert_eq!((summary.counts.failed, summary.failures.len()), (100_000, MAX_NAMED_FAILURES));
        assert!(summary.groups.len() <= MAX_GROUPS && run.groups.len() <= MAX_COUNTED_GROUPS);
    }
}
