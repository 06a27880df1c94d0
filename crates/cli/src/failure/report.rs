//! Formats an error for people: at most five lines with the problem, the reason and advice, followed by lines to copy.

use super::CliError;
use crate::explain::explanation;
use longhaul_client::{ClientError, StartError};
use longhaul_view::clean_label;
use longhaul_wire::api::{PROTOCOL, Problem};
use std::fmt::Write;

/// Maximum number of candidates (such as matching ids) that an error message lists.
const MAX_CANDIDATES: usize = 6;
/// Maximum number of lines with advice. It limits the whole report to five lines.
const MAX_HELP: usize = 3;

/// Advice if the manager program cannot be executed.
pub(crate) const INSTALLATION: &str =
    "install the programs longhaul, longhauld and longhaul-shim in one directory";

/// Text of an error for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorReport {
    pub(crate) what: String,
    pub(crate) slug: String,
    pub(crate) why: Option<String>,
    pub(crate) help: Vec<String>,
    /// Lines that the user can copy unchanged.
    pub(crate) paste: Option<String>,
}

impl ErrorReport {
    /// Returns the report as text. The function `paint` adds color to the word `error:`.
    pub(crate) fn text(&self, paint: impl Fn(&str) -> String) -> String {
        let mut text = format!("{} {}  [{}]\n", paint("error:"), one_line(&self.what), one_line(&self.slug));
        if let Some(why) = &self.why {
            let _infallible = writeln!(text, "  why:  {}", one_line(why));
        }
        for (index, line) in self.help.iter().take(MAX_HELP).enumerate() {
            let label = if index == 0 { "help:" } else { "     " };
            let _infallible = writeln!(text, "  {label} {}", one_line(line));
        }
        for line in self.paste.iter().flat_map(|paste| paste.lines()) {
            let _infallible = writeln!(text, "{}", clean_label(line));
        }
        text
    }

    /// Returns the advice and the lines to copy as one text. Returns `None` if there are neither.
    pub(crate) fn advice(&self) -> Option<String> {
        let mut advice = self.help.join("; ");
        if let Some(paste) = &self.paste {
            let _infallible = write!(advice, "\n{paste}");
        }
        Some(advice).filter(|advice| !advice.is_empty())
    }
}

/// Returns the report that describes a failure to people.
pub(crate) fn report(failure: &CliError) -> ErrorReport {
    let (why, help) = match failure {
        CliError::Client(ClientError::Problem { problem }) => return report_of_problem(problem),
        CliError::Client(error) => advice_of_client(error),
        CliError::Unclear { cause, launch_key } => (report(cause).why, look_for_it(*launch_key)),
        CliError::Untold { id, source, .. } => (
            Some(source.to_string()),
            vec![format!("longhaul status {id}      show the status of the process")],
        ),
        CliError::Usage { why, help, .. } | CliError::Unfinished { why, help, .. } => {
            (why.clone(), vec![help.clone()])
        }
        CliError::Choice { candidates, help, .. } => (named(candidates), vec![help.clone()]),
        CliError::NotText { .. } => (
            Some("records of processes contain only UTF-8 text".to_owned()),
            vec!["rename the file, or pass its name inside another file".to_owned()],
        ),
        CliError::File { source, nearest, .. } => (
            Some(source.to_string()),
            vec![match nearest {
                Some(nearest) => format!("the nearest existing path is {}", nearest.display()),
                None => "use another path, or fix the cause named above".to_owned(),
            }],
        ),
        CliError::Unchanged { why, .. } => {
            (Some(why.clone()), vec!["add these lines to the file yourself:".to_owned()])
        }
        CliError::Output { source } => (Some(source.to_string()), Vec::new()),
        CliError::Interrupted => (None, Vec::new()),
    };
    let paste = if let CliError::Unchanged { paste, .. } = failure { Some(paste.clone()) } else { None };
    ErrorReport { what: failure.to_string(), slug: failure.slug().to_owned(), why, help, paste }
}

