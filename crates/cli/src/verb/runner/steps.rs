//! Runs an agent, and then the commands that follow the agent.

use super::stop_signal::StopSignal;
use super::tool_run::exit_of;
use crate::dispatch::VerbContext;
use crate::exit_code::{DONE, NO_COMMAND, NOT_EXECUTABLE};
use crate::failure::CliError;
use longhaul_view::clean_label;
use longhaul_wire::runner_plan::StepsPlan;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

/// Number that is added to a signal to get the exit code of a process that the signal killed.
const SIGNAL_BASE: i32 = 128;

/// Runs the command of the agent with the streams of this program. If the command succeeds, runs the steps one after
/// the other. If a step fails, the remaining steps do not run. Always returns the exit code of the command.
pub(super) async fn run(
    context: &VerbContext,
    plan: &StepsPlan,
    stop: &mut StopSignal,
) -> Result<i32, CliError> {
    let code = match run_one(&plan.command, Output::Own, stop).await {
        Ok(status) => code_of(status),
        Err(error) => {
            say(context, &format!("{}: {error}", plan.command.join(" ")));
            return Ok(if error.kind() == io::ErrorKind::NotFound { NO_COMMAND } else { NOT_EXECUTABLE });
        }
    };
    if code != DONE || stop.is_requested() {
        return Ok(code);
    }
    for step in &plan.on_complete {
        let failed = match run_one(step, Output::Messages, stop).await {
            Ok(status) if status.success() => continue,
            Ok(status) => format!("exited with code {}", code_of(status)),
            Err(error) => error.to_string(),
        };
        say(context, &format!("the command after the agent failed: {}: {failed}", step.join(" ")));
        break;
    }
    Ok(DONE)
}

/// Stream that receives the output of a command.
#[derive(Clone, Copy)]
enum Output {
    /// Standard output, which contains the result of the agent.
    Own,
    /// Standard error, so that the result of the agent stays unchanged.
    Messages,
}

/// Runs a command and waits for its end, even after a stop signal. Does not forward the stop signal, because the signal
/// reaches the whole process tree.
async fn run_one(words: &[String], output: Output, stop: &mut StopSignal) -> io::Result<ExitStatus> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    match output {
        Output::Own => {}
        Output::Messages => {
            command.stdin(Stdio::null()).stdout(rustix::io::dup(io::stderr())?);
        }
    }
    let mut child = command.spawn()?;
    tokio::select! {
        biased;
        status = exit_of(&mut child) => return status,
        () = stop.requested() => {}
    }
    exit_of(&mut child).await
}

fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| SIGNAL_BASE.saturating_add(status.signal().unwrap_or_default()))
}

fn say(context: &VerbContext, text: &str) {
    context.console.say(&clean_label(text));
}
