//! Configuration of runners.

use crate::config::error::ConfigError;
use crate::config::file::{self, FileValue};
use crate::config::key::key_of;
use crate::config::kind::{ConfigValue, ValueKind};
use crate::config::layers::{ConfigEntry, Layers};
use crate::config::origin::ValueOrigin;
use crate::config::settings::text;
use longhaul_api::runner::{AgentRunner, RemoteSettings, RunnerError, RunnerSettings};
use longhaul_domain::AgentOutputFormat;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Name of the table of runners. It contains one table for each runner.
pub(crate) const RUNNERS: &str = "runner";
/// All keys that the table of a runner may contain.
pub(crate) const RUNNER_FIELDS: &[RunnerField] = &[
    field(
        "cancel",
        ValueKind::List,
        "remote session: command that cancels the session; default: none, the session continues",
    ),
    field(
        COMMAND,
        ValueKind::List,
        "program and arguments of the agent; {prompt}, {model}, {session} and {cwd} are replaced inside an argument",
    ),
    field(
        "environment",
        ValueKind::List,
        "environment variables of the agent: NAME=VALUE, or NAME to copy it from the manager",
    ),
    field(
        "idle_after",
        ValueKind::SpanOrNever(SECOND),
        "default time without output after which the process counts as idle",
    ),
    field("key", ValueKind::List, "concurrency keys of models: PATTERN=KEY; default: the model"),
    field(
        "on_complete",
        ValueKind::Commands,
        "command, or list of commands, that runs after the agent has succeeded; for a remote session, the output of the last one is the result",
    ),
    field(
        "output",
        ValueKind::Word(&["none", "plain", "claude", "codex", "gemini", "opencode"]),
        "format of the output, from which longhaul reads the result; default: plain",
    ),
    field("poll", ValueKind::List, "remote session: command that prints the state of {session}"),
    field(
        "poll_interval",
        ValueKind::Span(SHORTEST_POLL),
        "remote session: time between two polls; default: 5s",
    ),
    field(
        "session_id",
        ValueKind::Text,
        "remote session: pattern with one group, which is the id of the session in the output of `start`",
    ),
    field(START, ValueKind::List, "remote session: command that creates the session, instead of `command`"),
    field(
        "states",
        ValueKind::List,
        "remote session: PATTERN=STATE; the first pattern that matches the output of `poll` decides; states: queued, running, waiting_for_input, paused, completed, failed",
    ),
    field("type", ValueKind::Text, "process type of launches with this runner; default: custom"),
];

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

/// A key in the table of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunnerField {
    /// Name of the key in the table of the runner.
    pub(crate) name: &'static str,
    /// Kind of the values that the key accepts.
    pub(crate) kind: ValueKind,
    /// Description of the key for the user.
    pub(crate) meaning: &'static str,
}

const fn field(name: &'static str, kind: ValueKind, meaning: &'static str) -> RunnerField {
    RunnerField { name, kind, meaning }
}

impl RunnerConfig {
    pub(super) fn of(
        layers: &Layers,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut tables: BTreeMap<&str, BTreeMap<&str, &ConfigEntry>> = BTreeMap::new();
        for (name, field, entry) in layers.runners() {
            tables.entry(name).or_default().insert(field, entry);
        }
        let runners = tables.into_iter().map(|(name, fields)| RunnerTable { name, fields }.runner(&variable));
        let runners: Vec<AgentRunner> = runners.collect::<Result<_, _>>()?;
        let default = text(layers, key_of!("runner.default")).filter(|name| !name.is_empty());
        if let (Some(name), Some(entry)) = (default, layers.setting(key_of!("runner.default")))
            && !runners.iter().any(|runner| runner.name() == name)
        {
            let names: Vec<&str> = runners.iter().map(AgentRunner::name).collect();
            return Err(ConfigError::BadValue {
                key: "runner.default".to_owned(),
                text: format!("{name:?}"),
                origin: Box::new(entry.origin.clone()),
                why: "there is no runner with this name".to_owned(),
                help: format!("give one of {}", names.join(", ")),
            });
        }
        Ok(Self { runners, default: default.map(str::to_owned) })
    }
}

/// Returns the keys of the built-in runners.
pub(super) fn builtin() -> Result<Vec<FileValue>, ConfigError> {
    file::parse(Path::new("built-in runners"), BUILTIN)
}

/// Extracts the name of the runner and the name of the field from a key in the table of runners. Returns `None` for
/// other keys, such as `runner.default`.
pub(super) fn below_runners(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(RUNNERS)?.strip_prefix('.')?.rsplit_once('.')
}

/// The keys of one runner.
struct RunnerTable<'a> {
    name: &'a str,
    fields: BTreeMap<&'a str, &'a ConfigEntry>,
}

