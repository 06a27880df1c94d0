//! Output of pytest.

mod blocks;
mod progress;

use super::numbers::numbered;
use super::{ConsoleReader, FinalTotals, TestEvent};
use crate::test_run::case::{TestCase, TestCounts, TestOutcome, TestPhase};
use crate::test_run::failure_text::python;
use crate::test_run::text;
use blocks::FailureBlocks;

/// Reads the output of pytest: the dots or the names of the tests, the blocks that explain failures, the names of the
/// failed tests, and the last line.
#[derive(Debug, Default)]
pub(super) struct PytestConsole {
    section: PytestSection,
    blocks: FailureBlocks,
    has_collected: bool,
    is_interrupted: bool,
    totals: FinalTotals,
}

/// Section of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PytestSection {
    #[default]
    Progress,
    /// The blocks that explain errors and failures.
    Blocks,
    /// The list of the failed tests.
    Names,
    /// Other sections, such as warnings.
    Other,
}

impl ConsoleReader for PytestConsole {
    fn read(&mut self, at: u64, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        if let Some(title) = framed(line, '=') {
            return self.start_section(title);
        }
        if let Some(title) = framed(line, '!') {
            self.is_interrupted |= title.contains("KeyboardInterrupt");
            return;
        }
        if line.starts_with("INTERNALERROR>") {
            // pytest gave up, but still prints a last line with counts.
            self.is_interrupted = true;
        }
        match self.section {
            PytestSection::Progress => self.read_progress(line, emit),
            PytestSection::Blocks => self.blocks.read(at, line),
            PytestSection::Names => self.read_name(line, emit),
            PytestSection::Other => {}
        }
        // With `-q`, the last line has no decoration.
        if self.section != PytestSection::Blocks && line.ends_with('s') && line.contains(" in ") {
            self.read_end(line);
        }
    }

    /// Counts the dots in the last line of a run that was killed.
    fn read_unfinished(&mut self, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        if let Some(counts) = progress::dots(line).filter(|_| self.section == PytestSection::Progress) {
            emit(TestEvent::Counted(counts));
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        self.explain_rest(emit);
        self.totals.emit(emit);
    }
}

impl PytestConsole {
    /// Starts the section that a framed title names.
    fn start_section(&mut self, title: &str) {
        self.blocks.end();
        self.section = match title {
            "test session starts" => PytestSection::Progress,
            "ERRORS" | "FAILURES" => PytestSection::Blocks,
            "short test summary info" => PytestSection::Names,
            _ => {
                self.read_end(title);
                PytestSection::Other
            }
        };
    }

    fn read_progress(&mut self, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        if !self.has_collected
            && let Some(count) = progress::collected(line)
        {
            self.has_collected = true;
            emit(TestEvent::Collected(count));
        } else if let Some((id, outcome)) = progress::named(line) {
            emit(TestEvent::Finished(TestCase::new(id, outcome)));
        } else if let Some(counts) = progress::dots(line) {
            emit(TestEvent::Counted(counts));
        } else if let Some(error) = line.strip_prefix("INTERNALERROR> ") {
            if error.contains("Error: ") {
                emit(TestEvent::Broken { message: text::message(error) });
            }
        } else if let Some((_, error)) = line.split_once("pytest: error: ") {
            emit(TestEvent::Broken { message: text::message(error) });
        } else if let Some(error) = line.strip_prefix("ERROR: ").filter(|error| !error.starts_with("usage: "))
        {
            emit(TestEvent::Broken { message: text::message(error) });
        }
    }

    /// Reads `FAILED tests/test_login.py::test_login - AssertionError: wrong user`.
    fn read_name(&mut self, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        let (rest, outcome) = match (line.strip_prefix("FAILED "), line.strip_prefix("ERROR ")) {
            (Some(rest), _) => (rest, TestOutcome::Failed),
            (None, Some(rest)) => (rest, TestOutcome::Error),
            (None, None) => return,
        };
        let ends = rest.match_indices(" - ").map(|(at, _)| at).chain([rest.len()]);
        let ids = || ends.clone().filter_map(|at| rest.get(..at));
        let block = ids().find_map(|id| Some((id, self.blocks.take(id, outcome == TestOutcome::Error)?)));
        // A parameter may contain " - ". In this case, the bracket before the separator is still open.
        let is_whole = |id: &&str| id.matches('[').count() <= id.matches(']').count();
        let id = block.as_ref().map(|(id, _)| *id).or_else(|| ids().find(is_whole)).unwrap_or(rest);
        let message = rest.get(id.len()..).and_then(|rest| rest.strip_prefix(" - ")).unwrap_or_default();
        let mut case = TestCase::new(id, outcome);
        case.file = id.split("::").next().map(text::id);
        match block {
            Some((_, block)) => block.explain(message, &mut case),
            None => python::read(message, "").attach(&mut case),
        }
        if outcome == TestOutcome::Error
            && !id.contains("::")
            && let Some(failure) = &mut case.failure
        {
            failure.phase = TestPhase::Collect;
        }
        emit(TestEvent::Explained(case));
    }

    /// Reads `3 failed, 3 passed, 1 skipped in 0.08s`.
    fn read_end(&mut self, line: &str) {
        let Some((list, time)) = line.rsplit_once(" in ") else { return };
        // A long run also states hours and minutes: `in 75.03s (0:01:15)`.
        let time = time.split(' ').next().unwrap_or_default();
        let Some(duration) = time.strip_suffix('s').and_then(text::parse_seconds) else { return };
        let mut counts = TestCounts::ZERO;
        let mut is_end = list == "no tests ran";
        for (number, word) in numbered(list, ", ") {
            let count = match word {
                "passed" => &mut counts.passed,
                "failed" => &mut counts.failed,
                "error" | "errors" => &mut counts.errors,
                "skipped" => &mut counts.skipped,
                "xfailed" => &mut counts.xfailed,
                "xpassed" => &mut counts.xpassed,
                "deselected" | "warning" | "warnings" => {
                    is_end = true;
                    continue;
                }
                _ => continue,
            };
            *count = number;
            counts.total = counts.total.saturating_add(number);
        }
        if counts.total > 0 || is_end {
            let has_ended = !self.is_interrupted;
            self.totals = FinalTotals { counts: Some(counts), has_ended, duration: Some(duration) };
        }
    }

    /// Emits the details of failures that no list names. This happens if the options of pytest hide the list.
    fn explain_rest(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        self.blocks.end();
        for block in self.blocks.take_all() {
            let mut case = TestCase::new(block.name(), TestOutcome::Failed);
            block.explain("", &mut case);
            emit(TestEvent::Explained(case));
        }
    }
}

/// Returns the title in a line such as `=== FAILURES ===`.
pub(super) fn framed(line: &str, frame: char) -> Option<&str> {
    let inner = line.strip_prefix(frame)?.trim_start_matches(frame).trim_end_matches(frame);
    let title = inner.strip_prefix(' ')?.strip_suffix(' ')?;
    (line.ends_with(frame) && !title.is_empty()).then_some(title)
}
