//! Implements `progress`.

use super::track::warn_of_stop;
use crate::arguments::ProgressArgs;
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::value::{DurationArg, PercentArg};
use longhaul_client::RequestPath;
use longhaul_wire::api::{ActionReply, UpdateRequest};

/// Returns the id of the process for which a command reports. Outside of a managed process, this id is not set, so the
/// help text of the error shows how the user can name a process.
pub(super) fn enclosing<'a>(id: Option<&'a str>, help: &str) -> Result<&'a str, CliError> {
    id.filter(|id| !id.is_empty()).ok_or_else(|| CliError::Usage {
        what: "no process is given".to_owned(),
        why: Some(
            "LONGHAUL_ID is not set: this command does not run inside a process of longhaul".to_owned(),
        ),
        help: help.to_owned(),
    })
}

/// Sends the progress of a process to the manager.
pub(crate) async fn progress(context: &VerbContext, args: &ProgressArgs) -> Result<i32, CliError> {
    let id = enclosing(args.id.as_deref(), "longhaul progress N --id ID")?;
    let update = UpdateRequest {
        progress: args.progress.map(PercentArg::value),
        stage: args.stage.clone(),
        eta_ms: args.eta.map(DurationArg::as_millis),
        waiting_for_input: args.waiting_for_input,
        ..UpdateRequest::default()
    };
    let outcome: ActionReply = context.client.amend(&RequestPath::process(id), &update).await?;
    if context.console.is_json() {
        context.console.print_json(&outcome)?;
    }
    warn_of_stop(context, &outcome.process);
    Ok(DONE)
}
