//! Command-line interface of longhaul: a client of a running manager.
//!
//! [`parse`] reads the arguments. [`run`] executes them over the manager's Unix socket and returns the exit code. The
//! main program passes a [`ManagerLocator`], which contains the path of the socket and a function that starts a manager
//! if none answers. Data goes to standard output, messages for people go to standard error.

mod arguments;
mod client;
mod completion;
mod console;
mod dispatch;
mod exit_code;
mod explain;
mod failure;
mod json;
mod manager_locator;
mod mcp;
mod nearest;
mod output;
mod prompt;
mod reconnection;
mod render;
mod request;
mod shell_word;
mod status;
mod value;
mod verb;

pub use arguments::{
    ArtifactsArgs, CancelArgs, ChildrenRule, Cli, ColorChoice, CompletionsArgs, ConfigArgs, ConfigVerb,
    DoctorArgs, ErrorArgs, EventsArgs, ExplainArgs, GlobalArgs, InitArgs, InspectArgs, LineCount, LogsArgs,
    McpArgs, McpClient, McpInstallArgs, McpScope, McpToolsArgs, McpVerb, MonitorArgs, MoveArgs, NodeArgs,
    NodeName, NodeVerb, OutputFormat, PlacementArgs, ProgressArgs, PruneArgs, QueueArgs, QueueVerb,
    ReportArgs, RerunFailedArgs, ResetArgs, RestartArgs, ResultArgs, RetryArgs, RevisionArgs, RunArgs,
    RunnerArgs, SendArgs, ServeArgs, SessionArgs, SessionEndArgs, SessionRule, SessionVerb, SignalArgs,
    StatsArgs, StatusArgs, StoreArgs, StoreVerb, StreamName, TargetArgs, TaskArgs, TestsArgs, TokenArgs,
    TrackArgs, TrackCompleteArgs, TrackFailArgs, TrackProgressArgs, TrackStartArgs, TrackVerb, TreeArgs,
    UsageError, Verb, WaitArgs, WaitGoal, WhyArgs, WorkArgs, parse,
};
pub use completion::complete_if_asked;
pub use dispatch::{manager_lacks, manager_records, manager_stats, manager_version, run};
/// Escapes those control characters in JSON text that could affect a terminal. Exported for subcommands that the main
/// program implements.
pub use longhaul_view::clean_json;
pub use manager_locator::{Autostart, ManagerLocator, StartError};
pub use shell_word::shell_word;
pub use value::{
    AgeArg, BackoffArg, BadValue, DurationArg, EnvArg, PercentArg, RetryOnArg, SignalArg, SizeArg, SlotsArg,
    StartTime, StdinArg, WatchArg, length,
};
