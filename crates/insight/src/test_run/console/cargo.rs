//! Output of `cargo test`.

use super::detail::OpenDetail;
use super::numbers::numbered;
use super::{ConsoleReader, TestEvent};
use crate::test_run::case::{TestCase, TestCounts, TestOutcome};
use crate::test_run::failure_text::{Place, rust};
use crate::test_run::text;
use std::time::Duration;

/// Reads the output of `cargo test`, which runs several test programs one after the other.
#[derive(Debug, Default)]
pub(super) struct CargoConsole {
    section: CargoSection,
    /// True if the current test program prints the name of each test.
    is_verbose: bool,
    detail: Option<OpenDetail>,
    /// Number of test programs that have ended.
    programs: u64,
    /// True if a test program ended without printing its summary.
    has_aborted: bool,
    /// True if a line of cargo shows that the current test program may have ended without a summary. Cargo prints such
    /// lines to standard error. Therefore, the line may also be late and belong to the start of the current test
    /// program.
    may_have_aborted: bool,
    duration: Option<Duration>,
    compiler_error: Option<String>,
}

/// Section in the output of a test program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CargoSection {
    /// Outside of any test program.
    #[default]
    Outside,
    /// The results of the tests.
    Results,
    /// The output of the failed tests.
    Details,
    /// The list of the failed tests.
    Names,
}

impl ConsoleReader for CargoConsole {
    fn read(&mut self, at: u64, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        // The output of a failed test may contain a line that looks like a summary.
        if let Some(rest) =
            line.strip_prefix("test result: ").filter(|_| self.section != CargoSection::Details)
        {
            self.end_program(rest, emit);
        } else if let Some(count) = running(line).filter(|_| self.may_start_program()) {
            self.has_aborted |= self.section != CargoSection::Outside;
            self.may_have_aborted = false;
            self.section = CargoSection::Results;
            self.is_verbose = false;
            emit(TestEvent::Collected(count));
        } else {
            match self.section {
                CargoSection::Outside => self.read_cargo(line, emit),
                CargoSection::Results => self.read_result(line, emit),
                CargoSection::Details => self.read_detail(at, line, emit),
                CargoSection::Names => self.read_abort(line),
            }
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        self.end_detail(emit);
        if let Some(message) = self.compiler_error.take().filter(|_| self.programs == 0) {
            emit(TestEvent::Broken { message });
        } else if self.section == CargoSection::Outside && self.programs > 0 && !self.has_aborted {
            emit(TestEvent::Ended { duration: self.duration });
        }
    }
}

impl CargoConsole {
    /// Reads a line that cargo or the compiler prints.
    fn read_cargo(&mut self, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        let is_error = line.starts_with("error[") || line.starts_with("error: ");
        if is_error && self.compiler_error.is_none() && !line.contains("to rerun pass") {
            self.compiler_error = Some(text::message(line));
        }
        if line.starts_with("error: could not compile") {
            let message = self.compiler_error.take().unwrap_or_else(|| text::message(line));
            emit(TestEvent::Broken { message });
        }
    }

    fn read_result(&mut self, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        if line == "failures:" {
            self.section = CargoSection::Details;
        } else if let Some((name, outcome)) = result(line) {
            self.is_verbose = true;
            emit(TestEvent::Finished(case(name, outcome)));
        } else if let Some(name) = line.strip_suffix(" --- FAILED").filter(|_| !self.is_verbose) {
            emit(TestEvent::Finished(case(name, TestOutcome::Failed)));
        } else if let Some(counts) = dots(line).filter(|_| !self.is_verbose) {
            emit(TestEvent::Counted(counts));
        } else {
            self.read_abort(line);
        }
    }

    fn read_detail(&mut self, at: u64, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        let heading = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----"));
        let name = heading
            .and_then(|heading| heading.strip_suffix(" stdout").or_else(|| heading.strip_suffix(" stderr")));
        if let Some(name) = name {
            self.end_detail(emit);
            self.detail = Some(OpenDetail::new(test_name(name), at));
        } else if line == "failures:" {
            self.end_detail(emit);
            self.section = CargoSection::Names;
        } else if let Some(detail) = &mut self.detail {
            detail.push(line);
        }
    }

