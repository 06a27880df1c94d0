//! Builds launch requests from command-line arguments.

mod environment;
mod placement;
mod variables_file;

pub(crate) use environment::CallerContext;

use crate::arguments::{
    ChildrenRule, GlobalArgs, MonitorArgs, PlacementArgs, RunArgs, SessionRule, TrackStartArgs, WorkArgs,
};
use crate::failure::CliError;
use crate::value::{DurationArg, RetryOnArg, SignalArg, SizeArg, StartTime, StdinArg, WatchArg};
use longhaul_wire::api::{
    CommandRequest, EnvironmentRequest, LaunchRequest, LimitsRequest, OutputRequest, ReadyWhenRequest,
    ReportedRequest, RetryRequest, StreamChoice, WatchRequest,
};
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::path::Path;

/// Builds the request that launches a command. `socket` is the socket of the manager that will receive the request. If
/// `hands_over` is set, this program forwards its own input, so the command gets a pipe as standard input.
pub(crate) fn launch_request(
    run: &RunArgs,
    global: &GlobalArgs,
    around: &CallerContext,
    socket: &Path,
    hands_over: bool,
) -> Result<LaunchRequest, CliError> {
    check_place(run)?;
    let elsewhere = may_be_elsewhere(&run.place);
    let directory = placement::directory(run.directory.as_deref(), elsewhere, around)?;
    let project = global.project.clone().or_else(|| placement::project(&directory));
    Ok(LaunchRequest {
        command: Some(CommandRequest {
            directory: placement::text(&directory)?,
            environment: EnvironmentRequest {
                captured: (!run.clear_env).then(|| around.environment()),
                declared: environment::declared(&run.env_file, &run.env, around)?,
                ..EnvironmentRequest::default()
            },
            stdin: match &run.stdin {
                Some(StdinArg::File(file)) => Some(placement::file(file, elsewhere, around)?),
                Some(StdinArg::Own | StdinArg::Descriptor(_) | StdinArg::Nothing) | None => None,
            },
            stdin_pipe: run.stdin_pipe || hands_over,
            timeout_ms: run.timeout.map_or(0, DurationArg::as_millis),
            grace_ms: run.grace.map(DurationArg::as_millis),
            stop_signal: run.stop_signal.map(SignalArg::number),
            keep_leftovers: run.keep_leftovers,
            output: OutputRequest {
                head: run.log_head.map(SizeArg::as_bytes),
                tail: run.log_tail.map(SizeArg::as_bytes),
            },
            limits: LimitsRequest {
                cpu_seconds: run.max_cpu.map(|span| span.as_millis().div_ceil(1000)),
                memory_bytes: run.max_memory.map(SizeArg::as_bytes),
                open_files: run.max_files,
                processes: run.max_processes,
                file_bytes: run.max_file_size.map(SizeArg::as_bytes),
            },
            ready_when: ready_when(&run.attention),
            watch: run.attention.watch.iter().map(watch).collect(),
            artifacts: run.artifact.clone(),
            progress: run.attention.progress.clone(),
            report: run.report.clone(),
            ..command(&run.command, run.shell)?
        }),
        node: run.place.node.clone(),
        node_labels: run.place.node_label.clone(),
        any_node: run.place.any_node,
        retry: retry(run),
        ..work_request(&run.work, project, around, socket)?
    })
}

/// Refuses a launch that may run on several nodes if it depends on the directory or environment of this machine.
fn check_place(run: &RunArgs) -> Result<(), CliError> {
    let is_shared = run.place.any_node || !run.place.node_label.is_empty();
    if !is_shared || (run.directory.is_some() && run.clear_env) {
        return Ok(());
    }
    Err(CliError::Usage {
        what: "a process that may run on several nodes needs its own directory and environment".to_owned(),
        why: Some("the current directory and the current variables may not exist on other nodes".to_owned()),
        help: "longhaul run -C DIR --clear-env [-e NAME=VALUE] … -- COMMAND".to_owned(),
    })
}

/// Returns true if the process may run on another machine. This program then cannot check whether the files of the
/// process exist.
fn may_be_elsewhere(placement: &PlacementArgs) -> bool {
    placement.node.is_some() || placement.any_node || !placement.node_label.is_empty()
}

/// Builds the request that starts reported work. `socket` is the socket of the manager that will receive the request.
pub(crate) fn track_request(
    start: &TrackStartArgs,
    global: &GlobalArgs,
    around: &CallerContext,
    socket: &Path,
) -> Result<LaunchRequest, CliError> {
    let here = || around.directory().ok().and_then(|directory| placement::project(&directory));
    let project = global.project.clone().or_else(here);
    Ok(LaunchRequest {
        reported: Some(ReportedRequest {
            node_id: start.node.clone(),
            queued: start.queued,
            heartbeat_ms: start.heartbeat.map(DurationArg::as_millis),
            grace_ms: start.grace.map(DurationArg::as_millis),
        }),
        ..work_request(&start.work, project, around, socket)?
    })
}

