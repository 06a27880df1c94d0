//! Lines that may belong to the Test Anything Protocol.

use crate::bounded_lines::Line;
use crate::test_run::tap;

/// Maximum total length of the stored lines, in bytes.
const MAX_LEN: usize = 4 * 1024 * 1024;
/// Approximate memory for one stored line in addition to its text, in bytes.
const LINE_OVERHEAD: usize = 32;

/// Lines that may belong to the Test Anything Protocol.
///
/// A program can print words such as `ok 1 - connected` without running a test. Only the version line or the plan of the
/// tests identifies the format. The plan may come after all tests, so the lines before it are stored.
#[derive(Debug, Default)]
pub(super) struct UnclearLines {
    lines: Vec<(u64, String)>,
    len: usize,
    /// True if the lines were too long to be stored.
    is_full: bool,
}

impl UnclearLines {
    /// Adds a line that may contain the result of a test or explain a result. Other lines are ignored.
    pub(super) fn add(&mut self, line: Line<'_>) {
        if self.is_full || self.lines.is_empty() && line.text.starts_with(' ') || !tap::is_result(line.text) {
            return;
        }
        self.len = self.len.saturating_add(line.text.len()).saturating_add(LINE_OVERHEAD);
        if self.len > MAX_LEN {
            *self = Self { is_full: true, ..Self::default() };
        } else {
            self.lines.push((line.offset, line.text.to_owned()));
        }
    }

    /// Removes and returns the lines with their offsets. Returns `None` if the lines were too long to be stored.
    pub(super) fn take(&mut self) -> Option<Vec<(u64, String)>> {
        (!self.is_full).then(|| std::mem::take(&mut self.lines))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_run::{ConsoleParser, TestCounts, TestParser as _, TestRun, TestSource};

    fn run(output: &str) -> TestRun {
        let (mut parser, mut run) = (ConsoleParser::new(None), TestRun::new(TestSource::Console));
        parser.push_at(0, output.as_bytes(), &mut |event| run.add(&event));
        parser.finish(&mut |event| run.add(&event));
        run
    }

    #[test]
    fn plan_may_follow_the_tests() {
        for output in
            ["ok 1 - a\nnot ok 2 - b\n1..2\n", "hello\nok 1 - a\nnot ok 2 - b\n  ---\n  ...\n1..2\n"]
        {
            let summary = run(output).summary();
            let expected = TestCounts { total: 2, passed: 1, failed: 1, ..TestCounts::ZERO };
            assert_eq!((summary.counts, summary.collected, summary.complete), (expected, Some(2), true));
            assert_eq!(summary.source, TestSource::Stream);
            let offset = summary.failures[0].offset.unwrap();
            assert!(output[usize::try_from(offset).unwrap()..].starts_with("not ok 2"));
        }
        let single = run("ok 1 - a\n1..1\n").summary();
        assert_eq!((single.counts.total, single.complete), (1, true));
    }

    #[test]
    fn results_without_version_and_plan_are_no_test_run() {
        for output in [
            "ok 1 - a\nthat is all\n",
            "connecting\nok 1 - connected\nok 2 - sent\nnot ok 3 - closed\ndone\n",
            "# Subtest: a\n    ok 1 - b\n    1..1\nok 1 - a\n",
            "ok 1 - copied\n1..3 of 9 files copied\n",
        ] {
            let run = run(output);
            assert_eq!((run.counts(), run.is_recognized()), (TestCounts::ZERO, false), "{output}");
        }
        for output in ["TAP version 14\nok 1 - a\n", "1..2\nok 1 - a\n"] {
            assert_eq!((run(output).counts().passed, run(output).is_complete()), (1, false), "{output}");
        }
    }

    #[test]
    fn plan_after_more_results_than_can_be_stored_is_an_incomplete_run() {
        let result = format!("ok 1 - {}\n", "n".repeat(1000));
        let summary = run(&(result.repeat(5_000) + "1..5000\n")).summary();
        assert_eq!((summary.counts.total, summary.collected, summary.complete), (0, Some(5000), false));
        assert!(summary.unreadable.is_some());
    }

    #[test]
    fn huge_plan_leaves_the_run_incomplete() {
        for (plan, collected) in [
            ("1..99999999", Some(99_999_999)),
            ("1..99999999999", Some(99_999_999_999)),
            ("1..99999999999999999999", None),
        ] {
            let summary = run(&format!("{plan}\nok 1 - a\nnot ok 2 - b\n")).summary();
            assert_eq!((summary.counts.total, summary.counts.failed), (2, 1), "{plan}");
            assert_eq!((summary.collected, summary.complete), (collected, false), "{plan}");
        }
    }

    #[test]
    fn machine_readable_lines_of_an_unknown_command_are_a_stream() {
        let line =
            r#"{"Time":"2024-01-01T00:00:00Z","Action":"pass","Package":"p","Test":"TestA","Elapsed":0}"#;
        assert_eq!(run(&format!("{line}\n")).summary().source, TestSource::Stream);
        assert_eq!(run("running 1 test\ntest a ... ok\n").summary().source, TestSource::Console);
    }
}
