//! Implements `cancel`.

use super::action::outcome;
use super::outage::refuse_during_outage;
use super::status::all_pages;
use super::{check_expected, complained, first_failed};
use crate::arguments::CancelArgs;
use crate::dispatch::VerbContext;
use crate::exit_code::{DONE, FAILED};
use crate::failure::CliError;
use crate::prompt::{Prompt, counted, some_of};
use crate::render::{ended_line, label, short, waiting_line};
use crate::status::ParsedStatus;
use longhaul_client::RequestPath;
use longhaul_wire::api::{
    ActionReply, CancelLevelRequest, CancelRequest, OutcomesReply, ProcessView, WaitReply,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Maximum time to wait for a process to end: the longest usual grace period plus two seconds.
const END_TIMEOUT: Duration = Duration::from_secs(62);
/// Duration of one long poll after the user has been informed that the node is unreachable.
const SLICE: Duration = Duration::from_secs(2);
/// Duration of one long poll before the node is known to be unreachable. It is short, so that the user is informed
/// soon.
const HINT_DELAY: Duration = Duration::from_secs(1);
/// Interval at which the program checks whether the last descendant has ended.
const STEP: Duration = Duration::from_millis(100);

/// Cancels processes with all their descendants.
pub(crate) async fn cancel(context: &VerbContext, args: &CancelArgs) -> Result<i32, CliError> {
    let mut codes = Vec::new();
    let mut stopping = Vec::new();
    for outcome in report_each(context, args).await? {
        match outcome {
            Ok(outcome) => stopping.push(outcome),
            Err(failure) => codes.push(complained(context, failure)),
        }
    }
    for outcome in stopping {
        codes.push(wait_for_end(context, args, outcome).await?);
    }
    Ok(first_failed(codes))
}

/// Sends a cancel request for each selected process and returns the outcomes.
async fn report_each(
    context: &VerbContext,
    args: &CancelArgs,
) -> Result<Vec<Result<ActionReply, CliError>>, CliError> {
    if let Some(level) = args.level {
        return report_level(context, args, level).await;
    }
    let ids = chosen(context, args).await?;
    check_expected(args.expected, ids.len())?;
    let request = CancelRequest { force: args.force, no_descendants: args.no_descendants };
    let mut outcomes = Vec::new();
    for id in &ids {
        let path = RequestPath::process_part(id, "cancel").with_some("revision", args.expected.revision);
        outcomes.push(context.client.send(&path, &request).await.map_err(CliError::from));
    }
    Ok(outcomes)
}

/// Cancels all processes on one level of a tree. Without a tree, cancels this level of all trees after the user has
/// confirmed.
async fn report_level(
    context: &VerbContext,
    args: &CancelArgs,
    level: u8,
) -> Result<Vec<Result<ActionReply, CliError>>, CliError> {
    if args.tree.is_none() {
        let path = RequestPath::processes().with("level", &level.to_string());
        let live = all_pages(context, path, None).await?.processes;
        let question = Prompt {
            text: format!("Cancel level {level} of all trees, {} with all descendants?", counted(live.len())),
            would: format!("{} would be cancelled", counted(live.len())),
            list: live.iter().map(label).collect(),
            help: "longhaul cancel --level N --yes, or --tree ID for one tree",
        };
        if !live.is_empty() && !question.ask(&context.console)? {
            return Ok(Vec::new());
        }
    }
    let request = CancelLevelRequest { level: Some(level), tree: args.tree.clone(), force: args.force };
    let reply: OutcomesReply = context.client.send_slowly(&RequestPath::cancel_level(), &request).await?;
    if reply.outcomes.is_empty() {
        context.console.say(&format!("no live process is on level {level}"));
    }
    Ok(reply.outcomes.iter().map(outcome).collect())
}

/// Waits until the cancelled process has ended, and prints the result.
async fn wait_for_end(
    context: &VerbContext,
    args: &CancelArgs,
    mut outcome: ActionReply,
) -> Result<i32, CliError> {
    let console = &context.console;
    if outcome.note.as_deref() == Some("orphan_stop_requested") {
        let label = label(&outcome.process);
        console.say(&format!(
            "{label} had already ended; its remaining processes are stopped as soon as its node is back"
        ));
    }
    if !outcome.changed && is_over(&outcome.process) {
        console.say(&format!("already ended: {}", ended_line(&outcome.process, console.unicode)));
    } else if !args.no_wait {
        let (process, was_away) = wait_until_ended(context, outcome.process).await?;
        outcome.process = process;
        if ParsedStatus::of(&outcome.process).is_ended() {
            console.say(&ended_line(&outcome.process, console.unicode));
        }
        if was_away && outcome.process.status == "interrupted" {
            console.say(&format!(
                "longhaul could not observe the end of the process: if the process is still running, node \
                {} stops it as soon as the node is back",
                node(&outcome.process)
            ));
        }
    } else {
        console.say(&format!("{} received a stop request", label(&outcome.process)));
    }
    if console.is_json() {
        console.print_json(&outcome)?;
    }
    if args.no_wait || is_over(&outcome.process) {
        return Ok(DONE);
    }
    if ParsedStatus::of(&outcome.process).is_ended() {
        console.complain(CliError::Unfinished {
            what: format!("{} has ended, but not all of its descendants have", label(&outcome.process)),
            why: None,
            help: format!("longhaul tree {}      show what is still running", short(&outcome.process.id)),
        });
        return Ok(FAILED);
    }
    let help = if args.force {
        format!("longhaul status {}      show its state", short(&outcome.process.id))
    } else {
        format!("longhaul cancel --force {}      kill it", short(&outcome.process.id))
    };
    console.complain(CliError::Unfinished {
        what: waiting_line(&outcome.process, console.unicode),
        why: outcome.process.reason.clone(),
        help,
    });
    Ok(FAILED)
}

/// Waits until the process and its cancelled descendants have ended, or until it is useless to wait longer. Returns the
/// process, and true if its node was unreachable at any time during the wait.
async fn wait_until_ended(
    context: &VerbContext,
    process: ProcessView,
) -> Result<(ProcessView, bool), CliError> {
    let until = Instant::now() + END_TIMEOUT;
    let mut process = process;
    let mut was_away = false;
    while !ParsedStatus::of(&process).is_ended() && Instant::now() < until && !is_stuck(&process) {
        let slice = if was_away { SLICE } else { HINT_DELAY };
        let path =
            RequestPath::wait().with("id", &process.id).with("timeout_ms", &slice.as_millis().to_string());
        let reply: WaitReply = super::wait::with_retries(context, &path, Some(slice)).await?;
        match reply.processes.into_iter().next() {
            Some(seen) => process = seen,
            None => break,
        }
        if !was_away && is_away(&process) {
            was_away = true;
            context.console.say(&format!(
                "{} is on node {}, which is absent: the request is stored and executed when that node is back; \
                 Ctrl-C stops only this wait",
                label(&process),
                node(&process)
            ));
        }
    }
    // The long poll returns when the process ends. The descendants of the process may end later, so poll until they
    // have ended.
    while ParsedStatus::of(&process).is_ended() && !is_over(&process) && Instant::now() < until {
        sleep(STEP).await;
        match context.client.process(&process.id).await {
            Ok(seen) => process = seen,
            Err(failure) if failure.is_temporary() => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok((process, was_away))
}

/// Returns true if the process has ended and none of its descendants is still being cancelled.
fn is_over(process: &ProcessView) -> bool {
    ParsedStatus::of(process).is_ended() && !process.cancelling_descendants
}

fn is_stuck(process: &ProcessView) -> bool {
    process.conditions.iter().any(|condition| condition == "stuck")
}

/// Returns true if the node of the process is unreachable. Actions on the process then wait until the node is back.
fn is_away(process: &ProcessView) -> bool {
    process.conditions.iter().any(|condition| condition == "unreachable")
}

fn node(process: &ProcessView) -> &str {
    process.node_id.as_deref().unwrap_or("unknown")
}

/// Returns the ids of the processes to cancel. Asks the user if no ids were given.
async fn chosen(context: &VerbContext, args: &CancelArgs) -> Result<Vec<String>, CliError> {
    if !args.ids.is_empty() {
        return Ok(args.ids.clone());
    }
    let is_all = args.all || args.session.is_some();
    let path = RequestPath::processes()
        .with_some("project", context.global.project.as_deref())
        .with_some("session", args.session.as_deref());
    let list = all_pages(context, path, None).await?;
    if is_all || list.processes.is_empty() {
        refuse_during_outage(list.stale_since.as_deref())?;
    }
    let live = list.processes;
    if let Some(session) = args.session.as_deref().filter(|_| live.is_empty()) {
        // Distinguishes a session whose processes have ended from a session that does not exist.
        super::wait::of_session(context, session).await?;
    }
    if live.is_empty() {
        context.console.say("there is no live process to cancel");
        return Ok(Vec::new());
    }
    if !is_all {
        return some_of(
            &context.console,
            &live,
            "Cancel which?",
            "longhaul cancel ID, or longhaul cancel --all --yes",
        );
    }
    let descendants = if args.no_descendants { "" } else { " with all descendants" };
    let question = Prompt {
        text: format!("Cancel {}{descendants}?", counted(live.len())),
        would: format!("{} would be cancelled", counted(live.len())),
        list: live.iter().map(label).collect(),
        help: if args.session.is_some() {
            "longhaul cancel --session ID --yes"
        } else {
            "longhaul cancel --all --yes"
        },
    };
    let ids = || live.iter().map(|process| process.id.clone()).collect();
    Ok(if question.ask(&context.console)? { ids() } else { Vec::new() })
}
