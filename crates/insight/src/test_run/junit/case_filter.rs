//! Removes reported results that are not separate tests.

use super::stated::{Stated, StatedDifferences};
use crate::test_run::case::{Framework, TestCase, TestFailure, TestOutcome, TestPhase};
use std::collections::BTreeSet;
use std::time::Duration;

/// Maximum number of results that are stored until the end of their suite.
const MAX_HELD: usize = 1000;
/// Maximum number of failed tests whose failed tear-downs are recognized.
const MAX_FAILED: usize = 10_000;

/// Turns the results of a report into the results that the framework counts.
///
/// - pytest reports each attempt of a repeated test as a further test with the same name. A failed attempt that was
///   repeated looks like a passed test.
/// - pytest counts a failed tear-down as an error, in addition to the result of the test itself. If the test failed, the
///   report contains a second element with the same name. Otherwise, the only element contains only the error.
/// - Jest reports planned tests as passed. Only the counts of the suite show that they did not run.
#[derive(Debug, Default)]
pub(super) struct CaseFilter {
    framework: Option<Framework>,
    /// The latest result from pytest, which is not yet emitted.
    last: Option<TestCase>,
    /// Ids of tests that failed, before their tear-down. The workers of xdist may report other tests before the
    /// tear-down.
    failed: BTreeSet<String>,
    differences: StatedDifferences,
    /// Results from Jest that stand for either passed or planned tests.
    unclear: Vec<TestCase>,
    /// Number of passed tests in the current suite according to Jest, minus the passed tests that were already emitted.
    passed_left: Option<u64>,
}

impl CaseFilter {
    /// Sets the framework of the report.
    pub(super) const fn set_framework(&mut self, framework: Framework) {
        self.framework = Some(framework);
    }

    /// Starts a suite.
    pub(super) fn start_suite(&mut self, stated: Stated) {
        self.passed_left = stated.passed();
    }

    /// Returns the differences between the emitted results and the numbers that the report states.
    pub(super) const fn differences(&self) -> StatedDifferences {
        self.differences
    }

    /// Counts an error that the report states in addition to the failure of the same test, and that is not emitted.
    pub(super) const fn count_repeated(&mut self) {
        self.differences.repeated = self.differences.repeated.saturating_add(1);
    }

    /// Adds a result, and the further result that pytest counts for the same test.
    pub(super) fn add(&mut self, case: TestCase, further: Option<TestCase>, emit: &mut dyn FnMut(TestCase)) {
        match self.framework {
            Some(Framework::Pytest) => self.add_pytest(case, further, emit),
            Some(Framework::Jest) => self.add_jest(case, emit),
            Some(
                Framework::CargoTest
                | Framework::Nextest
                | Framework::GoTest
                | Framework::Vitest
                | Framework::Tap
                | Framework::Junit,
            )
            | None => emit(case),
        }
    }

    fn add_pytest(&mut self, case: TestCase, further: Option<TestCase>, emit: &mut dyn FnMut(TestCase)) {
        let is_teardown = case.failure.as_ref().is_some_and(|failure| failure.phase == TestPhase::Teardown);
        let has_inner_error = further.as_ref().is_some_and(|further| further.outcome.is_failure());
        let inside = u64::from(has_inner_error);
        self.differences.errors_inside = self.differences.errors_inside.saturating_add(inside);
        if !is_teardown {
            self.add_attempt(case, emit);
        } else if self.failed.remove(&case.id) {
            self.differences.errors_apart = self.differences.errors_apart.saturating_add(1);
            self.last.replace(case).into_iter().for_each(&mut *emit);
        } else {
            self.differences.errors_inside = self.differences.errors_inside.saturating_add(1);
            let passed = TestCase {
                duration: case.duration,
                file: case.file.clone(),
                ..TestCase::new(&case.id, TestOutcome::Passed)
            };
            self.add_attempt(passed, emit);
            let error = TestCase { duration: None, ..case };
            self.last.replace(error).into_iter().for_each(&mut *emit);
        }
        if let Some(further) = further {
            self.last.replace(further).into_iter().for_each(emit);
        }
    }

    /// Adds the result of an attempt of a test, before its tear-down.
    fn add_attempt(&mut self, case: TestCase, emit: &mut dyn FnMut(TestCase)) {
        if case.outcome == TestOutcome::Failed && self.failed.len() < MAX_FAILED {
            self.failed.insert(case.id.clone());
        }
        let Some(last) = self.last.take() else {
            self.last = Some(case);
            return;
        };
        if last.id != case.id {
            emit(last);
            self.last = Some(case);
            return;
        }
        if last.outcome.is_failure() && case.outcome.is_failure() {
            self.count_repeated();
        }
        self.last = Some(if last.outcome.is_failure() {
            last
        } else if case.outcome == TestOutcome::Passed {
            let flaky = TestFailure { flaky: true, ..TestFailure::default() };
            TestCase { failure: Some(Box::new(flaky)), ..case }
        } else {
            case
        });
    }

    fn add_jest(&mut self, case: TestCase, emit: &mut dyn FnMut(TestCase)) {
        let is_unclear = case.outcome == TestOutcome::Passed && case.duration == Some(Duration::ZERO);
        if is_unclear && self.passed_left.is_some() {
            if self.unclear.len() < MAX_HELD {
                self.unclear.push(case);
            }
            return;
        }
        if case.outcome == TestOutcome::Passed {
            self.passed_left = self.passed_left.map(|left| left.saturating_sub(1));
        }
        emit(case);
    }

    /// Ends a suite.
    pub(super) fn end_suite(&mut self, emit: &mut dyn FnMut(TestCase)) {
        self.last.take().into_iter().for_each(&mut *emit);
        let passed = usize::try_from(self.passed_left.unwrap_or(0)).unwrap_or(usize::MAX);
        self.unclear.drain(..).take(passed).for_each(&mut *emit);
    }

    /// Ends a truncated report. A stored result is emitted only if it is a failure, because the missing part could have
    /// contained a failure for any other result.
    pub(super) fn cut(&mut self, emit: &mut dyn FnMut(TestCase)) {
        self.last.take().into_iter().filter(|case| case.outcome.is_failure()).for_each(emit);
    }
}
