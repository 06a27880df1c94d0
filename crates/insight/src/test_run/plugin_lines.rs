//! Reads the report that the pytest plugin of longhaul writes.

use super::case::{Framework, TestCase, TestFailure, TestOutcome, TestPhase};
use super::event::{TestEvent, TestParser};
use super::failure_text::python;
use super::text;
use crate::bounded_text::clean;
use crate::json_lines::JsonLines;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Maximum number of tests that can be open at the same time: running tests, and tests that will be repeated.
const MAX_OPEN: usize = 512;
/// Maximum number of results of one test: one for each phase.
const MAX_RESULTS: usize = 3;
/// Version of the line format that this parser reads.
const FORMAT: u32 = 1;

/// Reads the report that [`PYTEST_PLUGIN`](super::PYTEST_PLUGIN) writes.
#[derive(Debug, Default)]
pub struct PluginParser {
    lines: JsonLines,
    report: PluginReport,
}

impl TestParser for PluginParser {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let report = &mut self.report;
        self.lines.push(bytes, &mut |line| report.read(line, emit));
    }

    /// Ends the report. An unfinished last line is dropped, because the run was killed while the plugin wrote the line.
    /// The run has ended normally if each pytest process that started has ended normally.
    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        let report = &self.report;
        if report.has_ended && !report.has_broken && report.running.is_empty() && !report.is_refused {
            emit(TestEvent::Ended { duration: report.busy.and_then(text::seconds) });
        }
    }
}

/// A line of the report.
#[derive(Debug, Deserialize)]
struct PluginLine<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    /// The pytest process that wrote the line. Several processes of one command may write to the same report.
    writer: Option<String>,
    /// Time of the start or the end of pytest, in seconds.
    at: Option<f64>,
    format: Option<u32>,
    count: Option<u64>,
    exit: Option<i64>,
    id: Option<String>,
    phase: Option<String>,
    outcome: Option<String>,
    duration: Option<f64>,
    worker: Option<String>,
    kind: Option<String>,
    message: Option<String>,
    expected: Option<String>,
    actual: Option<String>,
    trace: Option<String>,
    captured: Option<String>,
    file: Option<String>,
    line: Option<u32>,
}

/// State while a report is read.
#[derive(Debug, Default)]
struct PluginReport {
    /// Tests whose tear-down was not reported yet, by writer, worker and test id.
    open: BTreeMap<(String, String, String), OpenTest>,
    /// Writers that have not ended.
    running: BTreeSet<String>,
    /// Writers that could not collect a file.
    with_collection_errors: BTreeSet<String>,
    /// True if a writer ended normally.
    has_ended: bool,
    /// True if a writer ended abnormally.
    has_broken: bool,
    /// Start of the current period in which at least one writer runs, in seconds.
    busy_since: Option<f64>,
    /// Total time during which at least one writer ran, in seconds.
    busy: Option<f64>,
    is_refused: bool,
}

/// A test whose tear-down was not reported yet.
#[derive(Debug, Default)]
struct OpenTest {
    /// Results so far. A test has a further result if its tear-down fails, because pytest counts the tear-down apart.
    results: Vec<TestCase>,
    /// Duration of the phases that belong to no result yet.
    duration: Duration,
    /// True if an attempt of the test failed and was repeated.
    is_repeated: bool,
    /// True if the current attempt failed and will be repeated. Such an attempt is not a result.
    is_void: bool,
}

