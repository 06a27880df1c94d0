//! Writes test results as JUnit XML, in a form that common tools can read.

use crate::dispatch::VerbContext;
use crate::failure::CliError;
use longhaul_wire::api::{TestCaseView, TestResultsView};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Writer of one JUnit report.
pub(super) struct JunitWriter<'a> {
    target: ReportTarget<'a>,
    /// Name of the suite.
    suite: String,
}

enum ReportTarget<'a> {
    Output(&'a VerbContext),
    File { path: PathBuf, file: BufWriter<File> },
}

impl<'a> JunitWriter<'a> {
    /// Creates the file of the report. The path `-` stands for standard output.
    pub(super) fn create(context: &'a VerbContext, path: &Path) -> Result<Self, CliError> {
        let target = if path == Path::new("-") {
            ReportTarget::Output(context)
        } else {
            let file = File::create(path).map_err(|source| unwritable(path, source))?;
            ReportTarget::File { path: path.to_owned(), file: BufWriter::new(file) }
        };
        Ok(Self { target, suite: String::new() })
    }

    /// Writes the start of the report, with the counts.
    pub(super) fn begin(&mut self, view: &TestResultsView) -> Result<(), CliError> {
        self.suite = view.name.clone().unwrap_or_else(|| view.id.clone());
        let tests = &view.tests;
        let skipped = tests.skipped.saturating_add(tests.xfailed).saturating_add(tests.todo);
        let counts = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{skipped}\"{}",
            tests.total,
            tests.failed,
            tests.errors,
            tests.duration_s.map(|time| format!(" time=\"{time:.3}\"")).unwrap_or_default()
        );
        let name = attribute(&self.suite);
        self.write(&format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n<testsuite name=\"{name}\" {counts}>\n"
        ))
    }

    /// Writes the next tests of the report.
    pub(super) fn add(&mut self, cases: &[TestCaseView]) -> Result<(), CliError> {
        let text: String = cases.iter().map(test_case).collect();
        self.write(&text)
    }

    /// Writes the end of the report.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        self.write("</testsuite>\n</testsuites>\n")?;
        match &mut self.target {
            ReportTarget::Output(_) => Ok(()),
            ReportTarget::File { path, file } => file.flush().map_err(|source| unwritable(path, source)),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), CliError> {
        match &mut self.target {
            ReportTarget::Output(context) => context.console.print(text),
            ReportTarget::File { path, file } => {
                file.write_all(text.as_bytes()).map_err(|source| unwritable(path, source))
            }
        }
    }
}

fn unwritable(path: &Path, source: std::io::Error) -> CliError {
    CliError::File { verb: "write", path: path.to_owned(), nearest: None, source }
}

/// Returns the class and the name of a test. A test without a class belongs to its file.
fn class_and_name(case: &TestCaseView) -> (&str, &str) {
    if let Some(parts) = case.id.rsplit_once("::").or_else(|| case.id.rsplit_once(" > ")) {
        return parts;
    }
    // JUnit reports separate the class from the name with a dot. The parameters of a test may contain dots too.
    let end = case.id.find(['(', '[', ' ']).unwrap_or(case.id.len());
    let dot = case.id.get(..end).and_then(|start| start.rfind('.'));
    match dot.and_then(|dot| Some((case.id.get(..dot)?, case.id.get(dot.saturating_add(1)..)?))) {
        Some((class, name)) if !class.is_empty() && !name.is_empty() => (class, name),
        Some(_) | None => (case.file.as_deref().unwrap_or_default(), &case.id),
    }
}

