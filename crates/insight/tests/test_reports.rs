//! Checks the results that are read from captured reports and outputs of real test runs. `fixtures/tests/expected.txt`
//! shows these results. The table in this file compares them with the counts that the tools themselves report.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use longhaul_insight::test_run::{
    FailedTest, Framework, TestCounts, TestEvent, TestOutcome, TestParser, TestRun, TestSource, TestSummary,
    parser_of,
};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tests")
}

/// Returns the sorted names of all captures, such as `pytest/plain.xml`.
fn captures() -> Vec<String> {
    let mut names = Vec::new();
    for tool in fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap()) {
        if tool.file_type().unwrap().is_dir() {
            for file in fs::read_dir(tool.path()).unwrap().map(|entry| entry.unwrap()) {
                let (tool, file) = (tool.file_name(), file.file_name());
                names.push(format!("{}/{}", tool.to_str().unwrap(), file.to_str().unwrap()));
            }
        }
    }
    names.retain(|name| source_of(name).is_some());
    names.sort();
    names
}

fn source_of(name: &str) -> Option<TestSource> {
    match name.rsplit('.').next().unwrap() {
        "jsonl" => Some(TestSource::Plugin),
        "xml" => Some(TestSource::Junit),
        "txt" if name != "expected.txt" => Some(TestSource::Console),
        "json" | "tap" => Some(TestSource::Stream),
        _ => None,
    }
}

fn parser(name: &str) -> Box<dyn TestParser> {
    let framework = if name.starts_with("go/") {
        Some(Framework::GoTest)
    } else if name.starts_with("tap/") {
        Some(Framework::Tap)
    } else if name.starts_with("cargo/") {
        Some(Framework::CargoTest)
    } else if name.starts_with("nextest/") {
        Some(Framework::Nextest)
    } else {
        None
    };
    parser_of(source_of(name).unwrap(), framework)
}

fn events(name: &str, report: &[u8], piece: usize) -> Vec<TestEvent> {
    let (mut parser, mut events) = (parser(name), Vec::new());
    for bytes in report.chunks(piece) {
        parser.push(bytes, &mut |event| events.push(event));
    }
    parser.finish(&mut |event| events.push(event));
    events
}

fn summary(name: &str) -> TestSummary {
    let mut run = TestRun::new(source_of(name).unwrap());
    events(name, &fs::read(directory().join(name)).unwrap(), 4096).iter().for_each(|event| run.add(event));
    run.summary()
}

fn show_failure(shown: &mut String, title: &str, failed: &FailedTest) {
    let line = failed.line.map_or("-".to_owned(), |line| line.to_string());
    let file = failed.file.as_deref().unwrap_or("-");
    let kind = failed.kind.as_deref().unwrap_or("-");
    writeln!(shown, "  {title} {} at {file}:{line}, {:?}", failed.id, failed.phase).unwrap();
    writeln!(shown, "    {kind}: {}", failed.message).unwrap();
    for (title, value) in [("expected", &failed.expected), ("actual", &failed.actual)] {
        if let Some(value) = value {
            let short: String = value.chars().take(80).collect();
            writeln!(shown, "    {title} {short:?}").unwrap();
        }
    }
    for (title, text) in [("trace", &failed.trace), ("captured", &failed.captured)] {
        if let Some(text) = text {
            writeln!(shown, "    {title} of {} lines", text.lines().count()).unwrap();
        }
    }
}

fn show(name: &str) -> String {
    let summary = summary(name);
    let framework = summary.framework.map_or("-".to_owned(), |framework| format!("{framework:?}"));
    let is_complete = if summary.complete { "complete" } else { "incomplete" };
    let mut shown = format!("{name}: {framework}, {is_complete}\n");
    let TestCounts { total, passed, failed, errors, skipped, xfailed, xpassed, todo } = summary.counts;
    writeln!(
        shown,
        "  {total} tests: {passed} passed, {failed} failed, {errors} errors, {skipped} skipped, {xfailed} xfailed, \
         {xpassed} xpassed, {todo} todo"
    )
    .unwrap();
    if let Some(collected) = summary.collected {
        writeln!(shown, "  {collected} collected").unwrap();
    }
    summary.failures.iter().for_each(|failed| show_failure(&mut shown, "failed", failed));
    summary.collection_errors.iter().for_each(|failed| show_failure(&mut shown, "collection error", failed));
    summary.flaky.iter().for_each(|id| writeln!(shown, "  flaky {id}").unwrap());
    for (title, reason) in [("broken", summary.broken), ("unreadable", summary.unreadable)] {
        reason.iter().for_each(|reason| writeln!(shown, "  {title}: {reason}").unwrap());
    }
    summary.contradicting.iter().for_each(|stated| writeln!(shown, "  contradicting {stated:?}").unwrap());
    shown
}

