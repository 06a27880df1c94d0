//! Lines that may be the start of the Test Anything Protocol.

use crate::bounded_lines::Line;

/// Maximum total length of the stored lines, in bytes.
const MAX_LEN: usize = 256 * 1024;

/// Lines that may be the start of the Test Anything Protocol. The plan of the tests identifies the format, but may come
/// after all tests. Without a plan, two tests with the numbers 1 and 2 identify the format.
#[derive(Debug, Default)]
pub(super) struct UnclearLines {
    lines: Vec<(u64, String)>,
    len: usize,
}

impl UnclearLines {
    /// Adds the line of the first test, and each line after it. Returns true for the line of the second test, which
    /// identifies the format. This line is not added, because the parser of the format reads it.
    pub(super) fn add(&mut self, line: Line<'_>) -> bool {
        let is_start = is_test(line.text, "1") || line.text.starts_with("# Subtest: ");
        if self.lines.is_empty() && !is_start {
            return false;
        }
        if is_test(line.text, "2") && self.lines.iter().any(|(_, line)| is_test(line, "1")) {
            return true;
        }
        self.len = self.len.saturating_add(line.text.len());
        if self.len > MAX_LEN {
            *self = Self::default();
        } else {
            self.lines.push((line.offset, line.text.to_owned()));
        }
        false
    }

    /// Removes and returns the lines with their offsets.
    pub(super) fn take(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.lines)
    }
}

/// Returns true for the result of the test with this number, such as `not ok 1 - name`.
fn is_test(line: &str, number: &str) -> bool {
    let rest = line.strip_prefix("not ok ").or_else(|| line.strip_prefix("ok "));
    let rest = rest.and_then(|rest| rest.strip_prefix(number));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
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
        assert_eq!(run("ok 1 - a\nthat is all\n").counts(), TestCounts::ZERO);
    }

    #[test]
    fn machine_readable_lines_of_an_unknown_command_are_a_stream() {
        let line =
            r#"{"Time":"2024-01-01T00:00:00Z","Action":"pass","Package":"p","Test":"TestA","Elapsed":0}"#;
        assert_eq!(run(&format!("{line}\n")).summary().source, TestSource::Stream);
        assert_eq!(run("running 1 test\ntest a ... ok\n").summary().source, TestSource::Console);
    }
}
