//! Options that monitor a command, and the arguments of `send`.

use crate::completion::references;
use crate::value::{WatchArg, reference};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

/// Monitoring options of `run`.
#[derive(Clone, Debug, Default, Args)]
pub struct MonitorArgs {
    /// Ready when it listens on this TCP port
    #[arg(long, help_heading = "Monitoring", value_name = "PORT", group = "ready", value_parser = clap::value_parser!(u16).range(1..))]
    pub ready_port: Option<u16>,
    /// Ready when this http:// URL answers
    #[arg(long, help_heading = "Monitoring", value_name = "URL", group = "ready")]
    pub ready_http: Option<String>,
    /// Ready when a line of output matches this regular expression
    #[arg(
        long,
        help_heading = "Monitoring",
        value_name = "REGEX",
        group = "ready",
        allow_hyphen_values = true
    )]
    pub ready_log: Option<String>,
    /// Ready when this sh command line exits with 0
    #[arg(long, help_heading = "Monitoring", value_name = "COMMAND", group = "ready")]
    pub ready_cmd: Option<String>,
    /// Raise an event for each matching line of output; stderr:NAME=REGEX matches one stream
    #[arg(long, help_heading = "Monitoring", value_name = "NAME=REGEX")]
    pub watch: Vec<WatchArg>,
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
    /// Line to write; - copies standard input, which is the default without --close
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Do not add a newline
    #[arg(long, requires = "text")]
    pub no_newline: bool,
    /// Close the input afterwards; without TEXT only close it
    #[arg(long)]
    pub close: bool,
}