/// Builds the part of a launch request that commands and reported work have in common.
fn work_request(
    work: &WorkArgs,
    project: Option<String>,
    around: &CallerContext,
    socket: &Path,
) -> Result<LaunchRequest, CliError> {
    let own = around.own_process(socket).filter(|_| !work.no_parent);
    Ok(LaunchRequest {
        kind: work.kind.clone(),
        name: work.name.clone(),
        project,
        session_id: work.session.clone().or_else(|| around.variable("LONGHAUL_SESSION")),
        description: work.description.clone(),
        metadata: metadata(&work.meta)?,
        launcher: work.parent.as_ref().map(|_| own.clone().unwrap_or_else(|| "outside".to_owned())),
        parent_id: work.parent.clone().or(own),
        parent_message_id: work.parent_message_id.clone(),
        prompt: work.prompt.clone(),
        agent: work.agent.clone(),
        model: work.model.clone(),
        agent_id: work.agent_id.clone(),
        agent_type: work.agent_type.clone(),
        capabilities: work.capability.clone(),
        key: work.key.clone(),
        priority: work.priority,
        launch_key: work.launch_key.clone(),
        delay_ms: work.delay.map(DurationArg::as_millis),
        not_before: work.at.map(StartTime::rfc3339),
        children: work.children.map(|rule| ChildrenRule::word(rule).to_owned()),
        children_on_failure: work.children_on_failure.map(|rule| ChildrenRule::word(rule).to_owned()),
        on_session_end: work.on_session_end.map(|rule| SessionRule::word(rule).to_owned()),
        session_grace_ms: work.session_grace.map(DurationArg::as_millis),
        no_queue: work.no_queue,
        idle_after_ms: work.idle_after.map(DurationArg::as_millis),
        stall_after_ms: work.stall_after.map(DurationArg::as_millis),
        ..LaunchRequest::default()
    })
}

/// Returns the request as JSON for display, without the values of environment variables.
pub(crate) fn shown(request: &LaunchRequest) -> Value {
    let mut value = serde_json::to_value(request).unwrap_or_default();
    for part in ["captured", "declared"] {
        if let Some(Value::Object(variables)) = value.pointer_mut(&format!("/command/environment/{part}")) {
            for value in variables.values_mut() {
                *value = Value::String("(hidden)".to_owned());
            }
        }
    }
    value
}

fn command(words: &[OsString], shell: bool) -> Result<CommandRequest, CliError> {
    let mut texts = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let text = word.to_str().ok_or_else(|| CliError::NotText {
            position: index + 1,
            shown: word.to_string_lossy().into_owned(),
        })?;
        texts.push(text.to_owned());
    }
    if !shell && texts.first().is_some_and(String::is_empty) {
        return Err(CliError::Usage {
            what: "the command is empty".to_owned(),
            why: Some("the first word must be the program".to_owned()),
            help: "longhaul run -- COMMAND".to_owned(),
        });
    }
    if shell && !texts.is_empty() {
        return Ok(CommandRequest {
            program: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), texts.join(" ")],
            ..CommandRequest::default()
        });
    }
    let mut texts = texts.into_iter();
    Ok(CommandRequest {
        program: texts.next().unwrap_or_default(),
        args: texts.collect(),
        ..CommandRequest::default()
    })
}

fn metadata(said: &[String]) -> Result<Option<Value>, CliError> {
    if said.is_empty() {
        return Ok(None);
    }
    let mut all = Map::new();
    for each in said {
        let wrong = |why: String| CliError::Usage {
            what: format!("--meta {each} is not valid"),
            why: Some(why),
            help: "use --meta key=value, or --meta '{\"key\": 1}'".to_owned(),
        };
        if each.trim_start().starts_with('{') {
            all.append(&mut serde_json::from_str(each).map_err(|error| wrong(error.to_string()))?);
        } else {
            let (key, value) =
                each.split_once('=').ok_or_else(|| wrong("the value contains no =".to_owned()))?;
            all.insert(key.to_owned(), Value::String(value.to_owned()));
        }
    }
    Ok(Some(Value::Object(all)))
}

fn ready_when(args: &MonitorArgs) -> Option<ReadyWhenRequest> {
    let shell = |line: &String| vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()];
    let asked = ReadyWhenRequest {
        port: args.ready_port,
        http: args.ready_http.clone(),
        log: args.ready_log.clone(),
        command: args.ready_cmd.as_ref().map(shell),
    };
    (asked != ReadyWhenRequest::default()).then_some(asked)
}

fn watch(watched: &WatchArg) -> WatchRequest {
    WatchRequest {
        name: watched.name().to_owned(),
        pattern: watched.pattern().to_owned(),
        stream: watched.stream().map(|stream| match stream {
            "stdout" => StreamChoice::Stdout,
            _ => StreamChoice::Stderr,
        }),
    }
}

fn retry(run: &RunArgs) -> Option<RetryRequest> {
    let retries = run.retry?;
    let codes = run.retry_on.iter().filter_map(|on| match on {
        RetryOnArg::Code(code) => Some(*code),
        RetryOnArg::Timeout | RetryOnArg::Interrupted => None,
    });
    Some(RetryRequest {
        retries,
        first_ms: run.backoff.map(|backoff| backoff.first.as_millis()),
        cap_ms: run.backoff.and_then(|backoff| backoff.cap).map(DurationArg::as_millis),
        codes: codes.collect(),
        after_timeout: run.retry_on.contains(&RetryOnArg::Timeout),
        after_interruption: run.retry_on.contains(&RetryOnArg::Interrupted),
    })
}

#[cfg(test)]
mod tests;
