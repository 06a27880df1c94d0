//! Implementations of the subcommands.

mod action;
mod agent_hint;
mod artifacts;
mod cancel;
mod damage;
mod events;
mod explain;
mod foreground;
mod handover;
mod inspect;
mod logs;
mod mcp;
mod node;
mod outage;
mod outcome;
mod progress;
mod prune;
mod queue;
mod report;
mod rerun_failed;
mod reset;
mod restart;
mod resumable_stream;
mod run;
mod runner;
mod send;
mod session;
mod stats;
mod status;
mod test_run;
mod track;
mod tree;
mod version;
mod wait;
mod why;

pub(crate) use action::{pause, resume, retry, signal};
pub(crate) use artifacts::artifacts;
pub(crate) use cancel::cancel;
pub(crate) use events::events;
pub(crate) use explain::explain;
pub(crate) use inspect::inspect;
pub(crate) use logs::logs;
pub(crate) use mcp::mcp;
pub(crate) use node::node;
pub(crate) use outcome::{error, result};
pub(crate) use progress::progress;
pub(crate) use prune::prune;
pub(crate) use queue::queue;
pub(crate) use report::report;
pub(crate) use rerun_failed::rerun_failed;
pub(crate) use reset::reset;
pub(crate) use restart::restart;
pub(crate) use run::{run, task};
pub(crate) use runner::runner;
pub(crate) use send::send;
pub(crate) use session::session;
pub(crate) use stats::stats;
pub(crate) use status::status;
pub(crate) use test_run::test_run;
pub(crate) use track::track;
pub(crate) use tree::tree;
pub(crate) use version::version;
pub(crate) use wait::wait;
pub(crate) use why::why;

use crate::arguments::RevisionArgs;
use crate::dispatch::VerbContext;
use crate::exit_code::{DONE, ExitCodeMode, of_failure};
use crate::failure::CliError;
use agent_hint::hint_at_others_of_agent;

/// Prints the failure for one process and returns its exit code. The subcommand then continues with the next process.
fn complained(context: &VerbContext, failure: impl Into<CliError>) -> i32 {
    let failure = failure.into();
    let code = of_failure(&failure, ExitCodeMode::Control);
    context.console.complain(failure);
    code
}

/// Returns the first exit code that is not zero, or zero if all exit codes are zero.
fn first_failed(codes: impl IntoIterator<Item = i32>) -> i32 {
    codes.into_iter().find(|code| *code != DONE).unwrap_or(DONE)
}

/// Returns an error if a revision is expected and the action affects more than one process, because each process has
/// its own revision.
fn check_expected(expected: RevisionArgs, count: usize) -> Result<(), CliError> {
    if expected.revision.is_none() || count == 1 {
        return Ok(());
    }
    Err(CliError::Usage {
        what: "a revision belongs to one process".to_owned(),
        why: Some(format!("{count} processes are given")),
        help: "give one process with --expect-revision".to_owned(),
    })
}

#[cfg(test)]
mod tests;
