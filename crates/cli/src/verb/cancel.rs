//! `cancel`

use super::status::all_pages;
use super::{complained, first_failed};
use crate::arguments::CancelArgs;
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::{DONE, FAILED};
use crate::failure::Failure;
use crate::render::{ended_line, label, short, waiting_line};
use crate::standing::Standing;
use longhaul_wire::api::{CancelRequest, Outcome, ProcessView, WaitReply};
use std::time::Duration;
use tokio::time::Instant;

/// How long an end is waited for: the longest usual grace and two seconds.
const PATIENCE: Duration = Duration::from_secs(62);
/// How often it is looked at whether the end is stuck.
const SLICE: Duration = Duration::from_secs(2);

/// Stops processes with all their descendants.
pub(crate) async fn cancel(context: &Context, args: &CancelArgs) -> Result<i32, Failure> {
    let ids = chosen(context, args).await?;
    let mut codes = Vec::new();
    let mut stopping = Vec::new();
    for id in &ids {
        let path = Path::process_part(id, "cancel");
        match context.client.send::<_, Outcome>(&path, &CancelRequest { force: args.now }).await {
            Ok(outcome) => stopping.push(outcome),
            Err(failure) => codes.push(complained(context, failure)),
        }
    }
    for outcome in stopping {
        codes.push(see_off(context, args, outcome).await?);
    }
    Ok(first_failed(codes))
}

/// Waits for the end of what was told to end, and says what happened.
async fn see_off(context: &Context, args: &CancelArgs, mut outcome: Outcome) -> Result<i32, Failure> {
    let console = &context.console;
    if !outcome.changed && Standing::of(&outcome.process).is_ended() {
        console.say(&format!("already ended: {}", ended_line(&outcome.process, console.unicode)));
    } else if !args.no_wait {
        outcome.process = gone(context, outcome.process).await?;
        if Standing::of(&outcome.process).is_ended() {
            console.say(&ended_line(&outcome.process, console.unicode));
        }
    } else {
        console.say(&format!("{} is told to end", label(&outcome.process)));
    }
    if console.is_json() {
        console.print_json(&outcome)?;
    }
    if args.no_wait || Standing::of(&outcome.process).is_ended() {
        return Ok(DONE);
    }
    let help = if args.now {
        format!("longhaul status {}      see what stands in the way", short(&outcome.process.id))
    } else {
        format!("longhaul cancel --now {}      kill it", short(&outcome.process.id))
    };
    console.complain(Failure::Unfinished {
        what: waiting_line(&outcome.process, console.unicode),
        why: outcome.process.reason.clone(),
        help,
    });
    Ok(FAILED)
}

async fn gone(context: &Context, process: ProcessView) -> Result<ProcessView, Failure> {
    let until = Instant::now() + PATIENCE;
    let mut process = process;
    while !Standing::of(&process).is_ended() && Instant::now() < until && !is_stuck(&process) {
        let path = Path::wait().with("id", &process.id).with("timeout_ms", &SLICE.as_millis().to_string());
        let reply: WaitReply = super::wait::patiently(context, &path, Some(SLICE)).await?;
        match reply.processes.into_iter().next() {
            Some(seen) => process = seen,
            None => break,
        }
    }
    Ok(process)
}

fn is_stuck(process: &ProcessView) -> bool {
    process.conditions.iter().any(|condition| condition == "stuck")
}

/// Finds out which processes are meant.
async fn chosen(context: &Context, args: &CancelArgs) -> Result<Vec<String>, Failure> {
    if !args.ids.is_empty() {
        return Ok(args.ids.clone());
    }
    let path = Path::processes().with_some("project", context.global.project.as_deref());
    let live = all_pages(context, path, None).await?.processes;
    if live.is_empty() {
        context.console.say("nothing lives that could be cancelled");
        return Ok(Vec::new());
    }
    if args.all { all_of(context, &live) } else { picked(context, &live) }
}

fn all_of(context: &Context, live: &[ProcessView]) -> Result<Vec<String>, Failure> {
    let ids = || live.iter().map(|process| process.id.clone()).collect();
    if context.console.yes {
        return Ok(ids());
    }
    if !context.console.can_ask {
        return Err(Failure::Choice {
            what: format!("{} would be cancelled, and nobody can be asked", counted(live.len())),
            candidates: live.iter().map(label).collect(),
            help: "longhaul cancel --all --yes".to_owned(),
        });
    }
    let question = format!("Cancel {} with all descendants?", counted(live.len()));
    match inquire::Confirm::new(&question).with_default(false).prompt() {
        Ok(true) => Ok(ids()),
        Ok(false) => Ok(Vec::new()),
        Err(error) => Err(unanswered(error)),
    }
}

fn picked(context: &Context, live: &[ProcessView]) -> Result<Vec<String>, Failure> {
    if !context.console.can_ask {
        return Err(Failure::Choice {
            what: "no process is named, and nobody can be asked".to_owned(),
            candidates: live.iter().map(label).collect(),
            help: "longhaul cancel ID, or longhaul cancel --all --yes".to_owned(),
        });
    }
    let lines: Vec<String> =
        live.iter().map(|process| waiting_line(process, context.console.unicode)).collect();
    let chosen = inquire::MultiSelect::new("Cancel which?", lines).raw_prompt().map_err(unanswered)?;
    Ok(chosen.iter().filter_map(|option| live.get(option.index)).map(|process| process.id.clone()).collect())
}

fn counted(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

fn unanswered(error: inquire::InquireError) -> Failure {
    match error {
        inquire::InquireError::OperationCanceled | inquire::InquireError::OperationInterrupted => {
            Failure::Interrupted
        }
        inquire::InquireError::NotTTY
        | inquire::InquireError::InvalidConfiguration(_)
        | inquire::InquireError::IO(_)
        | inquire::InquireError::Custom(_) => Failure::Choice {
            what: "nobody can be asked".to_owned(),
            candidates: Vec::new(),
            help: "longhaul cancel ID".to_owned(),
        },
    }
}
