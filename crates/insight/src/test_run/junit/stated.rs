//! The counts that a report states in its attributes.

use super::Attributes;
use crate::test_run::case::{TestCase, TestCounts};

/// Numbers of tests in the attributes of one element.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stated {
    /// Number of tests, if the element states it.
    pub(super) tests: Option<u64>,
    /// Number of failed tests, if the element states it.
    failures: Option<u64>,
    /// Number of errors, if the element states it.
    errors: Option<u64>,
    /// Number of skipped tests, if the element states it.
    pub(super) skipped: Option<u64>,
}

impl Stated {
    fn new(attributes: &Attributes<'_>) -> Self {
        Self {
            tests: attributes.number("tests"),
            failures: attributes.number("failures"),
            errors: attributes.number("errors"),
            skipped: attributes.number("skipped").or_else(|| attributes.number("disabled")),
        }
    }

    /// Returns the number of tests that passed.
    pub(super) fn passed(&self) -> Option<u64> {
        let others = [self.failures, self.errors, self.skipped].into_iter().flatten();
        Some(self.tests?.saturating_sub(others.fold(0, u64::saturating_add)))
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            tests: sum(self.tests, other.tests),
            failures: sum(self.failures, other.failures),
            errors: sum(self.errors, other.errors),
            skipped: sum(self.skipped, other.skipped),
        }
    }
}

const fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => None,
    }
}

/// Adds up the counts that all elements state.
///
/// If a suite contains other suites, its counts may or may not include their tests. The totals that agree with the
/// results are used.
#[derive(Clone, Debug, Default)]
pub(super) struct StatedTotals {
    /// Counts of the open suites; the outermost suite is first.
    open: Vec<Stated>,
    root: Stated,
    /// Sum over the outermost suites.
    outer: Stated,
    /// Sum over all suites.
    all: Stated,
    counted: TestCounts,
}

/// Differences between the results that are emitted and the numbers that a report states.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatedDifferences {
    /// Number of errors of tests that also failed, which are not emitted.
    pub(super) repeated: u64,
    /// Number of errors of pytest in the same element as another result. pytest 9.2 does not count them as tests.
    pub(super) errors_inside: u64,
    /// Number of errors of pytest in an element of their own, after the failure of the same test. Versions of pytest
    /// before 9.2 do not count them as tests.
    pub(super) errors_apart: u64,
}

impl StatedTotals {
    /// Starts a suite, or the element that encloses all suites.
    pub(super) fn start(&mut self, attributes: &Attributes<'_>) {
        self.open.push(Stated::new(attributes));
    }

    /// Returns the counts of the innermost open suite.
    pub(super) fn current(&self) -> Stated {
        self.open.last().copied().unwrap_or_default()
    }

    /// Ends a suite, or the element that encloses all suites.
    pub(super) fn end(&mut self) {
        let Some(stated) = self.open.pop() else { return };
        match self.open.len() {
            0 => self.root = stated,
            1 => self.outer = self.outer.plus(stated),
            _ => {}
        }
        self.all = self.all.plus(stated);
    }

    /// Counts one result.
    pub(super) fn count(&mut self, case: &TestCase) {
        self.counted.add(case.outcome);
    }

    /// Returns the counts of the whole report, if the report states them.
    pub(super) fn totals(&self, differences: StatedDifferences) -> Option<TestCounts> {
        let StatedDifferences { repeated, errors_inside, errors_apart } = differences;
        let total_of = |stated: &Stated| {
            let tests = stated.tests?;
            let [total, other] = [errors_inside, errors_apart].map(|errors| tests.saturating_add(errors));
            Some(if other == self.counted.total { other } else { total })
        };
        let failures = self.counted.failures();
        let candidates = [self.root, self.outer, self.all];
        // A report that states no number of failures or errors cannot contradict the results.
        let failed_of = |stated: &Stated| stated.failures.unwrap_or(self.counted.failed);
        let errors_of = |stated: &Stated| stated.errors.unwrap_or(self.counted.errors);
        let agrees = |stated: &&Stated| {
            total_of(stated) == Some(self.counted.total)
                && failed_of(stated).saturating_add(errors_of(stated)) == failures
        };
        let stated = candidates.iter().find(agrees);
        let stated = *stated.or_else(|| candidates.iter().find(|stated| stated.tests.is_some()))?;
        let total = total_of(&stated)?;
        let (failed, errors) = (failed_of(&stated), errors_of(&stated).saturating_sub(repeated));
        let skipped = stated.skipped.or(self.outer.skipped).unwrap_or(self.counted.skipped);
        let apart = self.counted.xfailed.saturating_add(self.counted.todo);
        let skipped = skipped.saturating_sub(apart);
        let others = [failed, errors, skipped, apart].into_iter().fold(0, u64::saturating_add);
        // Some frameworks have no category for errors. Their reports count errors as failures.
        let (failed, errors) = if failed.saturating_add(errors) == failures {
            (self.counted.failed, self.counted.errors)
        } else {
            (failed, errors)
        };
        let passed = total.saturating_sub(others);
        let TestCounts { xfailed, todo, .. } = self.counted;
        Some(TestCounts { total, passed, failed, errors, skipped, xfailed, xpassed: 0, todo })
    }
}
