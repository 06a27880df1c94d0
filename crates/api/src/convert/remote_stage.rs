//! The stage of a process whose program for the remote session was killed.

use longhaul_domain::{AgentOutputFormat, Ending, ExitStatus, Process, State};
use longhaul_wire::runner_plan::{RunnerPlan, remote_stage};

/// Returns the stage of a process that followed a remote session, if the program that followed the session was killed,
/// or if its end or its last report was not observed. The last stage is then outdated. Returns `None` for other
/// processes.
pub(super) fn after_cut(process: &Process) -> Option<String> {
    let State::Ended(ended) = &process.state else { return None };
    let last = ended.live_stats.stage.as_ref().map(ToString::to_string);
    let is_outdated = is_cut_off(&ended.ending) || last.as_deref() == Some(remote_stage::CREATING);
    if !is_outdated || !follows_session(process) {
        return None;
    }
    match last.as_deref() {
        Some(remote_stage::CANCELLED | remote_stage::CONTINUES | remote_stage::RESULT_MISSING) => {
            return last;
        }
        Some(remote_stage::FETCHING) => return Some(remote_stage::RESULT_MISSING.to_owned()),
        Some(_) | None => {}
    }
    let how = match &ended.ending {
        Ending::Cancelled { .. } => "cancelled locally, ",
        Ending::Timeout { .. } => "timed out locally, ",
        Ending::Completed { .. } | Ending::Failed { .. } | Ending::Interrupted { .. } => "",
    };
    if process.reported.agent_session.is_none() {
        return Some(format!("{how}{}", remote_stage::NOT_CONFIRMED));
    }
    Some(match last.filter(|last| !IS_NO_STATE.contains(&last.as_str())) {
        Some(last) => format!("{how}remote state unknown (last: {last})"),
        None => format!("{how}remote state unknown"),
    })
}

/// Stages that are no states of a remote session.
const IS_NO_STATE: [&str; 3] =
    [remote_stage::CREATING, remote_stage::STOPPED_CREATION, remote_stage::UNKNOWN];

/// Returns true if the command did not exit by itself. A command that never ran is not meant.
fn is_cut_off(ending: &Ending) -> bool {
    match ending {
        Ending::Interrupted { .. } => true,
        Ending::Completed { .. }
        | Ending::Failed { .. }
        | Ending::Timeout { .. }
        | Ending::Cancelled { .. } => {
            ending.exit().is_some_and(|exit| matches!(exit.status, ExitStatus::Signal { .. }))
        }
    }
}

/// Returns true if the command is the plan of a remote session.
fn follows_session(process: &Process) -> bool {
    let Some(command) = process.spec.command() else { return false };
    let is_unread = command.runner.as_ref().is_some_and(|runner| runner.output == AgentOutputFormat::Unread);
    let plan = command.args.last().filter(|_| is_unread).and_then(|plan| RunnerPlan::parse(plan));
    matches!(plan, Some(RunnerPlan::Remote(_)))
}
