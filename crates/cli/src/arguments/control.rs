//! Arguments of the subcommands that change processes.

use crate::completion::{live, references, sessions, signals};
use crate::value::{DurationArg, PercentArg, SignalArg, reference, word};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

/// Option for the revision that the process is expected to have.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct RevisionArgs {
    /// Act only if the process still has this revision
    #[arg(long = "expect-revision", value_name = "N")]
    pub revision: Option<u64>,
}

/// Arguments of `cancel`.
#[derive(Clone, Debug, Default, Args)]
pub struct CancelArgs {
    /// Processes: ids, unique prefixes, names or @last [default: ask]
    #[arg(value_name = "ID", conflicts_with_all = ["all", "level", "session"], value_parser = reference,
          add = ArgValueCandidates::new(live))]
    pub ids: Vec<String>,
    /// Cancel all live processes of this session
    #[arg(long, value_name = "ID", conflicts_with_all = ["all", "level"], value_parser = word,
          add = ArgValueCandidates::new(sessions))]
    pub session: Option<String>,
    /// Send KILL at once, without the stop signal
    #[arg(long)]
    pub force: bool,
    /// Do not act on descendants
    #[arg(long, conflicts_with = "level")]
    pub no_descendants: bool,
    /// Cancel all live processes; with --project, those of the project
    #[arg(long)]
    pub all: bool,
    /// Cancel all processes on this level and on all deeper levels; roots are on level 0
    #[arg(long, value_name = "N", conflicts_with_all = ["all", "revision"],
          allow_negative_numbers = true)]
    pub level: Option<u8>,
    /// With --level: only the tree of this process
    #[arg(long, value_name = "ID", requires = "level", value_parser = reference,
          add = ArgValueCandidates::new(references))]
    pub tree: Option<String>,
    /// Return without waiting until the processes end
    #[arg(long)]
    pub no_wait: bool,
    /// Expected revision.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// Arguments of `restart`.
#[derive(Clone, Debug, Default, Args)]
pub struct RestartArgs {
    /// Process: an id, a unique prefix, a name or @last; several are allowed with -b or --interrupted
    #[arg(value_name = "ID", required_unless_present = "interrupted", value_parser = reference,
          add = ArgValueCandidates::new(references))]
    pub ids: Vec<String>,
    /// Run in the background and print the id
    #[arg(short, long)]
    pub background: bool,
    /// Restart interrupted processes in the background: the given processes, or all that were not restarted yet
    #[arg(long, conflicts_with = "revision")]
    pub interrupted: bool,
    /// With --interrupted: also restart a child if its parent was restarted, has ended, and did not launch the child
    /// again
    #[arg(long, requires = "interrupted")]
    pub with_children: bool,
    /// With --interrupted: print which processes would be restarted or skipped, and why
    #[arg(long, requires = "interrupted")]
    pub dry_run: bool,
    /// Expected revision.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// Arguments of `retry`.
#[derive(Clone, Debug, Args)]
pub struct RetryArgs {
    /// Processes: ids, unique prefixes, names or @last
    #[arg(required = true, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(live))]
    pub ids: Vec<String>,
    /// Expected revision.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// Arguments of `pause` and `resume`.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// Processes: ids, unique prefixes, names or @last
    #[arg(required = true, value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(live))]
    pub ids: Vec<String>,
    /// Do not act on descendants
    #[arg(long)]
    pub no_descendants: bool,
    /// Expected revision.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// Arguments of `signal`.
#[derive(Clone, Debug, Args)]
pub struct SignalArgs {
    /// Process: an id, a unique prefix, a name or @last
    #[arg(value_name = "ID", value_parser = reference, add = ArgValueCandidates::new(live))]
    pub id: String,
    /// Signal: a name such as USR1, or a number; use cancel, pause and resume instead of KILL, STOP and CONT
    #[arg(value_name = "SIGNAL", add = ArgValueCandidates::new(signals))]
    pub signal: SignalArg,
    /// Also send the signal to all descendants of the command
    #[arg(long)]
    pub tree: bool,
    /// Expected revision.
    #[command(flatten)]
    pub expected: RevisionArgs,
}

/// Arguments of `progress`.
#[derive(Clone, Debug, Args)]
pub struct ProgressArgs {
    /// Progress: 42, 42% or 412/1000
    #[arg(value_name = "N", required_unless_present_any = ["stage", "eta", "waiting_for_input"], allow_negative_numbers = true)]
    pub progress: Option<PercentArg>,
    /// Name of the current stage
    #[arg(long, value_name = "TEXT")]
    pub stage: Option<String>,
    /// Remaining time; it is counted down until the next report
    #[arg(long, value_name = "TIME")]
    pub eta: Option<DurationArg>,
    /// Report that the command is waiting for input from another source; with =false, that it is no longer waiting
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub waiting_for_input: Option<bool>,
    /// Process [default inside a process: that process]
    #[arg(long, value_name = "ID", env = "LONGHAUL_ID", hide_env_values = true, add = ArgValueCandidates::new(references))]
    pub id: Option<String>,
}

/// Arguments of `result`.
#[derive(Clone, Debug, Args)]
pub struct ResultArgs {
    /// Result as JSON, or @FILE; @- is standard input
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    pub result: String,
    /// Process [default inside a process: that process]
    #[arg(long, value_name = "ID", env = "LONGHAUL_ID", hide_env_values = true, add = ArgValueCandidates::new(references))]
    pub id: Option<String>,
}

/// Arguments of `error`.
#[derive(Clone, Debug, Args)]
pub struct ErrorArgs {
    /// Error message; it is shown if the process fails
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub error: String,
    /// Process [default inside a process: that process]
    #[arg(long, value_name = "ID", env = "LONGHAUL_ID", hide_env_values = true, add = ArgValueCandidates::new(references))]
    pub id: Option<String>,
}
