//! Fast parser for the most frequent subcommands, which does not build the definitions of all other subcommands.
//!
//! Building the definitions of all subcommands takes half a millisecond, which is a third of the time of a background
//! launch. If this parser does not understand the arguments, the complete parser parses them again. Therefore errors,
//! help and completions always come from the complete parser.

use super::{Cli, GlobalArgs, LogsArgs, ProgressArgs, RunArgs, StatusArgs, WaitArgs};
use clap::{Args as _, Command, FromArgMatches as _};
use std::ffi::OsString;

/// Parses a command line if its second element is a frequent subcommand. The first element is the name of the program.
pub(super) fn read(arguments: &[OsString]) -> Option<Cli> {
    let verb = verb(arguments.get(1)?.to_str()?)?;
    let program = GlobalArgs::augment_args(Command::new("longhaul")).subcommand(verb);
    let matches = program.try_get_matches_from(arguments).ok()?;
    Cli::from_arg_matches(&matches).ok()
}

fn verb(name: &str) -> Option<Command> {
    match name {
        "run" => Some(RunArgs::augment_args(Command::new("run"))),
        "status" => Some(StatusArgs::augment_args(Command::new("status"))),
        "wait" => Some(WaitArgs::augment_args(Command::new("wait"))),
        "logs" => Some(LogsArgs::augment_args(Command::new("logs"))),
        "progress" => Some(ProgressArgs::augment_args(Command::new("progress"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read_whole;
    use super::*;

    fn told(line: &[&str]) -> Vec<OsString> {
        std::iter::once("longhaul").chain(line.iter().copied()).map(OsString::from).collect()
    }

    #[test]
    fn quick_reading_understands_the_same_as_the_whole() {
        let lines: [&[&str]; 15] = [
            &["run", "-b", "--", "true"],
            &["run", "--name", "x", "--retry", "3", "--backoff", "100ms..1s", "--", "sh", "-c", "exit 1"],
            &["run", "--timeout", "5s", "--key", "gpu", "--priority", "10", "--json", "make", "-j", "4"],
            &["run", "--project", "p", "-b", "--session", "s", "--meta", "a=b", "--meta", "c=d", "--", "env"],
            &["run", "--state-dir", "/tmp/x", "-b", "--quiet", "--", "true"],
            &["status"],
            &["status", "-a", "-o", "wide", "--project", "p"],
            &["status", "--json", "1234abcd"],
            &["wait", "x", "--timeout", "3s"],
            &["wait", "--for", "running", "x", "y"],
            &[
                "run",
                "--stdin-pipe",
                "--ready-log",
                "^up",
                "--watch",
                "e=x",
                "--stall-after",
                "5m",
                "--",
                "cat",
            ],
            &["logs", "-f", "-n", "3", "x"],
            &["logs", "x", "--stream", "stderr"],
            &["progress", "40", "--stage", "copying"],
            &["progress", "40", "--utc", "-vv", "--no-input"],
        ];
        for line in lines {
            let quick = read(&told(line));
            let whole = read_whole(&told(line));
            assert_eq!(format!("{quick:?}"), format!("{:?}", whole.ok()), "{line:?}");
            assert!(quick.is_some(), "{line:?}");
        }
    }

    #[test]
    fn unknown_arguments_are_left_to_the_complete_parser() {
        for line in [
            &["run"] as &[&str],
            &["run", "--help"],
            &["status", "--nonsense"],
            &["wait", "--timeout", "-3"],
            &["--json", "status"],
            &["ps"],
            &[],
        ] {
            assert!(read(&told(line)).is_none(), "{line:?}");
        }
    }
}
