//! Converts test results to the views that clients get, and parses the source of test results in a launch.

use crate::convert::seconds;
use crate::error::ApiError;
use longhaul_domain::{AttemptNo, LiveStats, NamedFailure, Process, TestReport, TestReporting, TestTally};
use longhaul_engine::ports::AttemptKey;
use longhaul_engine::test_run::{
    FailedTest, FailureGroup, ListedTest, SlowTest, TestCounts, TestOutcome, TestResults, cause_of,
};
use longhaul_view::{OutputCursor, StreamSelection};
use longhaul_wire::api::{FailureGroupView, TestCaseView, TestResultsView, TestWarningView, TestsView};

/// Condition of a process whose test results give a reason to doubt its success.
pub(crate) const TESTS_DOUBTFUL: &str = "tests_doubtful";
/// Maximum length of the path of JUnit reports, in bytes.
const MAX_REPORT_PATH_LEN: usize = 1_024;
/// Maximum number of `*` in the path of JUnit reports.
const MAX_WILDCARDS: usize = 8;

/// Parses the source of test results in a launch request.
pub(crate) fn reporting(text: Option<&str>) -> Result<TestReporting, ApiError> {
    match text {
        None | Some("detect") => Ok(TestReporting::Detect),
        Some("off") => Ok(TestReporting::Off),
        Some("auto") => Ok(TestReporting::Auto),
        Some(text) => match text.strip_prefix("junit:") {
            Some(path) => junit(path),
            None => Err(refused(format!("{text:?} is not a source of test results"))),
        },
    }
}

fn junit(path: &str) -> Result<TestReporting, ApiError> {
    if path.is_empty() {
        return Err(refused("the path of the report is missing".to_owned()));
    }
    if path.contains('\0') {
        return Err(refused("the path of the report contains a null character".to_owned()));
    }
    if path.len() > MAX_REPORT_PATH_LEN {
        return Err(refused(format!("the path of the report is longer than {MAX_REPORT_PATH_LEN} bytes")));
    }
    if path.matches('*').count() > MAX_WILDCARDS {
        return Err(refused(format!("the path of the report contains more than {MAX_WILDCARDS} `*`")));
    }
    Ok(TestReporting::Junit(path.to_owned()))
}

fn refused(why: String) -> ApiError {
    ApiError::invalid("report", why).help("use `junit:PATH`, `auto`, `detect` or `off`")
}

/// Returns the test results of a process. While the tests are running, the results contain only counts.
pub(super) fn live_tests(process: &Process, live_stats: &LiveStats) -> Option<TestsView> {
    match (&process.tests, live_stats.tests) {
        (Some(report), _) => Some(tests(report)),
        (None, Some(tally)) => Some(counted(tally)),
        (None, None) => None,
    }
}

/// Converts the test results in a record.
pub(crate) fn tests(report: &TestReport) -> TestsView {
    TestsView {
        framework: report.framework.clone(),
        source: report.source.clone(),
        collected: report.collected,
        duration_s: report.duration.map(seconds),
        complete: report.complete,
        warning: report
            .doubt
            .as_ref()
            .map(|doubt| TestWarningView { kind: doubt.kind.clone(), message: doubt.message.clone() }),
        notes: report.notes.clone(),
        failures: report.failures.iter().map(failure).collect(),
        ..counted(report.tally)
    }
}

fn counted(tally: TestTally) -> TestsView {
    let TestTally { total, passed, failed, errors, skipped, xfailed, xpassed, todo } = tally;
    TestsView { total, passed, failed, errors, skipped, xfailed, xpassed, todo, ..TestsView::default() }
}

/// Returns empty results of an attempt.
pub(crate) fn results_of(process: &Process, attempt: AttemptNo) -> TestResultsView {
    TestResultsView {
        id: process.id.to_string(),
        name: process.spec.name.as_ref().map(ToString::to_string),
        status: process.status().as_str().to_owned(),
        attempt: attempt.0,
        ..TestResultsView::default()
    }
}

/// Converts the results of an attempt to a page without tests. If `is_first` is true, adds the parts that only the
/// first page contains.
pub(crate) fn results_page(
    process: &Process,
    results: &TestResults,
    attempt: AttemptNo,
    is_first: bool,
) -> TestResultsView {
    let summary = &results.summary;
    let recorded = process.tests.as_ref().filter(|_| attempt == process.attempt);
    let view = TestResultsView {
        tests: TestsView {
            framework: summary.framework.map(|framework| framework.as_str().to_owned()),
            source: Some(summary.source.as_str().to_owned()),
            collected: summary.collected,
            duration_s: summary.duration.map(seconds),
            complete: summary.complete,
            warning: results
                .doubt
                .as_ref()
                .map(|doubt| TestWarningView { kind: doubt.as_str().to_owned(), message: doubt.to_string() }),
            notes: results.notes.clone(),
            failures: recorded.map_or_else(Vec::new, |tests| tests.failures.iter().map(failure).collect()),
            ..of_counts(summary.counts)
        },
        ..results_of(process, attempt)
    };
    if !is_first {
        return view;
    }
    let group = |group: &FailureGroup| FailureGroupView {
        cause: group.cause.clone(),
        count: group.count,
        first: group.first.clone(),
    };
    TestResultsView {
        groups: summary.groups.iter().map(group).collect(),
        collection_errors: summary
            .collection_errors
            .iter()
            .map(|error| collection_error(AttemptKey { id: process.id, attempt }, error))
            .collect(),
        flaky: summary.flaky.clone(),
        slowest: summary.slowest.iter().map(slow).collect(),
        fixed: results.fixed.clone(),
        last_total: results.last_total,
        unnamed: results.unnamed,
        ..view
    }
}

