//! Output of Vitest.

use super::detail::OpenDetail;
use super::numbers::numbered;
use super::{ConsoleReader, FinalTotals, TestEvent};
use crate::test_run::case::{TestCase, TestCounts, TestOutcome, TestPhase};
use crate::test_run::failure_text::javascript;
use crate::test_run::text;

/// Reads the output of Vitest: the counts of each file, the failures, and the counts at the end.
#[derive(Debug, Default)]
pub(super) struct VitestConsole {
    section: VitestSection,
    detail: Option<OpenDetail>,
    /// Number of files and hooks that failed, not counting failed tests.
    errors: u64,
    totals: FinalTotals,
}

/// Section of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum VitestSection {
    #[default]
    Progress,
    FailedSuites,
    FailedTests,
}

impl ConsoleReader for VitestConsole {
    fn read(&mut self, at: u64, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        if let Some(title) = super::pytest::framed(line, '⎯') {
            self.end_detail(emit);
            if title.starts_with("Failed Suites ") {
                self.section = VitestSection::FailedSuites;
            } else if title.starts_with("Failed Tests ") {
                self.section = VitestSection::FailedTests;
            }
        } else if let Some(name) =
            line.strip_prefix(" FAIL ").filter(|_| self.section != VitestSection::Progress)
        {
            self.end_detail(emit);
            self.detail = Some(OpenDetail::new(name.trim(), at));
        } else if line.starts_with("⎯⎯⎯") {
            self.end_detail(emit);
        } else if let Some(list) = line.trim_start().strip_prefix("Tests  ") {
            self.end_detail(emit);
            self.read_totals(list);
        } else if let Some(time) = line.trim_start().strip_prefix("Duration  ") {
            self.totals.has_ended = true;
            self.totals.duration = duration_of(time);
        } else if line.starts_with("No test files found") {
            emit(TestEvent::Broken { message: text::message(line) });
        } else if let Some(detail) = &mut self.detail {
            detail.push(line);
        } else if self.section == VitestSection::Progress {
            read_progress(line, emit);
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        self.end_detail(emit);
        self.totals.emit(emit);
    }
}

impl VitestConsole {
    fn end_detail(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        let Some(detail) = self.detail.take() else { return };
        let text = detail.text.text();
        let read = javascript::read(text.trim_matches('\n'));
        let (file, name) = detail.name.split_once(" > ").unwrap_or((&detail.name, ""));
        let file = file.split(" [ ").next().unwrap_or_default();
        let is_suite = self.section == VitestSection::FailedSuites;
        let id = if name.is_empty() { file.to_owned() } else { name.replace(" > ", " ") };
        let outcome = if is_suite { TestOutcome::Error } else { TestOutcome::Failed };
        let mut case = TestCase::new(&id, outcome);
        read.attach(&mut case);
        case.file = Some(text::id(file));
        case.offset = Some(detail.offset);
        if is_suite {
            if let Some(failure) = &mut case.failure {
                failure.phase = if name.is_empty() { TestPhase::Collect } else { TestPhase::Setup };
            }
            self.errors = self.errors.saturating_add(1);
            emit(TestEvent::Finished(case));
        } else {
            emit(TestEvent::Explained(case));
        }
    }

    /// Reads `3 failed | 4 passed | 1 expected fail | 2 skipped | 1 todo (11)`.
    fn read_totals(&mut self, list: &str) {
        let list = list.split(" (").next().unwrap_or_default();
        let mut counts = TestCounts { errors: self.errors, total: self.errors, ..TestCounts::ZERO };
        for (number, word) in numbered(list, "|") {
            match word {
                "failed" => counts.failed = number,
                "passed" => counts.passed = number,
                "expected fail" => counts.xfailed = number,
                "skipped" => counts.skipped = number,
                "todo" => counts.todo = number,
                _ => continue,
            }
            counts.total = counts.total.saturating_add(number);
        }
        self.totals.counts = Some(counts);
    }
}

/// Reads the line of a file, ` ❯ a.test.js (7 tests | 2 failed | 1 skipped) 24ms`, or of a test,
/// ` ✓ a.test.js > cart > adds 3ms`.
fn read_progress(line: &str, emit: &mut dyn FnMut(TestEvent)) {
    let Some(rest) = line.strip_prefix(' ') else { return };
    let Some((sign, rest)) = rest.split_once(' ') else { return };
    if let Some((file, name)) = rest.split_once(" > ") {
        let outcome = match sign {
            "✓" => TestOutcome::Passed,
            "×" => TestOutcome::Failed,
            "↓" => TestOutcome::Skipped,
            "□" => TestOutcome::Todo,
            _ => return,
        };
        let name = name.split(" (retry x").next().unwrap_or_default();
        let (name, time) = match name.rsplit_once(' ') {
            Some((before, time)) if duration_of(time).is_some() => (before, duration_of(time)),
            Some(_) | None => (name, None),
        };
        let mut case = TestCase::new(&name.replace(" > ", " "), outcome);
        case.file = Some(text::id(file));
        case.duration = time;
        emit(TestEvent::Finished(case));
    } else if matches!(sign, "✓" | "❯" | "↓")
        && let Some((_, list)) = rest.split_once(" (")
        && let Some((list, _)) = list.split_once(')')
    {
        emit_file(list, emit);
    }
}

/// Parses a text such as `7 tests | 2 failed | 1 skipped`, and emits the results that it contains.
fn emit_file(list: &str, emit: &mut dyn FnMut(TestEvent)) {
    let mut counts = TestCounts::ZERO;
    for (number, word) in numbered(list, "|") {
        match word {
            "test" | "tests" => counts.total = number,
            "failed" => counts.failed = number,
            "skipped" => counts.skipped = number,
            "todo" => counts.todo = number,
            _ => {}
        }
    }
    let others = counts.failed.saturating_add(counts.skipped).saturating_add(counts.todo);
    if let Some(passed) = counts.total.checked_sub(others).filter(|_| counts.total > 0) {
        emit(TestEvent::Counted(TestCounts { passed, ..counts }));
    }
}

/// Returns the duration in a text such as `24ms` or `1.51s (transform 27ms, …)`.
fn duration_of(time: &str) -> Option<std::time::Duration> {
    let time = time.split(' ').next()?;
    match time.strip_suffix("ms") {
        Some(milliseconds) => text::seconds(milliseconds.parse::<f64>().ok()? / 1000.0),
        None => text::parse_seconds(time.strip_suffix('s')?),
    }
}
