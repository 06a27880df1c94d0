//! What may be said on the command line.

mod control;
mod fast_path;
mod launch;
mod launch_options;
mod maintenance;
mod manager;
mod mcp;
mod monitoring;
mod node;
mod query;
mod queue;
mod track;
mod usage_error;

pub use control::{CancelArgs, ProgressArgs, RestartArgs, RetryArgs, RevisionArgs, SignalArgs, TargetArgs};
pub use launch::RunArgs;
pub use launch_options::{ChildrenRule, SessionRule, WorkArgs};
pub use maintenance::{
    PruneArgs, ResetArgs, SessionArgs, SessionEndArgs, SessionVerb, StatsArgs, StoreArgs, StoreVerb,
};
pub use manager::{CompletionsArgs, ConfigArgs, ConfigVerb, DoctorArgs, InitArgs, ServeArgs, TokenArgs};
pub use mcp::{McpArgs, McpClient, McpInstallArgs, McpScope, McpToolsArgs, McpVerb};
pub use monitoring::{MonitorArgs, SendArgs};
pub use node::{NodeArgs, NodeName, NodeVerb, PlacementArgs};
pub use query::{
    EventsArgs, ExplainArgs, InspectArgs, LineCount, LogsArgs, StatusArgs, StreamName, TreeArgs, WaitArgs,
    WaitGoal,
};
pub use queue::{MoveArgs, QueueArgs, QueueVerb, WhyArgs};
pub use track::{TrackArgs, TrackCompleteArgs, TrackFailArgs, TrackProgressArgs, TrackStartArgs, TrackVerb};
pub use usage_error::UsageError;

use crate::value::word;
use clap::builder::{FalseyValueParser, OsStr, OsStringValueParser, Resettable, TypedValueParser as _};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The table of exit codes, as people read it.
const EXIT_CODES: &str = "\
Exit codes:
  0    done, or already so
  1    the operation failed
  2    wrong usage, or an answer was needed and there was nobody to ask
  3    no such process or session, or more than one
  4    the process stands where this cannot be done
  5    refused by a limit or a queue
  6    the manager or its store cannot be reached, or speaks another version
  7    not authorised
  8    of `serve`: its state directory or its store was removed, moved, replaced or truncated
Of `run` in the foreground, `restart` in the foreground, `wait` and `logs --exit-status`:
  the command's own code, 2 and 3 as above, or
  75   `wait --timeout` is over and the process still lives: ask again
  124  the process was stopped at its timeout
  125  longhaul itself failed, or the end of the process was not seen
  126  the command cannot be executed          127  it was not found
  128+n  ended by signal n (cancelled: 143 or 137)
  130  Ctrl-C";

/// A background process manager that agents, developers and CI can trust.
#[derive(Debug, Parser)]
#[command(
    name = "longhaul",
    version,
    after_long_help = EXIT_CODES,
    subcommand_required = true,
    arg_required_else_help = true,
    infer_subcommands = false,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What holds for every verb.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Verb,
}

/// Flags that every verb takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct GlobalArgs {
    /// How data is printed
    #[arg(short, long, global = true, value_name = "FORMAT", value_enum)]
    pub output: Option<OutputFormat>,
    /// The same as -o json
    #[arg(long, global = true, conflicts_with = "output")]
    pub json: bool,
    /// Print no hints
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print hints even where no person reads
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    /// Never ask; fail where an answer would be needed
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// The project that is meant
    #[arg(short, long, global = true, value_name = "NAME", value_parser = word)]
    pub project: Option<String>,
    /// The state directory of the manager
    #[arg(long, global = true, value_name = "DIR", env = "LONGHAUL_STATE_DIR", hide_env_values = true,
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub state_dir: Option<PathBuf>,
    /// Do not start a manager when none answers
    #[arg(long, global = true, env = "LONGHAUL_NO_AUTOSTART", hide_env_values = true,
          value_parser = FalseyValueParser::new())]
    pub no_autostart: bool,
    /// Show times in UTC
    #[arg(long, global = true)]
    pub utc: bool,
}

