//! `restart`

use super::foreground::{Signals, accompany};
use super::run::{announce, untold};
use super::{complained, first_failed};
use crate::arguments::RestartArgs;
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::{DONE, Regime, of_failure};
use crate::failure::Failure;
use crate::render::label;
use crate::verb::status::all_pages;
use longhaul_wire::api::{Launched, RestartRequest};
use std::collections::BTreeSet;

/// Runs processes again, as new ones.
pub(crate) async fn restart(context: &Context, args: &RestartArgs) -> Result<i32, Failure> {
    let Some(id) = &args.id else {
        return restart_interrupted(context).await;
    };
    let signals = if args.background { None } else { Some(Signals::new()?) };
    let launched = again(context, id).await?;
    match signals {
        // From here on the code is about the process, whatever goes wrong.
        Some(signals) => match accompany(context, launched.process, signals).await {
            Err(failure) => {
                let code = of_failure(&failure, Regime::PassThrough);
                context.console.complain(failure);
                Ok(code)
            }
            code => code,
        },
        None => announce(context, launched).await,
    }
}

/// Restarts what was interrupted and has no successor yet.
async fn restart_interrupted(context: &Context) -> Result<i32, Failure> {
    let mut path = Path::processes().with("all", "true");
    if let Some(project) = &context.global.project {
        path = path.with("project", project);
    }
    let all = all_pages(context, path, None).await?.processes;
    let restarted: BTreeSet<&str> =
        all.iter().filter_map(|process| process.restarted_from.as_deref()).collect();
    let mut waiting: Vec<_> = all
        .iter()
        .filter(|process| process.status == "interrupted" && !restarted.contains(process.id.as_str()))
        .collect();
    if waiting.is_empty() {
        context.console.say("nothing interrupted waits for a restart");
    }
    // The list begins with the newest; what was launched first goes first.
    waiting.reverse();
    let mut codes = Vec::new();
    for process in waiting {
        codes.push(match again(context, &process.id).await {
            Ok(launched) => {
                context.console.say(&format!("{} runs again as:", label(process)));
                let id = &launched.process.id;
                let told = if context.console.is_json() {
                    context.console.print_json(&launched)
                } else {
                    context.console.print(&format!("{id}\n"))
                };
                told.map_err(|failure| untold(failure, id))?;
                DONE
            }
            Err(failure) => complained(context, failure),
        });
    }
    Ok(first_failed(codes))
}

async fn again(context: &Context, id: &str) -> Result<Launched, Failure> {
    let outcome = context.client.send(&Path::process_part(id, "restart"), &RestartRequest {}).await;
    outcome.map_err(|failure: Failure| failure.of_launch(None))
}
