//! Command-line interface of longhaul: a client of a running manager.
//!
//! [`main`] is the program `longhaul`. [`parse`] reads the arguments. [`run`] executes client commands over the manager's
//! Unix socket and returns the exit code; a [`ManagerLocator`] says where the manager is. Data goes to standard output,
//! messages for people go to standard error.
//!
//! [`ManagerLocator`]: longhaul_client::ManagerLocator

mod arguments;
mod completion;
mod console;
mod dispatch;
mod exit_code;
mod explain;
mod failure;
mod json;
mod mcp;
mod nearest;
mod output;
mod program;
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
pub use program::main;
pub use shell_word::shell_word;
pub use value::{
    AgeArg, BackoffArg, BadValue, DurationArg, EnvArg, PercentArg, RetryOnArg, SignalArg, SizeArg, SlotsArg,
    StartTime, StdinArg, WatchArg, length,
};
