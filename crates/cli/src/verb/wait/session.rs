//! Waiting for all processes of a session: what ends together is told at once.

use super::{conclude, of_session};
use crate::arguments::WaitArgs;
use crate::client::Path;
use crate::dispatch::Context;
use crate::failure::Failure;
use crate::render::{batch_line, ended_line};
use crate::standing::Standing;
use crate::verb::telling::Telling;
use longhaul_view::clean_label;
use longhaul_wire::event::BatchView;
use tokio::time::{Instant, timeout_at};

/// Tells of each batch of ends until none of a session lives, and gives the exit code of the one that decides.
pub(super) async fn wait_for_session(
    context: &Context,
    args: &WaitArgs,
    session: &str,
) -> Result<i32, Failure> {
    let console = &context.console;
    let until = args.timeout.map(|timeout| Instant::now() + timeout.as_duration());
    let mut telling = Telling::new(&context.client, Path::notices(session), None, true);
    let mut is_first = true;
    loop {
        let sent = match until {
            Some(until) => match timeout_at(until, telling.next()).await {
                Ok(sent) => sent?,
                Err(_over) => break,
            },
            None => telling.next().await?,
        };
        let Some(sent) = sent else { break };
        let batch: BatchView = serde_json::from_str(&sent.data).map_err(|error| Failure::Broken {
            why: format!("a notice of it cannot be understood: {error}"),
        })?;
        if console.is_json() {
            console.print(&format!("{}\n", sent.data))?;
        }
        if is_first {
            say_what_was(context, session).await?;
        } else if !batch.ended.is_empty() {
            console.say(&batch_line(&batch, console.unicode));
        }
        is_first = false;
        if batch.all_complete {
            break;
        }
    }
    let known = of_session(context, session).await?.into_iter().map(Some).collect();
    conclude(context, args, known)
}

/// What went wrong before anybody waited is told first.
async fn say_what_was(context: &Context, session: &str) -> Result<(), Failure> {
    let known = of_session(context, session).await?;
    if known.is_empty() {
        context.console.say(&format!("nothing belongs to session {}", clean_label(session)));
    }
    for process in &known {
        let standing = Standing::of(process);
        if standing.is_ended() && standing != Standing::Completed {
            context.console.say(&ended_line(process, context.console.unicode));
        }
    }
    Ok(())
}
