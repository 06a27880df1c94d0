//! What is asked for at a launch, from what was said on the command line.

mod environment;
mod place;

pub(crate) use environment::Surroundings;

use crate::arguments::{Global, RunArgs};
use crate::failure::Failure;
use crate::value::{RetryOn, Signal, Size, Span};
use longhaul_wire::api::{CommandRequest, EnvironmentRequest, LaunchRequest, OutputRequest, RetryRequest};
use serde_json::{Map, Value};
use std::ffi::OsString;

/// Puts a launch together.
pub(crate) fn launch_request(
    run: &RunArgs,
    global: &Global,
    around: &Surroundings,
) -> Result<LaunchRequest, Failure> {
    let directory = place::directory(run.directory.as_deref(), around)?;
    let project = global.project.clone().or_else(|| place::project(&directory));
    Ok(LaunchRequest {
        command: Some(CommandRequest {
            directory: place::text(&directory)?,
            environment: EnvironmentRequest {
                captured: (!run.clear_env).then(|| around.environment()),
                declared: environment::declared(&run.env_file, &run.env, around)?,
                ..EnvironmentRequest::default()
            },
            stdin: run.stdin.as_deref().map(|file| place::file(file, around)).transpose()?,
            timeout_ms: run.timeout.map_or(0, Span::as_millis),
            grace_ms: run.grace.map(Span::as_millis),
            stop_signal: run.stop_signal.map(Signal::number),
            keep_leftovers: run.keep_leftovers,
            output: OutputRequest {
                head: run.log_head.map(Size::as_bytes),
                tail: run.log_tail.map(Size::as_bytes),
            },
            ..command(&run.command, run.shell)?
        }),
        kind: run.kind.clone(),
        name: run.name.clone(),
        project,
        session_id: run.session.clone().or_else(|| around.variable("LONGHAUL_SESSION")),
        description: run.description.clone(),
        metadata: metadata(&run.meta)?,
        parent_id: parent(run, around),
        key: run.key.clone(),
        priority: run.priority,
        launch_key: run.launch_key.clone(),
        delay_ms: run.delay.map(Span::as_millis),
        no_queue: run.no_queue,
        retry: retry(run),
        ..LaunchRequest::default()
    })
}

/// Hides the values of a request's variables, so that it can be shown.
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

fn command(words: &[OsString], shell: bool) -> Result<CommandRequest, Failure> {
    let mut texts = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let text = word.to_str().ok_or_else(|| Failure::NotText {
            position: index + 1,
            shown: word.to_string_lossy().into_owned(),
        })?;
        texts.push(text.to_owned());
    }
    if !shell && texts.first().is_some_and(String::is_empty) {
        return Err(Failure::Usage {
            what: "the command is empty".to_owned(),
            why: Some("its first word names the program".to_owned()),
            help: "longhaul run -- COMMAND".to_owned(),
        });
    }
    if shell {
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

fn metadata(said: &[String]) -> Result<Option<Value>, Failure> {
    if said.is_empty() {
        return Ok(None);
    }
    let mut all = Map::new();
    for each in said {
        let wrong = |why: String| Failure::Usage {
            what: format!("--meta {each} is no metadata"),
            why: Some(why),
            help: "say --meta key=value, or --meta '{\"key\": 1}'".to_owned(),
        };
        if each.trim_start().starts_with('{') {
            all.append(&mut serde_json::from_str(each).map_err(|error| wrong(error.to_string()))?);
        } else {
            let (key, value) = each.split_once('=').ok_or_else(|| wrong("there is no = in it".to_owned()))?;
            all.insert(key.to_owned(), Value::String(value.to_owned()));
        }
    }
    Ok(Some(Value::Object(all)))
}

fn parent(run: &RunArgs, around: &Surroundings) -> Option<String> {
    if run.no_parent {
        return None;
    }
    run.parent.clone().or_else(|| around.variable("LONGHAUL_ID"))
}

fn retry(run: &RunArgs) -> Option<RetryRequest> {
    let retries = run.retry?;
    let codes = run.retry_on.iter().filter_map(|on| match on {
        RetryOn::Code(code) => Some(*code),
        RetryOn::Timeout | RetryOn::Interrupted => None,
    });
    Some(RetryRequest {
        retries,
        first_ms: run.backoff.map(|backoff| backoff.first.as_millis()),
        cap_ms: run.backoff.and_then(|backoff| backoff.cap).map(Span::as_millis),
        codes: codes.collect(),
        after_timeout: run.retry_on.contains(&RetryOn::Timeout),
        after_interruption: run.retry_on.contains(&RetryOn::Interrupted),
    })
}

#[cfg(test)]
mod tests;
