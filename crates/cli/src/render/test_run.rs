//! Formats the results of a test run.

use super::amount::length;
use super::grid::{Align, grid};
use super::line::short;
use super::table::TableFormat;
use crate::shell_word::shell_line;
use crate::status::ParsedStatus;
use longhaul_view::clean_label;
use longhaul_wire::api::{ProcessView, TestCaseView, TestResultsView, TestsView};

/// Maximum number of failed tests with the same cause that are named.
const MAX_IN_GROUP: usize = 10;
/// Maximum number of flaky or fixed tests that are named.
const MAX_NAMED: usize = 10;
/// Maximum number of slowest tests that are shown.
const MAX_SLOWEST: usize = 5;
/// Maximum number of lines of a trace or of captured output.
const MAX_TEXT_LINES: usize = 200;
const NO_CAUSE: &str = "without a message";

/// Amount of detail that is shown about each failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureDetail {
    /// One line for each failure, grouped by cause.
    Grouped,
    /// Each failure with its trace, compared values and captured output.
    Whole,
}

/// Content of the text about a test run.
pub(crate) struct TestRunText<'a> {
    pub(crate) view: &'a TestResultsView,
    /// Failed tests and tests with errors.
    pub(crate) failures: &'a [TestCaseView],
    pub(crate) detail: FailureDetail,
    /// Command that runs only the failed tests.
    pub(crate) rerun: Option<&'a [String]>,
    pub(crate) unicode: bool,
}

/// Formats the numbers of tests, such as `3 failed, 6 passed (9 tests)`.
pub(crate) fn test_counts(tests: &TestsView) -> String {
    let counts = [
        (tests.failed, "failed"),
        (tests.errors, if tests.errors == 1 { "error" } else { "errors" }),
        (tests.passed, "passed"),
        (tests.skipped, "skipped"),
        (tests.xfailed, "failed as expected"),
        (tests.xpassed, "passed unexpectedly"),
        (tests.todo, "to do"),
    ];
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match parts.as_slice() {
        [] => "no tests".to_owned(),
        [_] => parts.join(""),
        _ => format!("{} ({} tests)", parts.join(", "), tests.total),
    }
}

/// Formats the results of a test run.
pub(crate) fn test_run(run: &TestRunText<'_>) -> String {
    let mut text = head(run);
    let view = run.view;
    let is_ungrouped = |case: &&TestCaseView| case.phase.as_deref() != Some("collect");
    section(&mut text, "could not be collected", &view.collection_errors, run);
    match run.detail {
        FailureDetail::Grouped => {
            let failures: Vec<&TestCaseView> = run.failures.iter().filter(is_ungrouped).collect();
            text.push_str(&groups(&failures, view));
        }
        FailureDetail::Whole => {
            for case in run.failures.iter().filter(is_ungrouped) {
                text.push('\n');
                text.push_str(&whole_failure(case, run.unicode));
            }
            let failed = view.tests.failed.saturating_add(view.tests.errors);
            let more = failed.saturating_sub(u64::try_from(run.failures.len()).unwrap_or(u64::MAX));
            if more > 0 {
                text.push_str(&format!(
                    "\nand {more} more: longhaul tests {} --failed --json lists all\n",
                    short(&view.id)
                ));
            }
        }
    }
    let rest = foot(run);
    if !rest.is_empty() {
        text.push('\n');
        text.push_str(&rest);
    }
    text
}

/// Formats all tests as a table.
pub(crate) fn test_table(cases: &[TestCaseView], look: TableFormat) -> String {
    let heads = [("RESULT", Align::Left), ("TIME", Align::Right), ("TEST", Align::Left)];
    let rows = cases.iter().map(|case| {
        let took = case.duration_s.map(seconds).unwrap_or_default();
        vec![clean_label(&case.outcome).into_owned(), took, clean_label(&case.id).into_owned()]
    });
    grid(&heads, &rows.collect::<Vec<_>>(), look)
}