fn test_case(case: &TestCaseView) -> String {
    let (class, name) = class_and_name(case);
    let mut text = format!("<testcase classname=\"{}\" name=\"{}\"", attribute(class), attribute(name));
    if let Some(file) = &case.file {
        text.push_str(&format!(" file=\"{}\"", attribute(file)));
    }
    if let Some(line) = case.line {
        text.push_str(&format!(" line=\"{line}\""));
    }
    if let Some(time) = case.duration_s {
        text.push_str(&format!(" time=\"{time:.3}\""));
    }
    let message = case.message.as_deref().map(attribute).unwrap_or_default();
    let detail = match case.outcome.as_str() {
        outcome @ ("failed" | "error") => {
            let element = if outcome == "failed" { "failure" } else { "error" };
            let kind = case.kind.as_deref().map(attribute).unwrap_or_default();
            let trace = case.trace.as_deref().map(content).unwrap_or_default();
            format!("<{element} type=\"{kind}\" message=\"{message}\">{trace}</{element}>")
        }
        "skipped" | "xfailed" | "todo" => {
            let kind = if case.outcome == "xfailed" { " type=\"xfail\"" } else { "" };
            format!("<skipped{kind} message=\"{message}\"/>")
        }
        _ => String::new(),
    };
    let captured = case.captured.as_deref().filter(|captured| !captured.is_empty());
    let captured =
        captured.map(|text| format!("<system-out>{}</system-out>", content(text))).unwrap_or_default();
    if detail.is_empty() && captured.is_empty() {
        text.push_str("/>\n");
    } else {
        text.push_str(&format!(">{detail}{captured}</testcase>\n"));
    }
    text
}

fn attribute(text: &str) -> String {
    escaped(text, true)
}

fn content(text: &str) -> String {
    escaped(text, false)
}

/// Escapes a text for XML. Replaces characters that XML 1.0 cannot contain.
fn escaped(text: &str, in_attribute: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' if in_attribute => escaped.push_str("&quot;"),
            '\n' | '\t' | '\r' if in_attribute => escaped.push_str(&format!("&#{};", u32::from(char))),
            '\r' => escaped.push_str("&#13;"),
            '\n' | '\t' => escaped.push(char),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_comes_from_the_test_and_not_from_the_process() {
        for (id, file, expected) in [
            ("a.py::T::test_b", None, ("a.py::T", "test_b")),
            ("com.example.CalcTest.adds(1.5)", None, ("com.example.CalcTest", "adds(1.5)")),
            ("outer > inner", None, ("outer", "inner")),
            ("adds numbers", Some("calc.test.js"), ("calc.test.js", "adds numbers")),
            ("adds", None, ("", "adds")),
        ] {
            let case =
                TestCaseView { id: id.to_owned(), file: file.map(str::to_owned), ..TestCaseView::default() };
            assert_eq!(class_and_name(&case), expected);
        }
    }

    #[test]
    fn texts_of_tests_cannot_break_the_report() {
        let case = TestCaseView {
            id: "a.py::T::test[<\"&\u{1}>]".to_owned(),
            outcome: "failed".to_owned(),
            message: Some("x\n\"]]>".to_owned()),
            kind: Some("E".to_owned()),
            trace: Some("a < b ]]> \u{1b}[2J\n".to_owned()),
            captured: Some("out & more".to_owned()),
            file: Some("a.py".to_owned()),
            line: Some(7),
            duration_s: Some(0.25),
            ..TestCaseView::default()
        };
        assert_eq!(
            test_case(&case),
            "<testcase classname=\"a.py::T\" name=\"test[&lt;&quot;&amp;\u{fffd}&gt;]\" file=\"a.py\" line=\"7\" \
             time=\"0.250\"><failure type=\"E\" message=\"x&#10;&quot;]]&gt;\">a &lt; b ]]&gt; \u{fffd}[2J\n</failure>\
             <system-out>out &amp; more</system-out></testcase>\n"
        );
        let plain =
            TestCaseView { id: "t".to_owned(), outcome: "passed".to_owned(), ..TestCaseView::default() };
        assert_eq!(test_case(&plain), "<testcase classname=\"\" name=\"t\"/>\n");
        let skipped = TestCaseView { outcome: "xfailed".to_owned(), ..plain };
        assert!(test_case(&skipped).contains("<skipped type=\"xfail\" message=\"\"/>"));
    }
}
