//! Messages for the time during which the store does not answer. A node then has records only of its own processes.

use crate::dispatch::VerbContext;
use crate::failure::CliError;
use crate::render::RenderTime;
use longhaul_wire::api::Problem;

/// If a list contains only the processes of one node because the store does not answer, prints a note about this. `at`
/// is the time of the list.
pub(super) fn print_outage(context: &VerbContext, stale_since: Option<&str>, at: &str) {
    if let Some(since) = stale_since {
        let since = RenderTime::parse(at, context.console.utc).clock(since);
        let text = "the list contains only the processes that this node stores itself";
        context.console.say(&format!("the store has not answered since {since}: {text}"));
    }
}

/// Returns the message for an empty list. If the store does not answer, the message says that other nodes may still be
/// running processes.
pub(super) fn emptiness(stale_since: Option<&str>, nothing: &str) -> String {
    match stale_since {
        Some(_) => "this node stores no such process; processes of other nodes are unknown until the store \
            answers"
            .to_owned(),
        None => nothing.to_owned(),
    }
}

/// Returns an error for an action on all processes while the store does not answer, because the processes of other
/// nodes are then unknown.
pub(super) fn refuse_during_outage(stale_since: Option<&str>) -> Result<(), CliError> {
    if stale_since.is_none() {
        return Ok(());
    }
    let problem = Problem {
        slug: "store_unavailable".to_owned(),
        title: "the store does not answer, so the processes of other nodes are unknown".to_owned(),
        help: Some("give the ids of the processes, or try again when the store answers".to_owned()),
        ..Problem::default()
    };
    Err(CliError::from(problem))
}