impl PluginReport {
    fn read(&mut self, line: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        if self.is_refused {
            return;
        }
        let Ok(line) = serde_json::from_slice::<PluginLine<'_>>(line) else {
            return self.refuse("a line is no event of the plugin", emit);
        };
        let writer = line.writer.clone().unwrap_or_default();
        match &*line.event {
            "start" if line.format != Some(FORMAT) => self.refuse("the plugin has another format", emit),
            "start" => {
                if self.running.is_empty() {
                    self.busy_since = line.at;
                }
                if self.running.len() < MAX_OPEN {
                    self.running.insert(writer);
                } else {
                    self.refuse("too many pytest processes run at the same time", emit);
                }
                emit(TestEvent::Recognized(Framework::Pytest));
            }
            "collected" => line.count.into_iter().for_each(|count| emit(TestEvent::Collected(count))),
            "collect_error" => {
                self.with_collection_errors.insert(writer);
                emit(TestEvent::Finished(line.case(TestOutcome::Error, TestPhase::Collect)));
            }
            "phase" => self.read_phase(writer, line, emit),
            "internal_error" => {
                let message = text::message(&clean(line.message.unwrap_or_default().as_bytes()));
                emit(TestEvent::Broken { message });
            }
            "finish" => self.finish(&writer, line.exit, line.at, emit),
            // A newer version of the plugin may report other events.
            _ => {}
        }
    }

    fn read_phase(&mut self, writer: String, mut line: PluginLine<'_>, emit: &mut dyn FnMut(TestEvent)) {
        let phase = match line.phase.as_deref() {
            Some("setup") => TestPhase::Setup,
            Some("teardown") => TestPhase::Teardown,
            Some(_) | None => TestPhase::Call,
        };
        let outcome = line.outcome.as_deref().and_then(outcome_of);
        let is_rerun = line.outcome.as_deref() == Some("rerun");
        if outcome.is_none() && !is_rerun {
            return self.refuse("a test has an unknown result", emit);
        }
        // For a worker that crashed, no tear-down is reported. The report of the crash does not state the worker.
        let has_crashed = line.phase.as_deref() == Some("crash");
        if has_crashed {
            let is_same =
                |(of, _, id): &(String, String, String)| *of == writer && Some(id) == line.id.as_ref();
            for (_, open) in self.open.extract_if(.., |key, _| is_same(key)) {
                open.finish().into_iter().for_each(|case| emit(TestEvent::Finished(case)));
            }
        }
        let is_last = phase == TestPhase::Teardown || has_crashed;
        let key = (writer, line.worker.take().unwrap_or_default(), line.id.clone().unwrap_or_default());
        if self.open.len() >= MAX_OPEN && !self.open.contains_key(&key) {
            return self.refuse("too many tests run at the same time", emit);
        }
        let open = self.open.entry(key.clone()).or_default();
        open.is_void |= is_rerun;
        // A passed set-up or tear-down alone is not a result of the test.
        let result = outcome.filter(|outcome| *outcome != TestOutcome::Passed || phase == TestPhase::Call);
        open.add(
            result.map(|outcome| line.case(outcome, phase)),
            line.duration.and_then(text::seconds).unwrap_or_default(),
        );
        if !is_last {
            return;
        }
        if open.is_void {
            *open = OpenTest { is_repeated: true, ..OpenTest::default() };
        } else if let Some(open) = self.open.remove(&key) {
            open.finish().into_iter().for_each(|case| emit(TestEvent::Finished(case)));
        }
    }

    fn finish(&mut self, writer: &str, exit: Option<i64>, at: Option<f64>, emit: &mut dyn FnMut(TestEvent)) {
        for (_, open) in self.open.extract_if(.., |(of, ..), _| of == writer) {
            open.finish().into_iter().for_each(|case| emit(TestEvent::Finished(case)));
        }
        self.running.remove(writer);
        if self.running.is_empty()
            && let (Some(since), Some(at)) = (self.busy_since.take(), at)
        {
            self.busy = Some(self.busy.unwrap_or(0.0) + (at - since).max(0.0));
        }
        let broken = |message: &str| TestEvent::Broken { message: message.to_owned() };
        let has_ended = match exit {
            Some(0 | 1 | 5) => true,
            Some(2) => self.with_collection_errors.contains(writer),
            Some(3) => {
                emit(broken("pytest had an internal error"));
                false
            }
            Some(4) => {
                emit(broken("pytest rejected its command line"));
                false
            }
            // The run was interrupted from outside.
            Some(_) | None => false,
        };
        self.has_ended |= has_ended;
        self.has_broken |= !has_ended;
    }

    fn refuse(&mut self, why: &str, emit: &mut dyn FnMut(TestEvent)) {
        self.is_refused = true;
        emit(TestEvent::Unreadable { why: why.to_owned() });
    }
}