#[test]
fn each_capture_has_the_expected_results() {
    let found: Vec<String> = captures().iter().map(|name| show(name)).collect();
    let golden = directory().join("expected.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, found.join("\n")).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap();
    let expected: Vec<&str> = expected.split("\n\n").collect();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.trim_end(), expected.trim_end());
    }
    assert_eq!(found.len(), expected.len(), "each capture has its results");
}

#[test]
fn results_do_not_depend_on_the_pieces() {
    for name in captures() {
        let report = fs::read(directory().join(&name)).unwrap();
        assert_eq!(events(&name, &report, 7), events(&name, &report, usize::MAX), "{name}");
    }
}

/// Returns the id and the result of each finished test in `events`.
fn finished(events: &[TestEvent]) -> Vec<(String, TestOutcome)> {
    let case = |event: &TestEvent| {
        let TestEvent::Finished(case) = event else { return None };
        Some((case.id.clone(), case.outcome))
    };
    events.iter().filter_map(case).collect()
}

#[test]
fn cut_report_yields_a_prefix_of_the_results() {
    for name in captures() {
        let report = fs::read(directory().join(&name)).unwrap();
        let all = finished(&events(&name, &report, usize::MAX));
        let step = (report.len() / 400).max(1);
        for end in (0..report.len()).step_by(step) {
            let events = events(&name, &report[..end], usize::MAX);
            let some = finished(&events);
            assert!(all.starts_with(&some), "{name} cut at {end}: {some:?}");
            if source_of(&name) == Some(TestSource::Junit) {
                let is_whole = report[end..].iter().all(u8::is_ascii_whitespace);
                let has_ended = events.iter().any(|event| matches!(event, TestEvent::Ended { .. }));
                assert_eq!(has_ended, is_whole, "{name} cut at {end}");
            }
        }
    }
}

