//! Options that every kind of launch has.

use crate::completion::{agents, keys, references, sessions};
use crate::value::{DurationArg, StartTime, key, reference};
use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

/// Options of every launch.
#[derive(Clone, Debug, Default, Args)]
pub struct WorkArgs {
    /// Name that can be used instead of the id
    #[arg(short, long)]
    pub name: Option<String>,
    /// Description of the process
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Type of the process: jules_session, test_suite, build, server, analysis, custom or custom:NAME
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Add metadata: KEY=VALUE, or a JSON object
    #[arg(long, value_name = "KEY=VALUE")]
    pub meta: Vec<String>,
    /// Session of the process [default inside a process: its session]
    #[arg(long, value_name = "ID", add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Never start a second process with this key in the session
    #[arg(long, value_name = "KEY")]
    pub launch_key: Option<String>,
    /// Also write the id to this file
    #[arg(long, value_name = "FILE")]
    pub id_file: Option<PathBuf>,

    /// Concurrency key: processes with the same key share slots
    #[arg(long, help_heading = "Scheduling", value_parser = key, add = ArgValueCandidates::new(keys))]
    pub key: Option<String>,
    /// Priority from −100 to 100; higher starts first [default: 0]
    #[arg(long, help_heading = "Scheduling", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(-100..=100))]
    pub priority: Option<i64>,
    /// Fail instead of waiting for a slot
    #[arg(long, help_heading = "Scheduling")]
    pub no_queue: bool,
    /// Start the process after this delay
    #[arg(long, help_heading = "Scheduling", value_name = "TIME", allow_hyphen_values = true)]
    pub delay: Option<DurationArg>,
    /// Start the process at this time: 15:00, 2026-11-21 15:00, or RFC 3339 with a time zone
    #[arg(long, help_heading = "Scheduling", value_name = "MOMENT", conflicts_with = "delay")]
    pub at: Option<StartTime>,

    /// Parent process [default inside a process: that process]
    #[arg(long, help_heading = "Tree and session", value_name = "ID", conflicts_with = "no_parent",
          value_parser = reference, add = ArgValueCandidates::new(references))]
    pub parent: Option<String>,
    /// Start a root process, without a parent
    #[arg(long, help_heading = "Tree and session")]
    pub no_parent: bool,
    /// Action on the children when the process ends without being stopped [default: keep]
    #[arg(long, help_heading = "Tree and session", value_name = "POLICY", value_enum)]
    pub children: Option<ChildrenRule>,
    /// Action on the children when the process fails, times out or is interrupted [default: the policy of --children]
    #[arg(long, help_heading = "Tree and session", value_name = "POLICY", value_enum)]
    pub children_on_failure: Option<ChildrenRule>,
    /// Action on the process when its session ends [default: keep]
    #[arg(long, help_heading = "Tree and session", value_name = "POLICY", value_enum)]
    pub on_session_end: Option<SessionRule>,
    /// With --on-session-end grace: time until the process is cancelled [default: session.grace]
    #[arg(
        long,
        help_heading = "Tree and session",
        value_name = "TIME",
        requires = "on_session_end",
        allow_hyphen_values = true
    )]
    pub session_grace: Option<DurationArg>,

    /// Report `idle` after this time without output; 0 means never [default: monitor.idle_after]
    #[arg(long, help_heading = "Monitoring", value_name = "TIME", allow_hyphen_values = true)]
    pub idle_after: Option<DurationArg>,
    /// Mark as `stalled` after this time without any output, report or CPU use, or without a change of progress [default: monitor.stall_after]
    #[arg(long, help_heading = "Monitoring", value_name = "TIME", allow_hyphen_values = true)]
    pub stall_after: Option<DurationArg>,

    /// Name of the agent that does the work. Without COMMAND, it must be the name of a runner [default without COMMAND:
    /// runner.default]
    #[arg(long, help_heading = "Agent", value_name = "NAME")]
    pub agent: Option<String>,
    /// Prompt for the agent
    #[arg(long, help_heading = "Agent", value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// Model that the agent uses
    #[arg(long, help_heading = "Agent", value_name = "NAME")]
    pub model: Option<String>,
    /// Id of the session message that asked for the work
    #[arg(long, help_heading = "Agent", value_name = "ID")]
    pub parent_message_id: Option<String>,
    /// Id of the agent that launches the process
    #[arg(long, help_heading = "Agent", value_name = "ID", add = ArgValueCandidates::new(agents))]
    pub agent_id: Option<String>,
    /// Type of the agent
    #[arg(long, help_heading = "Agent", value_name = "TYPE")]
    pub agent_type: Option<String>,
    /// Capability of the agent
    #[arg(long, help_heading = "Agent", value_name = "WORD", value_delimiter = ',')]
    pub capability: Vec<String>,
}

/// Rule for the children of a process that ends without being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChildrenRule {
    /// The children keep running
    Keep,
    /// The children are cancelled
    Cancel,
    /// The process waits for its children before it ends
    Wait,
}

impl ChildrenRule {
    /// Returns the name of this rule in requests to the manager.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Cancel => "cancel",
            Self::Wait => "wait",
        }
    }
}

/// Rule for a process whose session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SessionRule {
    /// The process keeps running
    Keep,
    /// The process is cancelled
    Cancel,
    /// The process is cancelled after a grace period
    Grace,
}

impl SessionRule {
    /// Returns the name of this rule in requests to the manager.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Cancel => "cancel",
            Self::Grace => "grace",
        }
    }
}