impl OpenTest {
    /// Adds a phase of the test, with its result if pytest counts one.
    fn add(&mut self, result: Option<TestCase>, duration: Duration) {
        if let Some(case) = result.filter(|_| self.results.len() < MAX_RESULTS) {
            let waiting = std::mem::take(&mut self.duration);
            self.results.push(TestCase { duration: Some(waiting.saturating_add(duration)), ..case });
        } else if let Some(TestCase { duration: Some(known), .. }) = self.results.last_mut() {
            *known = known.saturating_add(duration);
        } else {
            self.duration = self.duration.saturating_add(duration);
        }
    }

    /// Returns the results of the test that are known.
    fn finish(mut self) -> Vec<TestCase> {
        if self.is_void {
            return Vec::new();
        }
        if let Some(first) = self.results.first_mut().filter(|_| self.is_repeated)
            && !first.outcome.is_failure()
        {
            first.failure = Some(Box::new(TestFailure { flaky: true, ..TestFailure::default() }));
        }
        self.results
    }
}

impl PluginLine<'_> {
    /// Returns the test in this line, with the details of its failure.
    fn case(&self, outcome: TestOutcome, phase: TestPhase) -> TestCase {
        let clean_text =
            |text: &Option<String>| text.as_ref().map(|text| clean(text.as_bytes()).into_owned());
        let mut case = TestCase::new(&clean_text(&self.id).unwrap_or_default(), outcome);
        case.file = clean_text(&self.file).map(|file| text::id(&file));
        case.line = self.line;
        if outcome.is_failure() {
            let message = clean_text(&self.message).unwrap_or_default();
            let (expected, actual) = python::compared(&message);
            case.failure = Some(Box::new(TestFailure {
                phase,
                kind: clean_text(&self.kind).map(|kind| text::message(&kind)),
                message: text::message(&message),
                expected: clean_text(&self.expected).and_then(|value| text::value(&value)).or(expected),
                actual: clean_text(&self.actual).and_then(|value| text::value(&value)).or(actual),
                trace: clean_text(&self.trace).and_then(|trace| text::block(&trace)),
                captured: clean_text(&self.captured).and_then(|output| text::block(&output)),
                flaky: false,
            }));
        }
        case
    }
}

