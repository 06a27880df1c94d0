//! `cancel`

use super::order::outcome;
use super::status::all_pages;
use super::{check_expected, complained, first_failed};
use crate::arguments::CancelArgs;
use crate::choice::{Question, counted, some_of};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::{DONE, FAILED};
use crate::failure::Failure;
use crate::render::{ended_line, label, short, waiting_line};
use crate::standing::Standing;
use longhaul_wire::api::{CancelLevelRequest, CancelRequest, Outcome, OutcomesReply, ProcessView, WaitReply};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long an end is waited for: the longest usual grace and two seconds.
const PATIENCE: Duration = Duration::from_secs(62);
/// How often it is looked at whether the end is stuck.
const SLICE: Duration = Duration::from_secs(2);
/// How often it is looked at whether the last descendant is gone.
const STEP: Duration = Duration::from_millis(100);

/// Stops processes with all their descendants.
pub(crate) async fn cancel(context: &Context, args: &CancelArgs) -> Result<i32, Failure> {
    let mut codes = Vec::new();
    let mut stopping = Vec::new();
    for outcome in told(context, args).await? {
        match outcome {
            Ok(outcome) => stopping.push(outcome),
            Err(failure) => codes.push(complained(context, failure)),
        }
    }
    for outcome in stopping {
        codes.push(see_off(context, args, outcome).await?);
    }
    Ok(first_failed(codes))
}

/// Tells all that are meant to end.
async fn told(context: &Context, args: &CancelArgs) -> Result<Vec<Result<Outcome, Failure>>, Failure> {
    if let Some(level) = args.level {
        return told_level(context, args, level).await;
    }
    let ids = chosen(context, args).await?;
    check_expected(args.expected, ids.len())?;
    let request = CancelRequest { force: args.now, alone: args.alone };
    let mut outcomes = Vec::new();
    for id in &ids {
        let path = Path::process_part(id, "cancel").with_some("revision", args.expected.revision);
        outcomes.push(context.client.send(&path, &request).await);
    }
    Ok(outcomes)
}

/// Tells a level to end: of one tree, or of all of them when somebody confirms that.
async fn told_level(
    context: &Context,
    args: &CancelArgs,
    level: u8,
) -> Result<Vec<Result<Outcome, Failure>>, Failure> {
    if args.tree.is_none() {
        let path = Path::processes().with("level", &level.to_string());
        let live = all_pages(context, path, None).await?.processes;
        let question = Question {
            text: format!("Cancel level {level} of all trees, {} with all descendants?", counted(live.len())),
            would: format!("{} would be cancelled", counted(live.len())),
            list: live.iter().map(label).collect(),
            help: "longhaul cancel --level N --yes, or --tree ID for one tree",
        };
        if !live.is_empty() && !question.ask(&context.console)? {
            return Ok(Vec::new());
        }
    }
    let request = CancelLevelRequest { level: Some(level), tree: args.tree.clone(), force: args.now };
    let reply: OutcomesReply = context.client.send_slowly(&Path::cancel_level(), &request).await?;
    if reply.outcomes.is_empty() {
        context.console.say(&format!("nothing lives on level {level}"));
    }
    Ok(reply.outcomes.iter().map(outcome).collect())
}

/// Waits for the end of what was told to end, and says what happened.
async fn see_off(context: &Context, args: &CancelArgs, mut outcome: Outcome) -> Result<i32, Failure> {
    let console = &context.console;
    if outcome.note.as_deref() == Some("rest_told") {
        let label = label(&outcome.process);
        console.say(&format!("{label} had ended already; what is left of it on its node is stopped"));
    }
    if !outcome.changed && is_over(&outcome.process) {
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
    if args.no_wait || is_over(&outcome.process) {
        return Ok(DONE);
    }
    if Standing::of(&outcome.process).is_ended() {
        console.complain(Failure::Unfinished {
            what: format!("{} has ended, but not all of its descendants have", label(&outcome.process)),
            why: None,
            help: format!("longhaul tree {}      see what stands in the way", short(&outcome.process.id)),
        });
        return Ok(FAILED);
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
    // No long poll tells of the last descendant.
    while Standing::of(&process).is_ended() && !is_over(&process) && Instant::now() < until {
        sleep(STEP).await;
        match context.client.fetch(&Path::process(&process.id)).await {
            Ok(seen) => process = seen,
            Err(failure) if failure.is_passing() => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(process)
}

/// Whether it has ended with all that it was to take along.
fn is_over(process: &ProcessView) -> bool {
    Standing::of(process).is_ended() && !process.ending_descendants
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
    if !args.all {
        return some_of(
            &context.console,
            &live,
            "Cancel which?",
            "longhaul cancel ID, or longhaul cancel --all --yes",
        );
    }
    let alone = if args.alone { "" } else { " with all descendants" };
    let question = Question {
        text: format!("Cancel {}{alone}?", counted(live.len())),
        would: format!("{} would be cancelled", counted(live.len())),
        list: live.iter().map(label).collect(),
        help: "longhaul cancel --all --yes",
    };
    let ids = || live.iter().map(|process| process.id.clone()).collect();
    Ok(if question.ask(&context.console)? { ids() } else { Vec::new() })
}
