//! Questions that the program asks the user at the terminal.

use crate::console::Console;
use crate::failure::CliError;
use crate::render::{label, waiting_line};
use longhaul_view::clean_label;
use longhaul_wire::api::ProcessView;

/// Maximum number of lines in the list that a question shows.
const MAX_LINES: usize = 20;

/// A yes-or-no question.
pub(crate) struct Prompt {
    /// Text of the question.
    pub(crate) text: String,
    /// Description of the effect of the action. The error message contains this description if there is no way to ask
    /// the user.
    pub(crate) would: String,
    /// Objects that the action would affect, one for each line.
    pub(crate) list: Vec<String>,
    /// Command line that performs the action without asking this question.
    pub(crate) help: &'static str,
}

impl Prompt {
    /// Asks the question. Returns true if the user confirms. With `--yes`, returns true without asking.
    ///
    /// # Errors
    /// Fails if there is no terminal, or if the user does not answer the question.
    pub(crate) fn ask(self, console: &Console) -> Result<bool, CliError> {
        if console.yes {
            return Ok(true);
        }
        if !console.can_ask {
            return Err(CliError::Choice {
                what: format!("{}, and there is no terminal to ask", self.would),
                candidates: self.list,
                help: self.help.to_owned(),
            });
        }
        console.ask_about(&listing(&self.list));
        inquire::Confirm::new(&self.text)
            .with_default(false)
            .prompt()
            .map_err(|error| unanswered(error, self.help))
    }
}

/// Lets the user choose one process from a list. The user can also ask for a second question, in which several
/// processes can be chosen.
///
/// # Errors
/// Fails if there is no terminal, or if the user does not answer the question.
pub(crate) fn some_of(
    console: &Console,
    processes: &[ProcessView],
    question: &str,
    help: &'static str,
) -> Result<Vec<String>, CliError> {
    let mut one = lines(console, processes, help)?;
    if processes.len() > 1 {
        one.push("several processes …".to_owned());
    }
    let chosen = inquire::Select::new(question, one).raw_prompt().map_err(|error| unanswered(error, help))?;
    if let Some(process) = processes.get(chosen.index) {
        return Ok(vec![process.id.clone()]);
    }
    let several = lines(console, processes, help)?;
    let chosen = inquire::MultiSelect::new(question, several)
        .with_validator(inquire::min_length!(1, "select one with the space bar, or leave with Esc"))
        .raw_prompt()
        .map_err(|error| unanswered(error, help))?;
    let ids = chosen.iter().filter_map(|option| processes.get(option.index));
    Ok(ids.map(|process| process.id.clone()).collect())
}

/// Lets the user choose one process from a list.
///
/// # Errors
/// Fails if there is no terminal, or if the user does not answer the question.
pub(crate) fn one_of(
    console: &Console,
    processes: &[ProcessView],
    question: &str,
    help: &'static str,
) -> Result<Option<String>, CliError> {
    let lines = lines(console, processes, help)?;
    let chosen =
        inquire::Select::new(question, lines).raw_prompt().map_err(|error| unanswered(error, help))?;
    Ok(processes.get(chosen.index).map(|process| process.id.clone()))
}

/// Returns a number of processes as text, such as "2 processes".
pub(crate) fn counted(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

fn lines(console: &Console, processes: &[ProcessView], help: &str) -> Result<Vec<String>, CliError> {
    if !console.can_ask {
        return Err(CliError::Choice {
            what: "no process is given, and there is no terminal to ask".to_owned(),
            candidates: processes.iter().map(label).collect(),
            help: help.to_owned(),
        });
    }
    Ok(processes.iter().map(|process| line(process, console.unicode)).collect())
}

/// Returns one line about a process, by which the user can distinguish the process from other processes in a list.
fn line(process: &ProcessView, unicode: bool) -> String {
    let mut line = waiting_line(process, unicode);
    for (what, word) in [("project", &process.project), ("stage", &process.stage)] {
        if let Some(word) = word {
            line.push_str(&format!(", {what} {}", clean_label(word)));
        }
    }
    line
}

fn listing(list: &[String]) -> String {
    let mut text: String = list.iter().take(MAX_LINES).map(|line| format!("  {line}\n")).collect();
    let more = list.len().saturating_sub(MAX_LINES);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    text
}

fn unanswered(error: inquire::InquireError, help: &str) -> CliError {
    match error {
        inquire::InquireError::OperationCanceled | inquire::InquireError::OperationInterrupted => {
            CliError::Interrupted
        }
        inquire::InquireError::NotTTY
        | inquire::InquireError::InvalidConfiguration(_)
        | inquire::InquireError::IO(_)
        | inquire::InquireError::Custom(_) => CliError::Choice {
            what: "there is no terminal to ask".to_owned(),
            candidates: Vec::new(),
            help: help.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn yes_option_confirms_and_a_missing_terminal_is_an_error() {
        let question = || Prompt {
            text: "Do it?".to_owned(),
            would: "2 processes would be stopped".to_owned(),
            list: vec!["a".to_owned(), "b".to_owned()],
            help: "longhaul reset --yes",
        };
        let (mut console, _out, err) = Console::kept(None, false);
        let Err(CliError::Choice { what, candidates, help }) = question().ask(&console) else {
            panic!("it was answered");
        };
        assert_eq!(what, "2 processes would be stopped, and there is no terminal to ask");
        assert_eq!((candidates.len(), help.as_str()), (2, "longhaul reset --yes"));
        console.yes = true;
        assert!(question().ask(&console).unwrap());
        assert_eq!(err.text(), "");
    }

    #[test]
    fn long_list_is_cut_and_counted() {
        let list: Vec<String> = (0..23).map(|n| format!("p{n}")).collect();
        let text = listing(&list);
        assert!(text.starts_with("  p0\n") && text.ends_with("  p19\n  and 3 more\n"), "{text}");
    }

    #[test]
    fn choice_shows_project_and_stage() {
        let mut process = samples::running();
        process.stage = Some("copy\u{9b}ing".to_owned());
        let line = line(&process, true);
        assert!(
            line.starts_with("0a1b2c3d tests ●") && line.ends_with(", project atlas, stage copy\u{fffd}ing"),
            "{line}"
        );
    }

    #[test]
    fn selection_without_a_terminal_names_the_processes() {
        let (console, _out, _err) = Console::kept(None, false);
        let outcome = one_of(&console, &[samples::queued()], "Which?", "longhaul why ID");
        assert!(
            matches!(outcome, Err(CliError::Choice { candidates, .. }) if candidates == ["9f8e7d6c build"])
        );
    }
}
