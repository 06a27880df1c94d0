//! A test in a report, while its element is being read.

use super::Attributes;
use crate::bounded_text::BoundedText;
use crate::test_run::case::{Framework, MAX_TEXT_LEN, TestCase, TestFailure, TestOutcome, TestPhase};
use crate::test_run::failure_text::{ReadFailure, javascript, python, rust, split_kind};
use crate::test_run::text;

/// A failure, an error or a similar result of a test.
#[derive(Debug)]
pub(super) struct CaseResult {
    kind: ResultKind,
    message: Option<String>,
    error_type: Option<String>,
    text: BoundedText,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResultKind {
    Failure,
    Error,
    Skipped,
    /// A failed attempt of a test that later passed.
    Flaky,
    /// A further failed attempt of a test that has already failed.
    Rerun,
}

impl CaseResult {
    /// Creates the result for an element that states one. Returns `None` for any other element.
    pub(super) fn new(name: &[u8], attributes: &Attributes<'_>) -> Option<Self> {
        let kind = match name {
            b"failure" => ResultKind::Failure,
            b"error" => ResultKind::Error,
            b"skipped" => ResultKind::Skipped,
            b"flakyFailure" | b"flakyError" => ResultKind::Flaky,
            b"rerunFailure" | b"rerunError" => ResultKind::Rerun,
            _ => return None,
        };
        Some(Self {
            kind,
            message: attributes.text("message"),
            error_type: attributes.text("type"),
            text: BoundedText::new(MAX_TEXT_LEN),
        })
    }

    const fn is_failure(&self) -> bool {
        matches!(self.kind, ResultKind::Failure | ResultKind::Error)
    }

    fn outcome(&self) -> TestOutcome {
        let is_xfail = self.error_type.as_deref() == Some("pytest.xfail");
        match self.kind {
            ResultKind::Failure => TestOutcome::Failed,
            ResultKind::Error => TestOutcome::Error,
            ResultKind::Skipped if is_xfail => TestOutcome::Xfailed,
            ResultKind::Skipped => TestOutcome::Skipped,
            ResultKind::Flaky | ResultKind::Rerun => TestOutcome::Passed,
        }
    }
}

/// A result of an open test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResultPlace {
    First,
    Further,
}

/// A test whose element was not read to its end yet.
#[derive(Debug)]
pub(super) struct OpenCase {
    class: String,
    name: String,
    file: Option<String>,
    line: Option<u32>,
    time: Option<String>,
    is_not_run: bool,
    /// First result.
    result: Option<CaseResult>,
    /// Second result. For pytest, it is a result of its own. For other frameworks, a failure replaces a first result that
    /// is no failure.
    further: Option<CaseResult>,
    /// True if the test has both a failure and an error. The report counts both.
    has_both: bool,
    /// True if a failed attempt was reported for a test that later passed.
    is_flaky: bool,
    /// Result whose text is being read.
    reading: Option<ResultPlace>,
    output: BoundedText,
}

impl OpenCase {
    /// Creates a test from the attributes of its start tag.
    pub(super) fn new(attributes: &Attributes<'_>) -> Self {
        let status = attributes.text("status").unwrap_or_default();
        Self {
            class: attributes.text("classname").unwrap_or_default(),
            name: attributes.text("name").unwrap_or_default(),
            file: attributes.text("file").map(|file| text::id(&file)),
            line: attributes.number("line").and_then(|line| u32::try_from(line).ok()),
            time: attributes.text("time"),
            is_not_run: matches!(status.as_str(), "notrun" | "skipped" | "disabled" | "ignored"),
            result: None,
            further: None,
            has_both: false,
            is_flaky: false,
            reading: None,
            output: BoundedText::new(MAX_TEXT_LEN),
        }
    }

