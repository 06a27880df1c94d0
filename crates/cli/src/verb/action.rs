//! Implements `pause`, `resume`, `retry` and `signal`, which send an action to each named process.

use super::{check_expected, complained, first_failed};
use crate::arguments::{OutputFormat, RetryArgs, RevisionArgs, SignalArgs, TargetArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{RenderTime, label};
use crate::status::ParsedStatus;
use longhaul_client::{ClientError, RequestPath};
use longhaul_view::clean_label;
use longhaul_wire::api::{ActionReply, OutcomeView, OutcomesReply, PauseReply, PauseRequest, SignalRequest};
use serde::Serialize;
use serde_json::json;

/// Note in a response: the action was passed to another node, which has not executed it yet.
const ASKED: &str = "asked";

/// Pauses processes.
pub(crate) async fn pause(context: &VerbContext, args: &TargetArgs) -> Result<i32, CliError> {
    set(context, args, "pause").await
}

/// Resumes paused processes.
pub(crate) async fn resume(context: &VerbContext, args: &TargetArgs) -> Result<i32, CliError> {
    set(context, args, "resume").await
}

/// Starts the next attempt of processes that are waiting for a retry.
pub(crate) async fn retry(context: &VerbContext, args: &RetryArgs) -> Result<i32, CliError> {
    order(context, &args.ids, args.expected, "retry", &json!({})).await
}

/// Sends a signal to a process.
pub(crate) async fn signal(context: &VerbContext, args: &SignalArgs) -> Result<i32, CliError> {
    let path = RequestPath::process_part(&args.id, "signal").with_some("revision", args.expected.revision);
    // The signal is sent as a number, because some signal names have different numbers on other machines.
    let request = SignalRequest { signal: args.signal.number().to_string(), tree: args.tree };
    let outcome: ActionReply = context.client.send(&path, &request).await?;
    print_as(context, &outcome, |outcome, _| signal_line(outcome))?;
    Ok(DONE)
}

fn signal_line(ActionReply { process, note, .. }: &ActionReply) -> String {
    let label = label(process);
    match note.as_deref() {
        Some(ASKED) => {
            let node = process.node_id.as_deref().map(clean_label).unwrap_or_default();
            format!(
                "{label} has not received the signal yet: its node {node} received the request and will send the \
                 signal"
            )
        }
        Some(_) | None => {
            format!("sending a signal to {label}, which is {}", clean_label(&process.status))
        }
    }
}

async fn set(context: &VerbContext, args: &TargetArgs, verb: &str) -> Result<i32, CliError> {
    check_expected(args.expected, args.ids.len())?;
    let mut codes = Vec::new();
    for id in &args.ids {
        let path = RequestPath::process_part(id, verb).with_some("revision", args.expected.revision);
        codes.push(
            match context
                .client
                .send_slowly(&path, &PauseRequest { no_descendants: args.no_descendants })
                .await
            {
                Ok(reply) => print_paced(context, reply)?,
                Err(failure) => complained(context, failure),
            },
        );
    }
    Ok(first_failed(codes))
}

/// Prints the outcome of a pause or resume. Returns the exit code for the first descendant that refused the action, or
/// zero.
fn print_paced(context: &VerbContext, reply: PauseReply) -> Result<i32, CliError> {
    let is_json = context.console.is_json();
    if is_json {
        context.console.print_json(&reply)?;
    }
    let PauseReply { process, changed, note, descendants } = reply;
    if !is_json {
        print_outcome(context, &ActionReply { process, changed, note })?;
    }
    print_each(context, &descendants, line)
}

async fn order<B: Serialize>(
    context: &VerbContext,
    ids: &[String],
    expected: RevisionArgs,
    verb: &str,
    body: &B,
) -> Result<i32, CliError> {
    check_expected(expected, ids.len())?;
    let mut codes = Vec::new();
    for id in ids {
        let path = RequestPath::process_part(id, verb).with_some("revision", expected.revision);
        codes.push(match context.client.send(&path, body).await {
            Ok(outcome) => {
                print_outcome(context, &outcome)?;
                DONE
            }
            Err(failure) => complained(context, failure),
        });
    }
    Ok(first_failed(codes))
}

/// Prints the outcome of an action on one process.
pub(super) fn print_outcome(context: &VerbContext, outcome: &ActionReply) -> Result<(), CliError> {
    print_as(context, outcome, line)
}

fn print_as(context: &VerbContext, outcome: &ActionReply, line: OutcomeText) -> Result<(), CliError> {
    match context.console.format {
        Some(OutputFormat::Json | OutputFormat::Ndjson) => context.console.print_json(outcome)?,
        Some(OutputFormat::Name) => context.console.print(&format!("{}\n", outcome.process.id))?,
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {
            context.console.say(&line(outcome, RenderTime::here(context.console.utc)));
        }
    }
    Ok(())
}

/// Prints what happened to the processes of an ended session. Returns the exit code for the first process whose action
/// was refused, or zero.
pub(super) fn print_session_end(context: &VerbContext, reply: &OutcomesReply) -> Result<i32, CliError> {
    if context.console.is_json() {
        context.console.print_json(reply)?;
    }
    print_each(context, &reply.outcomes, session_line)
}

/// Function that formats an outcome as one line of text.
type OutcomeText = fn(&ActionReply, RenderTime) -> String;

/// Prints the outcome of an action for each of several processes, and an error for each refused action. Returns the
/// exit code for the first refusal, or zero.
fn print_each(context: &VerbContext, outcomes: &[OutcomeView], line: OutcomeText) -> Result<i32, CliError> {
    let mut codes = Vec::new();
    for view in outcomes {
        match outcome(view) {
            Ok(outcome) if !context.console.is_json() => print_as(context, &outcome, line)?,
            Ok(_) => {}
            Err(failure) => codes.push(complained(context, failure)),
        }
    }
    Ok(first_failed(codes))
}

/// Converts one of several outcomes in a response. An outcome that contains a problem becomes an error.
pub(super) fn outcome(view: &OutcomeView) -> Result<ActionReply, CliError> {
    match (&view.process, &view.problem) {
        (_, Some(problem)) => Err(CliError::from(problem.clone())),
        (Some(process), None) => {
            Ok(ActionReply { process: process.clone(), changed: view.changed, note: view.note.clone() })
        }
        (None, None) => {
            Err(ClientError::Broken { why: format!("the reply of the manager does not contain {}", view.id) }
                .into())
        }
    }
}

/// Formats what happened to one process of an ended session as one line. If the session was ended a second time, the
/// cancellation time from the first time remains in force, and the line shows that time.
fn session_line(outcome: &ActionReply, now: RenderTime) -> String {
    let process = &outcome.process;
    let earlier = process
        .cancel_at
        .as_deref()
        .filter(|_| !outcome.changed && outcome.note.as_deref() != Some("ends_with_ancestor"));
    match earlier.filter(|_| !ParsedStatus::of(process).is_ended()) {
        Some(by) => format!(
            "{} is {} and will still be cancelled at {}, as announced",
            label(process),
            clean_label(&process.status),
            now.clock(by)
        ),
        None => line(outcome, now),
    }
}

fn line(outcome: &ActionReply, now: RenderTime) -> String {
    let process = &outcome.process;
    let status = clean_label(&process.status);
    let label = label(process);
    let told_to_end =
        matches!(ParsedStatus::of(process), ParsedStatus::Stopping) || ParsedStatus::of(process).is_ended();
    let ends_with_ancestor = outcome.note.as_deref() == Some("ends_with_ancestor");
    if let Some(by) =
        process.cancel_at.as_deref().filter(|_| outcome.changed && !told_to_end && !ends_with_ancestor)
    {
        return format!("{label} is {status} and will be cancelled at {}", now.clock(by));
    }
    match outcome.note.as_deref() {
        Some("orphan_stop_requested") => {
            format!(
                "{label} had already ended: {status}; its remaining processes on its node are being stopped"
            )
        }
        Some(ASKED) => {
            let node = process.node_id.as_deref().map(clean_label).unwrap_or_default();
            format!("{label} is still {status}: its node {node} received the request and will execute it")
        }
        Some("ends_with_ancestor") => {
            format!("{label} is {status} and will be cancelled together with its ancestor")
        }
        _ if outcome.changed => format!("{label} is {status}"),
        Some("already_ended") => format!("{label} had already ended: {status}"),
        Some("kept_by_policy") => format!("{label} continues, {status}"),
        Some(_) | None => format!("{label} was already {status}"),
    }
}
