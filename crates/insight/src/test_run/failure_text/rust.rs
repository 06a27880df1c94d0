//! Failures of Rust's test programs.

use super::{Place, ReadFailure};
use crate::test_run::case::TestFailure;
use crate::test_run::text;

/// Starts of the lines after which the message of a panic ends.
const ENDS: [&str; 4] = ["stack backtrace:", "note: ", "  left: ", " right: "];

/// Reads the output of a failed test.
pub(in crate::test_run) fn read(output: &str) -> ReadFailure {
    let mut read = read_panic(output)
        .or_else(|| read_note(output))
        .or_else(|| read_error(output))
        .unwrap_or_else(|| message_only(None, output.lines().find(|line| !line.trim().is_empty())));
    read.failure.trace = text::block(output);
    read
}

/// Reads a line such as `thread 'x' (1) panicked at src/lib.rs:7:42:` and the lines after it.
fn read_panic(output: &str) -> Option<ReadFailure> {
    let mut lines = output.lines();
    let header = lines.find(|line| line.starts_with("thread '") && line.contains(" panicked at "))?;
    let (_, rest) = header.split_once(" panicked at ")?;
    let mut read = if let Some(place) = rest.strip_suffix(':') {
        let mut read = message_only(Some("panic"), lines.next());
        read.place = Place::parse(place);
        read
    } else {
        // Format before Rust 1.73: `thread 'x' panicked at 'message', src/lib.rs:7:42`.
        let (message, place) = rest.rsplit_once(", ").unwrap_or((rest, ""));
        let mut read = message_only(Some("panic"), Some(message.trim_matches('\'')));
        read.place = Place::parse(place);
        read
    };
    for line in output.lines() {
        if let Some(value) = line.strip_prefix("  left: ") {
            read.failure.actual = text::value(value);
        } else if let Some(value) = line.strip_prefix(" right: ") {
            read.failure.expected = text::value(value);
        }
    }
    if output.contains("note: panic did not contain expected string") {
        let value = |name: &str| {
            let line = output.lines().find_map(|line| line.trim_start().strip_prefix(name))?;
            text::value(line)
        };
        read.failure.expected = value("expected substring: ");
        read.failure.actual = value("panic message: ");
        read.failure.message = "panic did not contain expected string".to_owned();
    }
    Some(read)
}

/// Reads a note of the test harness: `note: test did not panic as expected at src/lib.rs:9:29`.
fn read_note(output: &str) -> Option<ReadFailure> {
    let note = output.lines().find_map(|line| line.strip_prefix("note: "))?;
    let (message, place) = note.split_once(" at ").unwrap_or((note, ""));
    let mut read = message_only(None, Some(message));
    read.place = Place::parse(place);
    Some(read)
}

/// Reads the error that a test returned: `Error: "disk is full"`.
fn read_error(output: &str) -> Option<ReadFailure> {
    let message = output.lines().find_map(|line| line.strip_prefix("Error: "))?;
    Some(message_only(Some("Error"), Some(message)))
}

fn message_only(kind: Option<&str>, line: Option<&str>) -> ReadFailure {
    let line = line.filter(|line| !ENDS.iter().any(|end| line.starts_with(end))).unwrap_or_default();
    let failure =
        TestFailure { kind: kind.map(str::to_owned), message: text::message(line), ..TestFailure::default() };
    ReadFailure { failure, place: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str, line: u32) -> Option<Place> {
        Some(Place { file: file.to_owned(), line })
    }

    #[test]
    fn panic_has_its_values_and_its_location() {
        let read_panic = read(
            "about to\n\nthread 'tests::bad' (12) panicked at src/lib.rs:7:42:\nassertion `left == right` failed: \
             sum is off\n  left: 2\n right: 3\n",
        );
        let failure = read_panic.failure;
        assert_eq!(failure.message, "assertion `left == right` failed: sum is off");
        assert_eq!((failure.actual.as_deref(), failure.expected.as_deref()), (Some("2"), Some("3")));
        assert_eq!(read_panic.place, place("src/lib.rs", 7));
        let old = read("thread 'a' panicked at 'no, not now', src/a.rs:1:2\n");
        assert_eq!((old.failure.message.as_str(), old.place), ("no, not now", place("src/a.rs", 1)));
    }

    #[test]
    fn missing_panic_and_returned_error_are_read() {
        let note = read("note: test did not panic as expected at src/lib.rs:9:29");
        assert_eq!(note.failure.message, "test did not panic as expected");
        assert_eq!(note.place, place("src/lib.rs", 9));
        let error = read("Error: \"disk is full\"\n").failure;
        assert_eq!((error.kind.as_deref(), error.message.as_str()), (Some("Error"), "\"disk is full\""));
    }
}
