//! Implements the hidden command `runner`. The launch of an agent executes this command instead of the agent if
//! longhaul must follow a remote session to its end, or must run further commands after the agent.

mod id_search;
mod remote;
mod reporter;
mod result_text;
mod session_file;
mod session_lookup;
mod session_report;
mod state_rules;
mod steps;
mod stop_signal;
mod tool_run;

use crate::arguments::RunnerArgs;
use crate::dispatch::VerbContext;
use crate::failure::CliError;
use longhaul_wire::runner_plan::RunnerPlan;
use remote::RemoteSession;
use stop_signal::StopSignal;

/// Executes a plan, and returns the exit code of the work.
pub(crate) async fn runner(context: &VerbContext, args: &RunnerArgs) -> Result<i32, CliError> {
    let plan = RunnerPlan::parse(&args.plan).ok_or_else(|| CliError::Usage {
        what: "the plan is not valid".to_owned(),
        why: Some("only the launch of an agent executes this command".to_owned()),
        help: "longhaul task PROJECT DESCRIPTION --agent NAME".to_owned(),
    })?;
    let mut stop = StopSignal::new()?;
    match plan {
        RunnerPlan::Steps(plan) => steps::run(context, &plan, &mut stop).await,
        RunnerPlan::Remote(plan) => RemoteSession::new(context, plan)?.run(&mut stop).await,
    }
}
