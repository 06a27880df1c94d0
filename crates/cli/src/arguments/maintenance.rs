//! Arguments of the subcommands that deal with sessions, statistics, retention and stores.

use super::SessionRule;
use crate::completion::{references, sessions};
use crate::value::{AgeArg, DurationArg, SizeArg, reference, word};
use clap::{ArgGroup, Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

/// Arguments of `session`.
#[derive(Clone, Debug, Args)]
pub struct SessionArgs {
    /// Subcommand.
    #[command(subcommand)]
    pub verb: SessionVerb,
}

/// Subcommands of `session`.
#[derive(Clone, Debug, Subcommand)]
pub enum SessionVerb {
    /// List sessions with live or recent processes
    List,
    /// End a session: apply the policy --on-session-end of each of its processes
    End(SessionEndArgs),
}

/// Arguments of `session end`.
#[derive(Clone, Debug, Default, Args)]
pub struct SessionEndArgs {
    /// Session
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(sessions))]
    pub id: String,
    /// Apply this policy to all processes of the session
    #[arg(long, value_enum)]
    pub policy: Option<SessionRule>,
    /// With --policy grace: time until the processes are cancelled [default: session.grace]
    #[arg(long, value_name = "TIME", requires = "policy", allow_hyphen_values = true)]
    pub grace: Option<DurationArg>,
}

/// Arguments of `stats`.
#[derive(Clone, Debug, Default, Args)]
pub struct StatsArgs {
    /// Count only processes of this session
    #[arg(long, value_name = "ID", value_parser = word, add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Count only the tree of this process
    #[arg(long, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(references))]
    pub tree: Option<String>,
}

/// Arguments of `prune`.
#[derive(Clone, Debug, Default, Args)]
#[command(group = ArgGroup::new("rule").multiple(true).required(true))]
pub struct PruneArgs {
    /// Delete processes that ended longer ago than this
    #[arg(long, group = "rule", value_name = "TIME", allow_hyphen_values = true)]
    pub older_than: Option<AgeArg>,
    /// Delete all but the newest N ended processes
    #[arg(long, group = "rule", value_name = "N", allow_negative_numbers = true)]
    pub keep: Option<u64>,
    /// Delete the oldest ended processes until the remaining output has at most this size
    #[arg(long, group = "rule", value_name = "SIZE", allow_negative_numbers = true)]
    pub bytes: Option<SizeArg>,
    /// Print what would be deleted, without deleting it
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `reset`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ResetArgs {
    /// Print what would be stopped and deleted, without doing it
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `store`.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Subcommand.
    #[command(subcommand)]
    pub verb: StoreVerb,
}

/// Subcommands of `store`.
#[derive(Clone, Debug, Subcommand)]
pub enum StoreVerb {
    /// Copy a store to an empty store and compare all records; no manager may use either store
    Copy {
        /// Source store, such as sqlite:PATH or fs:PATH
        #[arg(value_name = "FROM")]
        from: String,
        /// Target store
        #[arg(value_name = "TO")]
        to: String,
    },
    /// Show the id and location of the cluster key, which signs launches
    Key {
        /// Create a new key first; the old key stays trusted
        #[arg(long, conflicts_with = "retire")]
        rotate: bool,
        /// Remove the old key after a rotation; with --yes even if waiting launches are signed with this key
        #[arg(long)]
        retire: bool,
    },
    /// Bind a store to this state directory, if its former state directory is gone
    Adopt {
        /// Store, such as sqlite:PATH or fs:PATH [default: the configured store]
        #[arg(value_name = "STORE")]
        store: Option<String>,
    },
}