#[test]
fn results_agree_with_the_numbers_of_the_tools() {
    for (name, framework, counts) in [
        // Order of the counts: total, passed, failed, errors, skipped, xfailed, xpassed, todo.
        ("pytest/plain.xml", Framework::Pytest, [9, 3, 3, 1, 1, 1, 0, 0]),
        ("pytest/plain.jsonl", Framework::Pytest, [9, 3, 3, 1, 1, 1, 0, 0]),
        ("pytest/pytest7.jsonl", Framework::Pytest, [9, 3, 3, 1, 1, 1, 0, 0]),
        ("pytest/xdist.jsonl", Framework::Pytest, [9, 3, 3, 1, 1, 1, 0, 0]),
        ("pytest/collection_error.jsonl", Framework::Pytest, [1, 0, 0, 1, 0, 0, 0, 0]),
        ("pytest/xdist_collection_error.jsonl", Framework::Pytest, [2, 1, 0, 1, 0, 0, 0, 0]),
        ("pytest/no_tests.jsonl", Framework::Pytest, [0; 8]),
        // pytest counts a failed tear-down as an error, in addition to the result of the test itself.
        ("pytest/more.jsonl", Framework::Pytest, [19, 2, 12, 2, 1, 1, 1, 0]),
        ("pytest/xdist_more.jsonl", Framework::Pytest, [19, 2, 12, 2, 1, 1, 1, 0]),
        ("pytest/killed.jsonl", Framework::Pytest, [12, 11, 1, 0, 0, 0, 0, 0]),
        ("pytest/xdist_killed.jsonl", Framework::Pytest, [20, 18, 2, 0, 0, 0, 0, 0]),
        ("pytest/collection_error.xml", Framework::Pytest, [1, 0, 0, 1, 0, 0, 0, 0]),
        ("pytest/no_tests.xml", Framework::Pytest, [0; 8]),
        // JUnit has no category for an unexpected success.
        ("pytest/more.xml", Framework::Pytest, [19, 3, 12, 2, 1, 1, 0, 0]),
        ("pytest/more_pytest7.xml", Framework::Pytest, [19, 3, 12, 2, 1, 1, 0, 0]),
        ("jest/report.json", Framework::Jest, [10, 3, 4, 1, 1, 0, 0, 1]),
        ("vitest/report.json", Framework::Vitest, [12, 5, 3, 1, 2, 0, 0, 1]),
        // Perl counts the failed subtest as one test, and does not count the two tests inside the subtest.
        ("tap/perl.tap", Framework::Tap, [7, 3, 2, 0, 1, 0, 0, 1]),
        ("tap/perl_short.tap", Framework::Tap, [1, 1, 0, 0, 0, 0, 0, 0]),
        ("tap/node.tap", Framework::Tap, [6, 2, 2, 0, 1, 0, 0, 1]),
        ("go/report.json", Framework::GoTest, [13, 5, 6, 1, 1, 0, 0, 0]),
        ("jest/report.xml", Framework::Jest, [8, 3, 4, 0, 1, 0, 0, 0]),
        ("vitest/report.xml", Framework::Vitest, [13, 5, 4, 1, 3, 0, 0, 0]),
        ("nextest/retries.xml", Framework::Nextest, [8, 2, 6, 0, 0, 0, 0, 0]),
        ("pytest/plain.txt", Framework::Pytest, [9, 3, 3, 1, 1, 1, 0, 0]),
        ("pytest/quiet.txt", Framework::Pytest, [9, 3, 3, 1, 1, 1, 0, 0]),
        ("pytest/verbose.txt", Framework::Pytest, [9, 3, 3, 1, 1, 1, 0, 0]),
        ("pytest/xdist.txt", Framework::Pytest, [9, 3, 3, 1, 1, 1, 0, 0]),
        ("pytest/xdist_verbose.txt", Framework::Pytest, [9, 3, 3, 1, 1, 1, 0, 0]),
        ("pytest/xdist_killed.txt", Framework::Pytest, [20, 18, 2, 0, 0, 0, 0, 0]),
        ("pytest/killed.txt", Framework::Pytest, [12, 11, 1, 0, 0, 0, 0, 0]),
        ("pytest/collection_error.txt", Framework::Pytest, [1, 0, 0, 1, 0, 0, 0, 0]),
        ("pytest/no_tests.txt", Framework::Pytest, [0; 8]),
        ("pytest/more.txt", Framework::Pytest, [19, 2, 12, 2, 1, 1, 1, 0]),
        ("pytest/more_quiet.txt", Framework::Pytest, [19, 2, 12, 2, 1, 1, 1, 0]),
        ("cargo/plain.txt", Framework::CargoTest, [11, 2, 7, 0, 2, 0, 0, 0]),
        ("cargo/quiet.txt", Framework::CargoTest, [11, 2, 7, 0, 2, 0, 0, 0]),
        ("nextest/plain.txt", Framework::Nextest, [10, 2, 6, 0, 2, 0, 0, 0]),
        ("nextest/retries.txt", Framework::Nextest, [10, 2, 6, 0, 2, 0, 0, 0]),
        ("nextest/flaky.txt", Framework::Nextest, [2, 2, 0, 0, 0, 0, 0, 0]),
        ("nextest/signals.txt", Framework::Nextest, [4, 2, 2, 0, 0, 0, 0, 0]),
        ("jest/one_file.txt", Framework::Jest, [5, 1, 2, 0, 1, 0, 0, 1]),
        ("jest/plain.txt", Framework::Jest, [10, 3, 4, 1, 1, 0, 0, 1]),
        ("jest/verbose.txt", Framework::Jest, [10, 3, 4, 1, 1, 0, 0, 1]),
        // Output: "Tests 3 failed | 4 passed | 1 expected fail | 2 skipped | 1 todo (11)". Two suites failed.
        ("vitest/plain.txt", Framework::Vitest, [13, 4, 3, 2, 2, 1, 0, 1]),
        ("vitest/verbose.txt", Framework::Vitest, [13, 4, 3, 2, 2, 1, 0, 1]),
        // Without `-v`, go names only the failed tests.
        ("go/plain.txt", Framework::GoTest, [7, 0, 6, 1, 0, 0, 0, 0]),
        ("go/verbose.txt", Framework::GoTest, [13, 5, 6, 1, 1, 0, 0, 0]),
        ("tap/prove.txt", Framework::Tap, [8, 5, 2, 1, 0, 0, 0, 0]),
        ("nextest/flaky.xml", Framework::Nextest, [2, 2, 0, 0, 0, 0, 0, 0]),
    ] {
        let summary = summary(name);
        let TestCounts { total, passed, failed, errors, skipped, xfailed, xpassed, todo } = summary.counts;
        assert_eq!([total, passed, failed, errors, skipped, xfailed, xpassed, todo], counts, "{name}");
        assert_eq!(summary.framework, Some(framework), "{name}");
        assert_eq!(summary.contradicting, None, "{name}");
    }
}