    /// Starts an element that states a result.
    pub(super) fn start(&mut self, result: CaseResult) {
        self.is_flaky |= result.kind == ResultKind::Flaky;
        self.has_both |= self
            .result
            .as_ref()
            .is_some_and(|known| known.is_failure() && result.is_failure() && known.kind != result.kind);
        self.reading = match (&self.result, &self.further) {
            (None, _) if result.kind != ResultKind::Rerun => {
                self.result = Some(result);
                Some(ResultPlace::First)
            }
            (Some(_), None) if result.is_failure() || result.kind == ResultKind::Skipped => {
                self.further = Some(result);
                Some(ResultPlace::Further)
            }
            (None | Some(_), _) => None,
        };
    }

    /// Ends an element that states a result.
    pub(super) const fn end_result(&mut self) {
        self.reading = None;
    }

    /// Adds text to the current result.
    pub(super) fn push_text(&mut self, bytes: &[u8]) {
        let result = match self.reading {
            Some(ResultPlace::First) => &mut self.result,
            Some(ResultPlace::Further) => &mut self.further,
            None => return,
        };
        if let Some(result) = result {
            result.text.push(bytes);
        }
    }

    /// Adds output of the test.
    pub(super) fn push_output(&mut self, bytes: &[u8]) {
        self.output.push(bytes);
    }

    /// Returns true if the test has both a failure and an error.
    pub(super) const fn has_both(&self) -> bool {
        self.has_both
    }

    /// Returns true if one of the results so far is a failure or an error.
    pub(super) fn has_failed(&self) -> bool {
        self.result.iter().chain(&self.further).any(CaseResult::is_failure)
    }

    /// Returns the test with its result. If pytest counts a second result of this test, also returns that result.
    pub(super) fn finish(self, framework: Framework) -> (TestCase, Option<TestCase>) {
        let (first, further) = (self.result.as_ref(), self.further.as_ref());
        if framework == Framework::Pytest {
            let further = further.map(|result| self.case(Some(result), framework));
            return (self.case(first, framework), further.map(|case| TestCase { duration: None, ..case }));
        }
        let has_failed = first.is_some_and(CaseResult::is_failure);
        let further = further.filter(|result| !has_failed && result.is_failure());
        let counted = further.or(first);
        (self.case(counted, framework), None)
    }

    /// Returns the test with one of its results. A test without a result passed, unless it did not run.
    fn case(&self, result: Option<&CaseResult>, framework: Framework) -> TestCase {
        let outcome = match result {
            Some(result) => result.outcome(),
            None if self.is_not_run => TestOutcome::Skipped,
            None => TestOutcome::Passed,
        };
        let mut read = (outcome.is_failure() || self.is_flaky).then(|| read_failure(result, framework));
        if let Some(read) = read.as_mut().filter(|_| self.reading.is_some()) {
            // The end of the trace is missing, so its last place may not be the place of the failure.
            read.place = None;
        }
        let place = read.as_ref().and_then(|read| read.place.as_ref()).map(|place| place.file.clone());
        let mut case = TestCase::new(&self.id(framework, place.as_deref()), outcome);
        case.duration = self.time.as_deref().and_then(text::parse_seconds);
        case.line = match framework {
            // pytest numbers the lines from 0.
            Framework::Pytest => self.line.map(|line| line.saturating_add(1)),
            Framework::CargoTest
            | Framework::Nextest
            | Framework::GoTest
            | Framework::Jest
            | Framework::Vitest
            | Framework::Tap
            | Framework::Junit => self.line,
        };
        case.file = match framework {
            Framework::Pytest => Some(text::id(case.id.split("::").next().unwrap_or_default())),
            Framework::Vitest => Some(text::id(&self.class)),
            Framework::CargoTest
            | Framework::Nextest
            | Framework::GoTest
            | Framework::Jest
            | Framework::Tap
            | Framework::Junit => self.file.clone(),
        };
        if let Some(read) = read {
            read.attach(&mut case);
        }
        if let Some(failure) = &mut case.failure {
            failure.flaky = !outcome.is_failure();
            failure.captured = text::block(&self.output.text());
            let is_collection = framework == Framework::Vitest && self.name == self.class
                || failure.phase == TestPhase::Collect;
            if is_collection && outcome.is_failure() {
                failure.phase = TestPhase::Collect;
                case.outcome = TestOutcome::Error;
            }
        }
        case
    }

