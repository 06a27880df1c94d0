//! Output of Jest.

use super::detail::OpenDetail;
use super::numbers::numbered;
use super::{ConsoleReader, FinalTotals, TestEvent};
use crate::test_run::case::{TestCase, TestCounts, TestOutcome, TestPhase};
use crate::test_run::failure_text::javascript;
use crate::test_run::text;

/// Reads the output of Jest: the failures, and the counts at the end.
#[derive(Debug, Default)]
pub(super) struct JestConsole {
    file: String,
    detail: Option<OpenDetail>,
    /// Number of test files whose tests could not run.
    errors: u64,
    totals: FinalTotals,
    /// True after the start of the final list, which repeats the failures.
    is_repeated: bool,
}

impl ConsoleReader for JestConsole {
    fn read(&mut self, at: u64, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        let file = line.strip_prefix("FAIL ").or_else(|| line.strip_prefix("PASS "));
        if let Some(file) = file {
            self.end_detail(emit);
            // If the file is slow, its duration follows in parentheses.
            self.file = text::id(file.split(" (").next().unwrap_or_default().trim_start_matches("./"));
        } else if line == "Summary of all failing tests" {
            self.end_detail(emit);
            self.is_repeated = true;
        } else if let Some(name) = line.strip_prefix("  ● ") {
            self.end_detail(emit);
            if !self.is_repeated && name != "Console" {
                self.detail = Some(OpenDetail::new(name, at));
            }
        } else if let Some(list) = line.strip_prefix("Tests: ") {
            self.end_detail(emit);
            self.read_totals(list.trim_start());
        } else if let Some(time) = line.strip_prefix("Time: ") {
            self.totals.has_ended = true;
            self.totals.duration = time.trim_start().split(" s").next().and_then(text::parse_seconds);
        } else if line.starts_with("Test Suites: ") {
            self.end_detail(emit);
        } else if line.starts_with("No tests found, exiting with code 1") {
            emit(TestEvent::Broken { message: text::message(line) });
        } else if let Some(detail) = &mut self.detail {
            detail.push(line.strip_prefix("    ").unwrap_or(line));
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        self.end_detail(emit);
        self.totals.emit(emit);
    }
}

impl JestConsole {
    fn end_detail(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        let Some(detail) = self.detail.take() else { return };
        let is_file = detail.name == "Test suite failed to run";
        let text = detail.text.text();
        let mut case = if is_file {
            TestCase::new(&self.file, TestOutcome::Error)
        } else {
            TestCase::new(&detail.name.replace(" › ", " "), TestOutcome::Failed)
        };
        javascript::read(text.trim_matches('\n')).attach(&mut case);
        case.file = Some(self.file.clone());
        case.offset = Some(detail.offset);
        if is_file {
            if let Some(failure) = &mut case.failure {
                failure.phase = TestPhase::Collect;
            }
            self.errors = self.errors.saturating_add(1);
            emit(TestEvent::Finished(case));
        } else {
            emit(TestEvent::Explained(case));
        }
    }

    /// Reads `2 failed, 1 skipped, 1 todo, 1 passed, 5 total`.
    fn read_totals(&mut self, list: &str) {
        let mut counts = TestCounts { errors: self.errors, total: self.errors, ..TestCounts::ZERO };
        for (number, word) in numbered(list, ", ") {
            match word {
                "failed" => counts.failed = number,
                "passed" => counts.passed = number,
                "skipped" => counts.skipped = number,
                "todo" => counts.todo = number,
                "total" => counts.total = counts.total.saturating_add(number),
                _ => {}
            }
        }
        self.totals.counts = Some(counts);
    }
}
