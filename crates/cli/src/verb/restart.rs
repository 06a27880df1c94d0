//! `restart`

use super::foreground::{Signals, accompany};
use super::run::{announce, untold};
use super::{check_expected, complained, first_failed};
use crate::arguments::{Expected, RestartArgs};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::{DONE, Regime, of_failure};
use crate::failure::Failure;
use crate::render::{label, short};
use longhaul_wire::api::{Launched, RestartInterruptedReply, RestartInterruptedRequest, RestartRequest};

/// Runs processes again, as new ones.
pub(crate) async fn restart(context: &Context, args: &RestartArgs) -> Result<i32, Failure> {
    if args.interrupted {
        return restart_interrupted(context, args).await;
    }
    check_expected(args.expected, args.ids.len())?;
    if args.background {
        let mut codes = Vec::new();
        for id in &args.ids {
            codes.push(match again(context, id, args.expected).await {
                Ok(launched) => announce(context, launched).await?,
                Err(failure) => complained(context, failure),
            });
        }
        return Ok(first_failed(codes));
    }
    let [id] = args.ids.as_slice() else {
        return Err(Failure::Usage {
            what: "only one process can have the foreground".to_owned(),
            why: None,
            help: "longhaul restart -b ID...".to_owned(),
        });
    };
    let signals = Signals::new()?;
    let launched = again(context, id, args.expected).await?;
    // From here on the code is about the process, whatever goes wrong.
    match accompany(context, launched.process, signals).await {
        Err(failure) => {
            let code = of_failure(&failure, Regime::PassThrough);
            context.console.complain(failure);
            Ok(code)
        }
        code => code,
    }
}

/// Restarts what was interrupted and has no successor yet, and prints the new ids.
async fn restart_interrupted(context: &Context, args: &RestartArgs) -> Result<i32, Failure> {
    let console = &context.console;
    let project = context.global.project.clone().filter(|_| args.ids.is_empty());
    let request = RestartInterruptedRequest { ids: args.ids.clone(), project };
    let reply: Result<RestartInterruptedReply, Failure> =
        context.client.send_slowly(&Path::restart_interrupted(), &request).await;
    let reply = reply.map_err(|failure| failure.of_launch(None))?;
    for process in &reply.processes {
        let origin = process.restarted_from.as_deref().map(short).unwrap_or_default();
        console.hint(&format!("{} runs {origin} again", label(process)));
    }
    if !reply.left.is_empty() {
        let left: Vec<&str> = reply.left.iter().map(|id| short(id)).collect();
        console.say(&format!(
            "left out: {}: cancelled since, or known to have ended; `longhaul restart -b ID` runs one again all the same",
            left.join(", ")
        ));
    }
    told(context, &reply)
}

fn told(context: &Context, reply: &RestartInterruptedReply) -> Result<i32, Failure> {
    let console = &context.console;
    if console.is_json() {
        console.print_json(reply)?;
    } else if reply.processes.is_empty() {
        console.say("nothing interrupted waits for a restart");
    } else {
        let ids: Vec<&str> = reply.processes.iter().map(|process| process.id.as_str()).collect();
        let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
        console.print(&text).map_err(|failure| untold(failure, &ids.join(", ")))?;
    }
    Ok(DONE)
}

async fn again(context: &Context, id: &str, expected: Expected) -> Result<Launched, Failure> {
    let path = Path::process_part(id, "restart").with_some("revision", expected.revision);
    let outcome = context.client.send(&path, &RestartRequest {}).await;
    outcome.map_err(|failure: Failure| failure.of_launch(None))
}