    /// Reads a line that cargo prints before it runs the next test program.
    fn read_abort(&mut self, line: &str) {
        self.may_have_aborted |=
            line.starts_with("error: test failed, to rerun pass ") || line.starts_with("     Running ");
    }

    /// Returns true if a test program may start now. A test may print a line that looks like the start of a program.
    fn may_start_program(&self) -> bool {
        match self.section {
            CargoSection::Outside => true,
            CargoSection::Results | CargoSection::Names => self.may_have_aborted,
            CargoSection::Details => false,
        }
    }

    fn end_detail(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        if let Some(detail) = self.detail.take() {
            let mut case = case(&detail.name, TestOutcome::Failed);
            let (file, line) = (case.file.clone(), case.line);
            rust::read(detail.text.text().trim_start_matches('\n')).attach(&mut case);
            // Documentation tests are compiled in a temporary file, which the panic may name. The name of the test
            // contains the place in the source.
            if file.is_some() && case.file != file {
                (case.file, case.line) = (file, line);
            }
            case.offset = Some(detail.offset);
            emit(TestEvent::Explained(case));
        }
    }

    /// Reads the summary of a test program: `FAILED. 1 passed; 2 failed; …; finished in 0.09s`.
    fn end_program(&mut self, summary: &str, emit: &mut dyn FnMut(TestEvent)) {
        self.end_detail(emit);
        self.section = CargoSection::Outside;
        self.may_have_aborted = false;
        self.programs = self.programs.saturating_add(1);
        let Some((_, summary)) = summary.split_once(". ") else { return };
        let mut counts = TestCounts::ZERO;
        for (number, word) in numbered(summary, ";") {
            match word {
                "passed" | "measured" => counts.passed = counts.passed.saturating_add(number),
                "failed" => counts.failed = number,
                "ignored" => counts.skipped = number,
                _ => continue,
            }
            counts.total = counts.total.saturating_add(number);
        }
        emit(TestEvent::Totals(counts));
        let duration = summary
            .rsplit_once("finished in ")
            .and_then(|(_, duration)| text::parse_seconds(duration.trim_end().strip_suffix('s')?));
        self.duration = match (self.duration, duration) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (known, None) => known,
            (None, Some(duration)) => Some(duration),
        };
    }
}

/// Returns the number of tests in a line such as `running 4 tests`.
pub(super) fn running(line: &str) -> Option<u64> {
    let number = line.strip_prefix("running ")?;
    let number = number.strip_suffix(" tests").or_else(|| number.strip_suffix(" test"))?;
    number.parse().ok().filter(|number| *number < 1_000_000_000)
}

/// Reads `test tests::bad ... FAILED`.
fn result(line: &str) -> Option<(&str, TestOutcome)> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    // A duration may follow, as in `ok <0.005s>`, or the reason why a test is ignored.
    let outcome = match result.split([' ', ',']).next()? {
        "ok" => TestOutcome::Passed,
        "FAILED" => TestOutcome::Failed,
        "ignored" => TestOutcome::Skipped,
        "bench:" => TestOutcome::Passed,
        _ => return None,
    };
    Some((test_name(name), outcome))
}

/// Returns the results in a line such as `..F.i 88/120`.
fn dots(line: &str) -> Option<TestCounts> {
    let dots = match line.split_once(' ') {
        Some((dots, rest)) => {
            let (seen, all) = rest.split_once('/')?;
            seen.parse::<u64>().and(all.parse::<u64>()).ok()?;
            dots
        }
        None => line,
    };
    let mut counts = TestCounts::ZERO;
    for dot in dots.chars() {
        counts.add(match dot {
            '.' => TestOutcome::Passed,
            'F' => TestOutcome::Failed,
            'i' => TestOutcome::Skipped,
            _ => return None,
        });
    }
    (counts.total > 0).then_some(counts)
}

