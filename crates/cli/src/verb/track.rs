//! Implements `track`.

use super::action::print_outcome;
use super::run::{IdFile, announce, submit};
use crate::arguments::{
    TrackArgs, TrackCompleteArgs, TrackFailArgs, TrackProgressArgs, TrackStartArgs, TrackVerb,
};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::request::track_request;
use crate::value::{DurationArg, PercentArg};
use longhaul_client::RequestPath;
use longhaul_wire::api::{ActionReply, CompleteRequest, FailRequest, ProcessView, UpdateRequest};
use serde_json::Value;
use std::fs;
use std::io::Read;

/// Reports work that the caller does itself.
pub(crate) async fn track(context: &VerbContext, args: &TrackArgs) -> Result<i32, CliError> {
    match &args.verb {
        TrackVerb::Start(args) => start(context, args).await,
        TrackVerb::Progress(args) => progress(context, args).await,
        TrackVerb::Complete(args) => complete(context, args).await,
        TrackVerb::Fail(args) => fail(context, args).await,
    }
}

async fn start(context: &VerbContext, args: &TrackStartArgs) -> Result<i32, CliError> {
    let request = track_request(args, &context.global, &context.around, context.client.socket())?;
    let id_file = IdFile::of(&args.work)?;
    let launched = submit(context, &args.work, request).await?;
    id_file.write(&launched.process.id)?;
    announce(context, launched).await
}

async fn progress(context: &VerbContext, args: &TrackProgressArgs) -> Result<i32, CliError> {
    let path = RequestPath::process(&args.id).with_some("revision", args.expected.revision);
    let update = UpdateRequest {
        progress: args.progress.map(PercentArg::value),
        stage: args.stage.clone(),
        eta_ms: args.eta.map(DurationArg::as_millis),
        ..UpdateRequest::default()
    };
    let outcome: ActionReply = context.client.amend(&path, &update).await?;
    if context.console.format.is_some() {
        print_outcome(context, &outcome)?;
    }
    warn_of_stop(context, &outcome.process);
    Ok(DONE)
}

/// Prints a warning if the process is being stopped. Every progress report prints this warning, so that the program
/// that does the work receives it in any case.
pub(super) fn warn_of_stop(context: &VerbContext, process: &ProcessView) {
    if process.status == "stopping" {
        let why = process.reason.as_deref().unwrap_or("the work received a stop request");
        context.console.say(&format!("stopping: {why}"));
        if process.work == "reported" {
            context
                .console
                .say(&format!("acknowledge: longhaul track fail {} --error cancelled", process.id));
        }
    }
}

async fn complete(context: &VerbContext, args: &TrackCompleteArgs) -> Result<i32, CliError> {
    let path = RequestPath::process_part(&args.id, "complete").with_some("revision", args.expected.revision);
    let outcome: ActionReply = context.client.send(&path, &CompleteRequest { result: result(args)? }).await?;
    print_outcome(context, &outcome)?;
    Ok(DONE)
}

async fn fail(context: &VerbContext, args: &TrackFailArgs) -> Result<i32, CliError> {
    let path = RequestPath::process_part(&args.id, "fail").with_some("revision", args.expected.revision);
    let outcome: ActionReply = context.client.send(&path, &FailRequest { error: args.error.clone() }).await?;
    print_outcome(context, &outcome)?;
    Ok(DONE)
}

/// Returns the result of the work, read from the argument, a file or standard input. Returns `None` if no result was
/// given.
fn result(args: &TrackCompleteArgs) -> Result<Option<Value>, CliError> {
    let text = match (&args.result, &args.result_file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) if file.as_os_str() == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|source| CliError::file("read", file, source))?;
            text
        }
        (None, Some(file)) => {
            fs::read_to_string(file).map_err(|source| CliError::file("read", file, source))?
        }
        (None, None) => return Ok(None),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| CliError::Usage {
        what: "the result is not JSON".to_owned(),
        why: Some(error.to_string()),
        help: "--result '{\"rows\": 5}', or --result '\"a text\"'".to_owned(),
    })
}
