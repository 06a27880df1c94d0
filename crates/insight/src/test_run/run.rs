//! Summary of the results from one source, built from the events of its parser.

use super::case::{Framework, TestCase, TestCounts, TestSource};
use super::event::TestEvent;
use super::failures::Failures;
use super::summary::{SlowTest, TestSummary};
use crate::bounded_text::cut;
use std::time::Duration;

/// Number of slowest tests in a summary.
pub const SLOWEST: usize = 10;
/// Maximum number of flaky tests that a summary lists.
pub const MAX_FLAKY: usize = 50;
/// Maximum length in bytes of the reason why a run is broken or a report is unreadable.
const MAX_REASON_LEN: usize = 1024;

/// Builds the summary of a test run from the events of a parser. Only failures and groups are kept in memory.
#[derive(Clone, Debug)]
pub struct TestRun {
    source: TestSource,
    framework: Option<Framework>,
    /// Number of tests that were reported individually.
    counted: TestCounts,
    /// Sum of the summaries that the framework reported.
    totals: Option<TestCounts>,
    collected: Option<u64>,
    duration: Option<Duration>,
    has_ended: bool,
    failures: Failures,
    flaky: Vec<String>,
    slowest: Vec<SlowTest>,
    broken: Option<String>,
    unreadable: Option<String>,
}

impl TestRun {
    /// Creates a test run without results.
    #[must_use]
    pub fn new(source: TestSource) -> Self {
        Self {
            source,
            framework: None,
            counted: TestCounts::ZERO,
            totals: None,
            collected: None,
            duration: None,
            has_ended: false,
            failures: Failures::default(),
            flaky: Vec::new(),
            slowest: Vec::new(),
            broken: None,
            unreadable: None,
        }
    }

    /// Returns true if the output or the report was recognized as that of a test framework.
    #[must_use]
    pub const fn is_recognized(&self) -> bool {
        self.framework.is_some()
    }

    /// Adds one event.
    pub fn add(&mut self, event: &TestEvent) {
        match event {
            TestEvent::Recognized(framework) => self.framework = Some(*framework),
            TestEvent::Streamed => self.source = TestSource::Stream,
            TestEvent::Collected(more) => {
                self.collected = Some(self.collected.unwrap_or(0).saturating_add(*more));
            }
            TestEvent::Finished(case) => self.add_case(case),
            TestEvent::Counted(counts) => self.counted = self.counted.plus(*counts),
            TestEvent::Explained(case) => self.failures.explain(case),
            TestEvent::Totals(counts) => {
                self.totals = Some(self.totals.unwrap_or_default().plus(*counts));
            }
            TestEvent::Ended { duration } => {
                self.has_ended = true;
                self.duration = duration.or(self.duration);
            }
            TestEvent::Broken { message } => {
                self.broken.get_or_insert_with(|| cut(message, MAX_REASON_LEN).to_owned());
            }
            TestEvent::Unreadable { why } => {
                self.unreadable.get_or_insert_with(|| cut(why, MAX_REASON_LEN).to_owned());
            }
        }
    }

    fn add_case(&mut self, case: &TestCase) {
        self.counted.add(case.outcome);
        if let Some(duration) = case.duration {
            self.add_duration(case, duration);
        }
        if case.outcome.is_failure() {
            self.failures.add(case);
        } else if case.failure.as_ref().is_some_and(|failure| failure.flaky) && self.flaky.len() < MAX_FLAKY {
            self.flaky.push(case.id.clone());
        }
    }

    fn add_duration(&mut self, case: &TestCase, duration: Duration) {
        let position = self.slowest.partition_point(|slow| slow.duration >= duration);
        if position < SLOWEST {
            let slow = SlowTest { id: case.id.clone(), duration, outcome: Some(case.outcome) };
            self.slowest.insert(position, slow);
            self.slowest.truncate(SLOWEST);
        }
    }

    /// Returns the number of tests so far, in total and by result.
    ///
    /// Reports and machine-readable output list each test, so the listed tests are counted, and totals that a report
    /// states are never used. In text for people, some frameworks list only failed tests, so the summary of the
    /// framework is used if it includes all listed tests. After the end of the text, the summary only has to include
    /// all failures, because a test may print a line that looks like a result.
    #[must_use]
    pub fn counts(&self) -> TestCounts {
        let counted = self.counted;
        let is_usable = |totals: &TestCounts| match self.source {
            TestSource::Console if self.has_ended => {
                totals.failures() >= counted.failures() && !self.is_beyond_collected(*totals)
            }
            TestSource::Console => totals.covers(counted) && !self.is_beyond_collected(*totals),
            TestSource::Plugin | TestSource::Junit | TestSource::Stream => false,
        };
        self.totals.filter(is_usable).unwrap_or(counted)
    }

