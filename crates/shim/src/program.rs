//! The shim program: its entry points and the modules that supervise an attempt.

mod cgroup;
mod child;
mod connection;
mod connections;
mod control_socket;
mod ending;
mod fork;
mod hold;
mod input;
mod leader;
mod lease;
mod orders;
mod poll;
mod procfs;
mod progress_file;
mod pumps;
mod startup;
mod stopping;
mod supervisor;
mod sys;
mod telling;
mod tree;

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process,
};

use crate::channel::{ATTEMPT_ARGUMENT, SHIM_VARIABLE, VERSION_ARGUMENT};

const USAGE: i32 = 64;

/// Supervises one attempt and then exits the process. The `main` function of the shim must call this first.
///
/// The command-line arguments are the word `attempt` and the absolute path of an attempt directory; the standard input
/// is the first control connection. With [`VERSION_ARGUMENT`] instead, this prints the name and the version of the
/// shim.
pub fn main() -> ! {
    let mut arguments = env::args_os().skip(1);
    let word = arguments.next();
    match (word, arguments.next().map(PathBuf::from)) {
        (Some(word), Some(directory)) if word == ATTEMPT_ARGUMENT && directory.is_absolute() => {
            process::exit(startup::serve(&directory))
        }
        (Some(word), None) if word == VERSION_ARGUMENT => {
            let said = writeln!(io::stdout(), "longhaul-shim {}", env!("CARGO_PKG_VERSION"));
            process::exit(i32::from(said.is_err()))
        }
        _ => process::exit(USAGE),
    }
}

/// Runs as a shim and then exits, if this program was started as a shim. Otherwise, returns immediately.
///
/// A program that calls this at the start of `main` needs no separate shim executable.
pub fn run_if_asked() {
    let word = env::args_os().nth(1);
    let asked = word.is_some_and(|word| word == ATTEMPT_ARGUMENT || word == VERSION_ARGUMENT);
    if asked && env::var_os(SHIM_VARIABLE).is_some_and(|value| value == "1") {
        main();
    }
}
