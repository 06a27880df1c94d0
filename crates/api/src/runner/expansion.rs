//! Expands a launch that has a prompt to a launch that has a command.

use super::agent_runner::{AgentRunner, RemoteSettings, RunnerWork};
use super::argument_template::PlaceholderValues;
use super::created_session;
use super::runner_set::{RunnerHost, RunnerSet};
use crate::error::ApiError;
use longhaul_domain::{AgentOutputFormat, RunnerChoice};
use longhaul_wire::api::{CommandRequest, LaunchRequest};
use longhaul_wire::runner_plan::{REMOTE_STOP_SIGNAL, RemotePlan, RunnerPlan, StepsPlan};
use std::time::Duration;

/// Maximum length of a prompt in a command, in bytes. The operating system accepts at most 128 KiB in one argument.
const MAX_PROMPT_LEN: usize = 120 * 1024;
/// Time between the stop signal and SIGKILL for a remote session. The time is long enough to cancel the session.
const REMOTE_GRACE: Duration = Duration::from_secs(30);

/// Configuration key of the command of a local agent.
const COMMAND: &str = "command";
/// Configuration key of the command that creates a remote session.
const START: &str = "start";

/// A launch whose command is complete.
#[derive(Debug)]
pub(crate) struct ExpandedLaunch {
    /// Launch with a command.
    pub(crate) request: LaunchRequest,
    /// Runner that built the command; `None` if the launch contained the command.
    pub(crate) runner: Option<ExpandedRunner>,
}

/// The runner of an expanded launch.
#[derive(Debug)]
pub(crate) struct ExpandedRunner {
    pub(crate) choice: RunnerChoice,
    /// Program of the agent or of the tool, which must be installed.
    pub(crate) program: String,
    /// Name of the configuration key that contains the program.
    pub(crate) program_key: &'static str,
    /// True if only the node that accepted the launch may run it.
    pub(crate) stays_here: bool,
}

/// Builds the command of a launch that has a prompt and no command. If the command of a launch creates a remote
/// session, replaces it by a command that also follows the session. Returns all other launches unchanged.
pub(crate) fn expand(set: &RunnerSet, mut request: LaunchRequest) -> Result<ExpandedLaunch, ApiError> {
    // Treat an empty model as absent, because an empty model would become an empty argument.
    request.model = request.model.take().filter(|model| !model.trim().is_empty());
    if let Some(runner) = created_session::runner_of(set, &request) {
        return follow(runner, request, &set.host);
    }
    let has_command = request.command.as_ref().is_some_and(|command| !command.program.is_empty());
    let prompt = request.prompt.clone().filter(|prompt| !prompt.trim().is_empty());
    let Some(prompt) = prompt.filter(|_| !has_command && request.reported.is_none()) else {
        return Ok(ExpandedLaunch { request, runner: None });
    };
    let mut command = request.command.take().unwrap_or_default();
    if !command.args.is_empty() {
        return Err(ApiError::invalid("command", "there are arguments but no program")
            .help("give a program, or only a prompt"));
    }
    if prompt.len() > MAX_PROMPT_LEN {
        let why = format!("the prompt has {} bytes; a command takes at most {MAX_PROMPT_LEN}", prompt.len());
        return Err(ApiError::invalid("prompt", why)
            .help("write the task to a file, and name the file in the prompt"));
    }
    let runner = set.runner_for(request.agent.as_deref())?;
    complete(&mut command, runner, &set.host)?;
    let values = PlaceholderValues {
        prompt: &prompt,
        model: request.model.as_deref(),
        session: request.session_id.as_deref(),
        cwd: &command.directory,
    };
    let built = build(runner, &values, &set.host)?;
    Ok(finished(runner, request, command, built))
}

/// Replaces the command that creates a remote session by a command that also follows the session.
fn follow(
    runner: &AgentRunner,
    mut request: LaunchRequest,
    host: &RunnerHost,
) -> Result<ExpandedLaunch, ApiError> {
    let mut command = request.command.take().unwrap_or_default();
    let mut start = vec![std::mem::take(&mut command.program)];
    start.append(&mut command.args);
    complete(&mut command, runner, host)?;
    let program = created_session::program_of(&start).to_owned();
    let built = remote(runner, start, program, host)?;
    Ok(finished(runner, request, command, built))
}

