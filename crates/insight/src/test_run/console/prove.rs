//! Output of `prove`, which runs programs that print the Test Anything Protocol.

use super::{ConsoleReader, TestEvent};
use crate::test_run::case::{TestCase, TestCounts, TestFailure, TestOutcome};
use crate::test_run::text;

/// Reads the output of `prove`: the report of the failures, and the counts.
#[derive(Debug, Default)]
pub(super) struct ProveConsole {
    file: String,
    failed: u64,
    /// Number of programs that failed although none of their tests failed.
    errors: u64,
    tests: Option<u64>,
    is_report: bool,
}

impl ConsoleReader for ProveConsole {
    fn read(&mut self, _at: u64, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        if line == "Test Summary Report" {
            self.is_report = true;
        } else if let Some(rest) = line.strip_prefix("Files=") {
            self.tests = rest.split_once("Tests=").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        } else if let Some(result) = line.strip_prefix("Result: ") {
            self.end(result, emit);
        } else if let Some((file, state)) = line.split_once(" (Wstat: ").filter(|_| self.is_report) {
            self.read_file(file, state, emit);
        } else if let Some(numbers) = line.trim_start().strip_prefix("Failed test").filter(|_| self.is_report)
        {
            self.read_failed(numbers.trim_start_matches(['s', ':', ' ']), emit);
        }
    }

    fn finish(&mut self, _emit: &mut dyn FnMut(TestEvent)) {}
}

impl ProveConsole {
    /// Reads `512 (exited 2) Tests: 6 Failed: 2)`.
    fn read_file(&mut self, file: &str, state: &str, emit: &mut dyn FnMut(TestEvent)) {
        self.file = text::id(file);
        let failed =
            state.split_once("Failed: ").and_then(|(_, rest)| rest.strip_suffix(')')?.parse::<u64>().ok());
        self.failed = self.failed.saturating_add(failed.unwrap_or(0));
        if failed == Some(0) {
            self.errors = self.errors.saturating_add(1);
            let mut case = TestCase::new(file, TestOutcome::Error);
            case.file = Some(self.file.clone());
            let message =
                format!("the program failed: {}", state.split(" Tests:").next().unwrap_or_default());
            case.failure = Some(Box::new(TestFailure { message, ..TestFailure::default() }));
            emit(TestEvent::Finished(case));
        }
    }

    /// Reads test numbers such as `2, 5`, or a range such as `2-4`.
    fn read_failed(&self, numbers: &str, emit: &mut dyn FnMut(TestEvent)) {
        for number in numbers.split(", ").take(super::MAX_EXPLAINED) {
            let mut case = TestCase::new(&format!("{} {}", self.file, number.trim()), TestOutcome::Failed);
            case.file = Some(self.file.clone());
            let message = "prove prints no details".to_owned();
            case.failure = Some(Box::new(TestFailure { message, ..TestFailure::default() }));
            emit(TestEvent::Explained(case));
        }
    }

    fn end(&mut self, result: &str, emit: &mut dyn FnMut(TestEvent)) {
        let Some(tests) = self.tests else { return };
        let (total, failed) = (tests.saturating_add(self.errors), self.failed);
        let passed = tests.saturating_sub(failed);
        emit(TestEvent::Totals(TestCounts {
            total,
            passed,
            failed,
            errors: self.errors,
            ..TestCounts::ZERO
        }));
        if matches!(result, "PASS" | "FAIL" | "NOTESTS") {
            emit(TestEvent::Ended { duration: None });
        }
    }
}
