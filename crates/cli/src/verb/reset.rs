//! Implements `reset`.

use super::status::all_pages;
use crate::arguments::ResetArgs;
use crate::dispatch::VerbContext;
use crate::exit_code::{DONE, FAILED};
use crate::failure::CliError;
use crate::prompt::{Prompt, counted};
use crate::render::{label, short, waiting_line};
use longhaul_client::RequestPath;
use longhaul_wire::api::{ProcessView, ResetReply, ResetRequest};
use std::collections::BTreeMap;

/// Stops all processes and deletes all records.
pub(crate) async fn reset(context: &VerbContext, args: &ResetArgs) -> Result<i32, CliError> {
    let console = &context.console;
    let ask = async |request: ResetRequest| context.client.send_slowly(&RequestPath::clear(), &request).await;
    let would: ResetReply = ask(ResetRequest { dry_run: true, confirm: false }).await?;
    let live = live(context).await?;
    let lines: Vec<String> = would
        .stopped
        .iter()
        .map(|id| match live.get(id) {
            Some(process) => waiting_line(process, console.unicode),
            None => short(id).to_owned(),
        })
        .collect();
    if args.dry_run {
        if console.is_json() {
            console.print_json(&would)?;
            return Ok(DONE);
        }
        console.print(&would.stopped.iter().map(|id| format!("{id}\n")).collect::<String>())?;
        console.say(&sentence(&would, "would be stopped", "would be deleted"));
        return Ok(DONE);
    }
    if would.stopped.is_empty() && would.removed == 0 {
        if console.is_json() {
            console.print_json(&ResetReply::default())?;
        }
        console.say("there is nothing to delete");
        return Ok(DONE);
    }
    let question = Prompt {
        text: format!("Stop {}, and delete all records and their output?", counted(lines.len())),
        would: sentence(&would, "would be stopped", "would be deleted"),
        list: lines,
        help: "longhaul reset --yes",
    };
    if !question.ask(console)? {
        return Ok(DONE);
    }
    let done: ResetReply = ask(ResetRequest { dry_run: false, confirm: true }).await?;
    if console.is_json() {
        console.print_json(&done)?;
    }
    for id in &done.stopped {
        let reported = live.get(id).map_or_else(|| short(id).to_owned(), label);
        console.say(&format!("stopped {reported}"));
    }
    console.say(&sentence(&done, "stopped", "deleted"));
    if done.remaining.is_empty() {
        return Ok(DONE);
    }
    let left: Vec<&str> = done.remaining.iter().map(|id| short(id)).collect();
    console.complain(CliError::Unfinished {
        what: format!("{} did not stop", counted(done.remaining.len())),
        why: Some(left.join(", ")),
        help: "longhaul status      shows the live processes".to_owned(),
    });
    Ok(FAILED)
}

async fn live(context: &VerbContext) -> Result<BTreeMap<String, ProcessView>, CliError> {
    let live = all_pages(context, RequestPath::processes(), None).await?.processes;
    Ok(live.into_iter().map(|process| (process.id.clone(), process)).collect())
}

fn sentence(reply: &ResetReply, stopped: &str, gone: &str) -> String {
    let records = match reply.removed {
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    };
    format!("{} {stopped}, {records} {gone}", counted(reply.stopped.len()))
}