impl RunnerTable<'_> {
    fn runner(mut self, variable: &impl Fn(&str) -> Option<String>) -> Result<AgentRunner, ConfigError> {
        self.drop_replaced();
        let is_remote = self.fields.contains_key(START);
        if let Some(field) = REMOTE.into_iter().find(|field| !is_remote && self.fields.contains_key(field)) {
            return Err(self.invalid(&RunnerError::OnlyRemote { field }));
        }
        let remote = is_remote.then(|| RemoteSettings {
            start: self.list(START),
            session_id: self.text("session_id").unwrap_or_default(),
            poll: self.list("poll"),
            poll_interval: self.span("poll_interval").unwrap_or(DEFAULT_POLL),
            states: self.list("states"),
            cancel: self.list("cancel"),
        });
        let output = self.text("output").and_then(|name| AgentOutputFormat::named(&name));
        let settings = RunnerSettings {
            name: self.name.to_owned(),
            command: self.list(COMMAND),
            key: self.list("key"),
            environment: self.environment(variable),
            output: output.unwrap_or(AgentOutputFormat::Plain),
            idle_after: self.span("idle_after"),
            kind: self.text("type"),
            on_complete: self.commands("on_complete"),
            remote,
        };
        AgentRunner::new(settings).map_err(|error| self.invalid(&error))
    }

    /// If the user replaced a built-in remote session by a local command, or a built-in local command by a remote
    /// session, drops the built-in keys that no longer have an effect.
    fn drop_replaced(&mut self) {
        let is_own = |entry: &&ConfigEntry| entry.origin != ValueOrigin::Default;
        let has_own = |field: &str| self.fields.get(field).is_some_and(is_own);
        let replaced: &[&str] = match (has_own(COMMAND), has_own(START)) {
            (true, false) => {
                &[START, "session_id", "poll", "poll_interval", "states", "cancel", "on_complete"]
            }
            (false, true) => &[COMMAND, "output", "on_complete"],
            (true, true) | (false, false) => &[],
        };
        self.fields.retain(|field, entry| !replaced.contains(field) || is_own(entry));
    }

    fn list(&self, field: &str) -> Vec<String> {
        match self.fields.get(field).map(|entry| &entry.value) {
            Some(ConfigValue::List(words)) => words.clone(),
            Some(
                ConfigValue::Count(_)
                | ConfigValue::Flag(_)
                | ConfigValue::Span(_)
                | ConfigValue::Never
                | ConfigValue::Size(_)
                | ConfigValue::Text(_)
                | ConfigValue::Commands(_),
            )
            | None => Vec::new(),
        }
    }

    fn commands(&self, field: &str) -> Vec<Vec<String>> {
        match self.fields.get(field).map(|entry| &entry.value) {
            Some(ConfigValue::Commands(commands)) => commands.clone(),
            Some(
                ConfigValue::Count(_)
                | ConfigValue::Flag(_)
                | ConfigValue::Span(_)
                | ConfigValue::Never
                | ConfigValue::Size(_)
                | ConfigValue::Text(_)
                | ConfigValue::List(_),
            )
            | None => Vec::new(),
        }
    }

    fn text(&self, field: &str) -> Option<String> {
        match &self.fields.get(field)?.value {
            ConfigValue::Text(text) => Some(text.clone()),
            ConfigValue::Count(_)
            | ConfigValue::Flag(_)
            | ConfigValue::Span(_)
            | ConfigValue::Never
            | ConfigValue::Size(_)
            | ConfigValue::List(_)
            | ConfigValue::Commands(_) => None,
        }
    }

    /// Returns a duration; zero stands for `never`.
    fn span(&self, field: &str) -> Option<Duration> {
        match &self.fields.get(field)?.value {
            ConfigValue::Span(span) => Some(*span),
            ConfigValue::Never => Some(Duration::ZERO),
            ConfigValue::Count(_)
            | ConfigValue::Flag(_)
            | ConfigValue::Size(_)
            | ConfigValue::Text(_)
            | ConfigValue::List(_)
            | ConfigValue::Commands(_) => None,
        }
    }

    fn environment(&self, variable: &impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
        let declared = self.list("environment").into_iter();
        let pairs = declared.filter_map(|text| match text.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            // Leave out a variable that the manager does not have.
            None => variable(&text).map(|value| (text, value)),
        });
        pairs.collect()
    }

    fn invalid(&self, error: &RunnerError) -> ConfigError {
        let field = error.field();
        let entry = self.fields.get(field).or_else(|| self.fields.values().next());
        let text = match entry.map(|entry| &entry.value) {
            Some(ConfigValue::Text(text)) => format!("{text:?}"),
            Some(ConfigValue::List(words)) => format!("{words:?}"),
            Some(
                ConfigValue::Count(_)
                | ConfigValue::Flag(_)
                | ConfigValue::Span(_)
                | ConfigValue::Never
                | ConfigValue::Size(_)
                | ConfigValue::Commands(_),
            )
            | None => String::new(),
        };
        ConfigError::BadValue {
            key: format!("{RUNNERS}.{}.{field}", self.name),
            text,
            origin: Box::new(entry.map_or(ValueOrigin::Default, |entry| entry.origin.clone())),
            why: error.to_string(),
            help: error.help(),
        }
    }
}

#[cfg(test)]
mod tests;
