//! The YAML block that may follow a test point.

use crate::bounded_text::BoundedText;
use crate::test_run::case::{MAX_TEXT_LEN, TestCase, TestFailure};
use crate::test_run::failure_text::Place;
use crate::test_run::text;

/// Details of a test, from a YAML block. Only the necessary keys are read; this is not a complete YAML parser.
#[derive(Debug)]
pub(super) struct TapDetails {
    is_open: bool,
    is_closed: bool,
    key: String,
    /// True if the value of the current key spans several lines.
    is_block: bool,
    failure: TestFailure,
    place: Option<Place>,
    milliseconds: Option<f64>,
    text: BoundedText,
}

impl Default for TapDetails {
    fn default() -> Self {
        Self {
            is_open: false,
            is_closed: false,
            key: String::new(),
            is_block: false,
            failure: TestFailure::default(),
            place: None,
            milliseconds: None,
            text: BoundedText::new(MAX_TEXT_LEN),
        }
    }
}

impl TapDetails {
    /// Reads a line if it belongs to the block. `indent` is the indentation relative to the line of the test.
    pub(super) fn takes(&mut self, indent: Option<usize>, content: &str) -> bool {
        if self.is_closed {
            return false;
        }
        if !self.is_open {
            self.is_open = indent == Some(2) && content == "---";
            self.is_closed = !self.is_open;
            return self.is_open;
        }
        match indent {
            Some(2) if content == "..." => self.is_closed = true,
            Some(2) => self.read_key(content),
            Some(_) => self.read_line(content),
            // An empty line, or the end of a truncated block.
            None if content.is_empty() => self.read_line(content),
            None => {
                self.is_closed = true;
                return false;
            }
        }
        self.text.push(content.as_bytes());
        self.text.push(b"\n");
        true
    }

    fn read_key(&mut self, content: &str) {
        let (key, value) = content.split_once(':').unwrap_or((content, ""));
        let value = unquoted(value.trim());
        self.key = text::message(key);
        self.is_block = value.starts_with(['|', '>']);
        if self.is_block || value.is_empty() {
            return;
        }
        match self.key.as_str() {
            "duration_ms" => self.milliseconds = value.parse().ok(),
            "location" => self.place = Place::parse(value),
            "name" => self.failure.kind = Some(text::message(value)),
            "error" | "message" => self.failure.message = text::message(value),
            "expected" | "wanted" => self.failure.expected = text::value(value),
            "actual" | "found" => self.failure.actual = text::value(value),
            _ => {}
        }
    }

    fn read_line(&mut self, content: &str) {
        match self.key.as_str() {
            "error" | "message" if self.is_block && self.failure.message.is_empty() => {
                self.failure.message = text::message(content);
            }
            "expected" | "wanted" if self.is_block => push_line(&mut self.failure.expected, content),
            "actual" | "found" if self.is_block => push_line(&mut self.failure.actual, content),
            "at" => {
                if let Some(line) = content.strip_prefix("line: ") {
                    let line = line.trim().parse().ok();
                    if let (Some(place), Some(line)) = (&mut self.place, line) {
                        place.line = line;
                    }
                } else if let Some(file) = content.strip_prefix("file: ") {
                    self.place = Some(Place { file: text::id(unquoted(file.trim())), line: 1 });
                }
            }
            _ => {}
        }
    }

    /// Adds the details to the test.
    pub(super) fn attach(self, case: &mut TestCase) {
        case.duration = self.milliseconds.and_then(|milliseconds| text::seconds(milliseconds / 1000.0));
        if case.outcome.is_failure() {
            if let Some(Place { file, line }) = self.place {
                (case.file, case.line) = (Some(file), Some(line));
            }
            let trace = text::block(&self.text.text());
            case.failure = Some(Box::new(TestFailure { trace, ..self.failure }));
        }
    }
}

fn push_line(value: &mut Option<String>, line: &str) {
    let known = value.take().unwrap_or_default();
    let separator = if known.is_empty() { "" } else { "\n" };
    *value = text::value(&format!("{known}{separator}{line}"));
}

fn unquoted(value: &str) -> &str {
    let quoted = |quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    quoted('\'').or_else(|| quoted('"')).unwrap_or(value)
}
