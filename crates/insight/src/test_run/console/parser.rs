//! Parser for the text that test frameworks print for people.

mod unclear_lines;

use super::{
    CargoConsole, ConsoleReader, GoConsole, JestConsole, NextestConsole, ProveConsole, PytestConsole,
    VitestConsole,
};
use crate::bounded_lines::{BoundedLines, Line};
use crate::test_run::case::{Framework, TestCase, TestSource};
use crate::test_run::event::{TestEvent, TestParser};
use crate::test_run::json_report::JsonReportParser;
use crate::test_run::parsers::parser_of;
use crate::test_run::recognize::{RecognizedOutput, recognize_line};
use unclear_lines::UnclearLines;

/// Reason why a run is incomplete if its plan follows results that could not be stored.
const TOO_LONG: &str = "the results before the plan of the tests are too long";

/// Parser for the text that a test framework prints for people.
///
/// If the framework is unknown, it is recognized by the first line that only one framework prints, or by a JSON report.
/// Later lines, which a test may print, do not change the framework.
#[derive(Debug)]
pub struct ConsoleParser {
    lines: BoundedLines,
    state: ConsoleFormat,
}

#[derive(Debug)]
enum ConsoleFormat {
    /// The framework is unknown.
    Unknown { unclear: UnclearLines, report: Box<JsonReportParser> },
    /// The command runs this framework, which has printed nothing yet.
    Known(Framework),
    /// The lines of a framework.
    Lines(Box<dyn ConsoleReader>),
    /// The output contains a JSON report, whose lines may be very long.
    Report(Box<JsonReportParser>),
    /// There is no reader for the framework.
    Unread,
}

impl ConsoleParser {
    /// Creates a parser. `framework` is the framework that was detected in the command.
    #[must_use]
    pub fn new(framework: Option<Framework>) -> Self {
        let unknown = || ConsoleFormat::Unknown {
            unclear: UnclearLines::default(),
            report: Box::new(JsonReportParser::new(None)),
        };
        Self { lines: BoundedLines::default(), state: framework.map_or_else(unknown, ConsoleFormat::Known) }
    }

    /// Reads bytes. While the framework is unknown, reads one line at a time.
    fn advance(&mut self, offset: Option<u64>, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let (mut rest, mut at) = (bytes, offset);
        while !rest.is_empty() {
            let end = match self.state {
                ConsoleFormat::Unknown { .. } => {
                    memchr::memchr(b'\n', rest).map_or(rest.len(), |feed| feed.saturating_add(1))
                }
                ConsoleFormat::Known(_)
                | ConsoleFormat::Lines(_)
                | ConsoleFormat::Report(_)
                | ConsoleFormat::Unread => rest.len(),
            };
            let (piece, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            self.read_report(piece, emit);
            self.read_lines(at, piece, emit);
            at = at.map(|at| at.saturating_add(u64::try_from(end).unwrap_or(u64::MAX)));
            rest = behind;
        }
    }

    /// Reads bytes of a JSON report, or bytes that may belong to one.
    fn read_report(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        match &mut self.state {
            ConsoleFormat::Report(report) => report.push(bytes, emit),
            ConsoleFormat::Unknown { report, .. } => {
                let mut events = Vec::new();
                report.push(bytes, &mut |event| events.push(event));
                if !events.is_empty() {
                    emit(TestEvent::Streamed);
                    events.into_iter().for_each(emit);
                    let report = std::mem::replace(report, Box::new(JsonReportParser::new(None)));
                    self.state = ConsoleFormat::Report(report);
                }
            }
            ConsoleFormat::Known(_) | ConsoleFormat::Lines(_) | ConsoleFormat::Unread => {}
        }
    }

    fn read_lines(&mut self, offset: Option<u64>, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let Self { lines, state } = self;
        match (offset, &state) {
            (_, ConsoleFormat::Report(_) | ConsoleFormat::Unread) => {}
            (Some(offset), _) => lines.push_at(offset, bytes, |line| {
                state.read(line, &mut |event| emit(reported_at(line.offset, event)));
            }),
            (None, _) => lines.push(bytes, |line| state.read(line, emit)),
        }
    }
}

impl TestParser for ConsoleParser {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        self.advance(None, bytes, emit);
    }

    fn push_at(&mut self, offset: u64, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        self.advance(Some(offset), bytes, emit);
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        match &mut self.state {
            ConsoleFormat::Lines(reader) => {
                self.lines.finish(|line| reader.read_unfinished(line.text, emit));
                reader.finish(emit);
            }
            ConsoleFormat::Report(report) => report.finish(emit),
            ConsoleFormat::Unknown { .. } | ConsoleFormat::Known(_) | ConsoleFormat::Unread => {}
        }
    }
}

impl ConsoleFormat {
    /// Reads a line. As long as there is no reader for the framework, the line may identify the framework.
    fn read(&mut self, line: Line<'_>, emit: &mut dyn FnMut(TestEvent)) {
        match self {
            Self::Unknown { unclear, .. } => {
                let Some(RecognizedOutput { framework, source }) = recognize_line(line.text) else {
                    return unclear.add(line);
                };
                let state = match source {
                    TestSource::Stream => stream_of(framework, unclear, emit),
                    TestSource::Plugin | TestSource::Junit | TestSource::Console => Self::of(framework),
                };
                emit(TestEvent::Recognized(framework));
                *self = state;
            }
            Self::Known(framework) => {
                emit(TestEvent::Recognized(*framework));
                *self = Self::of(*framework);
            }
            Self::Lines(_) | Self::Report(_) | Self::Unread => {}
        }
        if let Self::Lines(reader) = self {
            reader.read(line.offset, line.text, emit);
        }
    }

