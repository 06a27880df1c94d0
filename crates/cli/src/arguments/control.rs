//! What may be said when changing processes.

use crate::completion::{live, references, signals};
use crate::value::{PercentArg, SignalArg, reference};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

/// The revision that a command is about.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct RevisionArgs {
    /// Do it only if the process still has this revision
    #[arg(long = "expect-revision", value_name = "N")]
    pub revision: Option<u64>,
}

/// What `cancel` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct CancelArgs {
    /// The processes: ids, unique prefixes, names or @last; without them there is a choice
    #[arg(value_name = "ID", conflicts_with_all = ["all", "level"], value_parser = reference,
          add = ArgValueCandidates::new(live))]
    pub ids: Vec<String>,
    /// Kill at once instead of asking first
    #[arg(long, visible_alias = "force")]
    pub now: bool,
    /// Leave their descendants alone
    #[arg(long, conflicts_with = "level")]
    pub alone: bool,
    /// Everything that lives; with --project, in that project
    #[arg(long)]
    pub all: bool,
    /// Everything on this level, and below it; the roots are on level 0
    #[arg(long, value_name = "N", conflicts_with_all = ["all", "revision"],
          allow_negative_numbers = true)]
    pub level: Option<u8>,
    /// With --level: only in the tree of this process
    #[arg(long, value_name = "ID", requires = "level", value_parser = reference,
          add = ArgValueCandidates::new(references))]
    pub tree: Option<String>,
    /// Do not wait for the end
    #[arg(long)]
    pub no_wait: bool,
    /// The revision that it is about.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// What `restart` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct RestartArgs {
    /// The process: an id, a unique prefix, a name or @last; several with -b or --interrupted
    #[arg(value_name = "ID", required_unless_present = "interrupted", value_parser = reference,
          add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
    /// Leave it to the background and print its id
    #[arg(short, long)]
    pub background: bool,
    /// What was interrupted and was not restarted yet, in the background: all of it, or what is named
    #[arg(long, conflicts_with = "revision")]
    pub interrupted: bool,
    /// With --interrupted: also restart children that a restarted process launched itself and has not launched again yet; if their parent launches them again later, they run twice
    #[arg(long, requires = "interrupted")]
    pub with_children: bool,
    /// With --interrupted: show what would be restarted, and what would be skipped and why; restart nothing
    #[arg(long, requires = "interrupted")]
    pub dry_run: bool,
    /// The revision that it is about.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// What `retry` takes.
#[derive(Clone, Debug, Args)]
pub struct RetryArgs {
    /// The processes: ids, unique prefixes, names or @last
    #[arg(required = true, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(live))]
    pub ids: Vec<String>,
    /// The revision that it is about.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// What `pause` and `resume` take.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// The processes: ids, unique prefixes, names or @last
    #[arg(required = true, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(live))]
    pub ids: Vec<String>,
    /// Leave their descendants alone
    #[arg(long)]
    pub alone: bool,
    /// The revision that it is about.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// What `signal` takes.
#[derive(Clone, Debug, Args)]
pub struct SignalArgs {
    /// The process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(live))]
    pub id: String,
    /// The signal: a name such as USR1 or SIGHUP, or a number; cancel, pause and resume are for KILL, STOP and CONT
    #[arg(value_name = "SIGNAL", add = ArgValueCandidates::new(signals))]
    pub signal: SignalArg,
    /// To everything that its command started too
    #[arg(long)]
    pub tree: bool,
    /// The revision that it is about.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// What `progress` takes.
#[derive(Clone, Debug, Args)]
pub struct ProgressArgs {
    /// How far: 42, 42% or 412/1000
    #[arg(value_name = "N", required_unless_present = "stage", allow_negative_numbers = true)]
    pub progress: Option<PercentArg>,
    /// What it is doing
    #[arg(long, value_name = "TEXT")]
    pub stage: Option<String>,
    /// The process; inside of one that one is the default
    #[arg(long, value_name = "ID", env = "LONGHAUL_ID", hide_env_values = true, add = ArgValueCandidates::new(references))]
    pub id: Option<String>,
}