/// Returns the name of a test without the remarks that the test program appends.
fn test_name(name: &str) -> &str {
    [" - should panic", " - compile fail", " - compile"]
        .iter()
        .find_map(|remark| name.strip_suffix(remark))
        .unwrap_or(name)
}

/// Creates a test result. The name of a documentation test contains its place: `src/lib.rs - add (line 1)`.
fn case(name: &str, outcome: TestOutcome) -> TestCase {
    let mut case = TestCase::new(name, outcome);
    let place = name.split_once(" - ").and_then(|(file, rest)| {
        let line = rest.rsplit_once("(line ")?.1.strip_suffix(')')?;
        Place::new(file, line)
    });
    if let Some(Place { file, line }) = place {
        (case.file, case.line) = (Some(file), Some(line));
    }
    case
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(output: &str) -> Vec<TestEvent> {
        let (mut console, mut events) = (CargoConsole::default(), Vec::new());
        output.lines().for_each(|line| console.read(0, line, &mut |event| events.push(event)));
        console.finish(&mut |event| events.push(event));
        events
    }

    const RESULT: &str =
        "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

    #[test]
    fn documentation_test_keeps_the_place_in_its_name_if_the_panic_names_a_temporary_file() {
        let output = "running 1 test\ntest src/lib.rs - add (line 1) ... FAILED\n\nfailures:\n\n---- src/lib.rs - add \
                      (line 1) stdout ----\n\nthread 'main' (7) panicked at \
                      /tmp/rustdoctestSZq9aS/doctest_bundle_2024.rs:6:1:\nassertion `left == right` failed\n  left: \
                      2\n right: 3\n\n\nfailures:\n    src/lib.rs - add (line 1)\n\n";
        let events = events(&format!("{output}{RESULT}"));
        let Some(TestEvent::Explained(case)) =
            events.iter().find(|event| matches!(event, TestEvent::Explained(_)))
        else {
            panic!("{events:?}");
        };
        assert_eq!((case.file.as_deref(), case.line), (Some("src/lib.rs"), Some(1)), "{events:?}");
        assert_eq!(case.failure.as_ref().unwrap().expected.as_deref(), Some("3"), "{events:?}");
    }

    #[test]
    fn line_of_cargo_that_arrives_late_does_not_end_the_program() {
        let output = format!(
            "running 2 tests\ntest a ... ok\n     Running unittests src/lib.rs\ntest b ... FAILED\n\n{RESULT}"
        );
        let events = events(&output);
        let finished = events.iter().filter(|event| matches!(event, TestEvent::Finished(_))).count();
        assert_eq!(finished, 2, "{events:?}");
        assert!(matches!(events.last(), Some(TestEvent::Ended { .. })));
    }

    #[test]
    fn program_that_aborted_makes_the_run_incomplete_although_the_next_one_ends() {
        let output = format!(
            "running 2 tests\ntest a ... ok\nerror: test failed, to rerun pass `--lib`\n     Running tests/more.rs\n\
             running 2 tests\ntest b ... ok\ntest c ... FAILED\n\n{RESULT}"
        );
        let events = events(&output);
        assert!(events.iter().all(|event| !matches!(event, TestEvent::Ended { .. })), "{events:?}");
        assert!(events.contains(&TestEvent::Collected(2)));
    }

    #[test]
    fn results_are_read_without_remarks() {
        for (line, expected) in [
            ("test tests::should - should panic ... FAILED", Some(("tests::should", TestOutcome::Failed))),
            ("test needs_root ... ignored, needs root", Some(("needs_root", TestOutcome::Skipped))),
            ("test a ... ok <0.005s>", Some(("a", TestOutcome::Passed))),
            ("test a ... splendid", None),
            ("testing ... ok", None),
        ] {
            assert_eq!(result(line), expected, "{line}");
        }
        assert_eq!(
            dots(".Fi 3/4").map(|counts| (counts.passed, counts.failed, counts.skipped)),
            Some((1, 1, 1))
        );
        assert_eq!((dots(""), dots("...ok"), dots(". 1/x")), (None, None, None));
    }
}
