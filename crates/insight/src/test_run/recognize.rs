//! Recognizes a test framework by its output.

use super::case::{Framework, TestSource};
use crate::bounded_lines::BoundedLines;

/// Number of lines at the start of the output that are searched.
pub const RECOGNIZED_LINES: usize = 200;

/// A framework that was recognized, and the format of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecognizedOutput {
    /// Framework.
    pub framework: Framework,
    /// [`TestSource::Stream`] for machine-readable output, otherwise [`TestSource::Console`].
    pub source: TestSource,
}

/// Recognizes the framework by the first [`RECOGNIZED_LINES`] lines of the output.
#[must_use]
pub fn recognize(output: &[u8]) -> Option<RecognizedOutput> {
    let end = memchr::memchr_iter(b'\n', output).nth(RECOGNIZED_LINES - 1).unwrap_or(output.len());
    let (mut lines, mut found) = (BoundedLines::default(), None);
    lines.push(output.get(..end).unwrap_or(output), |line| {
        found = found.or_else(|| recognize_line(line.text))
    });
    lines.finish(|line| found = found.or_else(|| recognize_line(line.text)));
    found
}

/// Recognizes a line that only one framework prints.
pub(super) fn recognize_line(line: &str) -> Option<RecognizedOutput> {
    use Framework::{CargoTest, GoTest, Jest, Nextest, Pytest, Tap, Vitest};
    let console = |framework| Some(RecognizedOutput { framework, source: TestSource::Console });
    let stream = |framework| Some(RecognizedOutput { framework, source: TestSource::Stream });
    let starts = |start: &str| line.starts_with(start);
    match line.as_bytes().first()? {
        b'=' if line.contains(" test session starts =") => console(Pytest),
        b'.' | b'F' | b'E' | b's' | b'x' | b'X' | b'R' if line.ends_with("%]") && is_dots(line) => {
            console(Pytest)
        }
        b'{' if starts("{\"Time\":") && line.contains("\"Action\":") => stream(GoTest),
        b'{' if starts("{\"numFailedTestSuites\":") => stream(Jest),
        b'{' if starts("{\"numTotalTestSuites\":") => stream(Vitest),
        b'T' if starts("TAP version ") => stream(Tap),
        b'1' if starts("1..") && super::tap::is_plan(line) => stream(Tap),
        b'r' if super::console::is_start_of_cargo(line) => console(CargoTest),
        b'=' if starts("=== RUN   Test") => console(GoTest),
        b'-' if starts("--- FAIL: Test") => console(GoTest),
        b'o' if starts("ok  \t") => console(GoTest),
        b'F' if starts("FAIL\t") => console(GoTest),
        b'P' | b'F' if is_jest_file(line) => console(Jest),
        b'T' if starts("Test Suites: ") || starts("Tests:  ") => console(Jest),
        b'T' if line == "Test Summary Report" => console(Tap),
        b'F' if starts("Files=") && line.contains(", Tests=") => console(Tap),
        b' ' if starts(" Nextest run ID ") || starts("    Starting ") && line.contains(" tests across ") => {
            console(Nextest)
        }
        b' ' if starts(" RUN  v") => console(Vitest),
        _ => None,
    }
}

/// Returns true for a line of results such as `..F.s   [ 12%]`.
fn is_dots(line: &str) -> bool {
    let dots = line.split(' ').next().unwrap_or_default();
    dots.bytes().all(|byte| matches!(byte, b'.' | b'F' | b'E' | b's' | b'x' | b'X' | b'R'))
}

/// Returns true for a line such as `PASS src/a.test.ts`.
fn is_jest_file(line: &str) -> bool {
    let file = line.strip_prefix("PASS ").or_else(|| line.strip_prefix("FAIL "));
    let file = file.and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    [".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs"].iter().any(|end| file.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frameworks_are_recognized_by_their_first_lines() {
        for (output, expected) in [
            ("\n===== test session starts =====\n", Some((Framework::Pytest, TestSource::Console))),
            ("..F.   [ 12%]\n", Some((Framework::Pytest, TestSource::Console))),
            ("   Compiling a v0.1.0\n\nrunning 3 tests\n", Some((Framework::CargoTest, TestSource::Console))),
            ("PASS src/a.test.ts\n", Some((Framework::Jest, TestSource::Console))),
            (" RUN  v4.1.12 /project\n", Some((Framework::Vitest, TestSource::Console))),
            ("ok  \texample.com/a\t0.01s\n", Some((Framework::GoTest, TestSource::Console))),
            ("{\"Time\":\"1\",\"Action\":\"run\"}\n", Some((Framework::GoTest, TestSource::Stream))),
            ("# hello\nTAP version 13", Some((Framework::Tap, TestSource::Stream))),
            ("running tests\nPASSED\n1.. 2..\nok\nFAIL everything", None),
            ("", None),
        ] {
            let found = recognize(output.as_bytes()).map(|found| (found.framework, found.source));
            assert_eq!(found, expected, "{output}");
        }
    }
}