impl GlobalArgs {
    /// Gives the format that was asked for, if any.
    #[must_use]
    pub const fn format(&self) -> Option<OutputFormat> {
        if self.json { Some(OutputFormat::Json) } else { self.output }
    }
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people: what fits
    Table,
    /// For people: all columns
    Wide,
    /// One JSON document; one a line of what `events`, `logs`, `inspect` and `wait --session` tell
    Json,
    /// One JSON document a line, on a terminal too
    Ndjson,
    /// Ids alone
    Name,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless the environment says otherwise
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a command, in the foreground or with -b in the background
    Run(Box<RunArgs>),
    /// Show what lives, or everything about one process
    #[command(visible_alias = "ps")]
    Status(StatusArgs),
    /// Show processes below those that started them
    Tree(TreeArgs),
    /// Show the output of processes
    #[command(visible_alias = "log")]
    Logs(LogsArgs),
    /// Wait until processes have ended, and exit as they did
    Wait(WaitArgs),
    /// Write to the standard input of a process
    Send(SendArgs),
    /// Show what happened, and with -f what happens
    Events(EventsArgs),
    /// Stop processes with all their descendants
    #[command(visible_alias = "stop")]
    Cancel(CancelArgs),
    /// Run a process again, as a new one
    Restart(RestartArgs),
    /// Try again now what waits for its next attempt
    Retry(RetryArgs),
    /// Halt processes with all their descendants until they are resumed
    Pause(TargetArgs),
    /// Let paused processes go on with all their descendants
    Resume(TargetArgs),
    /// Send a signal to what runs
    Signal(SignalArgs),
    /// Say why a process waits, and for whom
    Why(WhyArgs),
    /// Show the queues of concurrency keys, or change one
    Queue(QueueArgs),
    /// Show the machines that share the store
    Nodes,
    /// Take a machine out of work, or back into it
    Node(NodeArgs),
    /// End a session
    Session(SessionArgs),
    /// Report work that you do yourself: its begin, its progress, its end
    Track(TrackArgs),
    /// Count processes by level: how many live, how they ended, how long they took
    Stats(StatsArgs),
    /// Let records of ended processes go, with their output
    Prune(PruneArgs),
    /// Stop everything and let all records go
    Clear(ResetArgs),
    /// Print everything that is known about processes, as JSON
    Inspect(InspectArgs),
    /// Report how far the work has come, from inside of it
    Progress(ProgressArgs),
    /// Serve an agent over MCP, or enter longhaul into its configuration
    Mcp(McpArgs),
    /// Run the manager
    Serve(ServeArgs),
    /// Print the token by which clients are known over the network
    Token(TokenArgs),
    /// Keep the state of this project in its own directory
    Init(InitArgs),
    /// Copy one store to another
    Store(StoreArgs),
    /// Show and check the configuration
    Config(ConfigArgs),
    /// Look whether all is in order: files, programs, the manager, and the store of many machines
    Doctor(DoctorArgs),
    /// Show the versions of the program and of the manager
    Version,
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Explain an error
    Explain(ExplainArgs),
}

/// Reads the arguments of the program.
///
/// # Errors
/// What is wrong with them, or the help that was asked for; it knows how to print itself and which code to exit with.
pub fn parse() -> Result<Cli, UsageError> {
    read(std::env::args_os()).map_err(|error| UsageError::new(error, std::env::args_os()))
}

/// Reads the given arguments, the first of which names the program.
pub(crate) fn read<I>(arguments: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = std::ffi::OsString>,
{
    let arguments: Vec<std::ffi::OsString> = arguments.into_iter().collect();
    fast_path::read(&arguments).map_or_else(|| read_whole(&arguments), Ok)
}

/// Gives the error without a word of flags that only the environment set: its usage line would name them as if they were
/// needed.
fn without_variables(arguments: &[std::ffi::OsString], error: clap::Error) -> clap::Error {
    let command = Cli::command().mut_args(|argument| argument.env(Resettable::<OsStr>::Reset));
    command
        .try_get_matches_from(arguments)
        .err()
        .filter(|plain| plain.kind() == error.kind())
        .unwrap_or(error)
}

fn read_whole(arguments: &[std::ffi::OsString]) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let matches =
        command.try_get_matches_from_mut(arguments).map_err(|error| without_variables(arguments, error))?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

#[cfg(test)]
mod tests;
