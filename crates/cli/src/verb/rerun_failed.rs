//! Implements `rerun-failed`.

use super::foreground::{ForegroundSignals, follow_relaunched};
use super::handover::note_ignored_input;
use super::run::announce;
use crate::arguments::RerunFailedArgs;
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::has_failed_tests;
use crate::shell_word::shell_line;
use crate::status::ParsedStatus;
use longhaul_client::{ClientError, RequestPath};
use longhaul_view::clean_label;
use longhaul_wire::api::{LaunchReply, ProcessView, RerunFailedReply, RerunFailedRequest};

/// Reason why the data in standard input is not forwarded.
const NO_INPUT: &str = "the failed tests run without standard input";

/// Runs only the failed tests of an ended process.
pub(crate) async fn rerun_failed(context: &VerbContext, args: &RerunFailedArgs) -> Result<i32, CliError> {
    // Catch the signals before the launch, so that an early Ctrl-C cancels the new process.
    let signals = if args.background || args.dry_run { None } else { Some(ForegroundSignals::new()?) };
    let path =
        RequestPath::process_part(&args.id, "rerun-failed").with_some("revision", args.expected.revision);
    let request = RerunFailedRequest { attempt: args.attempt, dry_run: args.dry_run };
    let reply: Result<RerunFailedReply, _> = context.client.send(&path, &request).await;
    let reply = reply.map_err(|failure| CliError::from(failure).of_launch(None))?;
    let console = &context.console;
    let line = clean_label(&shell_line(&reply.command)).into_owned();
    let Some(process) = reply.process.clone() else {
        if console.is_json() {
            console.print_json(&reply)?
        } else {
            console.print(&format!("{line}\n"))?
        }
        return Ok(DONE);
    };
    note_ignored_input(context, NO_INPUT);
    let tests = if reply.tests == 1 { "1 test".to_owned() } else { format!("{} tests", reply.tests) };
    console.hint(&format!("runs {tests} again: {line}"));
    match signals {
        None => announce(context, LaunchReply { process, ..LaunchReply::default() }).await,
        Some(signals) => follow_relaunched(context, process, signals, false).await,
    }
}

/// Asks the manager for the command that runs only the failed tests. Returns `None` if no test failed, the process has
/// not ended, or the manager cannot derive the command.
pub(super) async fn rerun_command(
    context: &VerbContext,
    process: &ProcessView,
    attempt: Option<u32>,
) -> Result<Option<Vec<String>>, CliError> {
    if !has_failed_tests(process) || !ParsedStatus::of(process).is_ended() {
        return Ok(None);
    }
    let request = RerunFailedRequest { attempt, dry_run: true };
    let path = RequestPath::process_part(&process.id, "rerun-failed");
    let reply: Result<RerunFailedReply, _> = context.client.send(&path, &request).await;
    match reply {
        Ok(reply) => Ok(Some(reply.command)),
        Err(ClientError::Problem { .. }) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}
