//! Implements `run`.

use super::foreground::{ForegroundSignals, follow_in_foreground};
use super::handover;
use crate::arguments::{GlobalArgs, OutputFormat, RunArgs, TaskArgs, WorkArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::{DONE, of_process};
use crate::failure::CliError;
use crate::render::{ended_line, label, short};
use crate::request::{launch_request, shown};
use crate::shell_word::shell_word;
use crate::status::ParsedStatus;
use longhaul_client::{ClientError, RequestPath};
use longhaul_view::clean_label;
use longhaul_wire::api::{LaunchReply, LaunchRequest, ProcessView, WaitReply};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// Maximum time to wait for a launched process that is still pending, so that its pid can be shown. Only a launch that
/// prints hints for people waits.
const START: Duration = Duration::from_millis(400);
/// Maximum time to wait for an admitted process to start. Only a start attempt shows whether the program can be
/// executed.
const FAILED_START: Duration = Duration::from_secs(2);

/// Launches a command.
pub(crate) async fn run(context: &VerbContext, args: &RunArgs) -> Result<i32, CliError> {
    let hands_over = handover::is_wanted(args)?;
    launch(context, &context.global, args, hands_over).await
}

/// Gives a task to an agent. The standard input of the agent is empty, because no user answers its questions.
pub(crate) async fn task(context: &VerbContext, args: &TaskArgs) -> Result<i32, CliError> {
    if args.task.trim().is_empty() {
        return Err(CliError::Usage {
            what: "the description of the task is empty".to_owned(),
            why: Some("the description is the prompt for the agent".to_owned()),
            help: "longhaul task PROJECT DESCRIPTION".to_owned(),
        });
    }
    let global = GlobalArgs { project: Some(args.of_project.clone()), ..context.global.clone() };
    launch(context, &global, &args.as_run(), false).await
}

/// Launches a command. If `hands_over` is true, this program forwards its own input to the command.
async fn launch(
    context: &VerbContext,
    global: &GlobalArgs,
    args: &RunArgs,
    hands_over: bool,
) -> Result<i32, CliError> {
    let request = launch_request(args, global, &context.around, context.client.socket(), hands_over)?;
    if args.dry_run {
        context.console.print_json(&shown(&request))?;
        return Ok(DONE);
    }
    warn_of_lost_variables(context, args, &request);
    let id_file = IdFile::of(&args.work)?;
    let signals = if args.background { None } else { Some(ForegroundSignals::new()?) };
    let launched = submit(context, &args.work, request).await?;
    id_file.write(&launched.process.id)?;
    print_if_not_placeable(context, &launched.process);
    // If the launch key was used before, the manager returns the first process. That process has its own input, so
    // nothing is forwarded to it.
    let hands_over = hands_over && launched.created;
    let Some(signals) = signals else {
        let id = launched.process.id.clone();
        let code = announce(context, launched).await?;
        if hands_over {
            handover::hand_over(context, &id, tokio::io::stdin()).await?;
        } else if args.stdin.is_none() && !args.stdin_pipe {
            let advice = "`--stdin -` passes it on, `--stdin none` hides this note";
            handover::note_ignored_input(context, advice);
        }
        return Ok(code);
    };
    follow_in_foreground(context, launched.process, signals, hands_over).await
}

/// Prints a note if currently no node is able to run the process. The reason may be a misspelled node name or label.
fn print_if_not_placeable(context: &VerbContext, process: &ProcessView) {
    let is_nowhere = process.pending.as_ref().is_some_and(|pending| pending.why == "no_node");
    if let Some(reason) = process.reason.as_deref().filter(|_| is_nowhere) {
        let what = format!("{} waits: {reason}; `longhaul node list` lists all nodes", label(process));
        context.console.say(&clean_label(&what));
    }
}

/// File that receives the id of a new process.
///
/// The file is created before the launch. If its creation failed only after the launch, a process would be running
/// whose id the caller does not know.
pub(super) struct IdFile<'a>(Option<(&'a std::path::Path, File)>);

