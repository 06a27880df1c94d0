//! The command line of longhaul: a client of a running manager.
//!
//! [`parse`] reads the arguments, [`run`] does what they ask over the manager's Unix socket and gives the exit code.
//! Where the socket is, and how a manager is started when none answers, is decided by the program and handed in as a
//! [`Place`]. Data goes to standard output, text for people to standard error.

mod arguments;
mod choice;
mod client;
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
mod place;
mod render;
mod request;
mod shell_word;
mod standing;
mod value;
mod verb;

pub use arguments::{
    AttentionArgs, CancelArgs, ChildrenRule, ClearArgs, Cli, CompletionsArgs, ConfigArgs, ConfigVerb,
    DoctorArgs, EventsArgs, Expected, ExplainArgs, Format, Global, InitArgs, InspectArgs, Lines, LogsArgs,
    McpArgs, McpClient, McpInstallArgs, McpScope, McpToolsArgs, McpVerb, Misread, MoveArgs, NodeArgs,
    NodeName, NodeVerb, Paint, PlaceArgs, ProgressArgs, PruneArgs, QueueArgs, QueueVerb, RestartArgs,
    RetryArgs, RunArgs, SendArgs, ServeArgs, SessionArgs, SessionEndArgs, SessionRule, SessionVerb, SetArgs,
    SignalArgs, StatsArgs, StatusArgs, StoreArgs, StoreVerb, StreamName, TokenArgs, TrackArgs,
    TrackCompleteArgs, TrackFailArgs, TrackProgressArgs, TrackStartArgs, TrackVerb, TreeArgs, Verb, WaitArgs,
    WaitGoal, WhyArgs, WorkArgs, parse,
};
pub use completion::complete_if_asked;
pub use dispatch::{manager_lacks, manager_records, manager_stats, manager_version, run};
/// Escapes what JSON text could do to a terminal, for the verbs of the program itself.
pub use longhaul_view::clean_json;
pub use place::{Autostart, Place, StartError};
pub use shell_word::shell_word;
pub use value::{
    Age, At, Backoff, BadValue, Declared, InputFrom, Percent, RetryOn, Signal, Size, Slots, Span, Watched,
    length,
};