/// Returns the reason for a failed request, and advice.
fn advice_of_client(error: &ClientError) -> (Option<String>, Vec<String>) {
    match error {
        ClientError::Problem { .. } => (None, Vec::new()),
        ClientError::Down { state_dir, started, source, .. } => (
            Some(match started {
                None => source.to_string(),
                Some(error) => match error.last_lines().last() {
                    Some(line) => format!("{error}; its log ends with: {line}"),
                    None => error.to_string(),
                },
            }),
            match started {
                Some(StartError::Spawn { .. }) => vec![INSTALLATION.to_owned()],
                _ => vec![
                    "longhaul serve      run the manager".to_owned(),
                    format!("see {}", state_dir.join("manager.log").display()),
                ],
            },
        ),
        ClientError::Forbidden { source, .. } => (
            Some(source.to_string()),
            vec!["use --state-dir to name a state directory that you own".to_owned()],
        ),
        ClientError::Stranger { .. } => (
            Some("the answer of the program names no longhaul protocol".to_owned()),
            vec!["use --state-dir to name the state directory of a manager".to_owned()],
        ),
        ClientError::Protocol { theirs, manager } => (
            Some(format!(
                "the manager is {} with protocol {theirs}, this program is {} with protocol {PROTOCOL}",
                manager.as_deref().unwrap_or("of another version"),
                env!("CARGO_PKG_VERSION"),
            )),
            vec![
                "end the old manager, then start the new one: longhaul serve      run the manager of this \
                 version"
                    .to_owned(),
                "running processes continue".to_owned(),
            ],
        ),
        ClientError::Broken { why } => (
            Some(why.clone()),
            vec!["longhaul status      check whether the request was executed".to_owned()],
        ),
        ClientError::Silent { stopped: Some(pid), .. } => (
            Some(format!("the manager process {pid} is stopped by a signal, such as SIGSTOP")),
            vec![format!("kill -CONT {pid}      resume the manager; running processes continue")],
        ),
        ClientError::Silent { stopped: None, .. } => {
            (None, vec!["longhaul version      see whether the manager answers".to_owned()])
        }
        ClientError::NotJson { source } => {
            (Some(source.to_string()), vec!["leave out values that cannot be represented in JSON".to_owned()])
        }
        ClientError::InvalidPath { why, .. } => {
            (Some(why.clone()), vec!["longhaul status -a      lists all processes".to_owned()])
        }
    }
}

/// Returns advice for a launch whose response was lost. `launch_key` says whether the launch has a launch key; `None`
/// means that it cannot have one.
fn look_for_it(launch_key: Option<bool>) -> Vec<String> {
    let mut help = vec!["longhaul status -a      check whether the process exists".to_owned()];
    match launch_key {
        Some(true) => help
            .push("or try again with the same --launch-key, which never starts a second process".to_owned()),
        Some(false) => help.push("a launch with --launch-key KEY can be repeated safely".to_owned()),
        None => {}
    }
    help
}

fn report_of_problem(problem: &Problem) -> ErrorReport {
    let mut help: Vec<String> =
        problem.help.iter().flat_map(|help| help.lines()).map(str::to_owned).collect();
    if help.is_empty() && explanation(&problem.slug).is_some() {
        help.push(format!("longhaul explain {}", problem.slug));
    }
    ErrorReport {
        what: if problem.title.is_empty() {
            format!("the manager answered with status {}", problem.status)
        } else {
            problem.title.clone()
        },
        slug: problem.slug.clone(),
        why: match (detail(problem), named(&problem.candidates)) {
            (Some(detail), Some(named))
                if !problem.candidates.iter().any(|each| detail.contains(each.as_str())) =>
            {
                Some(format!("{detail}: {named}"))
            }
            (Some(detail), _) => Some(detail),
            (None, named) => named,
        },
        help,
        paste: None,
    }
}

/// Returns the reason for a problem. Adds the differing fields and the usage of the level limit, unless the title
/// already contains them.
fn detail(problem: &Problem) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let is_said = |word: &str| problem.title.contains(word);
    if !problem.differs.is_empty() && !problem.differs.iter().all(|each| is_said(each)) {
        parts.push(format!("different fields: {}", problem.differs.join(", ")));
    }
    if let (Some(level), Some(max)) = (problem.level, problem.max)
        && !is_said(&max.to_string())
    {
        let used = problem.used.map(|used| format!("{used} of ")).unwrap_or_default();
        parts.push(format!("level {level}, {used}{max}"));
    }
    parts.extend(problem.detail.clone());
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn named(candidates: &[String]) -> Option<String> {
    if candidates.is_empty() {
        return None;
    }
    let mut text = candidates.iter().take(MAX_CANDIDATES).cloned().collect::<Vec<_>>().join(", ");
    let more = candidates.len().saturating_sub(MAX_CANDIDATES);
    if more > 0 {
        let _infallible = write!(text, " and {more} more");
    }
    Some(text)
}