fn head(run: &TestRunText<'_>) -> String {
    let view = run.view;
    let tests = &view.tests;
    let name = view.name.as_deref().map(|name| format!(" {}", clean_label(name))).unwrap_or_default();
    let process = ProcessView { status: view.status.clone(), ..ProcessView::default() };
    let standing = ParsedStatus::of(&process);
    let glyph = standing.glyph(run.unicode);
    let mut text = format!("{}{name} {glyph} {}: {}", short(&view.id), view.status, test_counts(tests));
    if !standing.is_ended() {
        text.push_str(" so far");
    } else if !tests.complete {
        text.push_str(", incomplete");
    }
    text.push('\n');
    let mut add =
        |label: &str, value: &str| text.push_str(&format!("  {label:<10} {}\n", clean_label(value)));
    if let Some(warning) = &tests.warning {
        add("warning", &warning.message);
    }
    if let Some(source) = source(tests) {
        add("source", &source);
    }
    if view.unnamed > 0 {
        add("unnamed", &format!("{} tests, whose names the output does not show", view.unnamed));
    }
    if let Some(last) = view.last_total.filter(|last| *last != tests.total) {
        add("last run", &format!("{last} tests"));
    }
    for note in &tests.notes {
        add("note", note);
    }
    text
}

/// Returns the framework, the source of the results and the duration.
fn source(tests: &TestsView) -> Option<String> {
    let source = match tests.source.as_deref()? {
        "plugin" => "its plugin",
        "junit" => "a JUnit report",
        "stream" => "machine-readable output",
        "console" => "output for people",
        other => other,
    };
    let framework =
        tests.framework.as_deref().map(|framework| format!("{framework}, from ")).unwrap_or_default();
    let took = tests.duration_s.map(|took| format!(", {}", seconds(took))).unwrap_or_default();
    Some(format!("{framework}{source}{took}"))
}

fn section(text: &mut String, title: &str, cases: &[TestCaseView], run: &TestRunText<'_>) {
    if cases.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title} ({})\n", cases.len()));
    for case in cases {
        text.push_str(&match run.detail {
            FailureDetail::Grouped => failure_lines(case, true),
            FailureDetail::Whole => whole_failure(case, run.unicode),
        });
    }
}

/// Formats the failures in groups with the same cause, the largest group first.
fn groups(failures: &[&TestCaseView], view: &TestResultsView) -> String {
    let cause = |case: &TestCaseView| case.cause.clone().unwrap_or_else(|| NO_CAUSE.to_owned());
    let mut groups: Vec<(String, Vec<&TestCaseView>)> =
        view.groups.iter().map(|group| (group.cause.clone(), Vec::new())).collect();
    for case in failures {
        let cause = cause(case);
        match groups.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, cases)) => cases.push(case),
            None => groups.push((cause, vec![case])),
        }
    }
    let mut text = String::new();
    for (cause, cases) in groups.iter().filter(|(_, cases)| !cases.is_empty()) {
        // Use the count of the manager, because `failures` may contain only some of the failures.
        let known = view.groups.iter().find(|group| group.cause == *cause).map(|group| group.count);
        let count = known.unwrap_or(0).max(u64::try_from(cases.len()).unwrap_or(u64::MAX));
        let tests = if count == 1 { "1 test".to_owned() } else { format!("{count} tests") };
        text.push_str(&format!("\n{} ({tests})\n", clean_label(cause)));
        let shown = cases.len().min(MAX_IN_GROUP);
        // Show the message only for the first failure, because the messages of a group differ only in numbers.
        for (index, case) in cases.iter().take(shown).enumerate() {
            text.push_str(&failure_lines(case, index == 0 && case.message.is_some() && !states(cause, case)));
        }
        let more = count.saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
        if more > 0 {
            text.push_str(&format!("  and {more} more\n"));
        }
    }
    text
}

/// Returns true if the cause already contains the message of a failure.
fn states(cause: &str, case: &TestCaseView) -> bool {
    case.message.as_ref().is_some_and(|message| cause.ends_with(message.as_str()))
}

