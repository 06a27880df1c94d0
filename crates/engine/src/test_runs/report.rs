//! Converts test results to the form in which the record of a process contains them.

use longhaul_domain::{FirstError, MAX_NAMED_FAILED_TESTS, NamedFailure, TestDoubt, TestReport, TestTally};
use longhaul_insight::test_run::{
    EarlierTests, FailedTest, TestCounts, TestPhase, TestResults, TestSummary, history_of,
};

/// Maximum length of an id or a path in a record, in bytes.
const MAX_NAME_LEN: usize = 256;
/// Maximum length of a message in a record, in bytes.
const MAX_MESSAGE_LEN: usize = 300;
/// Maximum number of notes in a record.
const MAX_NOTES: usize = 4;
/// Maximum length of the details of the first failed test, in bytes.
const MAX_DETAIL_LEN: usize = 16 * 1024;

pub(super) const fn tally_of(counts: TestCounts) -> TestTally {
    let TestCounts { total, passed, failed, errors, skipped, xfailed, xpassed, todo } = counts;
    TestTally { total, passed, failed, errors, skipped, xfailed, xpassed, todo }
}

/// Returns the part of the results that the record of the process contains.
pub(super) fn report_of(summary: &TestSummary, results: &TestResults, earlier: &EarlierTests) -> TestReport {
    let has_results = summary.counts.total > 0 || summary.complete || summary.framework.is_some();
    TestReport {
        framework: summary.framework.map(|framework| framework.as_str().to_owned()),
        source: has_results.then(|| summary.source.as_str().to_owned()),
        tally: tally_of(summary.counts),
        collected: summary.collected,
        duration: summary.duration,
        complete: summary.complete,
        doubt: results
            .doubt
            .as_ref()
            .map(|doubt| TestDoubt { kind: doubt.as_str().to_owned(), message: doubt.to_string() }),
        notes: results.notes.iter().take(MAX_NOTES).map(|note| cut(note, MAX_MESSAGE_LEN)).collect(),
        failures: all_failures(summary)
            .take(MAX_NAMED_FAILED_TESTS)
            .map(|failed| named(failed, earlier))
            .collect(),
    }
}

/// Returns first the failed tests, and then the files that could not be collected.
fn all_failures(summary: &TestSummary) -> impl Iterator<Item = &FailedTest> {
    summary.failures.iter().chain(&summary.collection_errors)
}

fn named(failed: &FailedTest, earlier: &EarlierTests) -> NamedFailure {
    let history = (!earlier.failed.is_empty()).then(|| history_of(&failed.id, &earlier.failed));
    NamedFailure {
        id: cut(&failed.id, MAX_NAME_LEN),
        is_error: failed.phase != TestPhase::Call,
        file: failed.file.as_deref().map(|file| cut(file, MAX_NAME_LEN)),
        line: failed.line,
        kind: failed.kind.as_deref().map(|kind| cut(kind, MAX_NAME_LEN)),
        message: cut(&failed.message, MAX_MESSAGE_LEN),
        history: history.map(|history| history.as_str().to_owned()),
    }
}

/// Returns the first failed test as the first error of the command, such as `AssertionError: wrong user
/// (tests/test_login.py::test_login) and 2 more`.
pub(super) fn first_error_of(summary: &TestSummary) -> Option<FirstError> {
    let first = all_failures(summary).next()?;
    let id = cut(&first.id, MAX_NAME_LEN);
    let text = match (first.kind.as_deref(), first.message.as_str()) {
        (None, "") if id.is_empty() => "a test without a name failed".to_owned(),
        (None, "") => format!("the test {id} failed"),
        (Some(kind), "") => format!("{} ({id})", cut(kind, MAX_NAME_LEN)),
        (None, message) => format!("{} ({id})", cut(message, MAX_MESSAGE_LEN)),
        (Some(kind), message) => {
            format!("{}: {} ({id})", cut(kind, MAX_NAME_LEN), cut(message, MAX_MESSAGE_LEN))
        }
    };
    let message = match summary.counts.failures().saturating_sub(1) {
        0 => text,
        more => format!("{text} and {more} more"),
    };
    Some(FirstError {
        kind: "test_failure".to_owned(),
        message,
        file: first.file.clone(),
        line: first.line,
        column: None,
        has_place: false,
        on_stdout: false,
        offset: 0,
        detail: first.trace.as_deref().map(|trace| cut(trace, MAX_DETAIL_LEN)),
        port_holder: None,
    })
}

/// Cuts a text to at most `max` bytes, at the boundary of a character.
fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max.saturating_sub('…'.len_utf8()));
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_insight::test_run::{TestCase, TestEvent, TestFailure, TestOutcome, TestRun, TestSource};

    fn summary(failures: &[(&str, Option<&str>, &str)]) -> TestSummary {
        let mut run = TestRun::new(TestSource::Plugin);
        for (id, kind, message) in failures {
            let failure = TestFailure {
                kind: kind.map(str::to_owned),
                message: (*message).to_owned(),
                trace: Some("the trace".to_owned()),
                ..TestFailure::default()
            };
            let case =
                TestCase { failure: Some(Box::new(failure)), ..TestCase::new(id, TestOutcome::Failed) };
            run.add(&TestEvent::Finished(case));
        }
        run.summary()
    }

    #[test]
    fn first_error_names_the_first_failed_test_and_the_number_of_others() {
        let message = |failures: &[_]| first_error_of(&summary(failures)).map(|error| error.message);
        assert_eq!(message(&[]), None);
        let first = ("a.py::test_a", Some("AssertionError"), "wrong user");
        assert_eq!(message(&[first]).as_deref(), Some("AssertionError: wrong user (a.py::test_a)"));
        assert_eq!(
            message(&[first, ("b", None, "x"), ("c", None, "y")]).as_deref(),
            Some("AssertionError: wrong user (a.py::test_a) and 2 more")
        );
        assert_eq!(message(&[("", None, "")]).as_deref(), Some("a test without a name failed"));
        assert_eq!(message(&[("t", None, "")]).as_deref(), Some("the test t failed"));
        let error = first_error_of(&summary(&[first])).unwrap();
        assert_eq!((error.detail.as_deref(), error.has_place), (Some("the trace"), false));
    }

    #[test]
    fn record_names_few_failures_and_cuts_long_texts() {
        let (name, message) = ("n".repeat(1000), "ü".repeat(1000));
        let all = [(name.as_str(), Some("E"), message.as_str()); 20];
        let summary = summary(&all);
        let report = report_of(&summary, &TestResults::new(summary.clone()), &EarlierTests::default());
        assert_eq!((report.tally.failed, report.failures.len()), (20, MAX_NAMED_FAILED_TESTS));
        let texts: usize = report.failures.iter().map(|failed| failed.id.len() + failed.message.len()).sum();
        assert!(texts <= 5 * (MAX_NAME_LEN + MAX_MESSAGE_LEN), "{texts}");
        assert_eq!(report.failures.first().unwrap().history, None);
    }
}
