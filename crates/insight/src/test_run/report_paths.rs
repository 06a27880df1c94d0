//! Finds the JUnit reports that a command writes.

use super::case::Framework;

/// Returns the paths of the JUnit reports that a command writes according to its arguments. The paths are relative to
/// the working directory of the command.
///
/// ```
/// use longhaul_insight::test_run::{Framework, junit_paths};
///
/// let argv = ["pytest", "--junitxml=out/report.xml"].map(str::to_owned);
/// assert_eq!(junit_paths(Some(Framework::Pytest), &argv), ["out/report.xml"]);
/// ```
#[must_use]
pub fn junit_paths(framework: Option<Framework>, argv: &[String]) -> Vec<String> {
    let options: &[&str] = match framework {
        Some(Framework::Pytest) => &["--junitxml", "--junit-xml"],
        Some(
            Framework::CargoTest
            | Framework::Nextest
            | Framework::GoTest
            | Framework::Jest
            | Framework::Vitest
            | Framework::Tap
            | Framework::Junit,
        )
        | None => &[],
    };
    let mut paths = Vec::new();
    let mut words = argv.iter();
    while let Some(word) = words.next() {
        for option in options {
            match word.strip_prefix(option) {
                Some("") => paths.extend(words.next().cloned()),
                Some(rest) => paths.extend(rest.strip_prefix('=').map(str::to_owned)),
                None => {}
            }
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_is_found_in_both_forms_of_the_option_and_only_for_its_framework() {
        let argv = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (words, expected) in [
            ("pytest --junitxml a.xml -q", vec!["a.xml"]),
            ("python -m pytest --junit-xml=b/c.xml", vec!["b/c.xml"]),
            ("pytest --junitxmlx=d.xml", vec![]),
            ("pytest --junitxml", vec![]),
        ] {
            assert_eq!(junit_paths(Some(Framework::Pytest), &argv(words)), expected, "{words}");
        }
        assert!(junit_paths(Some(Framework::Jest), &argv("jest --junitxml=a.xml")).is_empty());
    }
}
