//! Recognizes a test framework by a line of its output.

use super::case::{Framework, TestSource};

/// A framework that was recognized, and the format of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecognizedOutput {
    /// Framework.
    pub(super) framework: Framework,
    /// [`TestSource::Stream`] for machine-readable output, otherwise [`TestSource::Console`].
    pub(super) source: TestSource,
}

/// Actions of `go test -json`.
const GO_ACTIONS: [&str; 10] =
    ["start", "run", "pause", "cont", "pass", "bench", "fail", "output", "skip", "build-output"];

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
        b'{' if is_go_event(line) => stream(GoTest),
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

/// Returns true for an event of `go test -json`. `go tool test2json` leaves out the time, and the first event of a
/// package that is compiled starts with its path.
fn is_go_event(line: &str) -> bool {
    if line.starts_with("{\"Time\":") {
        return line.contains("\"Action\":");
    }
    if line.starts_with("{\"ImportPath\":") {
        return line.contains("\"Action\":\"build-");
    }
    let action = line.strip_prefix("{\"Action\":\"").and_then(|rest| rest.split('"').next());
    action.is_some_and(|action| GO_ACTIONS.contains(&action))
        && (line.contains("\"Package\":") || line.contains("\"Test\":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frameworks_are_recognized_by_one_line() {
        for (line, expected) in [
            ("===== test session starts =====", Some((Framework::Pytest, TestSource::Console))),
            ("..F.   [ 12%]", Some((Framework::Pytest, TestSource::Console))),
            ("running 3 tests", Some((Framework::CargoTest, TestSource::Console))),
            ("PASS src/a.test.ts", Some((Framework::Jest, TestSource::Console))),
            (" RUN  v4.1.12 /project", Some((Framework::Vitest, TestSource::Console))),
            ("ok  \texample.com/a\t0.01s", Some((Framework::GoTest, TestSource::Console))),
            ("{\"Time\":\"1\",\"Action\":\"run\"}", Some((Framework::GoTest, TestSource::Stream))),
            (
                "{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"TestA\"}",
                Some((Framework::GoTest, TestSource::Stream)),
            ),
            ("{\"Action\":\"run\",\"Test\":\"TestA\"}", Some((Framework::GoTest, TestSource::Stream))),
            ("{\"Action\":\"deploy\",\"Package\":\"p\"}", None),
            ("{\"Action\":\"run\"}", None),
            (
                "{\"ImportPath\":\"p\",\"Action\":\"build-output\",\"Output\":\"# p\"}",
                Some((Framework::GoTest, TestSource::Stream)),
            ),
            ("TAP version 13", Some((Framework::Tap, TestSource::Stream))),
            ("1..99999999999", Some((Framework::Tap, TestSource::Stream))),
            ("1..3 # SKIP no tool", Some((Framework::Tap, TestSource::Stream))),
            ("1.. 2..", None),
            ("1..3 of 9 files copied", None),
            ("PASSED", None),
            ("FAIL everything", None),
            ("", None),
        ] {
            let found = recognize_line(line).map(|found| (found.framework, found.source));
            assert_eq!(found, expected, "{line}");
        }
    }
}
