//! Writes JUnit XML reports.

use std::fmt::Write as _;

/// Result of a test in a JUnit report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JunitResult {
    /// The test passed.
    Passed,
    /// The test failed.
    Failed,
    /// The test could not run to its end.
    Error,
    /// The test was skipped, or failed as expected.
    Skipped,
}

/// One test in a JUnit report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JunitTest<'a> {
    /// Name of the test.
    pub name: &'a str,
    /// Source file; the report uses it as the class name.
    pub file: Option<&'a str>,
    /// Line in the source file.
    pub line: Option<u32>,
    /// Duration in seconds.
    pub seconds: Option<f64>,
    /// Result.
    pub result: JunitResult,
    /// Type of the failure.
    pub kind: Option<&'a str>,
    /// Message of the failure, or reason why the test was skipped.
    pub message: Option<&'a str>,
    /// Full text of the failure.
    pub text: Option<&'a str>,
    /// Output of the test.
    pub output: Option<&'a str>,
}

/// Numbers of tests in a JUnit report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JunitTotals {
    /// Number of all tests.
    pub tests: u64,
    /// Number of failed tests.
    pub failures: u64,
    /// Number of tests that could not run to their end.
    pub errors: u64,
    /// Number of skipped tests.
    pub skipped: u64,
}

/// Returns the start of a report with one suite. The tests and [`JUNIT_END`] follow.
///
/// ```
/// use longhaul_view::{JUNIT_END, JunitResult, JunitTest, JunitTotals, junit_start, junit_test};
///
/// let totals = JunitTotals { tests: 1, ..JunitTotals::default() };
/// let test = JunitTest {
///     name: "adds", file: None, line: None, seconds: Some(0.5), result: JunitResult::Passed,
///     kind: None, message: None, text: None, output: None,
/// };
/// let report = junit_start("unit", totals, Some(0.5)) + &junit_test(&test) + JUNIT_END;
/// assert!(report.contains("<testcase classname=\"\" name=\"adds\" time=\"0.500\"/>"));
/// ```
#[must_use]
pub fn junit_start(suite: &str, totals: JunitTotals, seconds: Option<f64>) -> String {
    let JunitTotals { tests, failures, errors, skipped } = totals;
    let mut numbers =
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"");
    if let Some(seconds) = seconds {
        push(&mut numbers, format_args!(" time=\"{seconds:.3}\""));
    }
    let name = escaped(suite);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{name}\" {numbers}>\n"
    )
}

/// End of a report whose start [`junit_start`] returned.
pub const JUNIT_END: &str = "</testsuite>\n</testsuites>\n";

/// Returns the XML element of one test.
#[must_use]
pub fn junit_test(test: &JunitTest<'_>) -> String {
    let mut element = format!(
        "<testcase classname=\"{}\" name=\"{}\"",
        escaped(test.file.unwrap_or_default()),
        escaped(test.name)
    );
    if let Some(file) = test.file {
        push(&mut element, format_args!(" file=\"{}\"", escaped(file)));
    }
    if let Some(line) = test.line {
        push(&mut element, format_args!(" line=\"{line}\""));
    }
    if let Some(seconds) = test.seconds {
        push(&mut element, format_args!(" time=\"{seconds:.3}\""));
    }
    let tag = match test.result {
        JunitResult::Passed => None,
        JunitResult::Failed => Some("failure"),
        JunitResult::Error => Some("error"),
        JunitResult::Skipped => Some("skipped"),
    };
    if tag.is_none() && test.output.is_none() {
        element.push_str("/>\n");
        return element;
    }
    element.push('>');
    if let Some(tag) = tag {
        push(&mut element, format_args!("<{tag} message=\"{}\"", escaped(test.message.unwrap_or_default())));
        if let Some(kind) = test.kind {
            push(&mut element, format_args!(" type=\"{}\"", escaped(kind)));
        }
        match test.text {
            Some(text) => push(&mut element, format_args!(">{}</{tag}>", escaped(text))),
            None => element.push_str("/>"),
        }
    }
    if let Some(output) = test.output {
        push(&mut element, format_args!("<system-out>{}</system-out>", escaped(output)));
    }
    element.push_str("</testcase>\n");
    element
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(part);
}

/// Escapes a text for an attribute or an element. Replaces control characters that XML does not allow.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_written_with_its_texts_and_hostile_characters_are_escaped() {
        let test = JunitTest {
            name: "a \"b\" <c>",
            file: Some("t.py"),
            line: Some(3),
            seconds: Some(1.25),
            result: JunitResult::Failed,
            kind: Some("AssertionError"),
            message: Some("x < y\n& more"),
            text: Some("]]> \u{1b}[31mred"),
            output: Some("out"),
        };
        assert_eq!(
            junit_test(&test),
            "<testcase classname=\"t.py\" name=\"a &quot;b&quot; &lt;c&gt;\" file=\"t.py\" line=\"3\" time=\"1.250\">\
             <failure message=\"x &lt; y&#10;&amp; more\" type=\"AssertionError\">]]&gt; \u{fffd}[31mred</failure>\
             <system-out>out</system-out></testcase>\n"
        );
        let skipped =
            JunitTest { result: JunitResult::Skipped, text: None, output: None, kind: None, ..test };
        assert!(
            junit_test(&skipped).ends_with("<skipped message=\"x &lt; y&#10;&amp; more\"/></testcase>\n")
        );
    }
}
