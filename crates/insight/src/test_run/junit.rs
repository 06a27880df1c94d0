//! JUnit XML reports, which many test frameworks write.

mod case_filter;
mod open_case;
mod stated;
mod xml_tokens;

use super::case::{Framework, TestCase};
use super::event::{TestEvent, TestParser};
use super::text;
use case_filter::CaseFilter;
use open_case::{CaseResult, OpenCase};
use stated::StatedTotals;
use std::time::Duration;
use xml_tokens::{XmlAttribute, XmlToken, XmlTokens};

/// Maximum nesting depth of elements.
const MAX_DEPTH: usize = 64;

/// Reads a JUnit XML report.
///
/// A truncated report yields the results before the cut and [`TestEvent::Unreadable`]. A report that declares entities
/// is unreadable, because entities are never expanded.
#[derive(Debug)]
pub struct JunitParser {
    xml: XmlTokens,
    report: Report,
}

impl JunitParser {
    /// Creates a parser. `framework` is the framework that was detected in the command. Without it, the names in the
    /// report show the framework.
    #[must_use]
    pub fn new(framework: Option<Framework>) -> Self {
        Self { xml: XmlTokens::default(), report: Report::new(framework) }
    }
}

impl TestParser for JunitParser {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let report = &mut self.report;
        self.xml.push(bytes, &mut |token| report.read(token, emit));
    }

    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        if !self.report.is_closed || !self.xml.is_between() {
            self.report.cut(emit);
            self.report.refuse("the report ends in the middle", emit);
        }
    }
}

/// State while a report is read.
#[derive(Debug)]
struct Report {
    /// Framework that was detected in the command.
    hint: Option<Framework>,
    /// Framework of the report, as soon as it is recognized.
    framework: Option<Framework>,
    open: Vec<OpenElement>,
    case: Option<OpenCase>,
    filter: CaseFilter,
    totals: StatedTotals,
    duration: Option<Duration>,
    /// True after the outermost element has ended.
    is_closed: bool,
    is_refused: bool,
}

/// An element whose end was not read yet.
#[derive(Debug)]
struct OpenElement {
    name: Vec<u8>,
    element: Element,
}

/// Meaning of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Suites,
    Suite,
    Case,
    /// A failure, an error or a similar result of a test.
    Result,
    /// Output of a test.
    Output,
    Other,
}

impl Report {
    fn new(hint: Option<Framework>) -> Self {
        Self {
            hint,
            framework: None,
            open: Vec::new(),
            case: None,
            filter: CaseFilter::default(),
            totals: StatedTotals::default(),
            duration: None,
            is_closed: false,
            is_refused: false,
        }
    }

    fn read(&mut self, token: XmlToken<'_>, emit: &mut dyn FnMut(TestEvent)) {
        if self.is_refused {
            return;
        }
        match token {
            XmlToken::Start { name, attributes, is_empty } => {
                self.start(name, &Attributes(attributes), emit);
                if is_empty {
                    self.end(emit);
                }
            }
            XmlToken::End { name } => match self.open.last() {
                Some(open) if open.name == name => self.end(emit),
                Some(_) | None => self.refuse("the tags do not match", emit),
            },
            XmlToken::Text(bytes) => self.text(bytes, emit),
            XmlToken::Refused(why) => self.refuse(why, emit),
        }
    }

    fn start(&mut self, name: &[u8], attributes: &Attributes<'_>, emit: &mut dyn FnMut(TestEvent)) {
        if self.is_closed || self.open.len() >= MAX_DEPTH {
            let why =
                if self.is_closed { "the report has several roots" } else { "the elements are too deep" };
            self.refuse(why, emit);
            return;
        }
        let parent = self.open.last().map(|open| open.element);
        let element = match (parent, name) {
            (None, b"testsuites") => self.start_suites(attributes, emit),
            (None | Some(Element::Suites | Element::Suite), b"testsuite") => {
                self.start_suite(attributes, emit)
            }
            (None, _) => return self.refuse("the report is no JUnit report", emit),
            (Some(Element::Suites | Element::Suite), b"testcase") => {
                self.case = Some(OpenCase::new(attributes));
                Element::Case
            }
            (Some(Element::Case), b"system-out" | b"system-err") => Element::Output,
            (Some(Element::Case), _) => match (CaseResult::new(name, attributes), &mut self.case) {
                (Some(result), Some(case)) => {
                    case.start(result);
                    Element::Result
                }
                (Some(_) | None, _) => Element::Other,
            },
            // The stack trace of a repeated test is in a separate element.
            (Some(Element::Result), b"stackTrace") => Element::Result,
            (Some(_), _) => Element::Other,
        };
        self.open.push(OpenElement { name: name.to_vec(), element });
    }

