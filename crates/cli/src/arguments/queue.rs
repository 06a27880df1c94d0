//! Arguments of `queue` and `why`.

use super::RevisionArgs;
use crate::completion::{keys, references};
use crate::value::{SlotsArg, key, reference};
use clap::{ArgGroup, Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

const EXAMPLES: &str = "\
Examples:
  longhaul queue                            all queues: running and waiting processes, with times
  longhaul queue cargo --limit 2            run at most two processes at a time
  longhaul queue 'claude-opus*' --limit 1   all keys with this prefix
  longhaul queue '*' --limit 4              all keys without a limit of their own
  longhaul queue move build --first";

/// Arguments of `queue`.
#[derive(Clone, Debug, Default, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct QueueArgs {
    /// Concurrency key; with --limit also a pattern such as claude-*
    #[arg(value_name = "KEY", value_parser = key, add = ArgValueCandidates::new(keys))]
    pub key: Option<String>,
    /// Set the maximum number of running processes of the key; 0 means no limit, `default` uses the limit of the
    /// next matching pattern
    #[arg(long, value_name = "N|default", requires = "key", allow_hyphen_values = true)]
    pub limit: Option<SlotsArg>,
    /// Do not start waiting processes; running processes continue
    #[arg(long, requires = "key", conflicts_with = "release")]
    pub hold: bool,
    /// End the hold, so that waiting processes start again
    #[arg(long, requires = "key")]
    pub release: bool,
    /// Subcommand of `queue`. `None` means that the other arguments act on the queue of the given key.
    #[command(subcommand)]
    pub verb: Option<QueueVerb>,
}

/// Subcommands of `queue`.
#[derive(Clone, Debug, Subcommand)]
pub enum QueueVerb {
    /// Move a waiting process in its queue
    Move(MoveArgs),
}

/// Arguments of `queue move`.
#[derive(Clone, Debug, Default, Args)]
#[command(group = ArgGroup::new("where").required(true))]
pub struct MoveArgs {
    /// Process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: String,
    /// Move the process before all others that wait for the same key
    #[arg(long, group = "where")]
    pub first: bool,
    /// Set this priority: −100 to 100, higher starts first
    #[arg(long, group = "where", value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(-100..=100))]
    pub priority: Option<i64>,
    /// Expected revision.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// Arguments of `why`.
#[derive(Clone, Debug, Default, Args)]
pub struct WhyArgs {
    /// Process: an id, a unique prefix, a name or @last [default: ask]
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub id: Option<String>,
}