/// Returns the sorted ids of the failed tests.
fn failed(name: &str) -> Vec<String> {
    let mut ids: Vec<String> = summary(name).failures.into_iter().map(|failed| failed.id).collect();
    ids.sort();
    ids.dedup();
    ids
}

#[test]
fn all_sources_of_a_tool_name_the_same_failed_tests() {
    for (best, others) in [
        (
            "pytest/plain.jsonl",
            &["pytest/plain.xml", "pytest/plain.txt", "pytest/verbose.txt", "pytest/xdist.txt"][..],
        ),
        ("pytest/more.jsonl", &["pytest/more.xml", "pytest/more_pytest7.xml", "pytest/more.txt"]),
        ("pytest/xdist_killed.jsonl", &["pytest/xdist_killed.txt"]),
        ("cargo/plain.txt", &["cargo/quiet.txt"]),
        ("nextest/retries.xml", &["nextest/plain.txt", "nextest/retries.txt"]),
        ("jest/report.json", &["jest/report.xml", "jest/plain.txt", "jest/verbose.txt"]),
        ("go/report.json", &["go/plain.txt", "go/verbose.txt"]),
    ] {
        assert!(!failed(best).is_empty(), "{best}");
        for other in others {
            assert_eq!(failed(best), failed(other), "{best} and {other}");
        }
    }
}

/// Returns the sum of the results in a JUnit report: the counts, and the ids of the failed tests.
fn read_junit(report: &str) -> (TestSummary, [u64; 5], Vec<String>) {
    let (mut parser, mut run) = (parser_of(TestSource::Junit, None), TestRun::new(TestSource::Junit));
    parser.push(report.as_bytes(), &mut |event| run.add(&event));
    parser.finish(&mut |event| run.add(&event));
    let summary = run.summary();
    let TestCounts { total, passed, failed, errors, skipped, .. } = summary.counts;
    let ids = summary.failures.iter().map(|failed| failed.id.clone()).collect();
    (summary, [total, passed, failed, errors, skipped], ids)
}

