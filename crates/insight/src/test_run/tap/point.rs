//! Test points (result lines) and plans of the Test Anything Protocol.

use crate::test_run::case::TestOutcome;

/// A line such as `not ok 2 - numbers # TODO later`.
#[derive(Debug)]
pub(super) struct TapPoint<'a> {
    is_ok: bool,
    number: Option<&'a str>,
    description: &'a str,
    directive: Option<&'a str>,
}

impl<'a> TapPoint<'a> {
    /// Parses a line whose leading spaces were removed.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let (is_ok, rest) = match line.strip_prefix("not ok") {
            Some(rest) => (false, rest),
            None => (true, line.strip_prefix("ok")?),
        };
        if !rest.is_empty() && !rest.starts_with(' ') {
            return None;
        }
        let rest = rest.trim();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, rest) = rest.split_at_checked(digits).unwrap_or(("", rest));
        if !(rest.is_empty() || rest.starts_with([' ', '-', '#'])) {
            return None;
        }
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("- ").unwrap_or(rest);
        let (description, directive) = split_directive(rest);
        // A line that a program prints may also start with "ok". It is a test only if a number, a dash or nothing
        // follows.
        let is_point = !number.is_empty() || description.is_empty() || line.contains(" - ");
        is_point.then_some(Self {
            is_ok,
            number: Some(number).filter(|number| !number.is_empty()),
            description,
            directive,
        })
    }

    /// Returns the result of the test.
    pub(super) fn outcome(&self) -> TestOutcome {
        let has = |word: &str| {
            self.directive
                .and_then(|directive| directive.get(..word.len()))
                .is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        if has("todo") {
            TestOutcome::Todo
        } else if has("skip") {
            TestOutcome::Skipped
        } else if self.is_ok {
            TestOutcome::Passed
        } else {
            TestOutcome::Failed
        }
    }

    /// Returns the description. If the test has none, returns its number.
    pub(super) fn name(&self) -> String {
        match (self.description, self.number) {
            ("", Some(number)) => format!("test {number}"),
            ("", None) => "test".to_owned(),
            (description, _) => description.replace("\\#", "#").replace("\\\\", "\\"),
        }
    }
}

/// Splits a text such as `later # TODO not done` at the first `#` that follows a space and has no backslash before it.
fn split_directive(text: &str) -> (&str, Option<&str>) {
    let is_directive = |at: &usize| {
        let before = text.get(..*at).unwrap_or_default();
        let word = text.get(at.saturating_add(1)..).unwrap_or_default().trim_start();
        let word = word.get(..4).unwrap_or_default();
        (before.is_empty() || before.ends_with(' '))
            && (word.eq_ignore_ascii_case("todo") || word.eq_ignore_ascii_case("skip"))
    };
    match text.match_indices('#').map(|(at, _)| at).find(is_directive) {
        Some(at) => {
            let directive = text.get(at.saturating_add(1)..).map(str::trim);
            (text.get(..at).unwrap_or_default().trim_end(), directive)
        }
        None => (text, None),
    }
}

/// Returns the number of tests in a plan such as `1..4` or `1..0 # SKIP no tool`. A number that is too large becomes
/// [`u64::MAX`].
pub(super) fn plan_of(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("1..")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at_checked(digits)?;
    let rest = rest.trim_start();
    (!number.is_empty() && (rest.is_empty() || rest.starts_with('#')))
        .then(|| number.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_have_a_name_and_a_result() {
        for (line, expected) in [
            ("ok 1 - first", Some(("first", TestOutcome::Passed))),
            ("not ok 2 - numbers \\# hash", Some(("numbers # hash", TestOutcome::Failed))),
            ("ok 3 # skip no network", Some(("test 3", TestOutcome::Skipped))),
            ("not ok 4 - later # TODO not done", Some(("later", TestOutcome::Todo))),
            ("ok", Some(("test", TestOutcome::Passed))),
            ("ok 5 - issue #12", Some(("issue #12", TestOutcome::Passed))),
            ("ok, that is fine", None),
            ("ok then", None),
            ("okay 1", None),
        ] {
            let point = TapPoint::parse(line).map(|point| (point.name(), point.outcome()));
            assert_eq!(point, expected.map(|(name, outcome)| (name.to_owned(), outcome)), "{line}");
        }
        for (line, planned) in [
            ("1..4", Some(4)),
            ("1..4 ", Some(4)),
            ("1..0 # SKIP x", Some(0)),
            ("1..99999999999", Some(99_999_999_999)),
            ("1..99999999999999999999999", Some(u64::MAX)),
            ("1..x", None),
            ("1..", None),
            ("1..4x", None),
            ("1..4 apples", None),
        ] {
            assert_eq!(plan_of(line), planned, "{line}");
        }
    }
}
