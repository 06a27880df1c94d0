//! JSON reports of Jest (`--json`) and Vitest (`--reporter=json`).

mod file_results;

use super::case::{Framework, TestCounts};
use super::event::{TestEvent, TestParser};
use super::json_scanner::{JsonPath, JsonScanner, JsonToken};
use file_results::FileResults;

/// Path in the JSON document to the results of one file.
const FILE: [&str; 2] = ["testResults", ""];
/// Path in the JSON document to the result of one test.
const TEST: [&str; 4] = ["testResults", "", "assertionResults", ""];

/// Reads the JSON report of Jest or Vitest. Other lines of output may precede and follow the report.
#[derive(Debug)]
pub struct JsonReportParser {
    scanner: JsonScanner,
    report: JsonReport,
    position: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// At the start of a line outside the JSON document.
    LineStart,
    /// Inside a line outside the JSON document.
    Outside,
    Document,
    Ended,
}

impl JsonReportParser {
    /// Creates a parser. `framework` is the framework that was detected in the command. Without it, the keys of the
    /// report show the framework.
    #[must_use]
    pub fn new(framework: Option<Framework>) -> Self {
        Self {
            scanner: JsonScanner::default(),
            report: JsonReport { hint: framework, ..JsonReport::default() },
            position: Position::LineStart,
        }
    }
}

impl TestParser for JsonReportParser {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let used = match self.position {
                Position::Ended => return,
                Position::LineStart => {
                    self.position = if *first == b'{' { Position::Document } else { Position::Outside };
                    0
                }
                Position::Outside => match memchr::memchr(b'\n', rest) {
                    Some(feed) => {
                        self.position = Position::LineStart;
                        feed.saturating_add(1)
                    }
                    None => rest.len(),
                },
                Position::Document => self.read_document(rest, emit),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        if self.position != Position::Ended && self.report.framework.is_some() {
            emit(TestEvent::Unreadable { why: "the report ends in the middle".to_owned() });
        }
    }
}

impl JsonReportParser {
    fn read_document(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) -> usize {
        let report = &mut self.report;
        let used = self.scanner.push(bytes, &mut |path, token| report.read(path, &token, emit));
        if self.report.is_refused {
            self.position = Position::Ended;
        } else if self.scanner.has_ended() || self.scanner.is_invalid() {
            self.position = Position::Outside;
            if self.report.framework.is_some() {
                self.position = Position::Ended;
                if self.scanner.has_ended() {
                    self.report.finish(emit);
                } else {
                    emit(TestEvent::Unreadable { why: "the report is no valid JSON".to_owned() });
                }
            }
            self.scanner = JsonScanner::default();
        }
        used
    }
}

#[derive(Debug, Default)]
struct JsonReport {
    hint: Option<Framework>,
    framework: Option<Framework>,
    /// True after a key was read that only Jest writes.
    has_key_of_jest: bool,
    /// Counts that the report states.
    totals: TestCounts,
    has_totals: bool,
    /// Number of files whose tests could not run. The counts that the report states do not include them.
    errors: u64,
    is_interrupted: bool,
    is_refused: bool,
    file: FileResults,
}

impl JsonReport {
    fn read(&mut self, path: &JsonPath<'_>, token: &JsonToken<'_>, emit: &mut dyn FnMut(TestEvent)) {
        if self.is_refused {
            return;
        }
        if let Some(key) = path.key_in(&[]) {
            self.read_key(key, token, emit);
        } else if self.framework.is_some() {
            if path.is(&FILE) && *token == JsonToken::Close {
                self.errors = self.errors.saturating_add(self.file.finish(emit));
            } else if path.is(&TEST) && *token == JsonToken::Close {
                if let Err(why) = self.file.end_test(emit) {
                    self.is_refused = true;
                    emit(TestEvent::Unreadable { why: why.to_owned() });
                }
            } else if let Some(key) = path.key_in(&FILE) {
                self.file.read(key, token);
            } else {
                self.file.test.read(path, token);
            }
        }
    }

    fn read_key(&mut self, key: &str, token: &JsonToken<'_>, emit: &mut dyn FnMut(TestEvent)) {
        match (key, token) {
            ("testResults", JsonToken::Open) if self.has_totals => {
                let by_key = if self.has_key_of_jest { Framework::Jest } else { Framework::Vitest };
                let framework = self.hint.unwrap_or(by_key);
                self.framework = Some(framework);
                emit(TestEvent::Recognized(framework));
            }
            ("wasInterrupted", JsonToken::Other("true")) => self.is_interrupted = true,
            ("numRuntimeErrorTestSuites", _) => self.has_key_of_jest = true,
            (_, JsonToken::Number(number)) => {
                let is_count = key.starts_with("num");
                let Some(number) = count_of(*number) else {
                    if is_count {
                        self.is_refused = true;
                        emit(TestEvent::Unreadable { why: format!("{key} is not a number of tests") });
                    }
                    return;
                };
                match key {
                    "numTotalTests" => {
                        self.totals.total = number;
                        self.has_totals = true;
                    }
                    "numPassedTests" => self.totals.passed = number,
                    "numFailedTests" => self.totals.failed = number,
                    "numPendingTests" => self.totals.skipped = number,
                    "numTodoTests" => self.totals.todo = number,
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn finish(&self, emit: &mut dyn FnMut(TestEvent)) {
        let errors = TestCounts { total: self.errors, errors: self.errors, ..TestCounts::ZERO };
        emit(TestEvent::Totals(self.totals.plus(errors)));
        if !self.is_interrupted {
            emit(TestEvent::Ended { duration: None });
        }
    }
}

/// Converts a JSON number to an integer. Returns `None` if it is not a whole number in the valid range.
fn count_of(number: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is whole and in the range in which each whole number is exact"
    )]
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
}
