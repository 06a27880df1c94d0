//! `pause`, `resume` and `retry`: an order to each process that is named.

use super::{complained, first_failed};
use crate::arguments::Format;
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::render::label;
use longhaul_view::clean_label;
use longhaul_wire::api::Outcome;
use serde_json::json;

/// Halts processes.
pub(crate) async fn pause(context: &Context, ids: &[String]) -> Result<i32, Failure> {
    order(context, ids, "pause").await
}

/// Lets paused processes go on.
pub(crate) async fn resume(context: &Context, ids: &[String]) -> Result<i32, Failure> {
    order(context, ids, "resume").await
}

/// Tries again now what waits for its next attempt.
pub(crate) async fn retry(context: &Context, ids: &[String]) -> Result<i32, Failure> {
    order(context, ids, "retry").await
}

async fn order(context: &Context, ids: &[String], verb: &str) -> Result<i32, Failure> {
    let mut codes = Vec::new();
    for id in ids {
        let outcome = context.client.send(&Path::process_part(id, verb), &json!({})).await;
        codes.push(match outcome {
            Ok(outcome) => {
                tell(context, &outcome)?;
                DONE
            }
            Err(failure) => complained(context, failure),
        });
    }
    Ok(first_failed(codes))
}

fn tell(context: &Context, outcome: &Outcome) -> Result<(), Failure> {
    let process = &outcome.process;
    match context.console.format {
        Some(Format::Json | Format::Ndjson) => context.console.print_json(outcome)?,
        Some(Format::Name) => context.console.print(&format!("{}\n", process.id))?,
        Some(Format::Table | Format::Wide) | None => {
            let already = if outcome.changed { "is" } else { "was already" };
            context.console.say(&format!("{} {already} {}", label(process), clean_label(&process.status)));
        }
    }
    Ok(())
}
