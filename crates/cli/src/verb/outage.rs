//! A store that does not answer: a node then knows of its own work alone.

use crate::dispatch::VerbContext;
use crate::failure::CliError;
use crate::render::RenderTime;
use longhaul_wire::api::Problem;

/// Says that a list holds the work of one node alone, if that is so; `at` is when the list was made.
pub(super) fn print_outage(context: &VerbContext, stale_since: Option<&str>, at: &str) {
    if let Some(since) = stale_since {
        let since = RenderTime::said(at, context.console.utc).clock(since);
        let text = "the list contains only what this node stores about its own work";
        context.console.say(&format!("the store has not answered since {since}: {text}"));
    }
}

/// What an empty list means: with a store that does not answer, other nodes may run something.
pub(super) fn emptiness(stale_since: Option<&str>, nothing: &str) -> String {
    match stale_since {
        Some(_) => "this node stores no such process; processes of other nodes are unknown now".to_owned(),
        None => nothing.to_owned(),
    }
}

/// Refuses an order for all processes while nobody can tell which ones there are.
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