#[test]
fn results_of_a_test_and_of_its_tear_down_are_counted_as_pytest_counts_them() {
    const TEARDOWN: &str = "<error message=\"failed on teardown with &quot;OSError: x&quot;\">t</error>";
    const SETUP: &str = "<error message=\"failed on setup with &quot;OSError: x&quot;\">t</error>";
    const FAILURE: &str = "<failure message=\"assert 0\">t</failure>";
    let case = |name: &str, inner: &str| {
        format!("<testcase classname=\"test_a\" name=\"{name}\" time=\"1\">{inner}</testcase>")
    };
    for (stated, cases, expected) in [
        // The numbers of tests that pytest states before version 9.2, and since version 9.2.
        ([2, 0, 1, 0], case("a", TEARDOWN), [2, 1, 0, 1, 0]),
        ([1, 0, 1, 0], case("a", TEARDOWN), [2, 1, 0, 1, 0]),
        ([2, 1, 1, 0], case("a", FAILURE) + &case("a", TEARDOWN), [2, 0, 1, 1, 0]),
        ([1, 1, 1, 0], case("a", FAILURE) + &case("a", TEARDOWN), [2, 0, 1, 1, 0]),
        // A worker of xdist may report another test before the tear-down.
        ([2, 1, 1, 0], case("a", FAILURE) + &case("b", "") + &case("a", TEARDOWN), [3, 1, 1, 1, 0]),
        ([2, 0, 2, 0], case("a", &format!("{SETUP}{TEARDOWN}")), [2, 0, 0, 2, 0]),
        ([2, 0, 1, 1], case("a", &format!("<skipped/>{TEARDOWN}")), [2, 0, 0, 1, 1]),
        ([2, 0, 0, 2], case("a", "<skipped/><skipped/>"), [2, 0, 0, 0, 2]),
    ] {
        let [tests, failures, errors, skipped] = stated;
        let report = format!(
            "<testsuites name=\"pytest tests\"><testsuite name=\"pytest\" tests=\"{tests}\" failures=\"{failures}\" \
             errors=\"{errors}\" skipped=\"{skipped}\">{cases}</testsuite></testsuites>"
        );
        let (summary, counts, ids) = read_junit(&report);
        assert_eq!((counts, summary.complete), (expected, true), "{report}: {:?}", summary.contradicting);
        assert!(ids.iter().all(|id| id == "test_a.py::a"), "{ids:?}");
    }
}

#[test]
fn failures_before_the_end_of_a_cut_report_count() {
    let report = "<testsuite name=\"s\" tests=\"3\"><testcase name=\"a\"/><testcase name=\"b\">\
                  <failure message=\"E: m\">at a.py:1\nat ";
    let (summary, counts, ids) = read_junit(report);
    assert_eq!((counts, summary.complete, ids), ([2, 1, 1, 0, 0], false, vec!["b".to_owned()]));
    let (_, counts, _) =
        read_junit(&report[..report.len() - "<failure message=\"E: m\">at a.py:1\nat ".len()]);
    assert_eq!(counts, [1, 1, 0, 0, 0], "the result of the second test is unknown");
}

/// Returns each failure in an output, with the line at which its report starts.
fn reported_failures(name: &str) -> Vec<(String, String)> {
    const BEFORE: u64 = 1_000;
    let output = fs::read(directory().join(name)).unwrap();
    let (mut parser, mut run, mut offset) = (parser(name), TestRun::new(source_of(name).unwrap()), BEFORE);
    for piece in output.chunks(7) {
        parser.push_at(offset, piece, &mut |event| run.add(&event));
        offset += piece.len() as u64;
    }
    parser.finish(&mut |event| run.add(&event));
    let summary = run.summary();
    let line = |failed: &FailedTest| {
        let start = usize::try_from(failed.offset.unwrap() - BEFORE).unwrap();
        let (before, report) = output.split_at_checked(start).unwrap();
        assert!(before.is_empty() || before.ends_with(b"\n"), "{name}: {} is not at a line", failed.id);
        String::from_utf8_lossy(report.split(|byte| *byte == b'\n').next().unwrap()).into_owned()
    };
    let all = summary.failures.iter().chain(&summary.collection_errors);
    all.map(|failed| (failed.id.clone(), line(failed))).collect()
}

#[test]
fn failures_in_text_for_people_name_the_line_at_which_their_report_starts() {
    let mut seen = 0;
    for name in captures() {
        let has_places = source_of(&name) == Some(TestSource::Console) || name.ends_with(".tap");
        for (id, line) in if has_places { reported_failures(&name) } else { Vec::new() } {
            // Each tool shows at least the last part of the name in its heading.
            let last = id.rsplit(['/', ' ', ':', '.']).next().unwrap();
            let last = last.split('[').next().unwrap();
            // For a worker that crashed, pytest-xdist shows only the file.
            let file = id.split("::").next().unwrap();
            let is_heading =
                [last, file, "● Test suite failed to run"].iter().any(|part| line.contains(part));
            assert!(is_heading, "{name}: {id:?} is reported at {line:?}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
    let at = |name: &str| reported_failures(name).into_iter().next().unwrap().1;
    assert!(at("pytest/plain.txt").starts_with("____"), "{}", at("pytest/plain.txt"));
    assert!(at("cargo/plain.txt").starts_with("---- "), "{}", at("cargo/plain.txt"));
}
