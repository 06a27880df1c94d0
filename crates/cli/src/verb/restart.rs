//! Implements `restart`.

use super::foreground::{ForegroundSignals, follow_relaunched};
use super::handover::{is_piped, left_open, note_ignored_input};
use super::run::{announce, untold};
use super::{check_expected, complained, first_failed};
use crate::arguments::{RestartArgs, RevisionArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{label, short};
use crate::status::ParsedStatus;
use longhaul_client::RequestPath;
use longhaul_view::clean_label;
use longhaul_wire::api::{
    LaunchReply, ProcessView, RestartInterruptedReply, RestartInterruptedRequest, RestartRequest,
};

/// Reason why the data in standard input is not forwarded.
const NO_INPUT: &str =
    "a restart in the background, or of a command that was launched without input, passes no standard input";

/// Runs processes again. Each run is a new process.
pub(crate) async fn restart(context: &VerbContext, args: &RestartArgs) -> Result<i32, CliError> {
    if args.interrupted {
        return restart_interrupted(context, args).await;
    }
    check_expected(args.expected, args.ids.len())?;
    if args.background {
        let mut codes = Vec::new();
        for id in &args.ids {
            codes.push(match again(context, id, args.expected).await {
                Ok(launched) => {
                    let open = input_left_open(&launched.process);
                    let code = announce(context, launched).await?;
                    if code == DONE {
                        print_input_hint(context, open);
                    }
                    code
                }
                Err(failure) => complained(context, failure),
            });
        }
        note_ignored_input(context, NO_INPUT);
        return Ok(first_failed(codes));
    }
    let [id] = args.ids.as_slice() else {
        return Err(CliError::Usage {
            what: "only one process can run in the foreground".to_owned(),
            why: None,
            help: "longhaul restart -b ID...".to_owned(),
        });
    };
    let signals = ForegroundSignals::new()?;
    let launched = again(context, id, args.expected).await?;
    let open = input_left_open(&launched.process);
    let hands_over = open.is_some() && is_piped();
    if !hands_over {
        print_input_hint(context, open);
        note_ignored_input(context, NO_INPUT);
    }
    follow_relaunched(context, launched.process, signals, hands_over).await
}

/// Returns a hint if the restarted command reads its input from a pipe. The input that was forwarded to the original
/// process could be read only once, so the new process does not get it.
fn input_left_open(process: &ProcessView) -> Option<String> {
    let reads = process.stdin.as_deref() == Some("pipe") && !ParsedStatus::of(process).is_ended();
    reads.then(|| {
        let (name, left) = (label(process), left_open(&process.id));
        format!("{name} starts without its earlier standard input; {left}")
    })
}

fn print_input_hint(context: &VerbContext, open: Option<String>) {
    if let Some(text) = open {
        context.console.say(&text);
    }
}

/// Restarts the interrupted processes that have not been restarted yet. Prints which processes are skipped and why.
async fn restart_interrupted(context: &VerbContext, args: &RestartArgs) -> Result<i32, CliError> {
    let project = context.global.project.clone().filter(|_| args.ids.is_empty());
    let RestartArgs { ids, with_children, dry_run, .. } = args.clone();
    let request = RestartInterruptedRequest { ids, project, with_children, dry_run };
    let reply: Result<RestartInterruptedReply, _> =
        context.client.send_slowly(&RequestPath::restart_interrupted(), &request).await;
    let reply = reply.map_err(|failure| CliError::from(failure).of_launch(None))?;
    let console = &context.console;
    if console.is_json() {
        console.print_json(&reply)?;
        return Ok(DONE);
    }
    let ids: Vec<&str> = reply.processes.iter().map(|process| process.id.as_str()).collect();
    let text: String = if dry_run {
        let line = |process| format!("{} would be restarted\n", label(process));
        reply.planned.iter().map(line).collect()
    } else {
        let line = |process: &ProcessView| match (&process.restarted_from, console.out.terminal) {
            (Some(origin), true) => format!("{} restarts {}\n", label(process), short(origin)),
            (_, _) => format!("{}\n", process.id),
        };
        reply.processes.iter().map(line).collect()
    };
    if text.is_empty() && reply.skipped.is_empty() {
        console.say("no interrupted process is left to restart");
    } else if !text.is_empty() {
        console.print(&text).map_err(|failure| untold(failure, &ids.join(", ")))?;
    }
    for process in &reply.processes {
        print_input_hint(context, input_left_open(process));
    }
    for skipped in &reply.skipped {
        let name =
            skipped.name.as_deref().map(|name| format!(" ({})", clean_label(name))).unwrap_or_default();
        console.say(&format!(
            "not restarted: {}{name}: {}",
            short(&skipped.id),
            clean_label(&skipped.detail)
        ));
    }
    if reply.skipped.iter().any(|skipped| skipped.reason == "ancestor_restarted") {
        console.say(
            "if the launcher ends without launching such a child again: \
             longhaul restart --interrupted --with-children; to restart a child at once, name it: \
             longhaul restart --interrupted ID",
        );
    }
    Ok(DONE)
}

async fn again(context: &VerbContext, id: &str, expected: RevisionArgs) -> Result<LaunchReply, CliError> {
    let path = RequestPath::process_part(id, "restart").with_some("revision", expected.revision);
    let outcome = context.client.send(&path, &RestartRequest {}).await;
    outcome.map_err(|failure| CliError::from(failure).of_launch(None))
}
