//! Shell completions, including the ids of the manager's processes.

use crate::arguments::{Cli, CompletionsArgs};
use crate::console::Console;
use crate::dispatch::runtime;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::short;
use clap::builder::{Resettable, Str};
use clap::{Command, CommandFactory};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use longhaul_client::ManagerLocator;
use longhaul_client::{Client, RequestPath};
use longhaul_wire::api::{NodeListing, NodeView, ProcessList, ProcessView, QueueListing, status_words};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// Environment variable through which a shell requests completions.
const VARIABLE: &str = "COMPLETE";
/// Time limit of a request for ids. It is short because the user waits at the prompt.
const COMPLETION_TIMEOUT: Duration = Duration::from_millis(120);
/// Name of the program in completion scripts.
const PROGRAM: &str = "longhaul";

/// Function that returns the path of the manager's socket. Not set if completions may not contact the manager.
static SOCKET: OnceLock<fn() -> Option<PathBuf>> = OnceLock::new();

/// If a shell requests completions, prints them and ends the program. Must be called before any other code of the
/// program.
///
/// `socket` returns the path of the manager's socket. The manager is contacted only to complete ids, keys and similar
/// names, for about 0.1 s at most. Completion never starts a manager.
pub fn complete_if_asked(socket: fn() -> Option<PathBuf>) {
    let _first = SOCKET.set(socket);
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(completed).var(VARIABLE).bin(PROGRAM).complete();
    }
}

/// Returns the command-line definition for completions. In it, each alias of a subcommand is a separate subcommand,
/// because a shell is offered only one name of each subcommand.
fn completed() -> Command {
    let mut command = Cli::command();
    let others: Vec<Command> = command
        .get_subcommands()
        .flat_map(|verb| {
            verb.get_visible_aliases().map(move |name| verb.clone().name(&*name.to_owned().leak()))
        })
        .collect();
    for verb in others {
        command = command.subcommand(verb.visible_alias(Resettable::<Str>::Reset));
    }
    let names: Vec<String> = command
        .get_subcommands()
        .filter(|verb| verb.get_visible_aliases().next().is_some())
        .map(|verb| verb.get_name().to_owned())
        .collect();
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |verb| verb.visible_alias(Resettable::<Str>::Reset))
    })
}

/// Returns the names and ids of processes.
pub(crate) fn references() -> Vec<CompletionCandidate> {
    processes().map(|list| candidates(&list)).unwrap_or_default()
}

/// Returns the names and ids of processes that have not ended.
pub(crate) fn live() -> Vec<CompletionCandidate> {
    fetch(&RequestPath::processes().with("limit", "50")).map(|list| candidates(&list)).unwrap_or_default()
}

/// Returns all statuses that a process can have.
pub(crate) fn statuses() -> Vec<CompletionCandidate> {
    status_words().into_iter().map(CompletionCandidate::new).collect()
}

/// Returns the sessions of the newest processes.
pub(crate) fn sessions() -> Vec<CompletionCandidate> {
    processes().map(|list| field_values(&list, |process| process.session_id.as_deref())).unwrap_or_default()
}

/// Returns the agent ids of the newest processes.
pub(crate) fn agents() -> Vec<CompletionCandidate> {
    processes().map(|list| field_values(&list, |process| process.agent_id.as_deref())).unwrap_or_default()
}

/// Returns the concurrency keys that have a limit, and those that running or waiting processes use.
pub(crate) fn keys() -> Vec<CompletionCandidate> {
    fetch(&RequestPath::queues()).map(|listing| of_queues(&listing)).unwrap_or_default()
}

/// Returns the nodes of the cluster.
pub(crate) fn nodes() -> Vec<CompletionCandidate> {
    let listing: Option<NodeListing> = fetch(&RequestPath::nodes());
    let shown = |node: &NodeView| CompletionCandidate::new(&node.id).help(Some(node.presence.clone().into()));
    listing.map(|listing| listing.nodes.iter().map(shown).collect()).unwrap_or_default()
}

/// Returns the most common signals.
pub(crate) fn signals() -> Vec<CompletionCandidate> {
    ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "WINCH"].map(CompletionCandidate::new).into()
}

fn processes() -> Option<ProcessList> {
    fetch(&RequestPath::processes().with("all", "true").with("limit", "50"))
}

/// Sends a request to the running manager. Returns `None` if no manager is running or the request fails.
fn fetch<T: DeserializeOwned>(path: &RequestPath) -> Option<T> {
    let socket = SOCKET.get().and_then(|socket| socket())?;
    let state_dir = socket.parent().map(PathBuf::from).unwrap_or_default();
    let client = Client::new(ManagerLocator { socket, state_dir, autostart: None, store: None })
        .with_time_limit(COMPLETION_TIMEOUT);
    runtime().ok()?.block_on(client.fetch(path)).ok()
}

