//! Arguments of `track`.

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

/// Arguments of `track`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TrackArgs {
    /// Subcommand.
    #[command(subcommand)]
    pub verb: TrackVerb,
}

/// Subcommands of `track`.
#[derive(Clone, Debug, Subcommand)]
pub enum TrackVerb {
    /// Register the work and print its id
    Start(Box<TrackStartArgs>),
    /// Report progress; without arguments, send a heartbeat
    Progress(TrackProgressArgs),
    /// Report that the work succeeded
    Complete(TrackCompleteArgs),
    /// Report that the work failed
    Fail(TrackFailArgs),
}

/// Arguments of `track start`.
#[derive(Clone, Debug, Default, Args)]
pub struct TrackStartArgs {
    /// Options of every launch.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Label of the place where the work runs
    #[arg(long, value_name = "LABEL")]
    pub node: Option<String>,
    /// Wait for a slot of the concurrency key instead of starting immediately
    #[arg(long)]
    pub queued: bool,
    /// Mark the work as interrupted after this time without a report
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub heartbeat: Option<DurationArg>,
    /// Time that the reporter has to answer a cancellation
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub grace: Option<DurationArg>,
}

/// Arguments of `track progress`.
#[derive(Clone, Debug, Default, Args)]
pub struct TrackProgressArgs {
    /// Process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// Progress: 42, 42% or 412/1000
    #[arg(value_name = "N", allow_negative_numbers = true)]
    pub progress: Option<PercentArg>,
    /// Name of the current stage
    #[arg(long, value_name = "TEXT")]
    pub stage: Option<String>,
    /// Remaining time; it is counted down until the next report
    #[arg(long, value_name = "TIME")]
    pub eta: Option<DurationArg>,
    /// Expected revision.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// Arguments of `track complete`.
#[derive(Clone, Debug, Default, Args)]
pub struct TrackCompleteArgs {
    /// Process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// Result as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "result_file", allow_negative_numbers = true)]
    pub result: Option<String>,
    /// File with the result as JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    pub result_file: Option<PathBuf>,
    /// Expected revision.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// Arguments of `track fail`.
#[derive(Clone, Debug, Default, Args)]
pub struct TrackFailArgs {
    /// Process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// Reason for the failure
    #[arg(long, value_name = "TEXT", required = true)]
    pub error: String,
    /// Expected revision.
    #[command(flatten)]
    pub expected: RevisionArgs,
}