fn failure_lines(case: &TestCaseView, with_message: bool) -> String {
    let mut line = format!("  {}", clean_label(&case.id));
    if let Some(place) = place(case).filter(|place| *place != case.id) {
        line.push_str(&format!("  {}", clean_label(&place)));
    }
    let phase = case.phase.as_deref().filter(|phase| matches!(*phase, "setup" | "teardown"));
    let marks: Vec<&str> = phase.into_iter().chain(case.history.as_deref()).collect();
    if !marks.is_empty() {
        line.push_str(&format!("  ({})", marks.join(", ")));
    }
    line.push('\n');
    if with_message && let Some(message) = full_message(case) {
        line.push_str(&format!("    {}\n", clean_label(&message)));
    }
    line
}

fn whole_failure(case: &TestCaseView, unicode: bool) -> String {
    let mut text = failure_lines(case, true);
    for (label, value) in [("expected", &case.expected), ("actual", &case.actual)] {
        if let Some(value) = value {
            text.push_str(&format!("    {label:<9} {}\n", clean_label(value)));
        }
    }
    let bar = if unicode { '│' } else { '|' };
    for (title, content) in [("trace", &case.trace), ("captured output", &case.captured)] {
        let Some(content) = content.as_deref().filter(|content| !content.trim().is_empty()) else { continue };
        text.push_str(&format!("    {title}\n"));
        let lines: Vec<&str> = content.trim_end().lines().collect();
        for line in lines.iter().take(MAX_TEXT_LINES) {
            text.push_str(&format!("      {bar} {}\n", clean_label(line)));
        }
        let more = lines.len().saturating_sub(MAX_TEXT_LINES);
        if more > 0 {
            text.push_str(&format!("      {bar} {more} more lines\n"));
        }
    }
    text
}