impl<'a> IdFile<'a> {
    /// Creates the file if `--id-file` is set.
    pub(super) fn of(work: &'a WorkArgs) -> Result<Self, CliError> {
        let Some(path) = work.id_file.as_deref() else {
            return Ok(Self(None));
        };
        // Without `NONBLOCK`, opening a named pipe that has no reader would block the launch.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = File::options().write(true).create(true).truncate(true).custom_flags(flags).open(path);
        let file = file.map_err(|source| CliError::file("write", path, source))?;
        Ok(Self(Some((path, file))))
    }

    /// Writes the id to the file. Does nothing if no file was requested.
    pub(super) fn write(self, id: &str) -> Result<(), CliError> {
        let Some((path, mut file)) = self.0 else {
            return Ok(());
        };
        writeln!(file, "{id}").map_err(|source| CliError::Untold {
            id: id.to_owned(),
            to: path.display().to_string(),
            source,
        })
    }
}

/// Prints the names of the variables that are not passed to the command because their name or value is not UTF-8.
fn warn_of_lost_variables(context: &VerbContext, args: &RunArgs, request: &LaunchRequest) {
    let declared = request.command.as_ref().map(|command| &command.environment.declared);
    let mut lost = context.around.lost_variables();
    lost.retain(|name| !args.clear_env && !declared.is_some_and(|declared| declared.contains_key(name)));
    if !lost.is_empty() {
        let names = lost.join(", ");
        context.console.say(&clean_label(&format!(
            "variables not passed to the command, because they are \
            not UTF-8: {names}"
        )));
    }
}

/// Sends a launch request. Prints a note if the launch key was used before.
///
/// If the manager has no record of a parent that was inherited from the environment, the request is sent without this
/// parent. Such a parent belongs to another manager.
pub(super) async fn submit(
    context: &VerbContext,
    work: &WorkArgs,
    mut request: LaunchRequest,
) -> Result<LaunchReply, CliError> {
    let mut outcome = ask(context, &request).await;
    if let (Err(failure), None, Some(adopted)) = (&outcome, &work.parent, &request.parent_id)
        && matches!(failure.slug(), "process_not_found" | "parent_not_found")
        && is_unknown(context, adopted).await
    {
        let adopted = clean_label(short(adopted)).into_owned();
        context.console.hint(&format!(
            "this manager does not know the process {adopted}, in which this command was called: the new \
            process has no parent"
        ));
        request.parent_id = None;
        outcome = ask(context, &request).await;
    }
    let launched =
        outcome.map_err(|failure| CliError::from(failure).of_launch(Some(request.launch_key.is_some())))?;
    if !launched.created {
        let stands = match launched.outcome.as_str() {
            "already_ended" => "and has ended",
            "already_running" => "and is live",
            _ => "which has this key",
        };
        context.console.say(&format!(
            "a process with this launch key already exists: {}, {stands}",
            label(&launched.process)
        ));
    }
    if launched.process.conditions.iter().any(|condition| condition == "local_only") {
        let label = label(&launched.process);
        context.console.say(&format!(
            "the store does not answer: only this node knows {label} until the store answers \
                 again"
        ));
    }
    Ok(launched)
}

/// Sends a launch request. After a broken connection, the request is repeated only if it has a launch key, which
/// ensures that only one process is created.
async fn ask(context: &VerbContext, request: &LaunchRequest) -> Result<LaunchReply, ClientError> {
    match context.client.launch(request).await {
        Err(ClientError::Broken { .. }) if request.launch_key.is_some() => {
            context.client.launch(request).await
        }
        outcome => outcome,
    }
}

/// Returns true if the manager has no record of a process with this id.
async fn is_unknown(context: &VerbContext, id: &str) -> bool {
    let known = context.client.process(id).await;
    known.is_err_and(|failure| failure.slug() == "process_not_found")
}

