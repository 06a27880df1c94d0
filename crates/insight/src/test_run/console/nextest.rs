//! Output of `cargo nextest`.

use super::detail::OpenDetail;
use super::numbers::numbered;
use super::{ConsoleReader, FinalTotals, TestEvent};
use crate::test_run::case::{TestCase, TestCounts, TestFailure, TestOutcome};
use crate::test_run::failure_text::rust;
use crate::test_run::text;
use std::time::Duration;

/// Starts of lines with which the test program repeats information that nextest prints itself.
const NOISE: [&str; 4] = ["running 1 test", "test result: ", "failures:", "---- "];

/// Reads the output of `cargo nextest run`.
#[derive(Debug, Default)]
pub(super) struct NextestConsole {
    detail: Option<OpenDetail>,
    compiler_error: Option<String>,
    /// True after the summary, where nextest lists the failed tests again.
    is_summarized: bool,
    totals: FinalTotals,
}

impl ConsoleReader for NextestConsole {
    fn read(&mut self, at: u64, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        if let Some(status) = TestStatus::parse(line) {
            self.end_detail(emit);
            self.read_status(at, &status, emit);
        } else if let Some(summary) = line.strip_prefix("     Summary [") {
            self.end_detail(emit);
            self.is_summarized = true;
            self.totals = summary_of(summary).unwrap_or(self.totals);
        } else if let Some(rest) = line.strip_prefix("    Starting ") {
            let number = numbered(rest, " across ").next();
            number.into_iter().for_each(|(number, _)| emit(TestEvent::Collected(number)));
        } else if let Some(detail) = &mut self.detail {
            let content = line.strip_prefix("    ").unwrap_or(line);
            let is_noise = NOISE.iter().any(|noise| content.starts_with(noise))
                || content.starts_with("test ") && content.ends_with(" FAILED")
                || content.trim() == detail.name
                || line.ends_with(" ───");
            if !is_noise {
                detail.push(content);
            }
        } else if (line.starts_with("error[") || line.starts_with("error: ")) && self.compiler_error.is_none()
        {
            self.compiler_error = Some(text::message(line));
        }
        if line.starts_with("error: could not compile")
            && let Some(message) = &self.compiler_error
        {
            emit(TestEvent::Broken { message: message.clone() });
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        self.end_detail(emit);
        self.totals.emit(emit);
    }
}

impl NextestConsole {
    fn read_status(&mut self, at: u64, status: &TestStatus<'_>, emit: &mut dyn FnMut(TestEvent)) {
        let outcome = match status.word {
            "PASS" | "LEAK" => TestOutcome::Passed,
            "FAIL" | "TIMEOUT" | "TMT" | "ABORT" | "LEAK-FAIL" | "XFAIL" => TestOutcome::Failed,
            word if word.starts_with("SIG") => TestOutcome::Failed,
            _ => return,
        };
        // Only the last attempt of a test counts as a result.
        if self.is_summarized || !status.is_final {
            return;
        }
        let mut case = TestCase::new(status.name, outcome);
        case.duration = status.duration;
        if status.is_repeated && outcome == TestOutcome::Passed {
            case.failure = Some(Box::new(TestFailure { flaky: true, ..TestFailure::default() }));
        }
        emit(TestEvent::Finished(case));
        if outcome == TestOutcome::Failed {
            self.detail = Some(OpenDetail::new(status.name, at));
        }
    }

    fn end_detail(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        if let Some(detail) = self.detail.take() {
            let mut case = TestCase::new(&detail.name, TestOutcome::Failed);
            let text = detail.text.text();
            rust::read(text.trim_start_matches('\n')).attach(&mut case);
            case.offset = Some(detail.offset);
            emit(TestEvent::Explained(case));
        }
    }
}

/// A line that reports an attempt of a test, such as `        FAIL [   0.016s] (2/8) c tests::should`.
#[derive(Debug)]
struct TestStatus<'a> {
    word: &'a str,
    /// True if the test had an earlier attempt.
    is_repeated: bool,
    /// True if no further attempt follows.
    is_final: bool,
    duration: Option<Duration>,
    name: &'a str,
}

impl<'a> TestStatus<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (words, rest) = line.strip_prefix(' ')?.split_once(" [")?;
        let (time, rest) = rest.split_once("s] ")?;
        let duration = text::parse_seconds(time.trim_start_matches('>'))?;
        let words = words.trim_start();
        let (word, attempt) = match words.strip_prefix("TRY ") {
            Some(rest) => {
                let (attempt, word) = rest.split_once(' ')?;
                (word, attempt.parse::<u32>().ok()?)
            }
            None => (words, 1),
        };
        let is_word = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        let (counter, rest) = match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(") ").map(|(counter, rest)| (Some(counter), rest))?,
            None => (None, rest),
        };
        let is_final = counter.map_or(words == word, |counter| counter.contains('/'));
        let (_, name) = rest.trim().split_once(' ')?;
        (is_word && !word.is_empty()).then_some(Self {
            word,
            is_repeated: attempt > 1,
            is_final,
            duration: Some(duration),
            name,
        })
    }
}

/// Reads `   0.357s] 8 tests run: 2 passed (1 flaky), 6 failed, 2 skipped`.
fn summary_of(summary: &str) -> Option<FinalTotals> {
    let (time, rest) = summary.split_once("s] ")?;
    let (_, results) = rest.split_once(": ")?;
    let mut counts = TestCounts::ZERO;
    for (number, words) in numbered(results, ", ") {
        match words.split(' ').next().unwrap_or_default() {
            "passed" => counts.passed = number,
            "skipped" => counts.skipped = number,
            // All other words mean that the test failed, timed out or could not be executed.
            _ => counts.failed = counts.failed.saturating_add(number),
        }
        counts.total = counts.total.saturating_add(number);
    }
    Some(FinalTotals { counts: Some(counts), has_ended: true, duration: text::parse_seconds(time) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_read_with_and_without_numbers() {
        for (line, expected) in [
            ("        FAIL [   0.016s] (2/8) c tests::should", Some(("FAIL", true, false, "tests::should"))),
            ("  TRY 1 FAIL [   0.020s] (───) c tests::should", Some(("FAIL", false, false, "tests::should"))),
            ("  TRY 2 PASS [   0.018s] (2/2) c flaky", Some(("PASS", true, true, "flaky"))),
            ("        PASS [   0.005s] c::more fine", Some(("PASS", true, false, "fine"))),
            (" TERMINATING [>  2.000s] (───) c sleeps", Some(("TERMINATING", false, false, "sleeps"))),
            ("    PASS [soon] (1/2) c fine", None),
        ] {
            let status = TestStatus::parse(line)
                .map(|status| (status.word, status.is_final, status.is_repeated, status.name));
            assert_eq!(status, expected, "{line}");
        }
    }
}
