use super::argument_template::{CommandTemplate, Placeholder};
use super::error::RunnerError;
use super::key_rule::KeyRule;
use longhaul_domain::{AgentOutputFormat, ProcessType, SlotKey};
use longhaul_wire::runner_plan::{RemoteState, SESSION_PLACEHOLDER, StateRule};
use regex::{Regex, RegexBuilder};
use std::time::Duration;

/// Maximum length of the name of a runner, in bytes.
const MAX_NAME_LEN: usize = 64;
/// Maximum size of a compiled pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// Placeholders that the command of a local agent may contain.
const LOCAL: &[Placeholder] =
    &[Placeholder::Prompt, Placeholder::Model, Placeholder::Session, Placeholder::Cwd];
/// Placeholders that the command which creates a remote session may contain. The session has no id yet.
const BEFORE_SESSION: &[Placeholder] = &[Placeholder::Prompt, Placeholder::Model, Placeholder::Cwd];
/// Placeholders that commands for an existing remote session may contain.
const OF_SESSION: &[Placeholder] = &[Placeholder::Session];

/// Settings of a runner, as the configuration contains them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerSettings {
    /// Name of the runner.
    pub name: String,
    /// Program and arguments of the agent; empty for a remote session.
    pub command: Vec<String>,
    /// Rules that assign a concurrency key to models: `PATTERN=KEY`.
    pub key: Vec<String>,
    /// Environment variables of the agent.
    pub environment: Vec<(String, String)>,
    /// Format of the output.
    pub output: AgentOutputFormat,
    /// Time without output after which the process counts as idle. Zero means never; `None` means the default.
    pub idle_after: Option<Duration>,
    /// Process type.
    pub kind: Option<String>,
    /// Commands that run after the agent has succeeded.
    pub on_complete: Vec<Vec<String>>,
    /// Remote session; `None` if the agent runs on this machine.
    pub remote: Option<RemoteSettings>,
}

/// Settings of a remote session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSettings {
    /// Command that creates the session.
    pub start: Vec<String>,
    /// Pattern that is searched in the output of `start`. Its only group matches the id of the session.
    pub session_id: String,
    /// Command that prints the state of the session.
    pub poll: Vec<String>,
    /// Time between two polls.
    pub poll_interval: Duration,
    /// Rules that derive the state of the session from the output of `poll`: `PATTERN=STATE`.
    pub states: Vec<String>,
    /// Command that cancels the session; empty if the session cannot be cancelled.
    pub cancel: Vec<String>,
}

/// A runner whose settings are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRunner {
    pub(super) name: String,
    pub(super) output: AgentOutputFormat,
    pub(super) environment: Vec<(String, String)>,
    pub(super) idle_after: Option<Duration>,
    pub(super) kind: Option<String>,
    pub(super) work: RunnerWork,
    keys: Vec<KeyRule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunnerWork {
    /// The agent runs on this machine.
    Local { command: CommandTemplate, on_complete: Vec<CommandTemplate> },
    /// A remote service does the work.
    Remote {
        start: CommandTemplate,
        settings: Box<RemoteSettings>,
        states: Vec<StateRule>,
        on_complete: Vec<Vec<String>>,
    },
}

impl AgentRunner {
    /// Checks the settings of a runner.
    ///
    /// # Errors
    /// Returns a [`RunnerError`] that names the invalid key.
    pub fn new(settings: RunnerSettings) -> Result<Self, RunnerError> {
        let RunnerSettings { name, command, key, environment, output, idle_after, kind, on_complete, remote } =
            settings;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > MAX_NAME_LEN || name == "default" || !name.bytes().all(is_name) {
            return Err(RunnerError::Name);
        }
        if let Some(text) = kind.as_ref().filter(|text| text.parse::<ProcessType>().is_err()) {
            return Err(RunnerError::ProcessType { text: text.clone() });
        }
        let work = match remote {
            Some(_) if !command.is_empty() => return Err(RunnerError::LocalAndRemote),
            Some(remote) => remote_work(remote, on_complete)?,
            None => local_work(&command, &on_complete)?,
        };
        let keys = key.iter().map(|rule| KeyRule::parse(rule)).collect::<Result<_, _>>()?;
        Ok(Self { name, output, environment, idle_after, kind, work, keys })
    }

    /// Returns the name of the runner.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the concurrency key for a model. Returns `None` if no rule applies.
    pub(super) fn key_of(&self, model: Option<&str>) -> Option<&SlotKey> {
        self.keys.iter().find(|rule| rule.covers(model.unwrap_or_default())).map(|rule| &rule.key)
    }
}

fn local_work(command: &[String], on_complete: &[Vec<String>]) -> Result<RunnerWork, RunnerError> {
    let command = with_prompt("command", command, LOCAL)?;
    let steps = on_complete.iter().map(|step| CommandTemplate::parse("on_complete", step, LOCAL));
    Ok(RunnerWork::Local { command, on_complete: steps.collect::<Result<_, _>>()? })
}

fn remote_work(settings: RemoteSettings, on_complete: Vec<Vec<String>>) -> Result<RunnerWork, RunnerError> {
    let start = with_prompt("start", &settings.start, BEFORE_SESSION)?;
    let pattern = compile("session_id", &settings.session_id)?;
    if pattern.captures_len() != 2 {
        return Err(RunnerError::Pattern {
            field: "session_id",
            pattern: settings.session_id,
            why: "it does not have exactly one group".to_owned(),
        });
    }
    CommandTemplate::parse("poll", &settings.poll, OF_SESSION)?;
    for step in &on_complete {
        CommandTemplate::parse("on_complete", step, OF_SESSION)?;
    }
    if !settings.cancel.is_empty() {
        CommandTemplate::parse("cancel", &settings.cancel, OF_SESSION)?;
    }
    let states: Vec<StateRule> = settings.states.iter().map(|text| state(text)).collect::<Result<_, _>>()?;
    if !states.iter().any(|rule| rule.state == RemoteState::Completed) {
        return Err(RunnerError::NoCompletedState);
    }
    Ok(RunnerWork::Remote { start, settings: Box::new(settings), states, on_complete })
}

