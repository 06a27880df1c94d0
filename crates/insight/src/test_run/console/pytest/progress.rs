//! Reads the lines that pytest prints while the tests run.

use crate::test_run::case::{TestCounts, TestOutcome};

/// Returns the number of tests in `collected 9 items / 2 deselected / 7 selected` or `2 workers [9 items]`.
pub(super) fn collected(line: &str) -> Option<u64> {
    let list = match line.split_once("collected ") {
        Some((before, list)) if before.is_empty() || before == "collecting ... " => list,
        Some(_) | None => {
            let (workers, list) = line.split_once(" [")?;
            workers.strip_suffix(" workers").or_else(|| workers.strip_suffix(" worker"))?;
            list.strip_suffix(']')?
        }
    };
    let number = |word: &str| {
        list.split(" / ").find_map(|part| {
            let (number, rest) = part.split_once(' ')?;
            rest.starts_with(word).then(|| number.parse::<u64>().ok())?
        })
    };
    number("selected").or_else(|| number("item")).filter(|number| *number < 1_000_000_000)
}

/// Returns the test and the result in a line of `-v`: `a.py::test_b PASSED [ 11%]` or `[gw1] [ 11%] PASSED
/// a.py::test_b`.
pub(super) fn named(line: &str) -> Option<(&str, TestOutcome)> {
    if let Some(rest) = line.strip_prefix("[gw") {
        let (_, rest) = rest.split_once("%] ")?;
        let (word, id) = rest.split_once(' ')?;
        return Some((id.trim_end(), outcome(word)?));
    }
    let (rest, _) = split_percentage(line)?;
    let rest = rest.trim_end();
    // The reason of a skip follows in parentheses.
    let before_reason = rest.split_once(" (").map(|(before, _)| before);
    [Some(rest), before_reason].into_iter().flatten().find_map(|text| {
        let (id, word) = text.rsplit_once(' ')?;
        id.contains("::").then_some((id.trim_end(), outcome(word)?))
    })
}

fn outcome(word: &str) -> Option<TestOutcome> {
    match word {
        "PASSED" => Some(TestOutcome::Passed),
        "FAILED" => Some(TestOutcome::Failed),
        "ERROR" => Some(TestOutcome::Error),
        "SKIPPED" => Some(TestOutcome::Skipped),
        "XFAIL" => Some(TestOutcome::Xfailed),
        "XPASS" => Some(TestOutcome::Xpassed),
        _ => None,
    }
}

/// Returns the results in a line such as `tests/test_login.py .F..Fs [ 66%]`. A line that consists only of result
/// letters counts only if it ends with the progress, because a test may also print result letters.
pub(super) fn dots(line: &str) -> Option<TestCounts> {
    let (dots, has_progress) = match split_percentage(line) {
        Some((dots, _)) => (dots.trim_end(), true),
        None => (line.trim_end(), false),
    };
    let dots = match dots.split_once(".py ") {
        Some((_, dots)) => dots,
        None if has_progress => dots,
        None => return None,
    };
    let mut counts = TestCounts::ZERO;
    for dot in dots.chars() {
        counts.add(match dot {
            '.' => TestOutcome::Passed,
            'F' => TestOutcome::Failed,
            'E' => TestOutcome::Error,
            's' => TestOutcome::Skipped,
            'x' => TestOutcome::Xfailed,
            'X' => TestOutcome::Xpassed,
            // Characters for attempts that are repeated and for the results of subtests are skipped.
            'R' | ',' | 'u' | '-' => continue,
            _ => return None,
        });
    }
    (counts.total > 0).then_some(counts)
}

/// Splits the progress, such as `[ 66%]` or `[ 6/9]`, from the end of a line.
fn split_percentage(line: &str) -> Option<(&str, &str)> {
    let (rest, progress) = line.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    let number = progress.trim_start().strip_suffix('%').unwrap_or(progress.trim_start());
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'/' | b' '));
    (is_number && !number.is_empty()).then_some((rest, progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_collected_tests_are_read() {
        for (line, expected) in [
            ("collecting ... collected 9 items", Some(9)),
            ("collected 1 item / 1 error", Some(1)),
            ("collected 9 items / 2 deselected / 7 selected", Some(7)),
            ("2 workers [20 items]", Some(20)),
            ("we collected 3 items", None),
        ] {
            assert_eq!(collected(line), expected, "{line}");
        }
    }

    #[test]
    fn names_and_dots_are_read() {
        assert_eq!(
            named("a.py::test_b[x y] FAILED     [ 22%]"),
            Some(("a.py::test_b[x y]", TestOutcome::Failed))
        );
        assert_eq!(
            named("a.py::test_b SKIPPED (not now) [ 9%]"),
            Some(("a.py::test_b", TestOutcome::Skipped))
        );
        assert_eq!(named("[gw1] [ 11%] PASSED a.py::test_b "), Some(("a.py::test_b", TestOutcome::Passed)));
        let numbers = |line| dots(line).map(|counts| (counts.total, counts.failed));
        assert_eq!(numbers("tests/test_login.py .F..FsxEF          [100%]"), Some((9, 3)));
        assert_eq!(numbers("..F [ 3/9]"), Some((3, 1)));
        assert_eq!((numbers("..F"), numbers("see a.py for F"), numbers("Eggs [ 10%]")), (None, None, None));
    }
}
