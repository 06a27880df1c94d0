//! Error that is returned for command-line arguments that cannot be parsed.

use crate::json::on_one_line;
use clap::error::ErrorKind;
use longhaul_wire::api::Problem;
use std::ffi::OsString;
use std::io::Write;

/// Error of the argument parser. A requested help text is returned as this error too.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct UsageError {
    error: Box<clap::Error>,
    json: bool,
}

impl UsageError {
    pub(super) fn new(error: clap::Error, arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self { error: Box::new(error), json: wants_json(arguments) }
    }

    /// Prints the error, as JSON if JSON output was requested, and ends the program. The exit code is 0 for a help text
    /// and 2 for an error.
    pub fn exit(&self) -> ! {
        match self.problem() {
            Some(problem) => {
                let text = on_one_line(&problem).unwrap_or_default();
                // Errors of this write are ignored: if standard error is closed, the exit code still reports the
                // failure.
                let _closed = std::io::stderr().write_all(text.as_bytes());
                std::process::exit(self.error.exit_code())
            }
            None => self.error.exit(),
        }
    }

    /// Returns the error as JSON if JSON output was requested. Returns `None` without this request, and for a help
    /// text.
    fn problem(&self) -> Option<Problem> {
        if !self.json || !self.error.use_stderr() {
            return None;
        }
        let slug = "invalid_request".to_owned();
        if self.error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Some(Problem {
                slug,
                title: "the command is missing".to_owned(),
                help: Some("longhaul --help".to_owned()),
                ..Problem::default()
            });
        }
        let text = self.error.render().to_string();
        let (what, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
        let what: Vec<&str> = what.lines().map(str::trim).collect();
        let title = what.join(" ");
        let help: Vec<&str> = rest
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
            .collect();
        Some(Problem {
            slug,
            title: title.strip_prefix("error: ").unwrap_or(&title).to_owned(),
            help: Some(help.join("\n")).filter(|help| !help.is_empty()),
            ..Problem::default()
        })
    }
}

/// Returns true if the command line requests JSON output. This works even if the command line cannot be parsed.
fn wants_json(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let mut format_follows = false;
    for argument in arguments.into_iter().skip(1) {
        let Some(text) = argument.to_str() else {
            format_follows = false;
            continue;
        };
        let is_json = |format: &str| matches!(format, "json" | "ndjson");
        let attached = text.strip_prefix("--output=").or_else(|| text.strip_prefix("-o"));
        if text == "--json" || (format_follows && is_json(text)) {
            return true;
        }
        if text == "--" {
            return false;
        }
        if attached.is_some_and(|format| is_json(format.trim_start_matches('='))) {
            return true;
        }
        format_follows = matches!(text, "-o" | "--output");
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn wrong_usage_is_a_problem_where_json_is_asked_for() {
        for line in ["status --json --nonsense", "-o json status -n -1", "run -ojson", "--output=ndjson stat"]
        {
            let misread = misread(line);
            let problem = misread.problem().unwrap();
            assert_eq!(problem.slug, "invalid_request", "{line}");
            assert!(!problem.title.is_empty() && !problem.title.starts_with("error"), "{line}: {problem:?}");
            assert_eq!(misread.error.exit_code(), 2, "{line}");
        }
        let problem = misread("status --json --nonsense").problem().unwrap();
        assert_eq!(problem.title, "unexpected argument '--nonsense' found");
        assert!(problem.help.unwrap().contains("Usage: longhaul status"));
        assert_eq!(misread("--json").problem().unwrap().slug, "invalid_request");
    }

    #[test]
    fn people_get_text_and_help_stays_help() {
        assert!(misread("status --nonsense").problem().is_none());
        assert!(misread("run --nonsense -- cat --json").problem().is_none());
        assert!(misread("--json --help").problem().is_none());
    }

    fn misread(line: &str) -> UsageError {
        let words: Vec<OsString> = ["longhaul"].into_iter().chain(line.split(' ')).map(Into::into).collect();
        UsageError::new(read(words.clone()).unwrap_err(), words)
    }
}
