//! Output of `go test` without `-json`.

use super::detail::OpenDetail;
use super::{ConsoleReader, TestEvent};
use crate::test_run::case::{TestCase, TestFailure, TestOutcome, TestPhase};
use crate::test_run::failure_text::{Place, go};
use crate::test_run::text;
use std::time::Duration;

/// Reads the output of `go test`. Without `-v`, go names only the failed tests. In this case, a package without a
/// failed test counts as one result.
#[derive(Debug, Default)]
pub(super) struct GoConsole {
    /// Lines of the current test. Collected only with `-v`.
    running: Option<OpenDetail>,
    /// The last failed test. Lines that explain the failure may follow.
    failed: Option<(TestCase, OpenDetail)>,
    /// Number of tests that were named in the current package.
    named: u64,
    /// First line that the compiler printed for the current package.
    compiler_error: Option<String>,
    packages: u64,
}

impl ConsoleReader for GoConsole {
    fn read(&mut self, at: u64, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        let content = line.trim_start();
        if let Some(rest) = content.strip_prefix("--- ") {
            self.read_result(at, rest, emit);
        } else if let Some(rest) = line.strip_prefix("=== ") {
            self.end_failed(emit);
            let (_, name) = rest.split_once(' ').unwrap_or_default();
            self.running = Some(OpenDetail::new(name.trim(), at));
        } else if let Some((package, rest)) = package_line(line, "ok  \t") {
            self.end_failed(emit);
            if self.named == 0 && !rest.contains("[no tests to run]") {
                emit(TestEvent::Finished(package_case(package, rest, TestOutcome::Passed)));
            }
            self.end_package();
        } else if let Some((package, rest)) = package_line(line, "FAIL\t") {
            self.fail_package(package, rest, emit);
        } else if line.starts_with("?   \t") {
            self.end_failed(emit);
            self.end_package();
        } else if let Some((_, detail)) = &mut self.failed {
            detail.push(line);
        } else if let Some(running) = &mut self.running {
            running.push(line);
        } else if self.compiler_error.is_none() && !line.starts_with('#') && Place::find(line).is_some() {
            self.compiler_error = Some(text::message(line));
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        self.end_failed(emit);
        if self.packages > 0 && self.named == 0 {
            emit(TestEvent::Ended { duration: None });
        }
    }
}

impl GoConsole {
    /// Reads `FAIL: TestFails (0.00s)`.
    fn read_result(&mut self, at: u64, rest: &str, emit: &mut dyn FnMut(TestEvent)) {
        let Some((word, rest)) = rest.split_once(": ") else { return };
        let outcome = match word {
            "PASS" => TestOutcome::Passed,
            "FAIL" => TestOutcome::Failed,
            "SKIP" => TestOutcome::Skipped,
            _ => return,
        };
        let Some((name, time)) = rest.rsplit_once(" (") else { return };
        let Some(duration) = time.strip_suffix("s)").and_then(text::parse_seconds) else { return };
        self.end_failed(emit);
        self.named = self.named.saturating_add(1);
        let mut case = TestCase::new(name, outcome);
        case.duration = Some(duration);
        let running = self.running.take_if(|running| running.name == name);
        if outcome == TestOutcome::Failed {
            self.failed = Some((case, running.unwrap_or_else(|| OpenDetail::new(name, at))));
        } else {
            emit(TestEvent::Finished(case));
        }
    }

    fn end_failed(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        if let Some((mut case, detail)) = self.failed.take() {
            let text = detail.text.text();
            let text = text.trim_end_matches("FAIL\n");
            go::read(text).attach(&mut case);
            case.offset = Some(detail.offset);
            emit(TestEvent::Finished(case));
        }
    }

    fn fail_package(&mut self, package: &str, rest: &str, emit: &mut dyn FnMut(TestEvent)) {
        self.end_failed(emit);
        if self.named == 0 {
            let mut case = package_case(package, rest, TestOutcome::Error);
            let known = self.compiler_error.take().filter(|_| rest.contains("failed]"));
            let (place, message) = match known.as_deref().and_then(Place::find) {
                Some((place, message)) => (Some(place), message),
                None => (None, "the package failed outside its tests"),
            };
            let failure = TestFailure {
                phase: TestPhase::Collect,
                message: text::message(message),
                ..TestFailure::default()
            };
            case.failure = Some(Box::new(failure));
            if let Some(place) = place {
                (case.file, case.line) = (Some(place.file), Some(place.line));
            }
            emit(TestEvent::Finished(case));
        }
        self.end_package();
    }

    fn end_package(&mut self) {
        self.named = 0;
        self.running = None;
        self.packages = self.packages.saturating_add(1);
    }
}

/// Splits the rest of a line such as `ok  \texample.com/project\t0.011s` after the first word.
fn package_line<'a>(line: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    let rest = line.strip_prefix(start)?;
    Some(rest.split_once(['\t', ' ']).unwrap_or((rest, "")))
}

fn package_case(package: &str, rest: &str, outcome: TestOutcome) -> TestCase {
    let mut case = TestCase::new(package, outcome);
    let time: Option<Duration> =
        rest.split('\t').next().and_then(|time| text::parse_seconds(time.strip_suffix('s')?));
    case.duration = time;
    case
}