    /// Returns the name with which the framework can run the test alone. `place` is the file of the failure.
    fn id(&self, framework: Framework, place: Option<&str>) -> String {
        let (class, name) = (self.class.trim(), self.name.trim());
        match framework {
            Framework::Pytest => self.pytest_id(place),
            Framework::Vitest => name.replace(" > ", " "),
            Framework::Jest | Framework::Nextest | Framework::CargoTest => name.to_owned(),
            Framework::GoTest | Framework::Tap | Framework::Junit => {
                if class.is_empty() || name.starts_with(class) || name.ends_with(class) {
                    name.to_owned()
                } else {
                    format!("{class}.{name}")
                }
            }
        }
    }

    /// Returns the node id of a pytest test. The report contains only the module and the classes, with dots between
    /// them.
    fn pytest_id(&self, place: Option<&str>) -> String {
        if self.class.is_empty() {
            // For a collection error, the name is the name of the module.
            return place.map_or_else(|| self.name.replace('.', "/") + ".py", str::to_owned);
        }
        let module_of = |file: &str| file.strip_suffix(".py").unwrap_or(file).replace(['/', '\\'], ".");
        let known = self.file.as_deref().or(place).filter(|file| self.class.starts_with(&module_of(file)));
        let (file, classes) = match known {
            Some(file) => (file.to_owned(), self.class.get(module_of(file).len()..).unwrap_or_default()),
            None => {
                // By convention, module names start with a lowercase letter, and class names with an uppercase letter.
                let is_class = |at: &(usize, &str)| {
                    self.class.get(at.0 + 1..).is_some_and(|rest| rest.starts_with(char::is_uppercase))
                };
                let at = self.class.match_indices('.').find(is_class).map_or(self.class.len(), |(at, _)| at);
                let (module, classes) = self.class.split_at_checked(at).unwrap_or((&self.class, ""));
                (module.replace('.', "/") + ".py", classes)
            }
        };
        let classes = classes.replace('.', "::");
        format!("{file}{classes}::{}", self.name)
    }
}

fn read_failure(result: Option<&CaseResult>, framework: Framework) -> ReadFailure {
    let message = result.and_then(|result| result.message.as_deref()).unwrap_or_default();
    let trace = result.map(|result| result.text.text()).unwrap_or_default();
    match framework {
        Framework::Pytest => python::read(message, &trace),
        Framework::Nextest | Framework::CargoTest => rust::read(&trace),
        Framework::Jest | Framework::Vitest => javascript::read(trace.trim_start_matches('\n')),
        Framework::GoTest | Framework::Tap | Framework::Junit => other_failure(result, message, &trace),
    }
}

/// Reads a failure of a framework that does not define a failure format.
fn other_failure(result: Option<&CaseResult>, message: &str, trace: &str) -> ReadFailure {
    let first = text::message(trace);
    let message = if message.trim().is_empty() { first.as_str() } else { message };
    let (kind, rest) = split_kind(message);
    let error_type = result.and_then(|result| result.error_type.as_deref()).filter(|name| !name.is_empty());
    let value = |start: &str, end: char| {
        let (_, rest) = message.split_once(start)?;
        text::value(rest.split(end).next().unwrap_or_default())
    };
    let failure = TestFailure {
        kind: kind.or(error_type).map(text::message),
        message: text::message(rest),
        expected: value("expected:<", '>').or_else(|| value("expected: <", '>')),
        actual: value("but was:<", '>').or_else(|| value("but was: <", '>')),
        trace: text::block(trace),
        ..TestFailure::default()
    };
    ReadFailure { failure, place: None }
}
