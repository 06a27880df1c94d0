//! What may be said about everything together: sessions, numbers, and what is let go.

use super::SessionRule;
use crate::completion::{references, sessions};
use crate::value::{AgeArg, DurationArg, SizeArg, reference, word};
use clap::{ArgGroup, Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

/// What `session` takes.
#[derive(Clone, Debug, Args)]
pub struct SessionArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: SessionVerb,
}

/// What to do with a session.
#[derive(Clone, Debug, Subcommand)]
pub enum SessionVerb {
    /// List the sessions that have live processes, and those of the newest processes
    List,
    /// End it: each of its processes goes on or ends, as it was launched to
    End(SessionEndArgs),
}

/// What `session end` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct SessionEndArgs {
    /// The session
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(sessions))]
    pub id: String,
    /// Do this with all of them instead
    #[arg(long, value_enum)]
    pub policy: Option<SessionRule>,
    /// How long they may go on, with --policy grace; session.grace of the configuration if absent
    #[arg(long, value_name = "TIME", requires = "policy", allow_hyphen_values = true)]
    pub grace: Option<DurationArg>,
}

/// What `stats` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct StatsArgs {
    /// Count only what this session asked for
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Count only the tree of this process
    #[arg(long, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub tree: Option<String>,
}

/// What `prune` takes.
#[derive(Clone, Debug, Default, Args)]
#[command(group = ArgGroup::new("rule").multiple(true).required(true))]
pub struct PruneArgs {
    /// What ended longer ago than this
    #[arg(long, group = "rule", value_name = "TIME", allow_hyphen_values = true)]
    pub older_than: Option<AgeArg>,
    /// All but so many of what ended last
    #[arg(long, group = "rule", value_name = "N", allow_negative_numbers = true)]
    pub keep: Option<u64>,
    /// The oldest, until the output of what is left takes no more than this
    #[arg(long, group = "rule", value_name = "SIZE", allow_negative_numbers = true)]
    pub bytes: Option<SizeArg>,
    /// Only say what would go
    #[arg(long)]
    pub dry_run: bool,
}

/// What `clear` takes.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ResetArgs {
    /// Only say what would be stopped and let go
    #[arg(long)]
    pub dry_run: bool,
}

/// What `store` takes.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: StoreVerb,
}

/// What to do with stores.
#[derive(Clone, Debug, Subcommand)]
pub enum StoreVerb {
    /// Copy everything from one store to another, which must be empty, and compare; no manager may run
    Copy {
        /// The store with everything in it, such as sqlite:PATH or fs:PATH
        #[arg(value_name = "FROM")]
        from: String,
        /// The store that it goes to
        #[arg(value_name = "TO")]
        to: String,
    },
    /// Show the id of the cluster key, which vouches for launches in a store of many machines, and where it is
    Key {
        /// Put a new key before it first; the old one is trusted on
        #[arg(long, conflicts_with = "retire")]
        rotate: bool,
        /// Let go of the old one after a rotation; with --yes also while launches wait that it sealed
        #[arg(long)]
        retire: bool,
    },
    /// Give a store to this state directory, when the one that its live work was started from is gone for good
    Adopt {
        /// The store, such as sqlite:PATH or fs:PATH; that of the configuration if absent
        #[arg(value_name = "STORE")]
        store: Option<String>,
    },
}
