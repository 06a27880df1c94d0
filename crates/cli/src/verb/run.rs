//! `run`

use super::foreground::{ForegroundSignals, follow_in_foreground};
use super::handover;
use crate::arguments::{OutputFormat, RunArgs, WorkArgs};
use crate::client::RequestPath;
use crate::dispatch::VerbContext;
use crate::exit_code::{DONE, of_process};
use crate::failure::CliError;
use crate::render::{ended_line, label, short};
use crate::request::{launch_request, shown};
use crate::shell_word::shell_word;
use crate::status::ParsedStatus;
use longhaul_view::clean_label;
use longhaul_wire::api::{LaunchReply, LaunchRequest, ProcessView, WaitReply};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// How long a person waits for the pid of what was launched.
const START: Duration = Duration::from_millis(400);
/// The longest wait for a start: only the kernel knows whether a program can be executed.
const FAILED_START: Duration = Duration::from_secs(2);

/// Runs a command.
pub(crate) async fn run(context: &VerbContext, args: &RunArgs) -> Result<i32, CliError> {
    let hands_over = handover::is_wanted(args)?;
    let request =
        launch_request(args, &context.global, &context.around, context.client.socket(), hands_over)?;
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
    // What was launched before, under the same key, has an input of its own.
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

/// Tells that no node may run it now, which a wrong name of a node or of a label comes to.
fn print_if_not_placeable(context: &VerbContext, process: &ProcessView) {
    let is_nowhere = process.pending.as_ref().is_some_and(|pending| pending.why == "no_node");
    if let Some(reason) = process.reason.as_deref().filter(|_| is_nowhere) {
        let what = format!("{} waits: {reason}; `longhaul node list` lists all nodes", label(process));
        context.console.say(&clean_label(&what));
    }
}

/// The file that an id goes to.
///
/// It is made before the launch: what cannot be made must not leave a process behind that nobody knows.
pub(super) struct IdFile<'a>(Option<(&'a std::path::Path, File)>);

impl<'a> IdFile<'a> {
    /// Makes it, if one is named.
    pub(super) fn of(work: &'a WorkArgs) -> Result<Self, CliError> {
        let Some(path) = work.id_file.as_deref() else {
            return Ok(Self(None));
        };
        // A named pipe that nobody reads would hold up the launch.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = File::options().write(true).create(true).truncate(true).custom_flags(flags).open(path);
        let file = file.map_err(|source| CliError::file("write", path, source))?;
        Ok(Self(Some((path, file))))
    }

    /// Writes the id, if there is a file for it.
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

/// Tells which variables are not handed over.
fn warn_of_lost_variables(context: &VerbContext, args: &RunArgs, request: &LaunchRequest) {
    let declared = request.command.as_ref().map(|command| &command.environment.declared);
    let mut lost = context.around.lost_variables();
    lost.retain(|name| !args.clear_env && !declared.is_some_and(|declared| declared.contains_key(name)));
    if !lost.is_empty() {
        let names = lost.join(", ");
        context.console.say(&clean_label(&format!("not passed to the command, because not UTF-8: {names}")));
    }
}

/// Asks for a launch, and says so if there was one like it before.
///
/// A parent that was adopted and that the manager does not know is given up: it is one of another state.
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
            "this manager does not know {adopted}, inside which this command runs: the new process has no parent"
        ));
        request.parent_id = None;
        outcome = ask(context, &request).await;
    }
    let launched = outcome.map_err(|failure| failure.of_launch(Some(request.launch_key.is_some())))?;
    if !launched.created {
        let stands = match launched.outcome.as_str() {
            "already_ended" => "and has ended",
            "already_running" => "and is live",
            _ => "which has this key",
        };
        context
            .console
            .say(&format!("the launch key was used before: this is {}, {stands}", label(&launched.process)));
    }
    if launched.process.conditions.iter().any(|condition| condition == "local_only") {
        let label = label(&launched.process);
        context
            .console
            .say(&format!("the store does not answer: only this node knows {label} until it does"));
    }
    Ok(launched)
}

/// Asks for a launch; again after a broken connection if its key sees to it that there is one process only.
async fn ask(context: &VerbContext, request: &LaunchRequest) -> Result<LaunchReply, CliError> {
    match context.client.send(&RequestPath::processes(), request).await {
        Err(CliError::Broken { .. }) if request.launch_key.is_some() => {
            context.client.send(&RequestPath::processes(), request).await
        }
        outcome => outcome,
    }
}

/// Tells whether the manager knows no such process, whatever became of it.
async fn is_unknown(context: &VerbContext, id: &str) -> bool {
    let known: Result<ProcessView, CliError> = context.client.fetch(&RequestPath::process(id)).await;
    known.is_err_and(|failure| failure.slug() == "process_not_found")
}

/// Prints the id of what goes on in the background, and tells people what they can do with it.
pub(super) async fn announce(context: &VerbContext, mut launched: LaunchReply) -> Result<i32, CliError> {
    let console = &context.console;
    let for_people = console.wants_hints();
    let waits = ParsedStatus::of(&launched.process) == ParsedStatus::Pending;
    if for_people || !waits {
        let patience = if waits { START } else { FAILED_START };
        launched.process = started(context, launched.process, patience).await;
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

/// Tells how a process ended, and what was probably meant if its program was a command line.
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

/// Tells whether a shell would have understood these words, and only a shell.
fn is_command_line(words: &[String]) -> bool {
    let [program, arguments @ ..] = words else { return false };
    let is_operator =
        |word: &String| matches!(word.as_str(), "&&" | "||" | "|" | ";" | "&" | ">" | ">>" | "<");
    program.contains([' ', ';', '|', '&', '<', '>', '$', '=']) || arguments.iter().any(is_operator)
}

/// Names what was launched, unless nobody wants to know.
pub(super) fn untold(failure: CliError, id: &str) -> CliError {
    if failure.is_closed_output() {
        return failure;
    }
    if let CliError::Output { source } = failure {
        return CliError::Untold { id: id.to_owned(), to: "standard output".to_owned(), source };
    }
    failure
}

/// Gives a launch a moment to start, so that its pid can be told, or why it has none.
async fn started(context: &VerbContext, process: ProcessView, patience: Duration) -> ProcessView {
    if ParsedStatus::of(&process).has_started() {
        return process;
    }
    let path = RequestPath::wait()
        .with("id", &process.id)
        .with("for", "running")
        .with("timeout_ms", &patience.as_millis().to_string());
    let reply: Result<WaitReply, CliError> = context.client.fetch_slowly(&path, Some(patience)).await;
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
    fn introduction_names_pid_log_and_what_to_do_next() {
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
