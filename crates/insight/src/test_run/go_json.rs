//! Output of `go test -json`.

use super::case::{Framework, MAX_TEXT_LEN, TestCase, TestFailure, TestOutcome, TestPhase};
use super::event::{TestEvent, TestParser};
use super::failure_text::go;
use super::text;
use crate::bounded_text::BoundedText;
use crate::json_lines::JsonLines;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Maximum number of tests and packages that can be open at the same time.
const MAX_OPEN: usize = 1024;

/// Reads the output of `go test -json`. Lines that are not JSON events, such as compiler errors, explain broken
/// packages.
#[derive(Debug, Default)]
pub struct GoJsonParser {
    lines: JsonLines,
    report: GoReport,
}

impl TestParser for GoJsonParser {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let report = &mut self.report;
        self.lines.push(bytes, &mut |line| report.read(line, emit));
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        let report = &mut self.report;
        self.lines.finish(&mut |line| report.read(line, emit));
        report.finish(emit);
    }
}

/// An event of `go test -json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoEvent<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    package: Option<String>,
    import_path: Option<String>,
    test: Option<String>,
    elapsed: Option<f64>,
    output: Option<String>,
}

#[derive(Debug, Default)]
struct GoReport {
    is_recognized: bool,
    /// Output of the running tests and packages, by package and test name. For a package, the test name is empty.
    open: BTreeMap<(String, String), OpenOutput>,
    /// Output of compilers. It does not state which tested package it belongs to.
    build: Option<BoundedText>,
}

/// Output of a running test or package.
#[derive(Debug)]
struct OpenOutput {
    text: BoundedText,
    /// Number of failed tests in the package, or of failed subtests of the test.
    failures: u64,
}

impl Default for OpenOutput {
    fn default() -> Self {
        Self { text: BoundedText::new(MAX_TEXT_LEN), failures: 0 }
    }
}

impl GoReport {
    fn read(&mut self, line: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let Ok(event) = serde_json::from_slice::<GoEvent<'_>>(line) else {
            return self.read_other(line, emit);
        };
        if !self.is_recognized {
            self.is_recognized = true;
            emit(TestEvent::Recognized(Framework::GoTest));
        }
        let package = event.package.or(event.import_path).unwrap_or_default();
        let outcome = match &*event.action {
            "pass" => TestOutcome::Passed,
            "fail" => TestOutcome::Failed,
            "skip" => TestOutcome::Skipped,
            "build-output" => return self.push_build(event.output.unwrap_or_default().as_bytes()),
            "output" => {
                return self.push_output(
                    package,
                    event.test.unwrap_or_default(),
                    &event.output.unwrap_or_default(),
                );
            }
            // Benchmarks, pauses, and actions that a newer version of Go may report.
            _ => {
                if self.open.len() < MAX_OPEN {
                    self.open.entry((package, event.test.unwrap_or_default())).or_default();
                }
                return;
            }
        };
        let duration = event.elapsed.and_then(text::seconds);
        match event.test {
            Some(test) => {
                let open = self.open.remove(&(package.clone(), test.clone())).unwrap_or_default();
                let mut case = TestCase::new(&test, outcome);
                case.duration = duration;
                if outcome == TestOutcome::Failed {
                    let parent = test.rsplit_once('/').map_or("", |(parent, _)| parent);
                    self.add_failure(&package, parent);
                    go::read(&open.text.text()).attach(&mut case);
                    if let Some(failure) = case.failure.as_mut().filter(|failure| failure.message.is_empty())
                    {
                        let message = if open.failures > 0 { "a subtest failed" } else { "no output" };
                        message.clone_into(&mut failure.message);
                    }
                }
                emit(TestEvent::Finished(case));
            }
            None => self.end_package(package, outcome, emit),
        }
    }

    /// Ends a package. If the package failed although none of its tests failed, the package itself counts as an error.
    fn end_package(&mut self, package: String, outcome: TestOutcome, emit: &mut dyn FnMut(TestEvent)) {
        let key = (package, String::new());
        let open = self.open.remove(&key).unwrap_or_default();
        let package = key.0;
        // Tests without a result were interrupted when the package ended, for example by a panic.
        let tests: Vec<_> = self.open.keys().filter(|(owner, _)| *owner == package).cloned().collect();
        let has_unfinished = !tests.is_empty();
        for key in tests {
            let open = self.open.remove(&key).unwrap_or_default();
            if outcome == TestOutcome::Failed && !key.1.is_empty() {
                let mut case = TestCase::new(&key.1, TestOutcome::Error);
                go::read(&open.text.text()).attach(&mut case);
                emit(TestEvent::Finished(case));
            }
        }
        if outcome == TestOutcome::Failed && open.failures == 0 && !has_unfinished {
            let output = open.text.text();
            let is_build = output.contains("[build failed]") || output.contains("[setup failed]");
            let build = self.build.take().map(|build| build.text()).unwrap_or_default();
            let text = if is_build && !build.is_empty() { build } else { output };
            emit(TestEvent::Finished(broken_package(&package, &text)));
        }
    }

    /// Reads a line that is not an event: the output of a compiler, or the result of a package that could not be built.
    fn read_other(&mut self, line: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let line = crate::bounded_text::clean(line).into_owned();
        let failed = line.strip_prefix("FAIL\t").and_then(|rest| {
            rest.strip_suffix(" [build failed]").or_else(|| rest.strip_suffix(" [setup failed]"))
        });
        if let Some(package) = failed {
            let build = self.build.take().map(|build| build.text()).unwrap_or_default();
            emit(TestEvent::Finished(broken_package(package, &build)));
        } else {
            self.push_build(format!("{line}\n").as_bytes());
        }
    }

    fn push_build(&mut self, bytes: &[u8]) {
        self.build.get_or_insert_with(|| BoundedText::new(MAX_TEXT_LEN)).push(bytes);
    }

    fn push_output(&mut self, package: String, test: String, output: &str) {
        let is_frame = ["=== ", "--- "].iter().any(|start| output.trim_start().starts_with(start));
        let key = (package, test);
        if !is_frame && (self.open.len() < MAX_OPEN || self.open.contains_key(&key)) {
            self.open.entry(key).or_default().text.push(output.as_bytes());
        }
    }

    /// Counts a failed test for its package. If it is a subtest, counts it for its parent test too.
    fn add_failure(&mut self, package: &str, parent: &str) {
        for test in ["", parent] {
            let key = (package.to_owned(), test.to_owned());
            if self.open.len() < MAX_OPEN || self.open.contains_key(&key) {
                let open = self.open.entry(key).or_default();
                open.failures = open.failures.saturating_add(1);
            }
        }
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        if self.is_recognized && self.open.is_empty() {
            emit(TestEvent::Ended { duration: None });
        }
    }
}

/// Creates the error for a package whose tests could not run.
fn broken_package(package: &str, output: &str) -> TestCase {
    let mut case = TestCase::new(package, TestOutcome::Error);
    let first = output.lines().find(|line| !line.starts_with('#') && !line.trim().is_empty());
    let first = first.unwrap_or("the package failed outside its tests");
    let place = super::failure_text::Place::find(first);
    let message = place.as_ref().map_or(first, |(_, message)| message);
    case.failure = Some(Box::new(TestFailure {
        phase: TestPhase::Collect,
        message: text::message(message),
        trace: text::block(output),
        ..TestFailure::default()
    }));
    if let Some((place, _)) = place {
        (case.file, case.line) = (Some(place.file), Some(place.line));
    }
    case
}
