//! JSON reports of Jest (`--json`) and Vitest (`--reporter=json`).

mod file_results;

use super::case::{Framework, TestCounts};
use super::event::{TestEvent, TestParser};
use super::json_scanner::{JsonPath, JsonScanner, JsonToken};
use file_results::FileResults;

/// Path in the JSON document to the results of one file.
const FILE: [&str; 2] = ["testResults", ""];
/// Path in the JSON document to the list of the tests of one file.
const TESTS: [&str; 3] = ["testResults", "", "assertionResults"];
/// Path in the JSON document to the result of one test.
const TEST: [&str; 4] = ["testResults", "", "assertionResults", ""];

/// Keys that a report can start with.
const FIRST_KEYS: [&str; 18] = [
    "numFailedTestSuites",
    "numFailedTests",
    "numPassedTestSuites",
    "numPassedTests",
    "numPendingTestSuites",
    "numPendingTests",
    "numRuntimeErrorTestSuites",
    "numTodoTests",
    "numTotalTestSuites",
    "numTotalTests",
    "openHandles",
    "runExecError",
    "snapshot",
    "startTime",
    "success",
    "testResults",
    "coverageMap",
    "wasInterrupted",
];

/// Reads the JSON report of Jest or Vitest. Other lines of output may precede and follow the report. The report may
/// have several lines.
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
        // Read single bytes until the first key is known, so that the rest of another document is not read.
        let is_clear = self.report.hint.is_some() || self.report.has_started;
        let bytes = if is_clear { bytes } else { bytes.get(..1).unwrap_or(bytes) };
        let report = &mut self.report;
        let used = self.scanner.push(bytes, &mut |path, token| report.read(path, &token, emit));
        if self.report.is_refused {
            self.position = Position::Ended;
        } else if self.report.is_other {
            self.restart();
        } else if self.scanner.has_ended() || self.scanner.is_invalid() {
            if self.report.framework.is_none() {
                self.restart();
                return used;
            }
            self.position = Position::Ended;
            if self.scanner.has_ended() {
                self.report.finish(emit);
            } else {
                emit(TestEvent::Unreadable { why: "the report is no valid JSON".to_owned() });
            }
        }
        used
    }

    /// Waits for the next document.
    fn restart(&mut self) {
        self.position = Position::Outside;
        self.scanner = JsonScanner::default();
        self.report = JsonReport { hint: self.report.hint, ..JsonReport::default() };
    }
}

#[derive(Debug, Default)]
struct JsonReport {
    hint: Option<Framework>,
    framework: Option<Framework>,
    /// True after the first key was read.
    has_started: bool,
    /// True if the first key shows that the document is no report.
    is_other: bool,
    /// True after a key was read that only Jest writes.
    has_key_of_jest: bool,
    /// True after a key was read that Vitest always writes.
    has_key_of_vitest: bool,
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
            if !self.has_started {
                self.has_started = true;
                self.is_other = self.hint.is_none() && !FIRST_KEYS.contains(&key);
            }
            self.read_key(key, token, emit);
        } else {
            if path.is(&TESTS) && *token == JsonToken::Open {
                self.recognize(emit);
            }
            if self.framework.is_none() {
                // Names and messages of the file may precede its tests.
                if let Some(key) = path.key_in(&FILE) {
                    self.file.read(key, token);
                }
            } else if path.is(&FILE) && *token == JsonToken::Close {
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
            ("testResults", JsonToken::Open) if self.has_totals => self.recognize(emit),
            ("wasInterrupted", JsonToken::Other("true")) => self.is_interrupted = true,
            ("numRuntimeErrorTestSuites", _) => self.has_key_of_jest = true,
            (_, JsonToken::Number(number)) => {
                self.has_key_of_vitest |= key == "numTotalTestSuites";
                let is_count = key.starts_with("num") && FIRST_KEYS.contains(&key);
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

    fn recognize(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        if self.framework.is_none() {
            let is_vitest = self.has_key_of_vitest && !self.has_key_of_jest;
            let by_key = if is_vitest { Framework::Vitest } else { Framework::Jest };
            let framework = self.hint.unwrap_or(by_key);
            self.framework = Some(framework);
            emit(TestEvent::Recognized(framework));
        }
    }

    fn finish(&self, emit: &mut dyn FnMut(TestEvent)) {
        if self.has_totals {
            let errors = TestCounts { total: self.errors, errors: self.errors, ..TestCounts::ZERO };
            emit(TestEvent::Totals(self.totals.plus(errors)));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::{TestRun, TestSource};

    const TESTS: &str = r#"[{"name":"/p/a.test.js","status":"failed","assertionResults":[
        {"fullName":"cart total","status":"failed","failureMessages":["Error: wrong"]},
        {"fullName":"cart adds","status":"passed","failureMessages":[]}]}]"#;

    fn run(output: &str) -> TestRun {
        let (mut parser, mut run) = (JsonReportParser::new(None), TestRun::new(TestSource::Stream));
        parser.push(output.as_bytes(), &mut |event| run.add(&event));
        parser.finish(&mut |event| run.add(&event));
        run
    }

    #[test]
    fn reports_without_counters_are_read() {
        for (start, framework) in [
            ("", Framework::Jest),
            ("\"success\":false,", Framework::Jest),
            ("\"numFailedTests\":1,\"numPassedTests\":1,", Framework::Jest),
            ("\"numTotalTests\":2,\"numPassedTests\":1,\"numFailedTests\":1,", Framework::Jest),
            ("\"numTotalTestSuites\":1,", Framework::Vitest),
        ] {
            let summary =
                run(&format!("{{\"level\":\"info\"}}\n{{{start}\"testResults\":{TESTS}}}\n")).summary();
            let counts = summary.counts;
            assert_eq!((counts.total, counts.passed, counts.failed), (2, 1, 1), "{start}");
            assert_eq!((summary.framework, summary.complete), (Some(framework), true), "{start}");
            assert_eq!(summary.failures[0].file.as_deref(), Some("/p/a.test.js"));
        }
    }

    #[test]
    fn other_documents_are_no_report() {
        for output in [
            "{\"number\":1.5,\"testResults\":[]}\n",
            "{\"numTotalTests\":3}\n",
            "{\"success\":true}\n{\"testResults\":\"none\"}\n",
        ] {
            assert!(!run(output).is_recognized(), "{output}");
        }
    }
}