/// Returns the launch with the command that a runner built, and with the defaults of the runner.
fn finished(
    runner: &AgentRunner,
    mut request: LaunchRequest,
    mut command: CommandRequest,
    built: BuiltCommand,
) -> ExpandedLaunch {
    (command.program, command.args) = split(built.words);
    if built.program_key == START {
        command.grace_ms = command.grace_ms.or(Some(millis(REMOTE_GRACE)));
        command.stop_signal = command.stop_signal.or(Some(REMOTE_STOP_SIGNAL));
    }
    let key = || runner.key_of(request.model.as_deref()).map(ToString::to_string);
    request.key = request.key.take().or_else(key);
    request.agent.get_or_insert_with(|| runner.name.clone());
    request.kind = request.kind.take().or_else(|| runner.kind.clone());
    request.idle_after_ms = request.idle_after_ms.or(runner.idle_after.map(millis));
    request.command = Some(command);
    let choice = RunnerChoice { name: runner.name.clone(), output: built.output };
    let BuiltCommand { program, program_key, stays_here, .. } = built;
    ExpandedLaunch { request, runner: Some(ExpandedRunner { choice, program, program_key, stays_here }) }
}

/// A command that a runner built, with the facts that longhaul needs to run it.
struct BuiltCommand {
    words: Vec<String>,
    program: String,
    program_key: &'static str,
    output: AgentOutputFormat,
    stays_here: bool,
}

fn build(
    runner: &AgentRunner,
    values: &PlaceholderValues<'_>,
    host: &RunnerHost,
) -> Result<BuiltCommand, ApiError> {
    match &runner.work {
        RunnerWork::Local { command, on_complete } => {
            let command = command.expand(values);
            let program = command.first().cloned().unwrap_or_default();
            let words = if on_complete.is_empty() {
                command
            } else {
                let on_complete = on_complete.iter().map(|step| step.expand(values)).collect();
                planned(&RunnerPlan::Steps(StepsPlan { command, on_complete }), runner, host)?
            };
            let stays_here = !on_complete.is_empty();
            Ok(BuiltCommand { words, program, program_key: COMMAND, output: runner.output, stays_here })
        }
        RunnerWork::Remote { start, .. } => {
            let start = start.expand(values);
            let program = start.first().cloned().unwrap_or_default();
            remote(runner, start, program, host)
        }
    }
}

/// Builds the command that creates and follows a remote session. `start` is the command that creates the session.
fn remote(
    runner: &AgentRunner,
    start: Vec<String>,
    program: String,
    host: &RunnerHost,
) -> Result<BuiltCommand, ApiError> {
    match &runner.work {
        RunnerWork::Local { .. } => {
            Err(ApiError::invalid("agent", format!("the runner {} has no remote session", runner.name)))
        }
        RunnerWork::Remote { settings, states, on_complete, .. } => {
            let RemoteSettings { session_id, poll, poll_interval, cancel, .. } = settings.as_ref();
            let plan = RunnerPlan::Remote(RemotePlan {
                runner: runner.name.clone(),
                start,
                session_id: session_id.clone(),
                poll: poll.clone(),
                poll_interval_ms: millis(*poll_interval),
                states: states.clone(),
                on_complete: on_complete.clone(),
                cancel: cancel.clone(),
            });
            let words = planned(&plan, runner, host)?;
            // longhaul does not search the output for a result, because the command reports its result itself.
            let output = AgentOutputFormat::Unread;
            Ok(BuiltCommand { words, program, program_key: START, output, stays_here: true })
        }
    }
}

/// Returns the command that executes a plan.
fn planned(plan: &RunnerPlan, runner: &AgentRunner, host: &RunnerHost) -> Result<Vec<String>, ApiError> {
    let Some(program) = &host.program else {
        return Err(ApiError::new(
            409,
            "unsupported",
            format!("the runner {} cannot be used here", runner.name),
        )
        .because("the runner needs the program longhaul, but this engine is embedded in another program"));
    };
    let words = [program, "--state-dir", &host.state_dir, "--no-autostart", "runner", &plan.to_text()];
    Ok(words.map(ToOwned::to_owned).to_vec())
}

/// Adds to a command request the directory and the environment that the command of a runner needs.
fn complete(command: &mut CommandRequest, runner: &AgentRunner, host: &RunnerHost) -> Result<(), ApiError> {
    if command.directory.is_empty() {
        command.directory = host.home.clone().ok_or_else(|| {
            ApiError::invalid("launch", "the working directory is missing").help("give `command.directory`")
        })?;
    }
    let environment = &mut command.environment;
    for (name, value) in &runner.environment {
        environment.declared.entry(name.clone()).or_insert_with(|| value.clone());
    }
    // If the caller sent no environment, set `PATH` and `HOME`. Without these variables, the agent would find neither
    // its programs nor its settings.
    if environment.captured.is_none() {
        let home = host.home.as_ref().map(|home| ("HOME", home));
        for (name, value) in
            [("PATH", &host.path)].into_iter().chain(home).filter(|(_, value)| !value.is_empty())
        {
            environment.declared.entry(name.to_owned()).or_insert_with(|| value.clone());
        }
    }
    Ok(())
}

fn split(words: Vec<String>) -> (String, Vec<String>) {
    let mut words = words.into_iter();
    (words.next().unwrap_or_default(), words.collect())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
