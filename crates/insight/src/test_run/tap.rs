//! Output in the format of the Test Anything Protocol, versions 13 and 14.

mod point;
mod yaml;

use super::case::{Framework, TestCase, TestOutcome};
use super::event::{TestEvent, TestParser};
use super::text;
use crate::bounded_lines::BoundedLines;
use point::{TapPoint, plan_of};
use std::collections::BTreeMap;
use yaml::TapDetails;

/// Maximum nesting depth of subtests.
const MAX_DEPTH: usize = 32;
/// Highest number of planned tests that is reported. JSON clients cannot read higher numbers exactly.
const MAX_PLANNED: u64 = 1 << 53;
/// Number of spaces by which the lines of a subtest are indented.
const INDENT: usize = 4;

/// Reads output in the format of the Test Anything Protocol. A test that has subtests does not count as a test itself,
/// unless it failed although none of its subtests failed.
#[derive(Debug, Default)]
pub struct TapParser {
    lines: BoundedLines,
    output: TapOutput,
}

impl TestParser for TapParser {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let output = &mut self.output;
        self.lines.push(bytes, |line| output.read(None, line.text, emit));
    }

    fn push_at(&mut self, offset: u64, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let output = &mut self.output;
        self.lines.push_at(offset, bytes, |line| output.read(Some(line.offset), line.text, emit));
    }

    /// Ends the output. An unfinished last line is dropped, because its missing part could mark a failure as expected.
    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        self.output.finish(emit);
    }
}

/// Returns true for a line that may contain or explain the result of a test.
pub(super) fn is_result(line: &str) -> bool {
    line.starts_with(' ') || line.starts_with("# Subtest: ") || TapPoint::parse(line).is_some()
}

/// Returns true for a line with the plan of the tests, such as `1..4`.
pub(super) fn is_plan(line: &str) -> bool {
    plan_of(line).is_some()
}

#[derive(Debug, Default)]
struct TapOutput {
    is_recognized: bool,
    /// Number of tests in the plan, as soon as the plan is read.
    planned: Option<u64>,
    /// Number of tests that were read for the current plan.
    seen: u64,
    /// True if the number of tests differed from an earlier plan.
    is_short: bool,
    has_bailed_out: bool,
    /// The latest test. Its details may follow.
    last: Option<OpenPoint>,
    /// Open subtests: the name and the counts for each level.
    levels: BTreeMap<usize, TapLevel>,
}

#[derive(Debug, Default)]
struct TapLevel {
    /// Name of the subtest that was announced at this level.
    name: Option<String>,
    /// Number of tests on this level since the latest test on the level above.
    tests: u64,
    /// Number of failed tests among the tests in `tests`.
    failures: u64,
}

#[derive(Debug)]
struct OpenPoint {
    case: TestCase,
    /// Number of spaces before the test.
    indent: usize,
    details: TapDetails,
}

impl TapOutput {
    fn read(&mut self, at: Option<u64>, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        let content = line.trim_start_matches(' ');
        let indent = line.len().saturating_sub(content.len());
        if let Some(last) = &mut self.last
            && last.details.takes(indent.checked_sub(last.indent), content)
        {
            return;
        }
        let level = indent / INDENT;
        if let Some(point) = TapPoint::parse(content) {
            self.release(emit);
            self.recognize(emit);
            self.add(at, &point, indent, level.min(MAX_DEPTH));
        } else if let Some(name) = content.strip_prefix("# Subtest: ") {
            self.release(emit);
            self.level(level).name = Some(text::id(name));
        } else if content.starts_with("TAP version ") {
            self.recognize(emit);
        } else if let Some(planned) = plan_of(line) {
            self.release(emit);
            self.recognize(emit);
            self.end_plan();
            self.planned = Some(planned);
            if planned <= MAX_PLANNED {
                emit(TestEvent::Collected(planned));
            }
        } else if let Some(reason) = line.strip_prefix("Bail out!") {
            self.release(emit);
            self.recognize(emit);
            self.has_bailed_out = true;
            let reason = text::message(reason);
            let message = if reason.is_empty() { "the tests bailed out".to_owned() } else { reason };
            emit(TestEvent::Broken { message });
        }
    }

    fn recognize(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        if !self.is_recognized {
            self.is_recognized = true;
            emit(TestEvent::Recognized(Framework::Tap));
        }
    }

    /// Returns the entry for a level. Levels deeper than [`MAX_DEPTH`] share one entry.
    fn level(&mut self, level: usize) -> &mut TapLevel {
        self.levels.entry(level.min(MAX_DEPTH)).or_default()
    }

    fn add(&mut self, at: Option<u64>, point: &TapPoint<'_>, indent: usize, level: usize) {
        let outcome = point.outcome();
        let inner = self.levels.remove(&level.saturating_add(1)).unwrap_or_default();
        self.levels.retain(|deep, _| *deep <= level);
        let has_failed = outcome == TestOutcome::Failed;
        let own = self.level(level);
        own.tests = own.tests.saturating_add(1);
        own.failures = own.failures.saturating_add(u64::from(has_failed));
        own.name = None;
        if level == 0 {
            self.seen = self.seen.saturating_add(1);
        }
        if inner.tests > 0 && (!has_failed || inner.failures > 0) {
            return;
        }
        let mut id = String::new();
        for name in self.levels.range(..level).filter_map(|(_, level)| level.name.as_deref()) {
            id.push_str(name);
            id.push_str(" > ");
        }
        id.push_str(&point.name());
        let case = TestCase { offset: at.filter(|_| has_failed), ..TestCase::new(&id, outcome) };
        self.last = Some(OpenPoint { case, indent, details: TapDetails::default() });
    }

    /// Emits the result of the most recently parsed test.
    fn release(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        if let Some(OpenPoint { mut case, details, .. }) = self.last.take() {
            details.attach(&mut case);
            emit(TestEvent::Finished(case));
        }
    }

    /// Ends the current plan before the next plan starts.
    fn end_plan(&mut self) {
        // The plan may also come after its tests.
        if let Some(planned) = self.planned.take() {
            self.is_short |= planned != self.seen;
            self.seen = 0;
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        self.release(emit);
        let is_whole = self.planned == Some(self.seen) && !self.is_short;
        if is_whole && !self.has_bailed_out {
            emit(TestEvent::Ended { duration: None });
        }
    }
}