    /// Returns the state with the reader for the text of a framework.
    fn of(framework: Framework) -> Self {
        match framework {
            Framework::Pytest => Self::Lines(Box::new(PytestConsole::default())),
            Framework::CargoTest => Self::Lines(Box::new(CargoConsole::default())),
            Framework::Nextest => Self::Lines(Box::new(NextestConsole::default())),
            Framework::GoTest => Self::Lines(Box::new(GoConsole::default())),
            Framework::Jest => Self::Lines(Box::new(JestConsole::default())),
            Framework::Vitest => Self::Lines(Box::new(VitestConsole::default())),
            Framework::Tap => Self::Lines(Box::new(ProveConsole::default())),
            Framework::Junit => Self::Unread,
        }
    }
}

/// Returns the state with the parser of machine-readable lines, after it has read the lines before the recognized one.
fn stream_of(
    framework: Framework,
    unclear: &mut UnclearLines,
    emit: &mut dyn FnMut(TestEvent),
) -> ConsoleFormat {
    let mut stream = RecognizedStream(parser_of(TestSource::Stream, Some(framework)));
    emit(TestEvent::Streamed);
    if framework == Framework::Tap {
        match unclear.take() {
            Some(lines) => lines.into_iter().for_each(|(at, line)| stream.read(at, &line, emit)),
            None => emit(TestEvent::Unreadable { why: TOO_LONG.to_owned() }),
        }
    }
    ConsoleFormat::Lines(Box::new(stream))
}

/// Adds the offset of the line that reports a failed test, unless the reader knows where the report starts.
fn reported_at(offset: u64, event: TestEvent) -> TestEvent {
    let located = |case: TestCase| TestCase { offset: case.offset.or(Some(offset)), ..case };
    match event {
        TestEvent::Finished(case) if case.outcome.is_failure() => TestEvent::Finished(located(case)),
        TestEvent::Explained(case) => TestEvent::Explained(located(case)),
        TestEvent::Recognized(_)
        | TestEvent::Streamed
        | TestEvent::Collected(_)
        | TestEvent::Finished(_)
        | TestEvent::Counted(_)
        | TestEvent::Totals(_)
        | TestEvent::Ended { .. }
        | TestEvent::Broken { .. }
        | TestEvent::Unreadable { .. } => event,
    }
}

/// Machine-readable lines that the command did not announce.
#[derive(Debug)]
struct RecognizedStream(Box<dyn TestParser>);

impl ConsoleReader for RecognizedStream {
    fn read(&mut self, at: u64, line: &str, emit: &mut dyn FnMut(TestEvent)) {
        self.0.push_at(at, format!("{line}\n").as_bytes(), emit);
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        self.0.finish(emit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::{TestRun, TestSummary};

    fn run(output: &str) -> TestSummary {
        let (mut parser, mut run) = (ConsoleParser::new(None), TestRun::new(TestSource::Console));
        for piece in output.as_bytes().chunks(1000) {
            parser.push(piece, &mut |event| run.add(&event));
        }
        parser.finish(&mut |event| run.add(&event));
        run.summary()
    }

    #[test]
    fn reports_of_commands_that_do_not_announce_them_are_read() {
        let test = |number: usize| format!("{{\"fullName\": \"t{number}\", \"status\": \"passed\"}}");
        let tests = |separator: &str| (0..2000).map(test).collect::<Vec<_>>().join(separator);
        let compact = format!(
            "{{\"numFailedTestSuites\":0,\"numTotalTests\":2000,\"numPassedTests\":2000,\
             \"testResults\":[{{\"assertionResults\":[{}]}}]}}",
            tests(",")
        );
        let pretty = format!(
            "{{\n  \"numTotalTestSuites\": 1,\n  \"numTotalTests\": 2000,\n  \"numPassedTests\": 2000,\n  \
             \"testResults\": [\n    {{\n      \"assertionResults\": [\n{}\n]\n}}\n]\n}}",
            tests(",\n")
        );
        let without_counters =
            format!("{{\n  \"testResults\": [{{\"assertionResults\": [{}]}}]}}", tests(","));
        for (report, framework) in
            [(compact, Framework::Jest), (pretty, Framework::Vitest), (without_counters, Framework::Jest)]
        {
            let summary = run(&format!("> npm test\n{{\"level\": 30}}\n{report}\nok 1 - done\n"));
            assert_eq!((summary.counts.passed, summary.counts.total), (2000, 2000), "{framework:?}");
            assert_eq!((summary.framework, summary.source), (Some(framework), TestSource::Stream));
            assert!(summary.complete, "{framework:?}: {:?}", summary.unreadable);
        }
    }

    #[test]
    fn events_of_go_without_a_time_are_read() {
        let output = "{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"TestA\"}\n\
                      {\"Action\":\"fail\",\"Package\":\"p\",\"Test\":\"TestA\"}\n\
                      {\"Action\":\"fail\",\"Package\":\"p\"}\n";
        let summary = run(output);
        assert_eq!((summary.counts.failed, summary.counts.total, summary.complete), (1, 1, true));
        assert_eq!((summary.framework, summary.source), (Some(Framework::GoTest), TestSource::Stream));
    }
}
