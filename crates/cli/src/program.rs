//! The program `longhaul`, which executes client commands itself and passes the other commands to the manager program.

use crate::arguments::{Cli, GlobalArgs};
use crate::completion::complete_if_asked;
use crate::console::Console;
use crate::exit_code::{ExitCodeMode, of_failure};
use crate::failure::{CliError, INSTALLATION};
use longhaul_client::{ClientError, ManagerLocator, SOCKET, state_dir};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// File name of the manager program.
const MANAGER: &str = "longhauld";

/// Runs the program `longhaul` with the arguments of this program. Returns the exit code.
///
/// This program executes client commands itself. For `serve`, `token`, `init`, `store`, `config` and `doctor`, it
/// replaces itself by the program `longhauld` in the same directory.
#[must_use]
pub fn main() -> ExitCode {
    complete_if_asked(|| state_dir(None).ok().map(|state_dir| state_dir.join(SOCKET)));
    let cli = match crate::parse() {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let global = cli.global.clone();
    let code = perform(cli).unwrap_or_else(|failure| {
        let code = of_failure(&failure, ExitCodeMode::Control);
        Console::new(&global).complain(failure);
        code
    });
    u8::try_from(code).unwrap_or(u8::MAX).into()
}

fn perform(cli: Cli) -> Result<i32, CliError> {
    if cli.command.is_of_manager() {
        return Err(execute_manager());
    }
    let GlobalArgs { state_dir: flag, no_autostart, .. } = &cli.global;
    let state_dir = state_dir(flag.clone()).map_err(|error| ClientError::from(error.problem()))?;
    let manager = (!no_autostart).then(manager_program);
    Ok(crate::run(cli, ManagerLocator::of(state_dir, manager)))
}

/// Replaces this program by the manager program, with the same arguments. Returns only if the replacement fails.
fn execute_manager() -> CliError {
    let program = manager_program();
    let source = Command::new(&program).args(std::env::args_os().skip(1)).exec();
    CliError::Unfinished {
        what: format!("the manager program {} cannot be executed", program.display()),
        why: Some(source.to_string()),
        help: INSTALLATION.to_owned(),
    }
}

/// Returns the path of the manager program, in the directory of this program.
fn manager_program() -> PathBuf {
    std::env::current_exe().map_or_else(|_| MANAGER.into(), |own| own.with_file_name(MANAGER))
}
