//! Cursors and size limits of pages of test results.

use crate::error::ApiError;
use longhaul_domain::{AttemptNo, Process};
use longhaul_wire::api::{TestCaseView, TestResultsView, TestsRequest};
use std::fmt;

/// Lengths to which the texts of failures are cut until a page fits, in bytes.
const TEXT_LENGTHS: [usize; 3] = [4_000, 1_000, 250];
/// Maximum length of each text of a test on the smallest pages, in bytes.
const MAX_SHORT_LEN: usize = 100;

/// Position in the list of tests of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TestCursor {
    pub(crate) attempt: AttemptNo,
    /// True if only failed tests are listed.
    pub(crate) failed: bool,
    /// Position of the next test, in bytes.
    pub(crate) from: u64,
}

impl TestCursor {
    /// Returns the position at which a request starts.
    pub(crate) fn of(process: &Process, request: &TestsRequest) -> Result<Self, ApiError> {
        let asked = request.attempt.map(AttemptNo);
        let Some(text) = &request.cursor else {
            let attempt = asked.unwrap_or(process.attempt);
            if attempt > process.attempt {
                let why = format!("the latest attempt is {}", process.attempt);
                return Err(ApiError::invalid("attempt", why));
            }
            return Ok(Self { attempt, failed: request.failed, from: 0 });
        };
        let cursor = Self::parse(text).ok_or_else(|| {
            ApiError::invalid("cursor", format!("{text:?} is not a cursor of test results"))
                .help("use the cursor of the previous page without a change")
        })?;
        let fits = asked.is_none_or(|attempt| attempt == cursor.attempt) && cursor.failed == request.failed;
        if !fits || cursor.attempt > process.attempt {
            return Err(ApiError::invalid("cursor", "the cursor belongs to another list of tests")
                .help("give the same `attempt` and `failed` as for the previous page"));
        }
        Ok(cursor)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let cursor = Self {
            attempt: AttemptNo(parts.next()?.parse().ok()?),
            failed: match parts.next()? {
                "all" => false,
                "failed" => true,
                _ => return None,
            },
            from: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(cursor)
    }
}

impl fmt::Display for TestCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = if self.failed { "failed" } else { "all" };
        write!(f, "{}-{list}-{}", self.attempt.0, self.from)
    }
}

/// Shortens a page until its JSON has at most `budget` bytes. First cuts the texts of failures, then shortens the other
/// lists of the page, and shortens the list of tests last.
pub(crate) fn fit(view: &mut TestResultsView, budget: usize) {
    // Reserve space for the cursor, which is added later.
    let budget = budget.saturating_sub(64);
    let is_fitting = |view: &TestResultsView| length(view) <= budget;
    for max in TEXT_LENGTHS {
        if is_fitting(view) {
            return;
        }
        cut_texts(view, max);
    }
    let shorten: [fn(&mut TestResultsView); 6] = [
        |view| view.slowest.clear(),
        |view| view.groups.truncate(5),
        |view| view.flaky.clear(),
        |view| view.fixed.truncate(5),
        |view| all_cases(view).for_each(drop_details),
        |view| view.tests.failures.clear(),
    ];
    for shorten in shorten {
        if is_fitting(view) {
            return;
        }
        shorten(view);
    }
    let mut used = length(view);
    // Keep the first test, so that the next page always starts at a later test.
    while used > budget && view.cases.len() > 1 {
        let Some(case) = view.cases.pop() else { break };
        used = used.saturating_sub(length(&case).saturating_add(1));
    }
    if !is_fitting(view) {
        view.collection_errors.truncate(1);
        view.groups.clear();
        view.fixed.clear();
    }
    if !is_fitting(view) {
        view.tests.notes.clear();
        all_cases(view).for_each(shorten_case);
    }
}

/// Reduces a test to its name, its result and a short message.
fn shorten_case(case: &mut TestCaseView) {
    let TestCaseView { id, outcome, file, line, message, .. } = std::mem::take(case);
    *case = TestCaseView { id, outcome, file, line, message, ..TestCaseView::default() };
    cut(&mut case.id, MAX_SHORT_LEN);
    for text in [&mut case.file, &mut case.message].into_iter().flatten() {
        cut(text, MAX_SHORT_LEN);
    }
}

fn all_cases(view: &mut TestResultsView) -> impl Iterator<Item = &mut TestCaseView> {
    view.cases.iter_mut().chain(&mut view.collection_errors)
}

fn cut_texts(view: &mut TestResultsView, max: usize) {
    for case in all_cases(view) {
        let TestCaseView { trace, captured, expected, actual, message, .. } = case;
        for text in [trace, captured, expected, actual, message].into_iter().flatten() {
            cut(text, max);
        }
    }
}

fn drop_details(case: &mut TestCaseView) {
    (case.trace, case.captured, case.expected, case.actual, case.cause) = (None, None, None, None, None);
}

/// Removes the middle of a long text, because the start and the end of an error text are the most useful parts.
fn cut(text: &mut String, max: usize) {
    if text.len() <= max {
        return;
    }
    let half = max / 2;
    let start = text.floor_char_boundary(half);
    let end = text.ceil_char_boundary(text.len().saturating_sub(half));
    let (head, tail) = (text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default());
    *text = format!("{head} … {tail}");
}

fn length(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_cursor_can_be_parsed_and_other_texts_are_refused() {
        let cursor = TestCursor { attempt: AttemptNo(2), failed: true, from: 12_345 };
        assert_eq!(cursor.to_string(), "2-failed-12345");
        assert_eq!(TestCursor::parse(&cursor.to_string()), Some(cursor));
        for text in ["", "2", "2-failed", "2-some-1", "2-all-x", "2-all-1-1", "-1-all-1"] {
            assert_eq!(TestCursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn smallest_page_still_contains_one_test() {
        let case = |number: usize| TestCaseView {
            id: format!("tests/test_a.py::test_{number}"),
            outcome: "failed".to_owned(),
            message: Some("m".repeat(3_000)),
            trace: Some("t".repeat(8_000)),
            ..TestCaseView::default()
        };
        let mut view = TestResultsView { cases: (0..10).map(case).collect(), ..TestResultsView::default() };
        fit(&mut view, 400);
        assert_eq!(view.cases.len(), 1, "the cursor moves on");
        assert!(view.cases[0].message.as_ref().unwrap().len() < 200);
    }

    #[test]
    fn page_with_long_texts_and_many_tests_fits_its_budget() {
        let case = |number: usize| TestCaseView {
            id: format!("tests/test_a.py::test_{number}"),
            outcome: "failed".to_owned(),
            message: Some("m".repeat(300)),
            trace: Some("ü".repeat(8_000)),
            captured: Some("\"".repeat(8_000)),
            ..TestCaseView::default()
        };
        let full = TestResultsView {
            cases: (0..100).map(case).collect(),
            slowest: (0..10).map(case).collect(),
            flaky: vec!["f".repeat(100); 50],
            collection_errors: (0..3).map(case).collect(),
            ..TestResultsView::default()
        };
        for budget in [3_000, 10_000, 100_000, 1_000_000] {
            let mut view = full.clone();
            fit(&mut view, budget);
            assert!(length(&view) <= budget, "{} of {budget}", length(&view));
            let max_lost = if budget >= 100_000 { 0 } else { 100 };
            assert!(view.cases.len() + max_lost >= 100, "{} tests in {budget} bytes", view.cases.len());
        }
    }
}