fn one_line(text: &str) -> String {
    clean_label(&text.trim().replace('\n', " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn refusal_of_the_manager_is_printed_as_message_reason_and_help() {
        let failure = CliError::from(Problem {
            slug: "invalid_status_transition".to_owned(),
            title: "cannot pause k3f9x2: it is already completed".to_owned(),
            status: 409,
            detail: Some("paused is reachable only from running".to_owned()),
            help: Some(
                "longhaul restart k3f9x2      run it again\nlonghaul explain invalid_status_transition"
                    .to_owned(),
            ),
            ..Problem::default()
        });
        assert_eq!(
            text(&failure),
            "error: cannot pause k3f9x2: it is already completed  [invalid_status_transition]\n  \
             why:  paused is reachable only from running\n  \
             help: longhaul restart k3f9x2      run it again\n        \
             longhaul explain invalid_status_transition\n"
        );
    }

    #[test]
    fn ambiguous_reference_names_the_candidates() {
        let failure = CliError::from(Problem {
            slug: "ambiguous_id".to_owned(),
            title: "abcd means more than one process".to_owned(),
            candidates: (0..8).map(|n| format!("abcd{n}")).collect(),
            ..Problem::default()
        });
        assert_eq!(
            text(&failure),
            "error: abcd means more than one process  [ambiguous_id]\n  \
             why:  abcd0, abcd1, abcd2, abcd3, abcd4, abcd5 and 2 more\n  \
             help: longhaul explain ambiguous_id\n"
        );
    }

    #[test]
    fn refusal_names_the_differences_and_the_number_of_processes() {
        let conflict = Problem {
            slug: "key_conflict".to_owned(),
            title: "the launch key has another launch".to_owned(),
            differs: vec!["command".to_owned(), "directory".to_owned()],
            ..Problem::default()
        };
        assert!(text(&conflict.into()).contains("why:  different fields: command, directory\n"));
        let full = |title: &str| Problem {
            slug: "level_limit_reached".to_owned(),
            title: title.to_owned(),
            level: Some(1),
            used: Some(20),
            max: Some(20),
            ..Problem::default()
        };
        assert!(text(&full("the tree is full").into()).contains("why:  level 1, 20 of 20\n"));
        assert!(!text(&full("level 1 has 20 of 20").into()).contains("why:"));
    }

    #[test]
    fn missing_manager_names_socket_and_log() {
        let down = ClientError::Down {
            socket: "/s/longhaul.sock".into(),
            state_dir: "/s".into(),
            started: None,
            source: io::Error::from(io::ErrorKind::NotFound),
        };
        let text = text(&down.into());
        assert!(text.contains("/s/longhaul.sock") && text.contains("/s/manager.log"), "{text}");
        assert!(text.lines().count() <= 5);
    }

    #[test]
    fn other_protocol_names_both_versions_and_the_way_out() {
        let text =
            text(&ClientError::Protocol { theirs: "2".to_owned(), manager: Some("9.9.9".to_owned()) }.into());
        assert!(text.contains("9.9.9 with protocol 2"), "{text}");
        assert!(text.contains(concat!(env!("CARGO_PKG_VERSION"), " with protocol 1")), "{text}");
        assert!(text.contains("longhaul serve"), "{text}");
    }

    #[test]
    fn untrusted_text_cannot_control_the_terminal() {
        let failure = CliError::from(Problem {
            slug: "x\u{1b}[2J".to_owned(),
            title: "evil \u{1b}]0;title\u{7} name".to_owned(),
            detail: Some("a\nb".to_owned()),
            help: Some("1\n2\n3\n4\n5".to_owned()),
            ..Problem::default()
        });
        let text = text(&failure);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }

    fn text(failure: &CliError) -> String {
        report(failure).text(str::to_owned)
    }
}