fn outcome_of(name: &str) -> Option<TestOutcome> {
    match name {
        "passed" => Some(TestOutcome::Passed),
        "failed" => Some(TestOutcome::Failed),
        "error" => Some(TestOutcome::Error),
        "skipped" => Some(TestOutcome::Skipped),
        "xfailed" => Some(TestOutcome::Xfailed),
        "xpassed" => Some(TestOutcome::Xpassed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(report: &str) -> Vec<TestEvent> {
        let (mut parser, mut events) = (PluginParser::default(), Vec::new());
        parser.push(report.as_bytes(), &mut |event| events.push(event));
        parser.finish(&mut |event| events.push(event));
        events
    }

    #[test]
    fn test_whose_tear_down_is_missing_has_no_result() {
        let report = "{\"event\":\"phase\",\"id\":\"a\",\"phase\":\"call\",\"outcome\":\"passed\"}\n";
        assert_eq!(events(report), []);
        let ended = format!("{report}{{\"event\":\"finish\",\"exit\":1}}\n");
        assert_eq!(events(&ended).len(), 2, "pytest ended, so the result counts");
    }

    #[test]
    fn lines_of_several_pytest_processes_do_not_mix() {
        let phase = |writer: &str, phase: &str| {
            format!(
                "{{\"event\":\"phase\",\"writer\":\"{writer}\",\"id\":\"test_x.py::test_a\",\"phase\":\"{phase}\",\
                 \"outcome\":\"passed\"}}\n"
            )
        };
        let start = |writer: &str, at: u32| {
            format!("{{\"event\":\"start\",\"format\":1,\"writer\":\"{writer}\",\"at\":{at}}}\n")
        };
        let end = |writer: &str, at: u32| {
            format!("{{\"event\":\"finish\",\"exit\":0,\"writer\":\"{writer}\",\"at\":{at}}}\n")
        };
        let parallel = [
            start("1", 10),
            start("2", 11),
            phase("1", "call"),
            phase("2", "call"),
            phase("1", "teardown"),
            end("1", 14),
            phase("2", "teardown"),
            end("2", 15),
        ];
        let sequential = [
            start("1", 10),
            phase("1", "call"),
            phase("1", "teardown"),
            end("1", 12),
            start("2", 20),
            phase("2", "call"),
            phase("2", "teardown"),
            end("2", 23),
        ];
        for lines in [parallel, sequential] {
            let events = events(&lines.concat());
            let finished = events.iter().filter(|event| matches!(event, TestEvent::Finished(_))).count();
            assert_eq!(finished, 2, "{events:?}");
            let ended = TestEvent::Ended { duration: Some(Duration::from_secs(5)) };
            assert_eq!(events.iter().filter(|event| **event == ended).count(), 1, "{events:?}");
        }
        let killed = events(&[start("1", 10), end("1", 12), start("2", 20), phase("2", "call")].concat());
        assert!(!killed.iter().any(|event| matches!(event, TestEvent::Ended { .. })), "{killed:?}");
    }

    #[test]
    fn each_phase_that_pytest_counts_is_a_result() {
        use TestOutcome::{Error, Failed, Passed, Skipped};
        let phase = |phase: &str, outcome: &str| {
            format!(
                "{{\"event\":\"phase\",\"id\":\"a\",\"phase\":\"{phase}\",\"outcome\":\"{outcome}\",\"duration\":1}}\n"
            )
        };
        for (setup, call, teardown, expected) in [
            ("passed", "passed", "passed", &[(Passed, 3)][..]),
            ("passed", "failed", "error", &[(Failed, 2), (Error, 1)]),
            ("passed", "passed", "error", &[(Passed, 2), (Error, 1)]),
            ("skipped", "", "error", &[(Skipped, 1), (Error, 1)]),
            ("error", "", "error", &[(Error, 1), (Error, 1)]),
            ("error", "", "passed", &[(Error, 2)]),
        ] {
            let call = if call.is_empty() { String::new() } else { phase("call", call) };
            let report = [phase("setup", setup), call, phase("teardown", teardown)].concat();
            let result = |event: TestEvent| {
                let TestEvent::Finished(case) = event else { panic!("{report}") };
                (case.outcome, case.duration.unwrap().as_secs())
            };
            let found: Vec<_> = events(&report).into_iter().map(result).collect();
            assert_eq!(found, expected, "{report}");
        }
        let crashed = [phase("call", "failed"), phase("crash", "failed")].concat();
        assert_eq!(events(&crashed).len(), 2, "pytest counts the failure and the crash of the worker");
    }

    #[test]
    fn run_with_an_internal_error_has_not_ended_normally() {
        let report = "{\"event\":\"start\",\"format\":1}\n{\"event\":\"finish\",\"exit\":3}\n";
        assert!(!events(report).iter().any(|event| matches!(event, TestEvent::Ended { .. })));
    }

    #[test]
    fn unknown_results_and_formats_are_unreadable() {
        for line in [
            "{\"event\":\"phase\",\"id\":\"a\",\"phase\":\"call\",\"outcome\":\"splendid\"}\n",
            "{\"event\":\"start\",\"format\":2}\n",
            "passed\n",
        ] {
            assert!(matches!(events(line)[..], [TestEvent::Unreadable { .. }]), "{line}");
        }
    }
}