    /// Returns true if a summary of `cargo test` has more tests than its test programs announced. Other frameworks may
    /// count a test more than once.
    fn is_beyond_collected(&self, totals: TestCounts) -> bool {
        self.framework == Some(Framework::CargoTest)
            && self.collected.is_some_and(|collected| totals.total > collected)
    }

    /// Returns true if the framework ended the run normally, and its report is readable and does not contradict itself.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.has_ended && self.unreadable.is_none() && self.contradicting().is_none()
    }

    /// Returns the summary of the framework if it contradicts the individual results.
    fn contradicting(&self) -> Option<TestCounts> {
        let totals = self.totals.filter(|_| self.has_ended)?;
        let is_contradicting = match self.source {
            TestSource::Plugin | TestSource::Junit => {
                totals.total != self.counted.total || totals.failures() != self.counted.failures()
            }
            TestSource::Stream => {
                totals.total != self.counted.total
                    || totals.failures() != self.counted.failures()
                    || totals.passed != self.counted.passed
            }
            // In text for people, the framework may list only some of the tests.
            TestSource::Console => {
                totals.failures() < self.counted.failures() || self.is_beyond_collected(totals)
            }
        };
        is_contradicting.then_some(totals)
    }

    /// Returns the approximate size of the run in memory, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let slowest: usize = self.slowest.iter().map(|slow| slow.id.len()).sum();
        let flaky: usize = self.flaky.iter().map(String::len).sum();
        size_of::<Self>()
            .saturating_add(self.failures.held_bytes())
            .saturating_add(slowest)
            .saturating_add(flaky)
    }

    /// Returns the results so far.
    #[must_use]
    pub fn summary(&self) -> TestSummary {
        TestSummary {
            framework: self.framework,
            source: self.source,
            counts: self.counts(),
            collected: self.collected,
            duration: self.duration,
            complete: self.is_complete(),
            failures: self.failures.named().to_vec(),
            collection_errors: self.failures.collection().to_vec(),
            groups: self.failures.groups(),
            flaky: self.flaky.clone(),
            slowest: self.slowest.clone(),
            broken: self.broken.clone(),
            unreadable: self.unreadable.clone(),
            contradicting: self.contradicting(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::{MAX_GROUPS, MAX_NAMED_FAILURES, TestFailure, TestOutcome};

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
            offset: None,
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
    fn numbers_that_a_report_only_states_are_never_counted() {
        for source in [TestSource::Junit, TestSource::Stream, TestSource::Plugin] {
            for listed in 0..2 {
                let mut run = TestRun::new(source);
                (0..listed).for_each(|_| run.add(&case("a", TestOutcome::Passed, "")));
                let stated = TestCounts { total: 10, passed: 8, failed: 2, ..TestCounts::ZERO };
                run.add(&TestEvent::Totals(stated));
                run.add(&TestEvent::Ended { duration: None });
                let summary = run.summary();
                assert_eq!((summary.counts.total, summary.counts.failed), (listed, 0), "{source:?}");
                assert_eq!((summary.contradicting, summary.complete), (Some(stated), false), "{source:?}");
            }
        }
    }

    #[test]
    fn streams_with_the_right_total_and_other_passed_tests_contradict_themselves() {
        let mut run = TestRun::new(TestSource::Stream);
        run.add(&case("a", TestOutcome::Passed, ""));
        run.add(&TestEvent::Totals(TestCounts { total: 1, passed: 5, ..TestCounts::ZERO }));
        run.add(&TestEvent::Ended { duration: None });
        assert!(run.summary().contradicting.is_some());
    }

    #[test]
    fn cargo_cannot_pass_more_tests_than_it_announced() {
        let mut run = TestRun::new(TestSource::Console);
        run.add(&TestEvent::Recognized(Framework::CargoTest));
        run.add(&TestEvent::Collected(1));
        run.add(&case("a", TestOutcome::Passed, ""));
        run.add(&TestEvent::Totals(TestCounts { total: 300, passed: 300, ..TestCounts::ZERO }));
        run.add(&TestEvent::Ended { duration: None });
        let summary = run.summary();
        assert_eq!((summary.counts.total, summary.complete), (1, false));
        assert_eq!(summary.contradicting.map(|stated| stated.total), Some(300));
    }

    #[test]
    fn hundred_thousand_failures_need_bounded_memory() {
        let mut run = TestRun::new(TestSource::Junit);
        for number in 0..100_000 {
            run.add(&case(&format!("t{number}"), TestOutcome::Failed, &"x".repeat(number % 300)));
        }
        let summary = run.summary();
        assert_eq!((summary.counts.failed, summary.failures.len()), (100_000, MAX_NAMED_FAILURES));
        assert!(summary.groups.len() <= MAX_GROUPS);
        assert!(run.held_bytes() < 4 * 1024 * 1024, "{} bytes", run.held_bytes());
    }
}