/// Prints the completion script for a shell.
pub(crate) fn script(console: &Console, args: &CompletionsArgs) -> Result<i32, CliError> {
    let mut script = Vec::new();
    let name = args.shell.to_string();
    let shells = Shells::builtins();
    match shells.completer(&name).filter(|_| SOCKET.get().is_some() && !args.fixed) {
        Some(shell) => shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?,
        None => clap_complete::generate(args.shell, &mut Cli::command(), PROGRAM, &mut script),
    }
    console.print(&String::from_utf8_lossy(&script))?;
    Ok(DONE)
}

fn candidates(list: &ProcessList) -> Vec<CompletionCandidate> {
    let (mut names, mut ids, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for process in &list.processes {
        let command = process.command.join(" ");
        let help = format!("{}  {}", process.status, longhaul_view::clean_label(&command));
        let candidate = |word: &str| CompletionCandidate::new(word).help(Some(help.clone().into()));
        // If several processes have the same name, only the newest one is offered.
        names.extend(process.name.as_deref().filter(|name| seen.insert(*name)).map(candidate));
        ids.push(candidate(short(&process.id)));
    }
    names.append(&mut ids);
    names
}

/// Returns the values of one field of all processes, without duplicates and in the order of the list, which is newest
/// process first.
fn field_values<'a>(
    list: &'a ProcessList,
    word: impl Fn(&'a ProcessView) -> Option<&'a str>,
) -> Vec<CompletionCandidate> {
    let mut seen = BTreeSet::new();
    let words = list.processes.iter().filter_map(word).filter(|word| seen.insert(*word));
    words.map(CompletionCandidate::new).collect()
}

fn of_queues(listing: &QueueListing) -> Vec<CompletionCandidate> {
    let queues = listing.queues.iter().filter_map(|queue| {
        let help = format!("{} running, {} waiting", queue.running, queue.waiting);
        Some((queue.key.as_deref()?, help))
    });
    let mut all: BTreeMap<&str, String> =
        listing.slots.iter().map(|(key, slots)| (key.as_str(), format!("{slots} slots"))).collect();
    all.extend(queues);
    all.into_iter().map(|(key, help)| CompletionCandidate::new(key).help(Some(help.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use clap_complete::Shell;
    use longhaul_wire::api::QueueView;

    #[test]
    fn every_shell_has_a_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let (console, out, _err) = Console::kept(None, false);
            assert_eq!(script(&console, &CompletionsArgs { shell, fixed: true }).unwrap(), 0);
            assert!(out.text().contains("longhaul"), "{shell}");
        }
    }

    #[test]
    fn completion_describes_each_candidate() {
        let list = ProcessList { processes: vec![samples::running()], ..ProcessList::default() };
        let all = candidates(&list);
        let words: Vec<_> = all.iter().map(|each| each.get_value().to_str().unwrap()).collect();
        assert_eq!(words, ["tests", "0a1b2c3d"]);
        for each in &all {
            assert_eq!(each.get_help().unwrap().to_string(), "running  cargo test two words");
        }
    }

    #[test]
    fn every_name_of_a_verb_is_offered() {
        let offered = |line: &[&str]| -> Vec<String> {
            let words = std::iter::once("longhaul").chain(line.iter().copied()).map(Into::into).collect();
            let all = clap_complete::engine::complete(&mut completed(), words, line.len(), None).unwrap();
            all.iter().map(|each| each.get_value().to_str().unwrap().to_owned()).collect()
        };
        let verbs = offered(&[""]);
        for verb in ["status", "ps", "logs", "log", "cancel", "stop", "run", "wait"] {
            assert!(verbs.iter().any(|each| each == verb), "{verb}: {verbs:?}");
        }
        assert_eq!(offered(&["status", "--status", "can"]), ["cancelled"]);
        assert_eq!(offered(&["stop", "--forc"]), ["--force"]);
    }

    #[test]
    fn sessions_and_keys_are_offered_once() {
        let mut first = samples::running();
        first.session_id = Some("s1".to_owned());
        let processes = vec![first.clone(), samples::queued(), first];
        let list = ProcessList { processes, ..ProcessList::default() };
        let sessions = field_values(&list, |process| process.session_id.as_deref());
        assert_eq!(sessions.iter().map(|each| each.get_value()).collect::<Vec<_>>(), ["s1"]);
        let listing = QueueListing {
            queues: vec![samples::queue(), QueueView::default()],
            slots: [("cargo".to_owned(), 1), ("claude-*".to_owned(), 2)].into(),
            ..QueueListing::default()
        };
        let all = of_queues(&listing);
        let reported: Vec<_> = all.iter().map(|each| each.get_value().to_str().unwrap()).collect();
        assert_eq!(reported, ["cargo", "claude-*"]);
        assert_eq!(all[0].get_help().unwrap().to_string(), "1 running, 2 waiting");
    }
}