fn of_counts(counts: TestCounts) -> TestsView {
    let TestCounts { total, passed, failed, errors, skipped, xfailed, xpassed, todo } = counts;
    TestsView { total, passed, failed, errors, skipped, xfailed, xpassed, todo, ..TestsView::default() }
}

fn slow(test: &SlowTest) -> TestCaseView {
    TestCaseView {
        id: test.id.clone(),
        outcome: test.outcome.map_or_else(String::new, |outcome| outcome.as_str().to_owned()),
        duration_s: Some(seconds(test.duration)),
        ..TestCaseView::default()
    }
}

fn collection_error(key: AttemptKey, error: &FailedTest) -> TestCaseView {
    TestCaseView {
        id: error.id.clone(),
        outcome: TestOutcome::Error.as_str().to_owned(),
        file: error.file.clone(),
        line: error.line,
        phase: Some(error.phase.as_str().to_owned()),
        kind: error.kind.clone(),
        message: text(&error.message),
        cause: text(&error.cause),
        trace: error.trace.clone(),
        captured: error.captured.clone(),
        output_cursor: output_cursor(key, error.offset),
        ..TestCaseView::default()
    }
}

/// Converts one test of a list. A brief test has no long texts.
pub(crate) fn listed_test(key: AttemptKey, test: &ListedTest, is_brief: bool) -> TestCaseView {
    let case = &test.case;
    let mut view = TestCaseView {
        id: case.id.clone(),
        outcome: case.outcome.as_str().to_owned(),
        file: case.file.clone(),
        line: case.line,
        duration_s: case.duration.map(seconds),
        history: test.history.map(|history| history.as_str().to_owned()),
        output_cursor: output_cursor(key, case.offset),
        ..TestCaseView::default()
    };
    let Some(failure) = case.failure.as_deref() else { return view };
    if case.outcome.is_failure() {
        view.phase = Some(failure.phase.as_str().to_owned());
    }
    view.kind.clone_from(&failure.kind);
    view.message = text(&failure.message);
    view.cause = text(&cause_of(failure.kind.as_deref(), &failure.message));
    if !is_brief {
        view.expected.clone_from(&failure.expected);
        view.actual.clone_from(&failure.actual);
        view.trace.clone_from(&failure.trace);
        view.captured.clone_from(&failure.captured);
    }
    view
}

/// Returns a cursor for the position in the output at which a failure is reported.
fn output_cursor(key: AttemptKey, offset: Option<u64>) -> Option<String> {
    let start = OutputCursor::new(key.id, key.attempt, StreamSelection::Both);
    offset.map(|offset| start.at(offset).to_string())
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn failure(failure: &NamedFailure) -> TestCaseView {
    TestCaseView {
        id: failure.id.clone(),
        outcome: if failure.is_error { "error" } else { "failed" }.to_owned(),
        file: failure.file.clone(),
        line: failure.line,
        kind: failure.kind.clone(),
        message: (!failure.message.is_empty()).then(|| failure.message.clone()),
        history: failure.history.clone(),
        ..TestCaseView::default()
    }
}

/// Returns the total length of the texts in test results, in bytes.
pub(crate) fn test_report_len(report: &TestReport) -> usize {
    let notes: usize = report.notes.iter().map(String::len).sum();
    let doubt = report.doubt.as_ref().map_or(0, |doubt| doubt.message.len());
    let failures = report.failures.iter().map(|failure| {
        let file = failure.file.as_ref().map_or(0, String::len);
        failure.id.len().saturating_add(failure.message.len()).saturating_add(file).saturating_add(200)
    });
    notes.saturating_add(doubt).saturating_add(failures.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_test_has_its_result() {
        let test = SlowTest {
            id: "a".to_owned(),
            duration: std::time::Duration::from_secs(2),
            outcome: Some(TestOutcome::Failed),
        };
        let view = slow(&test);
        assert_eq!((view.outcome.as_str(), view.duration_s), ("failed", Some(2.0)));
    }

    #[test]
    fn source_of_test_results_is_parsed_and_other_words_are_refused() {
        for (text, expected) in [
            (None, TestReporting::Detect),
            (Some("detect"), TestReporting::Detect),
            (Some("off"), TestReporting::Off),
            (Some("auto"), TestReporting::Auto),
            (Some("junit:out/*.xml"), TestReporting::Junit("out/*.xml".to_owned())),
        ] {
            assert_eq!(reporting(text), Ok(expected));
        }
        let long = format!("junit:{}", "a".repeat(2_000));
        for text in ["", "xunit:a.xml", "junit:", "junit:a\0b", "junit:*********", &long] {
            let problem = reporting(Some(text)).unwrap_err().into_problem();
            assert_eq!((problem.status, problem.title.as_str()), (400, "invalid report"), "{text}");
            assert!(problem.help.is_some_and(|help| help.contains("junit:PATH")));
        }
    }
}