/// Parses a command that gets the prompt.
fn with_prompt(
    field: &'static str,
    words: &[String],
    known: &[Placeholder],
) -> Result<CommandTemplate, RunnerError> {
    let template = CommandTemplate::parse(field, words, known)?;
    if template.uses(Placeholder::Prompt) { Ok(template) } else { Err(RunnerError::PromptUnused { field }) }
}

/// Parses a rule such as `\bDONE\b=completed`.
fn state(text: &str) -> Result<StateRule, RunnerError> {
    let invalid = || RunnerError::State { text: text.to_owned() };
    let (pattern, name) = text.rsplit_once('=').ok_or_else(invalid)?;
    let state = RemoteState::named(name.trim()).ok_or_else(invalid)?;
    // The id of a session is inserted as plain text. A pattern that is valid with one id is therefore valid with every
    // id.
    compile("states", &pattern.replace(SESSION_PLACEHOLDER, "0"))?;
    Ok(StateRule { pattern: pattern.to_owned(), state })
}

fn compile(field: &'static str, pattern: &str) -> Result<Regex, RunnerError> {
    let invalid = |why: String| RunnerError::Pattern { field, pattern: pattern.to_owned(), why };
    if pattern.is_empty() {
        return Err(invalid("it is empty".to_owned()));
    }
    let built = RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build();
    built.map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn local() -> RunnerSettings {
        RunnerSettings {
            name: "agent".to_owned(),
            command: words(&["agent", "{prompt}"]),
            key: Vec::new(),
            environment: Vec::new(),
            output: AgentOutputFormat::Plain,
            idle_after: None,
            kind: None,
            on_complete: Vec::new(),
            remote: None,
        }
    }

    fn remote() -> RemoteSettings {
        RemoteSettings {
            start: words(&["tool", "new", "{prompt}"]),
            session_id: r"Created: (\d+)".to_owned(),
            poll: words(&["tool", "status", "{session}"]),
            poll_interval: Duration::from_secs(5),
            states: words(&["DONE=completed", "{session} .*=running"]),
            cancel: Vec::new(),
        }
    }

    fn with_remote(change: impl FnOnce(&mut RemoteSettings)) -> Result<AgentRunner, RunnerError> {
        let mut remote = remote();
        change(&mut remote);
        AgentRunner::new(RunnerSettings { command: Vec::new(), remote: Some(remote), ..local() })
    }

    #[test]
    fn invalid_settings_are_refused_with_the_name_of_their_key() {
        let field = |made: Result<AgentRunner, RunnerError>| made.map_err(|error| error.field()).err();
        assert_eq!(field(AgentRunner::new(local())), None);
        assert_eq!(field(with_remote(|_| {})), None);
        for name in ["", "default", "a.b", "a b"] {
            let made = AgentRunner::new(RunnerSettings { name: name.to_owned(), ..local() });
            assert_eq!(made, Err(RunnerError::Name), "{name:?}");
        }
        let command =
            |command: &[&str]| AgentRunner::new(RunnerSettings { command: words(command), ..local() });
        for wrong in [&["agent"] as &[&str], &["agent", "{nosuch}"], &["{prompt}"], &[]] {
            assert_eq!(field(command(wrong)), Some("command"), "{wrong:?}");
        }
        let both = RunnerSettings { remote: Some(remote()), ..local() };
        assert_eq!(AgentRunner::new(both), Err(RunnerError::LocalAndRemote));
        let keyed = RunnerSettings { key: words(&["opus"]), ..local() };
        assert_eq!(field(AgentRunner::new(keyed)), Some("key"));
        let kind = RunnerSettings { kind: Some("moon".to_owned()), ..local() };
        assert_eq!(field(AgentRunner::new(kind)), Some("type"));
        assert_eq!(field(with_remote(|remote| remote.start.push("{session}".to_owned()))), Some("start"));
        assert_eq!(
            field(with_remote(|remote| remote.session_id = "no group".to_owned())),
            Some("session_id")
        );
        assert_eq!(field(with_remote(|remote| remote.session_id = "(".to_owned())), Some("session_id"));
        assert_eq!(field(with_remote(|remote| remote.poll.clear())), Some("poll"));
        assert_eq!(field(with_remote(|remote| remote.poll.push("{prompt}".to_owned()))), Some("poll"));
        for states in [&[] as &[&str], &["DONE=running"], &["DONE"], &["DONE=moon"], &["(=completed"]] {
            assert_eq!(
                field(with_remote(|remote| remote.states = words(states))),
                Some("states"),
                "{states:?}"
            );
        }
    }

    #[test]
    fn first_rule_that_covers_the_model_determines_the_key() {
        let key = words(&["claude-opus*=opus", "*=rest"]);
        let runner = AgentRunner::new(RunnerSettings { key, ..local() }).unwrap();
        let key_of = |model| runner.key_of(model).map(ToString::to_string);
        assert_eq!(key_of(Some("claude-opus-4")).as_deref(), Some("opus"));
        assert_eq!(key_of(None).as_deref(), Some("rest"));
        assert_eq!(AgentRunner::new(local()).unwrap().key_of(Some("opus")), None);
    }
}
