//! Definition and parsing of the command-line arguments.

mod artifacts;
mod command_groups;
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
mod report;
mod task;
mod test_run;
mod track;
mod usage_error;

pub use artifacts::ArtifactsArgs;
pub use control::{
    CancelArgs, ErrorArgs, ProgressArgs, RestartArgs, ResultArgs, RetryArgs, RevisionArgs, SignalArgs,
    TargetArgs,
};
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
pub use report::ReportArgs;
pub use task::{RunnerArgs, TaskArgs};
pub use test_run::{RerunFailedArgs, TestsArgs};
pub use track::{TrackArgs, TrackCompleteArgs, TrackFailArgs, TrackProgressArgs, TrackStartArgs, TrackVerb};
pub use usage_error::UsageError;

use crate::value::word;
use clap::builder::{FalseyValueParser, OsStr, OsStringValueParser, Resettable, TypedValueParser as _};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Table of the exit codes, as `--help` prints it.
const EXIT_CODES: &str = "\
Exit codes:
  0    success, or nothing had to change
  1    the operation failed
  2    wrong usage, or a question could not be asked
  3    no such process or session, or more than one
  4    not possible in the current status of the process
  5    rejected by a limit or a queue
  6    the manager or its store cannot be reached, or has another version
  7    not authorised
  8    serve: the state directory or the store was removed, moved, replaced or truncated
Of `run` and `restart` in the foreground, `wait` and `logs --exit-status`:
  the exit code of the command, 2 and 3 as above, or
  75   `wait --timeout` has expired and a process is still live
  124  the process was stopped at its timeout
  125  longhaul failed, or the exit of the command was not observed
  126  the command cannot be executed
  127  the command was not found
  128+n  the command was killed by signal n (cancelled: 143 or 137)
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
    /// Options that every subcommand accepts.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// Subcommand to execute.
    #[command(subcommand)]
    pub command: Verb,
}

/// Options that every subcommand accepts.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Output format
    #[arg(short, long, global = true, value_name = "FORMAT", value_enum)]
    pub output: Option<OutputFormat>,
    /// Same as -o json
    #[arg(long, global = true, conflicts_with = "output")]
    pub json: bool,
    /// Print no hints
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print hints even if the output is not a terminal
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    /// Never ask a question; fail instead
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Project to act on
    #[arg(short, long, global = true, value_name = "NAME", value_parser = word)]
    pub project: Option<String>,
    /// State directory of the manager
    #[arg(long, global = true, value_name = "DIR", env = "LONGHAUL_STATE_DIR", hide_env_values = true,
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub state_dir: Option<PathBuf>,
    /// Do not start a manager if none is running
    #[arg(long, global = true, env = "LONGHAUL_NO_AUTOSTART", hide_env_values = true,
          value_parser = FalseyValueParser::new())]
    pub no_autostart: bool,
    /// Show times in UTC
    #[arg(long, global = true)]
    pub utc: bool,
}

impl GlobalArgs {
    /// Returns the requested output format. Returns `None` if neither `--json` nor `--output` was given.
    #[must_use]
    pub const fn format(&self) -> Option<OutputFormat> {
        if self.json { Some(OutputFormat::Json) } else { self.output }
    }
}

/// Format in which data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Table with the columns that fit the terminal
    Table,
    /// Table with all columns
    Wide,
    /// One JSON document; `events`, `logs`, `inspect` and `wait --session` print several, one per line
    Json,
    /// One JSON document for each line
    Ndjson,
    /// Only the ids
    Name,
}

