//! Configuration of runners.

use crate::config::entry_table::{EntryField, EntryTable, EntryValues, NAME_PATTERN};
use crate::config::error::ConfigError;
use crate::config::file::{self, FileValue};
use crate::config::key::{KeyAuthority, key_of};
use crate::config::kind::ValueKind;
use crate::config::layers::{ConfigEntry, Layers};
use crate::config::origin::ValueOrigin;
use crate::config::settings::{text, variables};
use longhaul_api::runner::{AgentRunner, RemoteSettings, RunnerError, RunnerSettings};
use longhaul_domain::AgentOutputFormat;
use std::path::Path;
use std::time::Duration;

/// Table of runners. It contains one table for each runner.
pub(super) static RUNNERS: EntryTable = EntryTable {
    name: "runner",
    meaning: "runners; one table for each runner",
    placeholder: "NAME",
    pattern: NAME_PATTERN,
    canonical: |name| Some(name.to_owned()),
    // A runner in a project file would let the author of the project choose what is executed.
    trust: KeyAuthority::User,
    fields: &[
        EntryField::new(
            "cancel",
            ValueKind::List,
            "remote session: command that cancels the session; default: none, the session continues",
        ),
        EntryField::new(
            COMMAND,
            ValueKind::List,
            "program and arguments of the agent; {prompt}, {model}, {session} and {cwd} are replaced inside an argument",
        ),
        EntryField::new(
            "environment",
            ValueKind::List,
            "environment variables of the agent: NAME=VALUE, or NAME to copy it from the manager",
        ),
        EntryField::new(
            "idle_after",
            ValueKind::SpanOrNever(SECOND),
            "default time without output after which the process counts as idle",
        ),
        EntryField::new(
            "key",
            ValueKind::List,
            "concurrency key of each model: PATTERN=KEY; default: the name of the model",
        ),
        EntryField::new(
            "on_complete",
            ValueKind::Commands,
            "command, or list of commands, that runs after the agent has succeeded; for a remote session, the output of the last command is the result",
        ),
        EntryField::new(
            "output",
            ValueKind::Word(&["none", "plain", "claude", "codex", "gemini", "opencode"]),
            "format of the output, from which longhaul reads the result; default: plain",
        ),
        EntryField::new(
            "poll",
            ValueKind::List,
            "remote session: command that prints the state of {session}",
        ),
        EntryField::new(
            "poll_interval",
            ValueKind::Span(SHORTEST_POLL),
            "remote session: time between two polls; default: 5s",
        ),
        EntryField::new(
            "session_id",
            ValueKind::Text,
            "remote session: pattern with one group, which is the id of the session in the output of `start`",
        ),
        EntryField::new(
            START,
            ValueKind::List,
            "remote session: command that creates the session, instead of `command`",
        ),
        EntryField::new(
            "states",
            ValueKind::List,
            "remote session: PATTERN=STATE; the first pattern that matches the output of `poll` decides; states: queued, running, waiting_for_input, paused, completed, failed",
        ),
        EntryField::new(
            "type",
            ValueKind::Text,
            "process type of launches with this runner; default: custom",
        ),
    ],
};

const COMMAND: &str = "command";
const START: &str = "start";
const SECOND: Duration = Duration::from_secs(1);
const SHORTEST_POLL: Duration = Duration::from_millis(100);
const DEFAULT_POLL: Duration = Duration::from_secs(5);
/// Keys of a remote session. Without `start`, none of them has an effect.
const REMOTE: [&str; 5] = ["session_id", "poll", "poll_interval", "states", "cancel"];
/// Configuration of the built-in runners.
const BUILTIN: &str = include_str!("runners.toml");

/// The runners of a manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunnerConfig {
    /// All runners, built-in and configured.
    pub runners: Vec<AgentRunner>,
    /// Name of the runner for launches that name no agent.
    pub default: Option<String>,
}

