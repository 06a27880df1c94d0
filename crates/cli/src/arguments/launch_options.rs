//! What may be said about work of every sort when it is launched.

use crate::completion::{agents, keys, references, sessions};
use crate::value::{DurationArg, StartTime, key, reference};
use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

/// What every launch takes.
#[derive(Clone, Debug, Default, Args)]
pub struct WorkArgs {
    /// A name that people may use in place of the id
    #[arg(short, long)]
    pub name: Option<String>,
    /// A sentence about it
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// jules_session, test_suite, build, server, analysis, custom or custom:NAME
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Something to remember about it; a JSON object is taken as a whole
    #[arg(long, value_name = "KEY=VALUE")]
    pub meta: Vec<String>,
    /// The session that asks; inside of a process its own is the default
    #[arg(long, value_name = "ID", add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// The same key in the same session never starts a second copy
    #[arg(long, value_name = "KEY")]
    pub launch_key: Option<String>,
    /// Write its id to this file too
    #[arg(long, value_name = "FILE")]
    pub id_file: Option<PathBuf>,

    /// Its concurrency key
    #[arg(long, help_heading = "When it starts", value_parser = key, add = ArgValueCandidates::new(keys))]
    pub key: Option<String>,
    /// −100 to 100, higher first
    #[arg(long, help_heading = "When it starts", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(-100..=100))]
    pub priority: Option<i64>,
    /// Refuse it instead of letting it wait for a slot
    #[arg(long, help_heading = "When it starts")]
    pub no_queue: bool,
    /// Start it not before this time has passed
    #[arg(long, help_heading = "When it starts", value_name = "TIME", allow_hyphen_values = true)]
    pub delay: Option<DurationArg>,
    /// Start it not before this moment: 15:00, 2026-11-21 15:00, or with a zone as in RFC 3339
    #[arg(long, help_heading = "When it starts", value_name = "MOMENT", conflicts_with = "delay")]
    pub at: Option<StartTime>,

    /// Make it a child of this process; inside of a process that one is the default
    #[arg(long, help_heading = "Its tree", value_name = "ID", conflicts_with = "no_parent",
          value_parser = reference, add = ArgValueCandidates::new(references))]
    pub parent: Option<String>,
    /// Make it nobody's child
    #[arg(long, help_heading = "Its tree")]
    pub no_parent: bool,
    /// What becomes of its own children when it ends by itself; keep is the default
    #[arg(long, help_heading = "Its tree", value_name = "POLICY", value_enum)]
    pub children: Option<ChildrenRule>,
    /// What becomes of it when its session ends; keep is the default
    #[arg(long, help_heading = "Its tree", value_name = "POLICY", value_enum)]
    pub on_session_end: Option<SessionRule>,
    /// How long it may go on after the end of its session, with --on-session-end grace; session.grace if absent
    #[arg(
        long,
        help_heading = "Its tree",
        value_name = "TIME",
        requires = "on_session_end",
        allow_hyphen_values = true
    )]
    pub session_grace: Option<DurationArg>,

    /// Call it idle after this time without output or report; 0 means never, attention.idle_after if absent
    #[arg(long, help_heading = "What is told of it", value_name = "TIME", allow_hyphen_values = true)]
    pub idle_after: Option<DurationArg>,
    /// Call it stalled after this time without using the processor either; attention.stall_after if absent
    #[arg(long, help_heading = "What is told of it", value_name = "TIME", allow_hyphen_values = true)]
    pub stall_after: Option<DurationArg>,

    /// The agent behind it
    #[arg(long, help_heading = "Its agent", value_name = "ID", add = ArgValueCandidates::new(agents))]
    pub agent_id: Option<String>,
    /// The kind of agent
    #[arg(long, help_heading = "Its agent", value_name = "TYPE")]
    pub agent_type: Option<String>,
    /// Something that the agent can do
    #[arg(long, help_heading = "Its agent", value_name = "WORD", value_delimiter = ',')]
    pub capability: Vec<String>,
}

/// What becomes of the children of a process that ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ChildrenRule {
    /// They go on
    Keep,
    /// They are cancelled
    Cancel,
    /// It has not ended before they have
    Wait,
}

impl ChildrenRule {
    /// Gives the word that the manager knows it by.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Cancel => "cancel",
            Self::Wait => "wait",
        }
    }
}

/// What becomes of a process when its session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SessionRule {
    /// It goes on
    Keep,
    /// It is cancelled
    Cancel,
    /// It may go on for a time, and is cancelled then
    Grace,
}

impl SessionRule {
    /// Gives the word that the manager knows it by.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Cancel => "cancel",
            Self::Grace => "grace",
        }
    }
}
