//! The tool that starts a command.

use crate::answer::{JsonObject, object};
use crate::calls::{ToolContext, millis, span};
use crate::error::ToolError;
use crate::tool::input::{ReadyWhenInput, StartInput, StdinInput};
use longhaul_wire::api::{
    CommandRequest, EnvironmentRequest, LaunchReply, LaunchRequest, ReadRequest, ReadyWhenRequest,
    RetryRequest, StreamChoice, WatchRequest,
};
use serde_json::{Map, Value};
use std::path::Path;

impl ToolContext<'_> {
    /// Starts a command. If a wait time is given and the command ends within it, the result includes the output.
    pub(super) async fn start(self, asked: StartInput) -> Result<JsonObject, ToolError> {
        let wait = span(asked.wait_seconds);
        let LaunchReply { mut process, outcome, .. } = self.api.launch(self.launch(asked).await?).await?;
        let id = process.id.clone();
        if !wait.is_zero()
            && let Some(seen) = self.waited(&id, None, wait).await?
        {
            process = seen;
        }
        let mut answer = self.brief(&process).await;
        if !wait.is_zero() && process.completed_at.is_some() {
            let read = self.api.read_output(&id, &ReadRequest::default()).await;
            // If the output cannot be read, the result still shows how the process ended.
            if let Ok(page) = read {
                answer.remove("tail");
                let output = answer.entry("output").or_insert_with(|| JsonObject::new().into());
                if let Some(output) = output.as_object_mut() {
                    output.extend(object(&page));
                }
            }
        }
        answer.insert("outcome".to_owned(), outcome.into());
        Ok(answer)
    }

    async fn launch(self, asked: StartInput) -> Result<LaunchRequest, ToolError> {
        let directory = self.directory(asked.cwd.as_deref())?;
        let has_prompt = asked.prompt.as_deref().is_some_and(|prompt| !prompt.trim().is_empty());
        let (program, args) = match asked.args {
            Some(args) => (asked.command, args),
            None if has_prompt && asked.command.trim().is_empty() => (String::new(), Vec::new()),
            None => ("/bin/sh".to_owned(), vec!["-c".to_owned(), checked(asked.command)?]),
        };
        let watch = asked.watch.iter().map(|text| watched(text)).collect::<Result<_, _>>()?;
        let retry = RetryRequest { retries: asked.retries, ..RetryRequest::default() };
        Ok(LaunchRequest {
            command: Some(CommandRequest {
                program,
                args,
                directory,
                environment: EnvironmentRequest {
                    captured: self.caller.environment.as_deref().cloned(),
                    declared: asked.env,
                    ..EnvironmentRequest::default()
                },
                timeout_ms: millis(span(asked.timeout)),
                stdin_pipe: asked.stdin == StdinInput::Pipe,
                artifacts: asked.artifacts,
                ready_when: asked.ready_when.map(|ReadyWhenInput { port, http, log, command }| {
                    ReadyWhenRequest { port, http, log, command }
                }),
                watch,
                progress: asked.progress,
                ..CommandRequest::default()
            }),
            kind: Some(asked.process_type),
            name: Some(asked.name),
            session_id: self.session(asked.session_id)?,
            metadata: metadata(asked.metadata),
            launcher: self.launcher(asked.parent_id.as_ref()),
            parent_id: self.parent(asked.parent_id.as_ref()).await?,
            key: asked.concurrency_key,
            priority: asked.priority,
            node: asked.node_id,
            agent_id: asked.agent_id,
            agent_type: asked.agent_type,
            capabilities: asked.capabilities,
            launch_key: asked.launch_key,
            prompt: asked.prompt,
            agent: asked.agent,
            model: asked.model,
            parent_message_id: asked.parent_message_id,
            idle_after_ms: asked.idle_after_seconds.map(span).map(millis),
            stall_after_ms: asked.stall_after_seconds.map(span).map(millis),
            retry: (asked.retries > 0).then_some(retry),
            ..LaunchRequest::default()
        })
    }

    /// Returns the absolute working directory of a launch.
    fn directory(self, asked: Option<&str>) -> Result<String, ToolError> {
        let base = self.caller.directory.as_deref();
        let directory = match (asked.map(Path::new), base) {
            (Some(asked), _) if asked.is_absolute() => asked.to_owned(),
            (Some(asked), Some(base)) => base.join(asked),
            (None, Some(base)) => base.to_owned(),
            (Some(_), None) => {
                return Err(ToolError::invalid("cwd must be an absolute path")
                    .hint("over HTTP, the directory of the client is unknown: give an absolute path"));
            }
            (None, None) => {
                return Err(ToolError::invalid("cwd is missing")
                    .hint("over HTTP, the directory of the client is unknown: give an absolute path"));
            }
        };
        match directory.into_os_string().into_string() {
            Ok(text) => Ok(text),
            Err(_) => Err(ToolError::invalid("the working directory is not UTF-8 text")),
        }
    }
}

/// Rejects an empty command line, because a shell would execute it successfully.
fn checked(line: String) -> Result<String, ToolError> {
    if line.trim().is_empty() { Err(ToolError::invalid("command is empty")) } else { Ok(line) }
}

/// Parses a named pattern for lines of output: `NAME=REGEX`. The prefix `stdout:` or `stderr:` selects one stream.
fn watched(text: &str) -> Result<WatchRequest, ToolError> {
    let (rest, stream) = match (text.strip_prefix("stdout:"), text.strip_prefix("stderr:")) {
        (Some(rest), _) => (rest, Some(StreamChoice::Stdout)),
        (None, Some(rest)) => (rest, Some(StreamChoice::Stderr)),
        (None, None) => (text, None),
    };
    match rest.split_once('=') {
        Some((name, pattern)) if !name.is_empty() && !pattern.is_empty() => {
            Ok(WatchRequest { name: name.to_owned(), pattern: pattern.to_owned(), stream })
        }
        Some(_) | None => Err(ToolError::invalid("watch: a pattern has no name")
            .hint("give NAME=REGEX, or stderr:NAME=REGEX for one stream")),
    }
}

/// Converts metadata. An empty object becomes `None`.
pub(super) fn metadata(fields: Map<String, Value>) -> Option<Value> {
    (!fields.is_empty()).then_some(Value::Object(fields))
}
