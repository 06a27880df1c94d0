//! `run`

use super::foreground::{Signals, accompany};
use crate::arguments::{Format, RunArgs};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::render::{label, short};
use crate::request::{launch_request, shown};
use crate::standing::Standing;
use longhaul_view::clean_label;
use longhaul_wire::api::{LaunchRequest, Launched, ProcessView, WaitReply};
use std::fs::File;
use std::io::Write;
use std::time::Duration;

/// How long a person waits for the pid of what was launched.
const START: Duration = Duration::from_millis(400);

/// Runs a command.
pub(crate) async fn run(context: &Context, args: &RunArgs) -> Result<i32, Failure> {
    let request = launch_request(args, &context.global, &context.around)?;
    if args.dry_run {
        context.console.print_json(&shown(&request))?;
        return Ok(DONE);
    }
    warn_of_lost_variables(context, args, &request);
    // Made before the launch: what cannot be made must not leave a process behind that nobody knows.
    let id_file = args.id_file.as_deref().map(create).transpose()?;
    let signals = if args.background { None } else { Some(Signals::new()?) };
    let launched = submit(context, &request).await?;
    if let Some((path, mut file)) = id_file {
        let id = &launched.process.id;
        writeln!(file, "{id}").map_err(|source| Failure::Untold {
            id: id.clone(),
            to: path.display().to_string(),
            source,
        })?;
    }
    if !launched.created {
        context.console.say(&format!(
            "the launch key was used before: this is {}, which has it",
            label(&launched.process)
        ));
    }
    match signals {
        Some(signals) => accompany(context, launched.process, signals).await,
        None => announce(context, launched).await,
    }
}

fn create(path: &std::path::Path) -> Result<(&std::path::Path, File), Failure> {
    Ok((path, File::create(path).map_err(|source| Failure::file("write", path, source))?))
}

/// Tells which variables are not handed over.
fn warn_of_lost_variables(context: &Context, args: &RunArgs, request: &LaunchRequest) {
    let declared = request.command.as_ref().map(|command| &command.environment.declared);
    let mut lost = context.around.lost_variables();
    lost.retain(|name| !args.clear_env && !declared.is_some_and(|declared| declared.contains_key(name)));
    if !lost.is_empty() {
        let names = lost.join(", ");
        context.console.say(&clean_label(&format!("not handed over, because it is not UTF-8: {names}")));
    }
}

/// Asks for the launch; again after a broken connection if its key sees to it that there is one process only.
async fn submit(context: &Context, request: &LaunchRequest) -> Result<Launched, Failure> {
    let outcome = context.client.send(&Path::processes(), request).await;
    match outcome {
        Err(Failure::Broken { .. }) if request.launch_key.is_some() => {
            context.client.send(&Path::processes(), request).await
        }
        outcome => outcome,
    }
    .map_err(|failure| failure.of_launch(Some(request.launch_key.is_some())))
}

/// Prints the id of what goes on in the background, and tells people what they can do with it.
pub(super) async fn announce(context: &Context, mut launched: Launched) -> Result<i32, Failure> {
    let console = &context.console;
    let for_people = console.wants_hints();
    if for_people {
        launched.process = started(context, launched.process).await;
    }
    let id = &launched.process.id;
    match console.format {
        Some(Format::Json | Format::Ndjson) => console.print_json(&launched),
        Some(Format::Table | Format::Wide | Format::Name) | None => console.print(&format!("{id}\n")),
    }
    .map_err(|failure| untold(failure, id))?;
    if for_people {
        console.say(&introduction(&launched.process));
    }
    Ok(DONE)
}

/// Names what was launched, unless nobody wants to know.
pub(super) fn untold(failure: Failure, id: &str) -> Failure {
    if failure.is_closed_output() {
        return failure;
    }
    if let Failure::Output { source } = failure {
        return Failure::Untold { id: id.to_owned(), to: "standard output".to_owned(), source };
    }
    failure
}

/// Gives a launch a moment to start, so that its pid can be told.
async fn started(context: &Context, process: ProcessView) -> ProcessView {
    if Standing::of(&process).has_started() {
        return process;
    }
    let path = Path::wait()
        .with("id", &process.id)
        .with("for", "running")
        .with("timeout_ms", &START.as_millis().to_string());
    let reply: Result<WaitReply, Failure> = context.client.fetch_slowly(&path, Some(START)).await;
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
