//! Options that monitor a command, and the arguments of `send`.

use crate::completion::references;
use crate::value::{WatchArg, reference};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

/// Monitoring options of `run`.
#[derive(Clone, Debug, Default, Args)]
pub struct MonitorArgs {
    /// Report `ready` when the process listens on this TCP port
    #[arg(long, help_heading = "Monitoring", value_name = "PORT", group = "ready", value_parser = clap::value_parser!(u16).range(1..))]
    pub ready_port: Option<u16>,
    /// Report `ready` when this http:// URL answers
    #[arg(long, help_heading = "Monitoring", value_name = "URL", group = "ready")]
    pub ready_http: Option<String>,
    /// Report `ready` when a line of output matches this regular expression
    #[arg(
        long,
        help_heading = "Monitoring",
        value_name = "REGEX",
        group = "ready",
        allow_hyphen_values = true
    )]
    pub ready_log: Option<String>,
    /// Report `ready` when this sh command line exits with 0
    #[arg(long, help_heading = "Monitoring", value_name = "COMMAND", group = "ready")]
    pub ready_cmd: Option<String>,
    /// Create an event for each line of output that matches; stderr:NAME=REGEX searches only this stream
    #[arg(long, help_heading = "Monitoring", value_name = "NAME=REGEX")]
    pub watch: Vec<WatchArg>,
    /// Detect progress: auto (bars of common programs in the output), fd (JSON lines to the descriptor in
    /// LONGHAUL_PROGRESS_FD), off, or a regular expression with the group percent or the groups done and total
    #[arg(long, help_heading = "Monitoring", value_name = "auto|fd|off|REGEX", allow_hyphen_values = true)]
    pub progress: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  longhaul run -b --stdin-pipe --name repl -- python3 -i
  longhaul send repl 'print(6 * 7)'       send a line
  longhaul send repl --close              close its input
  cat rows.csv | longhaul send x - --close";

/// Arguments of `send`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SendArgs {
    /// Process that was launched with --stdin-pipe: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// Line to write, or - to copy standard input [default without --close: -]
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Do not add a newline
    #[arg(long, requires = "text")]
    pub no_newline: bool,
    /// Close the input after writing; without TEXT, only close the input
    #[arg(long)]
    pub close: bool,
}