/// Prints the id of a process that runs in the background. For people, also prints the commands that they can use on
/// the process.
pub(super) async fn announce(context: &VerbContext, mut launched: LaunchReply) -> Result<i32, CliError> {
    let console = &context.console;
    let for_people = console.wants_hints();
    let waits = ParsedStatus::of(&launched.process) == ParsedStatus::Pending;
    if for_people || !waits {
        let time_limit = if waits { START } else { FAILED_START };
        launched.process = started(context, launched.process, time_limit).await;
    }
    let id = &launched.process.id;
    match console.format {
        Some(OutputFormat::Json | OutputFormat::Ndjson) => console.print_json(&launched),
        Some(OutputFormat::Table | OutputFormat::Wide | OutputFormat::Name) | None => {
            console.print(&format!("{id}\n"))
        }
    }
    .map_err(|failure| untold(failure, id))?;
    if launched.process.start_failure.is_some() && ParsedStatus::of(&launched.process).is_ended() {
        print_end(context, &launched.process);
        return Ok(of_process(&launched.process));
    }
    if for_people {
        console.say(&introduction(&launched.process));
    }
    Ok(DONE)
}

/// Prints how a process ended. If the program was not found and the command contains shell syntax, also prints a hint.
pub(super) fn print_end(context: &VerbContext, process: &ProcessView) {
    let console = &context.console;
    console.say(&ended_line(process, console.unicode));
    let not_found = process.start_failure.as_ref().is_some_and(|failure| failure.stage == "program");
    if not_found && is_command_line(&process.command) {
        let line = process.command.join(" ");
        let line = clean_label(&line);
        console.say(&format!("  help: longhaul run --shell {}", shell_word(&line)));
    }
}

/// Returns true if these words contain shell syntax, so that only a shell could execute them.
fn is_command_line(words: &[String]) -> bool {
    let [program, arguments @ ..] = words else { return false };
    let is_operator =
        |word: &String| matches!(word.as_str(), "&&" | "||" | "|" | ";" | "&" | ">" | ">>" | "<");
    program.contains([' ', ';', '|', '&', '<', '>', '$', '=']) || arguments.iter().any(is_operator)
}

/// Adds the id of the launched process to an error of writing to standard output. The error stays unchanged if the
/// reader has closed standard output.
pub(super) fn untold(failure: CliError, id: &str) -> CliError {
    if failure.is_closed_output() {
        return failure;
    }
    if let CliError::Output { source } = failure {
        return CliError::Untold { id: id.to_owned(), to: "standard output".to_owned(), source };
    }
    failure
}

/// Waits at most `time_limit` for a process to start, so that its pid or its start failure can be shown.
async fn started(context: &VerbContext, process: ProcessView, time_limit: Duration) -> ProcessView {
    if ParsedStatus::of(&process).has_started() {
        return process;
    }
    let path = RequestPath::wait()
        .with("id", &process.id)
        .with("for", "running")
        .with("timeout_ms", &time_limit.as_millis().to_string());
    let reply: Result<WaitReply, _> = context.client.fetch_slowly(&path, Some(time_limit)).await;
    reply.ok().and_then(|reply| reply.processes.into_iter().next()).unwrap_or(process)
}

fn introduction(process: &ProcessView) -> String {
    let id = short(&process.id);
    let mut text = format!("{} is {}", label(process), clean_label(&process.status));
    if let Some(project) = &process.project {
        text.push_str(&format!(" in project {}", clean_label(project)));
    }
    if let Some(pid) = process.pid {
        text.push_str(&format!(", pid {pid}"));
    }
    if let Some(path) = &process.log_path {
        text.push_str(&format!("\n  log:    {}", clean_label(path)));
    }
    if process.work == "reported" {
        text.push_str(&format!(
            "\n  report: longhaul track progress {id} 10\n  end:    longhaul track complete {id}\n  or:     longhaul track fail {id} --error WHY"
        ));
        return text;
    }
    text.push_str(&format!(
        "\n  follow: longhaul logs -f {id}\n  wait:   longhaul wait {id}\n  cancel: longhaul cancel {id}"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn introduction_names_pid_log_and_next_steps() {
        assert_eq!(
            introduction(&samples::running()),
            "\
0a1b2c3d tests is running in project atlas, pid 4711
  log:    /state/attempts/0a1b2c3d/1/output.log
  follow: longhaul logs -f 0a1b2c3d
  wait:   longhaul wait 0a1b2c3d
  cancel: longhaul cancel 0a1b2c3d"
        );
    }
}
