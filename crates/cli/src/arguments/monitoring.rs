//! What may be said of a command that is to be told of while it runs, and of what is written to it.

use crate::completion::references;
use crate::value::{WatchArg, reference};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

/// What `run` takes beside what every launch takes.
#[derive(Clone, Debug, Default, Args)]
pub struct MonitorArgs {
    /// It is ready when it listens on this TCP port
    #[arg(long, help_heading = "What is told of it", value_name = "PORT", group = "ready", value_parser = clap::value_parser!(u16).range(1..))]
    pub ready_port: Option<u16>,
    /// It is ready when this http:// address answers
    #[arg(long, help_heading = "What is told of it", value_name = "URL", group = "ready")]
    pub ready_http: Option<String>,
    /// It is ready when a line of its output matches this regular expression
    #[arg(
        long,
        help_heading = "What is told of it",
        value_name = "REGEX",
        group = "ready",
        allow_hyphen_values = true
    )]
    pub ready_log: Option<String>,
    /// It is ready when this command line of sh ends with 0
    #[arg(long, help_heading = "What is told of it", value_name = "COMMAND", group = "ready")]
    pub ready_cmd: Option<String>,
    /// Tell each line of its output that matches as an event; stderr:NAME=REGEX looks at one stream alone
    #[arg(long, help_heading = "What is told of it", value_name = "NAME=REGEX")]
    pub watch: Vec<WatchArg>,
}

const EXAMPLES: &str = "\
Examples:
  longhaul run -b --stdin-pipe --name repl -- python3 -i
  longhaul send repl 'print(6 * 7)'       a line
  longhaul send repl --close              the end of its input
  cat rows.csv | longhaul send x - --close";

/// What `send` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SendArgs {
    /// The process, launched with --stdin-pipe: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// A line to write; - for all that is read here, which is the default unless --close is given
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Write no line feed behind the text
    #[arg(long, requires = "text")]
    pub no_newline: bool,
    /// Let its input end there; alone it writes nothing
    #[arg(long)]
    pub close: bool,
}
