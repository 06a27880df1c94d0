//! Parser for the text that test frameworks print for people.

mod unclear_lines;

use super::{
    CargoConsole, ConsoleReader, GoConsole, JestConsole, NextestConsole, ProveConsole, PytestConsole,
    VitestConsole,
};
use crate::bounded_lines::{BoundedLines, Line};
use crate::test_run::case::{Framework, TestCase, TestSource};
use crate::test_run::event::{TestEvent, TestParser};
use crate::test_run::parsers::parser_of;
use crate::test_run::recognize::{RecognizedOutput, recognize_line};
use unclear_lines::UnclearLines;

/// Parser for the text that a test framework prints for people.
///
/// If the framework is unknown, it is recognized by the first line that only one framework prints. Later lines, which a
/// test may print, do not change the framework.
#[derive(Debug)]
pub struct ConsoleParser {
    lines: BoundedLines,
    framework: Option<Framework>,
    reader: Option<Box<dyn ConsoleReader>>,
    unclear: UnclearLines,
}

impl ConsoleParser {
    /// Creates a parser. `framework` is the framework that was detected in the command.
    #[must_use]
    pub fn new(framework: Option<Framework>) -> Self {
        Self { lines: BoundedLines::default(), framework, reader: None, unclear: UnclearLines::default() }
    }
}

impl TestParser for ConsoleParser {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let Self { lines, framework, reader, unclear } = self;
        lines.push(bytes, |line| read(line, *framework, reader, unclear, emit));
    }

    fn push_at(&mut self, offset: u64, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let Self { lines, framework, reader, unclear } = self;
        lines.push_at(offset, bytes, |line| {
            read(line, *framework, reader, unclear, &mut |event| emit(reported_at(line.offset, event)));
        });
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        if let Some(reader) = &mut self.reader {
            self.lines.finish(|line| reader.read_unfinished(line.text, emit));
            reader.finish(emit);
        }
    }
}

/// Reads a line. As long as there is no reader for the framework, the line may identify the framework.
fn read(
    line: Line<'_>,
    known: Option<Framework>,
    reader: &mut Option<Box<dyn ConsoleReader>>,
    unclear: &mut UnclearLines,
    emit: &mut dyn FnMut(TestEvent),
) {
    if reader.is_none() {
        let found = recognize_line(line.text).or_else(|| {
            let is_tap = known.is_none() && unclear.add(line);
            is_tap.then_some(RecognizedOutput { framework: Framework::Tap, source: TestSource::Stream })
        });
        let framework = known.or(found.map(|found| found.framework));
        *reader = match found {
            Some(found) if known.is_none() && found.source == TestSource::Stream => {
                let mut stream = RecognizedStream(parser_of(TestSource::Stream, Some(found.framework)));
                emit(TestEvent::Streamed);
                if found.framework == Framework::Tap {
                    unclear.take().into_iter().for_each(|(at, line)| stream.read(at, &line, emit));
                }
                Some(Box::new(stream))
            }
            Some(_) | None => framework.and_then(reader_of),
        };
        if let (Some(framework), Some(_)) = (framework, &reader) {
            *unclear = UnclearLines::default();
            emit(TestEvent::Recognized(framework));
        }
    }
    if let Some(reader) = reader {
        reader.read(line.offset, line.text, emit);
    }
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

/// Returns the reader for the text of a framework.
fn reader_of(framework: Framework) -> Option<Box<dyn ConsoleReader>> {
    match framework {
        Framework::Pytest => Some(Box::new(PytestConsole::default())),
        Framework::CargoTest => Some(Box::new(CargoConsole::default())),
        Framework::Nextest => Some(Box::new(NextestConsole::default())),
        Framework::GoTest => Some(Box::new(GoConsole::default())),
        Framework::Jest => Some(Box::new(JestConsole::default())),
        Framework::Vitest => Some(Box::new(VitestConsole::default())),
        Framework::Tap => Some(Box::new(ProveConsole::default())),
        Framework::Junit => None,
    }
}
