//! Recognizes a launch whose command creates a remote session.
//!
//! A command that creates a remote session exits as soon as the session exists. Without a runner, the process would be
//! completed although the session continues.

use super::agent_runner::{AgentRunner, RunnerWork};
use super::runner_set::RunnerSet;
use longhaul_wire::api::LaunchRequest;
use std::path::Path;

/// Returns the runner for the remote session that the command of a launch creates. The launch must meet two conditions:
/// its process type ends with `_session` and is the process type of the runner, and its command starts with the same
/// words as the command `start` of the runner, for example with `jules session create`.
pub(super) fn runner_of<'a>(set: &'a RunnerSet, request: &LaunchRequest) -> Option<&'a AgentRunner> {
    let kind = request.kind.as_deref().filter(|kind| kind.ends_with("_session"))?;
    let command = request.command.as_ref().filter(|command| !command.program.is_empty())?;
    if request.reported.is_some() || set.host.program.is_none() {
        return None;
    }
    let words: Vec<&str> =
        std::iter::once(&command.program).chain(&command.args).map(String::as_str).collect();
    set.all().find(|runner| match &runner.work {
        RunnerWork::Remote { start, .. } => {
            runner.kind.as_deref() == Some(kind) && begins_with(&line_of(&words), &start.subcommand())
        }
        RunnerWork::Local { .. } => false,
    })
}

/// Returns the program that a command executes. For a command such as `sh -c LINE`, returns the first word of `LINE`.
pub(super) fn program_of(start: &[String]) -> &str {
    let words: Vec<&str> = start.iter().map(String::as_str).collect();
    line_of(&words).first().copied().unwrap_or_default()
}

/// Returns the words of a command. For a command such as `sh -c LINE`, returns the words of `LINE`. Quotes in `LINE`
/// are not interpreted, because a program name and its subcommands need no quotes.
fn line_of<'a>(words: &[&'a str]) -> Vec<&'a str> {
    match words {
        [shell, "-c", line] if matches!(name_of(shell), "sh" | "bash" | "dash" | "zsh") => {
            line.split_whitespace().collect()
        }
        _ => words.to_vec(),
    }
}

fn begins_with(words: &[&str], subcommand: &[&str]) -> bool {
    match (words.split_first(), subcommand.split_first()) {
        (Some((program, rest)), Some((expected, subcommand))) => {
            name_of(program) == name_of(expected) && rest.starts_with(subcommand)
        }
        (None, _) | (_, None) => false,
    }
}

/// Returns the name of a program without its directory.
fn name_of(program: &str) -> &str {
    Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or(program)
}