fn place(case: &TestCaseView) -> Option<String> {
    let file = case.file.as_ref()?;
    Some(case.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
}

fn full_message(case: &TestCaseView) -> Option<String> {
    match (&case.kind, &case.message) {
        (Some(kind), Some(message)) => Some(format!("{kind}: {message}")),
        (Some(one), None) | (None, Some(one)) => Some(one.clone()),
        (None, None) => None,
    }
}

fn foot(run: &TestRunText<'_>) -> String {
    let view = run.view;
    let mut text = String::new();
    let mut add =
        |label: &str, value: &str| text.push_str(&format!("  {label:<10} {}\n", clean_label(value)));
    for (label, names) in [("fixed", &view.fixed), ("flaky", &view.flaky)] {
        for (index, name) in names.iter().take(MAX_NAMED).enumerate() {
            add(if index == 0 { label } else { "" }, name);
        }
        let more = names.len().saturating_sub(MAX_NAMED);
        if more > 0 {
            add("", &format!("and {more} more"));
        }
    }
    for (index, case) in view.slowest.iter().take(MAX_SLOWEST).enumerate() {
        let took = case.duration_s.map(seconds).unwrap_or_default();
        add(if index == 0 { "slowest" } else { "" }, &format!("{took:>6}  {}", case.id));
    }
    if let Some(command) = run.rerun {
        add("next", &format!("longhaul rerun-failed {}, which runs:", short(&view.id)));
        add("", &shell_line(command));
    }
    text
}

fn seconds(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the conversion saturates, and negative durations become zero"
    )]
    let millis = (seconds * 1_000.0).round() as u64;
    length(millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_wire::api::{FailureGroupView, TestWarningView};

    pub(crate) fn failure(id: &str, message: &str, line: u32) -> TestCaseView {
        TestCaseView {
            id: format!("tests/test_login.py::{id}"),
            outcome: "failed".to_owned(),
            file: Some("tests/test_login.py".to_owned()),
            line: Some(line),
            phase: Some("call".to_owned()),
            kind: Some("AssertionError".to_owned()),
            message: Some(message.to_owned()),
            cause: Some(format!("AssertionError: {}", message.replace(char::is_numeric, "#"))),
            history: Some("new".to_owned()),
            ..TestCaseView::default()
        }
    }

    fn results() -> TestResultsView {
        TestResultsView {
            id: "0a1b2c3d-1111-4111-8111-111111111111".to_owned(),
            name: Some("unit".to_owned()),
            status: "failed".to_owned(),
            attempt: 1,
            tests: TestsView {
                framework: Some("pytest".to_owned()),
                source: Some("plugin".to_owned()),
                total: 9,
                passed: 4,
                failed: 3,
                errors: 1,
                skipped: 1,
                duration_s: Some(0.08),
                complete: true,
                ..TestsView::default()
            },
            groups: vec![FailureGroupView {
                cause: "AssertionError: expected #".to_owned(),
                count: 2,
                first: "tests/test_login.py::a".to_owned(),
            }],
            collection_errors: vec![TestCaseView {
                id: "tests/test_collect.py".to_owned(),
                outcome: "error".to_owned(),
                file: Some("tests/test_collect.py".to_owned()),
                line: Some(1),
                phase: Some("collect".to_owned()),
                kind: Some("ModuleNotFoundError".to_owned()),
                message: Some("No module named 'nosuch'".to_owned()),
                ..TestCaseView::default()
            }],
            slowest: vec![TestCaseView {
                id: "tests/test_login.py::a".to_owned(),
                duration_s: Some(2.1),
                ..TestCaseView::default()
            }],
            fixed: vec!["tests/test_login.py::old".to_owned()],
            ..TestResultsView::default()
        }
    }

    #[test]
    fn failures_are_grouped_by_cause_and_collection_errors_have_their_own_section() {
        let failures =
            [failure("a", "expected 1", 5), failure("b", "wrong user", 7), failure("c", "expected 2", 9)];
        let command = ["pytest".to_owned(), "tests/test_login.py::a b".to_owned()];
        let text = test_run(&TestRunText {
            view: &results(),
            failures: &failures,
            detail: FailureDetail::Grouped,
            rerun: Some(&command),
            unicode: true,
        });
        assert_eq!(
            text,
            "\
0a1b2c3d unit ✗ failed: 3 failed, 1 error, 4 passed, 1 skipped (9 tests)
  source     pytest, from its plugin, 80ms

could not be collected (1)
  tests/test_collect.py  tests/test_collect.py:1
    ModuleNotFoundError: No module named 'nosuch'

AssertionError: expected # (2 tests)
  tests/test_login.py::a  tests/test_login.py:5  (new)
    AssertionError: expected 1
  tests/test_login.py::c  tests/test_login.py:9  (new)

AssertionError: wrong user (1 test)
  tests/test_login.py::b  tests/test_login.py:7  (new)

  fixed      tests/test_login.py::old
  slowest      2.1s  tests/test_login.py::a
  next       longhaul rerun-failed 0a1b2c3d, which runs:
             pytest 'tests/test_login.py::a b'
"
        );
    }

    #[test]
    fn whole_failure_shows_values_trace_and_captured_output_without_control_characters() {
        let failure = TestCaseView {
            expected: Some("'alice'".to_owned()),
            actual: Some("'bob'".to_owned()),
            trace: Some("def test():\n    assert x\u{1b}[2J\n".to_owned()),
            captured: Some("said\n".to_owned()),
            ..failure("a", "wrong user", 5)
        };
        let text = test_run(&TestRunText {
            view: &TestResultsView { collection_errors: Vec::new(), ..results() },
            failures: &[failure],
            detail: FailureDetail::Whole,
            rerun: None,
            unicode: false,
        });
        for line in [
            "    AssertionError: wrong user\n",
            "    expected  'alice'\n    actual    'bob'\n",
            "    trace\n      | def test():\n      |     assert x",
            "    captured output\n      | said\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn warning_about_a_green_run_comes_first() {
        let mut view = results();
        view.status = "completed".to_owned();
        view.tests = TestsView {
            warning: Some(TestWarningView {
                kind: "no_tests".to_owned(),
                message: "the command succeeded, but no test ran".to_owned(),
            }),
            complete: true,
            ..TestsView::default()
        };
        let run = TestRunText {
            view: &view,
            failures: &[],
            detail: FailureDetail::Grouped,
            rerun: None,
            unicode: true,
        };
        let text = test_run(&run);
        let expected =
            "0a1b2c3d unit ✓ completed: no tests\n  warning    the command succeeded, but no test ran\n";
        assert!(text.starts_with(expected), "{text}");
        let mut live = view.clone();
        live.status = "running".to_owned();
        assert!(test_run(&TestRunText { view: &live, ..run }).contains("no tests so far\n"));
    }
}
