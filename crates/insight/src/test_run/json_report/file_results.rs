//! Collects the results of one test file while the report is read.

use super::TEST;
use crate::bounded_text::BoundedText;
use crate::test_run::case::{MAX_TEXT_LEN, TestCase, TestFailure, TestOutcome, TestPhase};
use crate::test_run::event::TestEvent;
use crate::test_run::failure_text::javascript;
use crate::test_run::json_scanner::{JsonPath, JsonToken};
use crate::test_run::text;

/// Maximum number of tests that are stored until the name of their file is known. The report states the name after the
/// tests.
const MAX_HELD: usize = 10_000;
/// Maximum number of failed tests that are stored. This limit is lower than `MAX_HELD`, because failed tests have long
/// texts.
const MAX_HELD_FAILURES: usize = 200;

/// Results of one file.
#[derive(Debug, Default)]
pub(super) struct FileResults {
    name: String,
    message: String,
    has_failed: bool,
    /// Number of tests with a failure.
    failures: usize,
    cases: Vec<TestCase>,
    /// Test that is being read.
    pub(super) test: OpenTestResult,
}

impl FileResults {
    /// Reads the value of a key that belongs to the file.
    pub(super) fn read(&mut self, key: &str, token: &JsonToken<'_>) {
        match (key, token) {
            ("name", JsonToken::Text(name)) => self.name = text::id(name),
            ("message", JsonToken::Text(message)) => self.message = (*message).to_owned(),
            ("status", JsonToken::Text(status)) => self.has_failed = *status == "failed",
            _ => {}
        }
    }

    /// Ends a test.
    ///
    /// # Errors
    /// Returns the reason if the result is unknown.
    pub(super) fn end_test(&mut self, emit: &mut dyn FnMut(TestEvent)) -> Result<(), &'static str> {
        let case = std::mem::take(&mut self.test).finish()?;
        self.failures = self.failures.saturating_add(usize::from(case.outcome.is_failure()));
        if self.cases.len() < MAX_HELD && self.failures < MAX_HELD_FAILURES {
            self.cases.push(case);
        } else {
            // The stored tests are emitted first, to keep the order of the tests.
            self.cases.drain(..).chain([case]).for_each(|case| emit(TestEvent::Finished(case)));
        }
        Ok(())
    }

    /// Ends the file. Returns the number of errors that are not failed tests.
    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) -> u64 {
        let file = std::mem::take(self);
        for mut case in file.cases {
            case.file.get_or_insert_with(|| file.name.clone());
            emit(TestEvent::Finished(case));
        }
        let is_broken = file.has_failed && file.failures == 0;
        if is_broken {
            let message = file.message.replace("● Test suite failed to run", "");
            let read = javascript::read(&message);
            let mut case = TestCase::new(&file.name, TestOutcome::Error);
            case.file = Some(file.name);
            read.attach(&mut case);
            if let Some(failure) = &mut case.failure {
                failure.phase = TestPhase::Collect;
            }
            emit(TestEvent::Finished(case));
        }
        u64::from(is_broken)
    }
}

/// A test that is being read.
#[derive(Debug)]
pub(super) struct OpenTestResult {
    name: String,
    status: String,
    milliseconds: Option<f64>,
    line: Option<u32>,
    messages: BoundedText,
    has_messages: bool,
    expected: Option<String>,
    actual: Option<String>,
    invocations: f64,
}

impl Default for OpenTestResult {
    fn default() -> Self {
        Self {
            name: String::new(),
            status: String::new(),
            milliseconds: None,
            line: None,
            messages: BoundedText::new(MAX_TEXT_LEN),
            has_messages: false,
            expected: None,
            actual: None,
            invocations: 1.0,
        }
    }
}

impl OpenTestResult {
    /// Reads the value of a key that belongs to the test.
    pub(super) fn read(&mut self, path: &JsonPath<'_>, token: &JsonToken<'_>) {
        let inner = |keys: &[&str]| path.key_in(&[&TEST, keys].concat());
        match (inner(&[]), token) {
            (Some("fullName"), JsonToken::Text(name)) => self.name = text::id(name),
            (Some("status"), JsonToken::Text(status)) => self.status = text::message(status),
            (Some("duration"), JsonToken::Number(number)) => self.milliseconds = Some(*number),
            (Some("invocations"), JsonToken::Number(number)) => self.invocations = *number,
            (None, JsonToken::Text(message)) if inner(&["failureMessages"]).is_some() => {
                self.has_messages = true;
                self.messages.push(message.as_bytes());
                self.messages.push(b"\n");
            }
            (None, JsonToken::Number(number)) if inner(&["location"]) == Some("line") => {
                self.line = super::count_of(*number).and_then(|line| u32::try_from(line).ok());
            }
            (None, JsonToken::Text(_) | JsonToken::Number(_)) => {
                let value = match token {
                    JsonToken::Text(text) => text::value(&format!("{text:?}")),
                    JsonToken::Number(number) => text::value(&number.to_string()),
                    JsonToken::Open | JsonToken::Close | JsonToken::Other(_) => None,
                };
                match inner(&["failureDetails", "", "matcherResult"]) {
                    Some("expected") => self.expected = value,
                    Some("actual") => self.actual = value,
                    Some(_) | None => {}
                }
            }
            _ => {}
        }
    }

    /// Returns the completed test.
    fn finish(self) -> Result<TestCase, &'static str> {
        let outcome = match self.status.as_str() {
            "passed" => TestOutcome::Passed,
            "failed" => TestOutcome::Failed,
            "skipped" | "pending" | "disabled" => TestOutcome::Skipped,
            "todo" => TestOutcome::Todo,
            _ => return Err("a test has an unknown result"),
        };
        let mut case = TestCase::new(self.name.trim(), outcome);
        case.duration = self.milliseconds.and_then(|milliseconds| text::seconds(milliseconds / 1000.0));
        case.line = self.line;
        if outcome == TestOutcome::Failed {
            javascript::read(&self.messages.text()).attach(&mut case);
            if let Some(failure) = &mut case.failure
                && failure.expected.is_none()
            {
                (failure.expected, failure.actual) = (self.expected, self.actual);
            }
        } else if outcome == TestOutcome::Passed && (self.has_messages || self.invocations > 1.0) {
            case.failure = Some(Box::new(TestFailure { flaky: true, ..TestFailure::default() }));
        }
        Ok(case)
    }
}
