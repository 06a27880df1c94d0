//! Completions for shells, with the ids of what the manager knows.

use crate::arguments::{Cli, CompletionsArgs};
use crate::client::{Client, Path};
use crate::console::Console;
use crate::dispatch::runtime;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::place::Place;
use crate::render::short;
use clap::CommandFactory;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use longhaul_wire::api::ProcessList;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// The variable by which a shell asks for completions.
const VARIABLE: &str = "COMPLETE";
/// How long a person at a prompt waits for ids.
const PATIENCE: Duration = Duration::from_millis(120);
/// The name of the program.
const PROGRAM: &str = "longhaul";

/// Where the manager answers, if completions may ask it.
static SOCKET: OnceLock<fn() -> Option<PathBuf>> = OnceLock::new();

/// Completes a command line and ends the program, if a shell asks for that.
///
/// `socket` says where the manager answers; it is asked for ids only when ids are to be completed, for a tenth of a
/// second at most, and it is never started for this. The program calls it before anything else.
pub fn complete_if_asked(socket: fn() -> Option<PathBuf>) {
    let _first = SOCKET.set(socket);
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(Cli::command).var(VARIABLE).bin(PROGRAM).complete();
    }
}

/// Gives the ids and names of processes.
pub(crate) fn references() -> Vec<CompletionCandidate> {
    let Some(socket) = SOCKET.get().and_then(|socket| socket()) else {
        return Vec::new();
    };
    let state_dir = socket.parent().map(PathBuf::from).unwrap_or_default();
    let client = Client::new(Place { socket, state_dir, autostart: None }).with_patience(PATIENCE);
    let path = Path::processes().with("all", "true").with("limit", "50");
    let list = runtime().and_then(|runtime| runtime.block_on(client.fetch::<ProcessList>(&path)));
    list.map(|list| candidates(&list)).unwrap_or_default()
}

/// Prints the script that a shell reads.
pub(crate) fn script(console: &Console, args: &CompletionsArgs) -> Result<i32, Failure> {
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
    let mut all = Vec::new();
    for process in &list.processes {
        let command = process.command.join(" ");
        let help = format!("{}  {}", process.status, longhaul_view::clean_label(&command));
        all.push(CompletionCandidate::new(short(&process.id)).help(Some(help.into())));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use clap_complete::Shell;

    #[test]
    fn every_shell_has_a_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let (console, out, _err) = Console::kept(None, false);
            assert_eq!(script(&console, &CompletionsArgs { shell, fixed: true }).unwrap(), 0);
            assert!(out.text().contains("longhaul"), "{shell}");
        }
    }

    #[test]
    fn candidate_tells_what_it_is() {
        let list = ProcessList { processes: vec![samples::running()], ..ProcessList::default() };
        let all = candidates(&list);
        assert_eq!(all[0].get_value(), "0a1b2c3d");
        assert_eq!(all[0].get_help().unwrap().to_string(), "running  cargo test two words");
    }
}
