//! Failures of `go test`.

use super::{Place, ReadFailure};
use crate::test_run::case::TestFailure;
use crate::test_run::text;

/// Reads the output of a failed test: the last line that the test logged with a place, or a panic.
pub(in crate::test_run) fn read(output: &str) -> ReadFailure {
    let panic = output.lines().find_map(|line| line.strip_prefix("panic: "));
    let logged = output.lines().rev().find_map(logged);
    let (kind, message, place) = match (panic, logged) {
        (Some(panic), _) => {
            let message = panic.strip_suffix(" [recovered]").unwrap_or(panic);
            (Some("panic"), message, output.lines().find_map(frame))
        }
        (None, Some((place, message))) => (None, message, Some(place)),
        (None, None) => (None, output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(""), None),
    };
    let failure = TestFailure {
        kind: kind.map(str::to_owned),
        message: text::message(message),
        trace: text::block(output),
        ..TestFailure::default()
    };
    ReadFailure { failure, place }
}

/// Splits `    one_test.go:9: got 1, want 2`.
fn logged(line: &str) -> Option<(Place, &str)> {
    Place::find(line).filter(|(place, _)| place.file.ends_with(".go"))
}

/// Returns the place of a stack frame in a test file: `\t/project/two/two_test.go:6 +0x2e`.
fn frame(line: &str) -> Option<Place> {
    let place = line.strip_prefix('\t')?.split(' ').next()?;
    Place::parse(place).filter(|place| place.file.ends_with("_test.go"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str, line: u32) -> Option<Place> {
        Some(Place { file: file.to_owned(), line })
    }

    #[test]
    fn last_logged_line_is_the_message() {
        let read_log = read("    one_test.go:9: some log\n    one_test.go:9: got 1, want 2\n");
        assert_eq!(read_log.failure.message, "got 1, want 2");
        assert_eq!(read_log.place, place("one_test.go", 9));
    }

    #[test]
    fn panic_has_its_message_and_the_frame_of_the_test() {
        let read_panic = read(
            "panic: assignment to entry in nil map [recovered]\n\tpanic: assignment\n\ngoroutine 7 [running]:\n\
             testing.tRunner()\n\t/usr/lib/go/testing.go:1 +0x1\np.TestA()\n\t/project/two/two_test.go:6 +0x2e\n",
        );
        assert_eq!(read_panic.failure.kind.as_deref(), Some("panic"));
        assert_eq!(read_panic.failure.message, "assignment to entry in nil map");
        assert_eq!(read_panic.place, place("/project/two/two_test.go", 6));
    }
}
