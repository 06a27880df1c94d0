//! Removes reported results that are not separate tests.

use super::stated::Stated;
use crate::test_run::case::{Framework, TestCase, TestFailure, TestOutcome};
use std::time::Duration;

/// Maximum number of results that are stored until the end of their suite.
const MAX_HELD: usize = 1000;

/// Removes reported results that are not separate tests, before they are emitted.
///
/// - pytest reports each attempt of a repeated test, and a failed tear-down, as a further test with the same name. A
///   failed attempt that was repeated looks like a passed test.
/// - Jest reports planned tests as passed. Only the counts of the suite show that they did not run.
#[derive(Debug, Default)]
pub(super) struct CaseFilter {
    framework: Option<Framework>,
    /// The latest result from pytest, which is not yet emitted.
    last: Option<TestCase>,
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

    /// Adds a result. Returns true if it belongs to a test that has already failed.
    pub(super) fn add(&mut self, case: TestCase, emit: &mut dyn FnMut(TestCase)) -> bool {
        match self.framework {
            Some(Framework::Pytest) => self.add_pytest(case, emit),
            Some(Framework::Jest) => {
                self.add_jest(case, emit);
                false
            }
            Some(
                Framework::CargoTest
                | Framework::Nextest
                | Framework::GoTest
                | Framework::Vitest
                | Framework::Tap
                | Framework::Junit,
            )
            | None => {
                emit(case);
                false
            }
        }
    }

    fn add_pytest(&mut self, case: TestCase, emit: &mut dyn FnMut(TestCase)) -> bool {
        let Some(last) = self.last.take() else {
            self.last = Some(case);
            return false;
        };
        if last.id != case.id {
            emit(last);
            self.last = Some(case);
            return false;
        }
        let is_repeated = last.outcome.is_failure() && case.outcome.is_failure();
        self.last = Some(if last.outcome.is_failure() {
            last
        } else if case.outcome == TestOutcome::Passed {
            let flaky = TestFailure { flaky: true, ..TestFailure::default() };
            TestCase { failure: Some(Box::new(flaky)), ..case }
        } else {
            case
        });
        is_repeated
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
