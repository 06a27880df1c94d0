//! Failures of pytest.

use super::{Place, ReadFailure, split_kind};
use crate::test_run::case::{TestFailure, TestPhase};
use crate::test_run::text;

/// Reads the message and the traceback that pytest writes to a report.
pub(in crate::test_run) fn read(message: &str, trace: &str) -> ReadFailure {
    let (phase, message) = phase_of(message);
    let error_lines = || trace.lines().filter_map(|line| line.strip_prefix("E   "));
    let message = match phase {
        // If the message is only "collection failure", the last line of the traceback contains the error.
        TestPhase::Collect => error_lines().next_back().unwrap_or(message).to_owned(),
        TestPhase::Setup | TestPhase::Call | TestPhase::Teardown => message.to_owned(),
    };
    let message = if message.trim().is_empty() {
        error_lines().next().or_else(|| trace.lines().next()).unwrap_or_default().to_owned()
    } else {
        message
    };
    let end = end_of(trace);
    let mut read = read_message(phase, &message);
    if let Some((place, kind)) = end {
        read.place = Some(place);
        read.failure.kind = read.failure.kind.or_else(|| kind.map(str::to_owned));
    }
    read.failure.trace = text::block(trace);
    read
}

/// Reads the text of an exception, such as `AssertionError: wrong user`. Further lines may explain a failed assertion.
fn read_message(phase: TestPhase, message: &str) -> ReadFailure {
    let (kind, rest) = split_kind(message);
    let (expected, actual) = compared(rest);
    let is_assertion = kind.is_none() && rest.starts_with("assert ");
    let kind = if is_assertion { Some("AssertionError") } else { kind };
    let failure = TestFailure {
        phase,
        kind: kind.map(str::to_owned),
        message: text::message(rest),
        expected,
        actual,
        ..TestFailure::default()
    };
    ReadFailure { failure, place: None }
}

/// Returns the phase that failed, and the message of the exception.
fn phase_of(message: &str) -> (TestPhase, &str) {
    let inner = |prefix: &str| {
        let rest = message.strip_prefix(prefix)?;
        rest.strip_prefix('"').map(|rest| rest.strip_suffix('"').unwrap_or(rest)).or(Some(rest))
    };
    if let Some(rest) = inner("failed on setup with ") {
        (TestPhase::Setup, rest)
    } else if let Some(rest) = inner("failed on teardown with ") {
        (TestPhase::Teardown, rest)
    } else if message == "collection failure" {
        (TestPhase::Collect, "")
    } else {
        (TestPhase::Call, message)
    }
}

/// Returns the expected and the actual value in `assert actual == expected`.
pub(in crate::test_run) fn compared(message: &str) -> (Option<String>, Option<String>) {
    let comparison = message.lines().take(2).find_map(|line| line.trim().strip_prefix("assert "));
    match comparison.map(|comparison| comparison.split(" == ").collect::<Vec<_>>()).as_deref() {
        Some([actual, expected]) => (text::value(expected), text::value(actual)),
        Some(_) | None => (None, None),
    }
}

/// Returns the last place in a traceback, and the error type if it follows the place.
fn end_of(trace: &str) -> Option<(Place, Option<&str>)> {
    trace.lines().rev().find_map(|line| {
        let (place, rest) = line.split_once(": ")?;
        let place = if line.starts_with(char::is_whitespace) { None } else { Place::parse(place) }?;
        let kind = rest.rsplit('.').next().filter(|kind| super::is_kind(kind));
        (kind.is_some() || rest.starts_with("in ")).then_some((place, kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str, line: u32) -> Option<Place> {
        Some(Place { file: file.to_owned(), line })
    }

    #[test]
    fn assertion_has_its_values_and_its_location() {
        let message = "AssertionError: wrong user\nassert 'bob' == 'alice'\n  \n  - alice\n  + bob";
        let read = read(message, "E   AssertionError: wrong user\n\ntests/test_login.py:5: AssertionError");
        let failure = read.failure;
        assert_eq!(failure.kind.as_deref(), Some("AssertionError"));
        assert_eq!(failure.message, "wrong user");
        assert_eq!(
            (failure.expected.as_deref(), failure.actual.as_deref()),
            (Some("'alice'"), Some("'bob'"))
        );
        assert_eq!(read.place, place("tests/test_login.py", 5));
    }

    #[test]
    fn phase_is_read_from_the_message() {
        let read_setup = read("failed on setup with \"RuntimeError: no db\"", "a.py:13: RuntimeError");
        assert_eq!(
            (read_setup.failure.phase, read_setup.failure.message.as_str()),
            (TestPhase::Setup, "no db")
        );
        let trace =
            "a.py:1: in <module>\n    import nosuch\nE   ModuleNotFoundError: No module named 'nosuch'";
        let read_collect = read("collection failure", trace);
        assert_eq!(read_collect.failure.phase, TestPhase::Collect);
        assert_eq!(read_collect.failure.kind.as_deref(), Some("ModuleNotFoundError"));
        assert_eq!(read_collect.failure.message, "No module named 'nosuch'");
        assert_eq!(read_collect.place, place("a.py", 1));
    }

    #[test]
    fn plain_assertion_has_a_type() {
        let failure = read("assert 3 < 3", "").failure;
        assert_eq!(
            (failure.kind.as_deref(), failure.message.as_str()),
            (Some("AssertionError"), "assert 3 < 3")
        );
    }
}