/// Rule for when to print colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// Only on a terminal, and not if NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// A subcommand of the program.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a command, in the foreground or with -b in the background
    Run(Box<RunArgs>),
    /// Give a task to an agent, in the foreground or with -b in the background
    Task(Box<TaskArgs>),
    /// List live processes, or show one process in detail
    #[command(visible_alias = "ps")]
    Status(StatusArgs),
    /// Show processes as a tree of parents and children
    Tree(TreeArgs),
    /// Show the output of processes
    #[command(visible_alias = "log")]
    Logs(LogsArgs),
    /// Wait until processes end, and exit with their exit code
    Wait(WaitArgs),
    /// Write to the standard input of a process
    Send(SendArgs),
    /// Show past events, and with -f new events as they happen
    Events(EventsArgs),
    /// Stop processes and all their descendants
    #[command(visible_alias = "stop")]
    Cancel(CancelArgs),
    /// Run an ended process again, as a new process
    Restart(RestartArgs),
    /// Run only the failed tests of an ended process, as a new process
    RerunFailed(RerunFailedArgs),
    /// Start the next attempt of a process now
    Retry(RetryArgs),
    /// Pause processes and all their descendants
    Pause(TargetArgs),
    /// Resume paused processes and all their descendants
    Resume(TargetArgs),
    /// Send a signal to a running process
    Signal(SignalArgs),
    /// List the kept files (artifacts) of a process, or copy them
    Artifacts(ArtifactsArgs),
    /// Show the test results of a process
    Tests(TestsArgs),
    /// Show a report about one process on one screen
    Report(ReportArgs),
    /// Explain why a process waits or why it failed
    Why(WhyArgs),
    /// List the queues of concurrency keys, or change a queue
    Queue(QueueArgs),
    /// List, drain and forget the nodes of a cluster
    Node(NodeArgs),
    /// List sessions, or end a session
    Session(SessionArgs),
    /// Report work that you do yourself: start, progress and end
    Track(TrackArgs),
    /// Count processes by level, final status and run time
    Stats(StatsArgs),
    /// Delete ended processes and their output
    Prune(PruneArgs),
    /// Stop all processes and delete all records
    Reset(ResetArgs),
    /// Print all details of processes as JSON
    Inspect(InspectArgs),
    /// Report progress from inside a command
    Progress(ProgressArgs),
    /// Report a result from inside a command
    Result(ResultArgs),
    /// Report an error message from inside a command
    Error(ErrorArgs),
    /// Serve an agent over MCP, or add longhaul to the agent's configuration
    Mcp(McpArgs),
    /// Run the manager in the foreground
    Serve(ServeArgs),
    /// Print the token that network clients send
    Token(TokenArgs),
    /// Create a state directory for this project
    Init(InitArgs),
    /// Copy or adopt a store, or manage the cluster key
    Store(StoreArgs),
    /// Show and check the configuration
    Config(ConfigArgs),
    /// Check files, programs, the manager and the store
    Doctor(DoctorArgs),
    /// Show the versions of the client and the manager
    Version,
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Explain an error code
    Explain(ExplainArgs),
    /// Carry out the plan of a runner; only the launch of an agent executes this command
    #[command(hide = true)]
    Runner(RunnerArgs),
}

impl Verb {
    /// Returns true if the manager program executes the command.
    pub(crate) const fn is_of_manager(&self) -> bool {
        matches!(
            self,
            Self::Serve(_)
                | Self::Token(_)
                | Self::Init(_)
                | Self::Store(_)
                | Self::Config(_)
                | Self::Doctor(_)
        )
    }
}

/// Parses the arguments of this program.
///
/// # Errors
/// Fails if the arguments are invalid, or if help or the version was requested. The error contains the text to print
/// and the exit code.
pub fn parse() -> Result<Cli, UsageError> {
    read(std::env::args_os()).map_err(|error| UsageError::new(error, std::env::args_os()))
}

/// Parses the given command line. Its first element is the name of the program.
pub(crate) fn read<I>(arguments: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = std::ffi::OsString>,
{
    let arguments: Vec<std::ffi::OsString> = arguments.into_iter().collect();
    fast_path::read(&arguments).map_or_else(|| read_whole(&arguments), Ok)
}

/// Returns the error without the flags that were set only by environment variables. With these flags, the usage line of
/// the error would show them as if they were required.
fn without_variables(arguments: &[std::ffi::OsString], error: clap::Error) -> clap::Error {
    let command = Cli::command().mut_args(|argument| argument.env(Resettable::<OsStr>::Reset));
    command
        .try_get_matches_from(arguments)
        .err()
        .filter(|plain| plain.kind() == error.kind())
        .unwrap_or(error)
}

fn read_whole(arguments: &[std::ffi::OsString]) -> Result<Cli, clap::Error> {
    let mut command = command_groups::grouped();
    let matches =
        command.try_get_matches_from_mut(arguments).map_err(|error| without_variables(arguments, error))?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

#[cfg(test)]
mod tests;
