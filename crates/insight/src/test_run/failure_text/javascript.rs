//! Failures of Jest, Vitest and other JavaScript test frameworks.

use super::{Place, ReadFailure, split_kind};
use crate::test_run::case::TestFailure;
use crate::test_run::text;

/// Reads the text of a failure: the error, the compared values, and the stack frames.
pub(in crate::test_run) fn read(trace: &str) -> ReadFailure {
    let first = trace.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let (kind, message) = split_kind(first);
    let (expected, actual) = compared(trace);
    let failure = TestFailure {
        kind: kind.map(str::to_owned),
        message: text::message(message),
        expected,
        actual,
        trace: text::block(trace),
        ..TestFailure::default()
    };
    ReadFailure { failure, place: trace.lines().find_map(frame) }
}

/// Returns the expected and the actual value, from the lines `Expected: 3` and `Received: 2` or from a diff.
fn compared(trace: &str) -> (Option<String>, Option<String>) {
    let (mut expected, mut actual) = (String::new(), String::new());
    let mut is_difference = false;
    for line in trace.lines() {
        let line = line.strip_prefix("    ").unwrap_or(line);
        if let Some(value) = line.strip_prefix("Expected: ") {
            expected = value.to_owned();
        } else if let Some(value) = line.strip_prefix("Received: ") {
            actual = value.to_owned();
        } else if line.starts_with("- Expected") {
            is_difference = true;
        } else if is_difference && !line.starts_with("+ Received") {
            let values = [('-', &mut expected), ('+', &mut actual)];
            for (sign, value) in values {
                if let Some(part) = line.strip_prefix(sign) {
                    if !value.is_empty() {
                        value.push('\n');
                    }
                    value.push_str(part.trim());
                }
            }
        }
        if frame(line).is_some() {
            break;
        }
    }
    (text::value(&expected), text::value(&actual))
}

/// Returns the place of a stack frame in the project: `at f (a.test.js:1:95)` or `❯ a.test.js:4:42`.
pub(in crate::test_run) fn frame(line: &str) -> Option<Place> {
    let line = line.trim_start();
    let rest = line.strip_prefix("at ").or_else(|| line.strip_prefix("❯ "))?;
    let place = match rest.rsplit_once('(') {
        Some((_, place)) => place.strip_suffix(')')?,
        None => rest.rsplit_once(' ').map_or(rest, |(_, place)| place),
    };
    let place = place.strip_prefix("file://").unwrap_or(place);
    let is_foreign = place.contains("node_modules/") || place.starts_with("node:") || place.starts_with('<');
    let place = Place::parse(place)?;
    (!is_foreign && place.file.contains('.')).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_has_the_values_and_the_first_frame_of_the_project() {
        let read_jest = read(
            "Error: expect(received).toBe(expected) // Object.is equality\n\nExpected: 3\nReceived: 2\n    \
             at toBe (node_modules/x/y.js:1:2)\n    at Object.toBe (c.test.js:2:101)",
        );
        let failure = read_jest.failure;
        assert_eq!(failure.kind.as_deref(), Some("Error"));
        assert_eq!(failure.message, "expect(received).toBe(expected) // Object.is equality");
        assert_eq!((failure.expected.as_deref(), failure.actual.as_deref()), (Some("3"), Some("2")));
        assert_eq!(read_jest.place, Some(Place { file: "c.test.js".to_owned(), line: 2 }));
        let read_vitest = read(
            "AssertionError: expected { a: 1 } to deeply equal { a: 2 }\n\n- Expected\n+ Received\n\n  {\n-   \"a\": \
             2,\n+   \"a\": 1,\n  }\n\n ❯ a.test.js:4:42",
        );
        assert_eq!(read_vitest.failure.expected.as_deref(), Some("\"a\": 2,"));
        assert_eq!(read_vitest.failure.actual.as_deref(), Some("\"a\": 1,"));
        assert_eq!(read_vitest.place, Some(Place { file: "a.test.js".to_owned(), line: 4 }));
    }
}
