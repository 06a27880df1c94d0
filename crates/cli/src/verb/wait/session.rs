//! Waits for all processes of a session. Processes that end within a short time are reported in one batch.

use super::{conclude, of_session};
use crate::arguments::WaitArgs;
use crate::dispatch::VerbContext;
use crate::failure::CliError;
use crate::json::on_one_line;
use crate::render::{batch_line, ended_line};
use crate::status::ParsedStatus;
use crate::verb::resumable_stream::ResumableStream;
use longhaul_client::{ClientError, RequestPath};
use longhaul_view::{clean_json, clean_label};
use longhaul_wire::api::{Problem, ProcessView};
use longhaul_wire::event::{BatchView, EndedProcessView};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Prints each batch of completions until no process of the session is live. Returns the exit code of the process that
/// determines the result.
pub(super) async fn wait_for_session(
    context: &VerbContext,
    args: &WaitArgs,
    session: &str,
) -> Result<i32, CliError> {
    let console = &context.console;
    let until = args.timeout.map(|timeout| Instant::now() + timeout.as_duration());
    let mut telling = ResumableStream::new(&context.client, RequestPath::notices(session), None, true);
    // Ids of the processes that had ended before the first batch. They are left out of later batches, where a process
    // that ended during the lookup may appear again.
    let mut before: Option<BTreeSet<String>> = None;
    loop {
        let sent = match until {
            Some(until) => match timeout_at(until, telling.next()).await {
                Ok(sent) => sent?,
                Err(_over) => break,
            },
            None => telling.next().await?,
        };
        let Some(sent) = sent else { break };
        let mut line = sent.data;
        let mut batch: BatchView = serde_json::from_str(&line).map_err(|error| ClientError::Broken {
            why: format!("a notice of the session cannot be decoded: {error}"),
        })?;
        match &before {
            None => {
                let known = of_session(context, session).await?;
                say_what_was(context, &known);
                batch.ended =
                    known.iter().filter(|each| ParsedStatus::of(each).is_ended()).map(as_ended).collect();
                before = Some(batch.ended.iter().map(|ended| ended.id.clone()).collect());
                line = recounted(&mut batch)?;
                // If all processes had already ended, this message is the only one.
                if batch.all_complete {
                    console.say(&batch_line(&batch, console.unicode));
                }
            }
            Some(before) => {
                let reported = batch.ended.len();
                batch.ended.retain(|ended| !before.contains(&ended.id));
                if batch.ended.len() < reported {
                    line = recounted(&mut batch)?;
                }
                if !batch.ended.is_empty() {
                    console.say(&batch_line(&batch, console.unicode));
                }
            }
        }
        if console.is_json() {
            console.print(&format!("{}\n", clean_json(&line)))?;
        }
        if batch.all_complete {
            break;
        }
    }
    let known = of_session(context, session).await?.into_iter().map(Some).collect();
    conclude(context, args, known)
}

/// Returns the error for a session that has no processes: the session name is wrong, or its records were pruned.
pub(super) fn unknown(session: &str) -> CliError {
    CliError::from(Problem {
        slug: "session_not_found".to_owned(),
        title: format!("no process belongs to session {}", clean_label(session)),
        status: 404,
        help: Some("`longhaul session list` lists the sessions".to_owned()),
        ..Problem::default()
    })
}

/// Prints the processes that had already failed when the wait started.
fn say_what_was(context: &VerbContext, known: &[ProcessView]) {
    for process in known {
        let standing = ParsedStatus::of(process);
        if standing.is_ended() && standing != ParsedStatus::Completed {
            context.console.say(&ended_line(process, context.console.unicode));
        }
    }
}

/// Converts an ended process to an element of a batch of completions.
fn as_ended(process: &ProcessView) -> EndedProcessView {
    EndedProcessView {
        id: process.id.clone(),
        name: process.name.clone(),
        kind: process.kind.clone(),
        status: process.status.clone(),
        exit_code: process.exit_code,
        signal: process.exit.as_ref().and_then(|exit| exit.signal),
        error: process.error.clone(),
        duration_s: process.duration_ms.map(|spent| Duration::from_millis(spent).as_secs_f64()),
        completed_at_precision: process.completed_at_precision.clone(),
    }
}

/// Updates the counts of a batch after a change of its process list. Returns the batch as JSON.
fn recounted(batch: &mut BatchView) -> Result<String, CliError> {
    batch.counts.clear();
    for ended in &batch.ended {
        let count = batch.counts.entry(ended.status.clone()).or_insert(0);
        *count = count.saturating_add(1);
    }
    Ok(on_one_line(batch)?.trim_end().to_owned())
}
