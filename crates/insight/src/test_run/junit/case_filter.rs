//! Results that are no tests of their own.

use super::stated::Stated;
use crate::test_run::case::{Framework, TestCase, TestFailure, TestOutcome};
use std::time::Duration;

/// Maximum number of results that are held until the end of their suite.
const MAX_HELD: usize = 1000;

/// Removes results that are no tests of their own before they are emitted.
///
/// - pytest reports each attempt of a repeated test, and a failing tear-down, as a further test of the same name. An
///   attempt that failed and was repeated looks as if it had passed.
/// - Jest reports planned tests as if they had passed. Only the numbers of the suite show that they did not run.
#[derive(Debug, Default)]
pub(super) struct CaseFilter {
    framework: Option<Framework>,
    /// The last result of pytest.
    last: Option<TestCase>,
    /// Results of Jest that are passed or planned.
    unclear: Vec<TestCase>,
    /// Number of tests of the current suite that passed, as Jest states it, without those that were emitted.
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

    /// Adds a result. Returns true if it belongs to a test that already failed.
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

    /// Ends a report that is cut. What is held may have failed later, so only a failure is certain.
    pub(super) fn cut(&mut self, emit: &mut dyn FnMut(TestCase)) {
        self.last.take().into_iter().filter(|case| case.outcome.is_failure()).for_each(emit);
    }
}
