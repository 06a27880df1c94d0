//! What may be said when changing processes.

use crate::completion::references;
use crate::value::{Percent, reference};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

/// What `cancel` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct CancelArgs {
    /// The processes: ids, unique prefixes, names or @last; without them there is a choice
    #[arg(value_name = "ID", conflicts_with = "all", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
    /// Kill at once instead of asking first
    #[arg(long, visible_alias = "force")]
    pub now: bool,
    /// Everything that lives; with --project, in that project
    #[arg(long)]
    pub all: bool,
    /// Do not wait for the end
    #[arg(long)]
    pub no_wait: bool,
}

/// What `restart` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct RestartArgs {
    /// The process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", required_unless_present = "interrupted", conflicts_with = "interrupted",
          value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: Option<String>,
    /// Leave it to the background and print its id
    #[arg(short, long)]
    pub background: bool,
    /// Everything that was interrupted and was not restarted yet, in the background
    #[arg(long)]
    pub interrupted: bool,
}

/// What `retry` takes.
#[derive(Clone, Debug, Args)]
pub struct RetryArgs {
    /// The processes: ids, unique prefixes, names or @last
    #[arg(required = true, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
}

/// What `pause` and `resume` take.
#[derive(Clone, Debug, Args)]
pub struct SetArgs {
    /// The processes: ids, unique prefixes, names or @last
    #[arg(required = true, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
}

/// What `progress` takes.
#[derive(Clone, Debug, Args)]
pub struct ProgressArgs {
    /// How far: 42, 42% or 412/1000
    #[arg(value_name = "N", required_unless_present = "stage", allow_negative_numbers = true)]
    pub progress: Option<Percent>,
    /// What it is doing
    #[arg(long, value_name = "TEXT")]
    pub stage: Option<String>,
    /// The process; inside of one that one is the default
    #[arg(long, value_name = "ID", env = "LONGHAUL_ID")]
    pub id: Option<String>,
}