    fn start_suites(&mut self, attributes: &Attributes<'_>, emit: &mut dyn FnMut(TestEvent)) -> Element {
        self.totals.start(attributes);
        self.duration = attributes.text("time").and_then(|time| text::parse_seconds(&time));
        if let Some(framework) = attributes.text("name").as_deref().and_then(framework_of) {
            self.recognize(framework, emit);
        }
        Element::Suites
    }

    fn start_suite(&mut self, attributes: &Attributes<'_>, emit: &mut dyn FnMut(TestEvent)) -> Element {
        self.totals.start(attributes);
        if self.framework.is_none() {
            let named = attributes.text("name").as_deref().and_then(framework_of);
            self.recognize(named.or(self.hint).unwrap_or(Framework::Junit), emit);
        }
        if self.open.is_empty() || self.duration.is_none() && self.open.len() == 1 {
            self.duration = attributes.text("time").and_then(|time| text::parse_seconds(&time));
        }
        self.filter.start_suite(self.totals.current());
        Element::Suite
    }

    fn recognize(&mut self, framework: Framework, emit: &mut dyn FnMut(TestEvent)) {
        self.framework = Some(framework);
        self.filter.set_framework(framework);
        emit(TestEvent::Recognized(framework));
    }

    fn end(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        let Some(open) = self.open.pop() else { return };
        match open.element {
            Element::Case => {
                let framework = self.framework.unwrap_or(Framework::Junit);
                if let Some(case) = self.case.take() {
                    if case.has_both() && framework != Framework::Pytest {
                        self.filter.count_repeated();
                    }
                    let (case, further) = case.finish(framework);
                    let totals = &mut self.totals;
                    self.filter.add(case, further, &mut |case| emit_case(case, totals, emit));
                }
            }
            Element::Result => {
                if let Some(case) = &mut self.case {
                    case.end_result();
                }
            }
            Element::Suite => {
                let totals = &mut self.totals;
                self.filter.end_suite(&mut |case| emit_case(case, totals, emit));
                self.totals.end();
            }
            Element::Suites => self.totals.end(),
            Element::Output | Element::Other => {}
        }
        if self.open.is_empty() {
            self.is_closed = true;
            if let Some(totals) = self.totals.totals(self.filter.differences()) {
                emit(TestEvent::Totals(totals));
            }
            emit(TestEvent::Ended { duration: self.duration });
        }
    }

    fn text(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        match (self.open.last().map(|open| open.element), &mut self.case) {
            (Some(Element::Result), Some(case)) => case.push_text(bytes),
            (Some(Element::Output), Some(case)) => case.push_output(bytes),
            (None, _) => {
                let is_blank = bytes.iter().all(|byte| byte.is_ascii_whitespace());
                // A byte order mark may precede the report.
                if !is_blank && (self.is_closed || !b"\xef\xbb\xbf".starts_with(bytes)) {
                    let is_utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
                    let why = match (self.is_closed, is_utf16) {
                        (true, _) => "text follows the report",
                        (false, true) => "the report is encoded in UTF-16, but only UTF-8 is read",
                        (false, false) => "the report is not XML",
                    };
                    self.refuse(why, emit);
                }
            }
            (Some(_), _) => {}
        }
    }

    /// Ends a truncated report. The failures that it contains count, even those of a test whose element is not complete.
    fn cut(&mut self, emit: &mut dyn FnMut(TestEvent)) {
        let mut emit = |case| emit(TestEvent::Finished(case));
        if let Some(case) = self.case.take().filter(OpenCase::has_failed) {
            let (case, further) = case.finish(self.framework.unwrap_or(Framework::Junit));
            self.filter.add(case, further, &mut emit);
        }
        self.filter.cut(&mut emit);
    }

    fn refuse(&mut self, why: &str, emit: &mut dyn FnMut(TestEvent)) {
        if !self.is_refused {
            self.is_refused = true;
            emit(TestEvent::Unreadable { why: why.to_owned() });
        }
    }
}

/// Counts and emits a test result.
fn emit_case(case: TestCase, totals: &mut StatedTotals, emit: &mut dyn FnMut(TestEvent)) {
    totals.count(&case);
    emit(TestEvent::Finished(case));
}

/// Returns the framework that uses this name in its reports.
fn framework_of(name: &str) -> Option<Framework> {
    match name {
        "pytest" | "pytest tests" => Some(Framework::Pytest),
        "nextest-run" => Some(Framework::Nextest),
        "jest tests" => Some(Framework::Jest),
        "vitest tests" => Some(Framework::Vitest),
        _ => None,
    }
}

/// Attributes of a start tag.
#[derive(Debug)]
struct Attributes<'a>(&'a [XmlAttribute]);

impl Attributes<'_> {
    /// Returns the text of an attribute.
    fn text(&self, name: &str) -> Option<String> {
        let attribute = self.0.iter().find(|attribute| attribute.name == name.as_bytes())?;
        Some(crate::bounded_text::clean(&attribute.value).into_owned())
    }

    /// Returns the number in an attribute.
    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }
}
