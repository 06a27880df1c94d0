//! What may be said about work that its caller does itself and reports.

use super::{RevisionArgs, WorkArgs};
use crate::completion::references;
use crate::value::{DurationArg, PercentArg, reference};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  id=$(longhaul track start --name migration --heartbeat 1m)
  longhaul track progress $id 412/1000 --stage 'copying users'
  longhaul track complete $id --result '{\"rows\": 1000}'
  longhaul track fail $id --error 'the disk is full'";

/// What `track` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TrackArgs {
    /// What to report.
    #[command(subcommand)]
    pub verb: TrackVerb,
}

/// What to report.
#[derive(Clone, Debug, Subcommand)]
pub enum TrackVerb {
    /// Say that work begins, and print its id
    Start(Box<TrackStartArgs>),
    /// Say how far it has come; without anything more, that it goes on
    Progress(TrackProgressArgs),
    /// Say that it is done
    Complete(TrackCompleteArgs),
    /// Say that it went wrong
    Fail(TrackFailArgs),
}

/// What `track start` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct TrackStartArgs {
    /// What every launch takes.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Where it is done: any label; it never changes
    #[arg(long, value_name = "LABEL")]
    pub node: Option<String>,
    /// Let it wait for a slot of its key instead of starting at once
    #[arg(long)]
    pub queued: bool,
    /// Call it interrupted when it gives no sign of life for so long
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub heartbeat: Option<DurationArg>,
    /// How long a cancel waits for its answer
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub grace: Option<DurationArg>,
}

/// What `track progress` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct TrackProgressArgs {
    /// The process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// How far: 42, 42% or 412/1000
    #[arg(value_name = "N", allow_negative_numbers = true)]
    pub progress: Option<PercentArg>,
    /// What it is doing
    #[arg(long, value_name = "TEXT")]
    pub stage: Option<String>,
    /// The revision that it is about.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// What `track complete` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct TrackCompleteArgs {
    /// The process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// What came of it, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "result_file", allow_negative_numbers = true)]
    pub result: Option<String>,
    /// A file with what came of it, as JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    pub result_file: Option<PathBuf>,
    /// The revision that it is about.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// What `track fail` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct TrackFailArgs {
    /// The process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// Why, for whoever looks at it later
    #[arg(long, value_name = "TEXT", required = true)]
    pub error: String,
    /// The revision that it is about.
    #[command(flatten)]
    pub expected: RevisionArgs,
}