impl RunnerConfig {
    pub(super) fn of(
        layers: &Layers,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let runners = layers.entries(&RUNNERS).into_iter().map(|values| runner(values, &variable));
        let runners: Vec<AgentRunner> = runners.collect::<Result<_, _>>()?;
        let default = text(layers, key_of!("runner.default")).filter(|name| !name.is_empty());
        if let (Some(name), Some(entry)) = (default, layers.setting(key_of!("runner.default")))
            && !runners.iter().any(|runner| runner.name() == name)
        {
            let names: Vec<&str> = runners.iter().map(AgentRunner::name).collect();
            let why = "there is no runner with this name".to_owned();
            return Err(entry.invalid(
                "runner.default",
                name,
                why,
                &format!("give one of {}", names.join(", ")),
            ));
        }
        Ok(Self { runners, default: default.map(str::to_owned) })
    }
}

/// Returns the keys of the built-in runners.
pub(super) fn builtin() -> Result<Vec<FileValue>, ConfigError> {
    file::parse(Path::new("built-in runners"), BUILTIN)
}

fn runner(
    mut values: EntryValues<'_>,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<AgentRunner, ConfigError> {
    drop_replaced(&mut values);
    let invalid = |values: &EntryValues<'_>, error: &RunnerError| {
        values.invalid(error.field(), error.to_string(), error.help())
    };
    let is_remote = values.get(START).is_some();
    if let Some(field) = REMOTE.into_iter().find(|field| !is_remote && values.get(field).is_some()) {
        return Err(invalid(&values, &RunnerError::OnlyRemote { field }));
    }
    if let Some(text) =
        values.list("environment").iter().map(|text| name_of(text)).find(|name| !is_name(name))
    {
        return Err(invalid(&values, &RunnerError::Variable { text: text.to_owned() }));
    }
    let remote = is_remote.then(|| RemoteSettings {
        start: values.list(START).to_vec(),
        session_id: values.text("session_id").unwrap_or_default().to_owned(),
        poll: values.list("poll").to_vec(),
        poll_interval: values.span("poll_interval").unwrap_or(DEFAULT_POLL),
        states: values.list("states").to_vec(),
        cancel: values.list("cancel").to_vec(),
    });
    let settings = RunnerSettings {
        name: values.name().to_owned(),
        command: values.list(COMMAND).to_vec(),
        key: values.list("key").to_vec(),
        environment: variables(values.list("environment"), variable),
        output: values.text("output").and_then(AgentOutputFormat::named).unwrap_or(AgentOutputFormat::Plain),
        // Zero stands for `never`.
        idle_after: values.get("idle_after").map(|entry| entry.span().unwrap_or_default()),
        kind: values.text("type").map(str::to_owned),
        on_complete: values.get("on_complete").map_or(&[][..], ConfigEntry::commands).to_vec(),
        remote,
    };
    AgentRunner::new(settings).map_err(|error| invalid(&values, &error))
}

/// Returns the name of the variable in `NAME=VALUE` or `NAME`.
fn name_of(text: &str) -> &str {
    text.split_once('=').map_or(text, |(name, _)| name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// If the user replaced a built-in remote session by a local command, or a built-in local command by a remote session,
/// drops the built-in keys that no longer have an effect.
fn drop_replaced(values: &mut EntryValues<'_>) {
    let is_own = |entry: &ConfigEntry| entry.origin != ValueOrigin::Default;
    let has_own = |field| values.get(field).is_some_and(is_own);
    let replaced: &[&str] = match (has_own(COMMAND), has_own(START)) {
        (true, false) => &[START, "session_id", "poll", "poll_interval", "states", "cancel", "on_complete"],
        (false, true) => &[COMMAND, "output", "on_complete"],
        (true, true) | (false, false) => &[],
    };
    values.retain(|field, entry| !replaced.contains(&field) || is_own(entry));
}

#[cfg(test)]
mod tests;
