//! Configuration of hooks, and the launch request of a hook run.

use crate::events::ProcessScope;
use crate::hooks::HOOK_TYPE;
use longhaul_wire::api::{CommandRequest, EnvironmentRequest, LaunchRequest};
use longhaul_wire::event::{BatchView, Envelope, EventKind};
use std::collections::BTreeMap;
use std::time::Duration;

/// Priority of hook runs: the highest priority, because hooks report work that has already happened.
const PRIORITY: i64 = 100;
/// Maximum size of the event that a hook receives in its environment, in bytes.
const MAX_EVENT_BYTES: usize = 32 * 1_024;

/// Names of the placeholders. A name in braces in an argument is replaced by event data.
pub const PLACEHOLDERS: [&str; 6] = ["id", "name", "status", "exit_code", "event", "session"];

/// Kind of event that calls a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookTrigger {
    /// A process has started.
    Start,
    /// A process has ended, no matter how.
    End,
    /// A process has failed, timed out or been interrupted.
    Failure,
    /// The last process of a session has ended.
    SessionComplete,
}

impl HookTrigger {
    /// All triggers.
    pub const ALL: [Self; 4] = [Self::Start, Self::End, Self::Failure, Self::SessionComplete];

    /// Returns the name of the trigger, as used in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "on_start",
            Self::End => "on_end",
            Self::Failure => "on_failure",
            Self::SessionComplete => "on_session_complete",
        }
    }

    /// Returns the event types that call the hook, or `None` if the end of a session calls the hook.
    pub(super) fn kinds(self) -> Option<Vec<EventKind>> {
        match self {
            Self::Start => Some(vec![EventKind::Started]),
            Self::End => Some(vec![EventKind::Stopped, EventKind::Failed]),
            Self::Failure => Some(vec![EventKind::Failed]),
            Self::SessionComplete => None,
        }
    }
}

/// A checked hook: a command and the trigger that causes it to run.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    pub(super) moment: HookTrigger,
    plan: HookPlan,
}

/// Configuration of a hook.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HookPlan {
    /// Program and arguments. In the arguments, `{id}`, `{name}`, `{status}`, `{exit_code}`, `{event}` and `{session}`
    /// are replaced by event data. No shell interprets the arguments.
    pub command: Vec<String>,
    /// Absolute path of the working directory.
    pub directory: String,
    /// Environment variables of the command, in addition to the variables with the event data. No other variables are
    /// set.
    pub environment: BTreeMap<String, String>,
    /// Timeout of one run.
    pub timeout: Duration,
    /// Processes for whose events the hook is called. The hook for complete sessions is called for all of them.
    pub scope: ProcessScope,
}

/// Error in the configuration of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// The command is empty.
    #[error("the command of the hook is empty")]
    NoProgram,
    /// The working directory is not an absolute path.
    #[error("the directory of the hook is not an absolute path")]
    Directory,
    /// The timeout is zero.
    #[error("the timeout of the hook is zero")]
    NoTimeout,
}

impl Hook {
    /// Checks a configuration and creates the hook.
    ///
    /// # Errors
    /// Returns a [`HookError`] if the configuration is invalid.
    pub fn new(moment: HookTrigger, plan: HookPlan) -> Result<Self, HookError> {
        if plan.command.first().is_none_or(String::is_empty) {
            return Err(HookError::NoProgram);
        }
        if !plan.directory.starts_with('/') {
            return Err(HookError::Directory);
        }
        if plan.timeout.is_zero() {
            return Err(HookError::NoTimeout);
        }
        Ok(Self { moment, plan })
    }

    /// Returns the names in braces that look like placeholders but are unknown. They are not replaced in the arguments.
    #[must_use]
    pub fn unknown_placeholders(&self) -> Vec<&str> {
        let args = self.plan.command.iter().skip(1);
        args.flat_map(|arg| placeholders(arg)).filter(|name| !PLACEHOLDERS.contains(name)).collect()
    }

    /// Returns the trigger that causes the hook to run.
    #[must_use]
    pub const fn moment(&self) -> HookTrigger {
        self.moment
    }

    /// Returns true if the hook is called for the process of an event.
    pub(super) fn is_for(&self, envelope: &Envelope) -> bool {
        self.plan.scope.includes(envelope)
    }

    /// Builds the launch request for a hook run. Requests for the same event have the same launch key.
    pub(super) fn request(&self, call: &HookCall) -> LaunchRequest {
        let (program, args) = match self.plan.command.split_first() {
            Some((program, args)) => (program.clone(), args),
            None => (String::new(), [].as_slice()),
        };
        let mut declared = self.plan.environment.clone();
        declared.extend(call.variables());
        LaunchRequest {
            command: Some(CommandRequest {
                program,
                args: args.iter().map(|arg| call.fill(arg)).collect(),
                directory: self.plan.directory.clone(),
                environment: EnvironmentRequest { declared, ..EnvironmentRequest::default() },
                timeout_ms: u64::try_from(self.plan.timeout.as_millis()).unwrap_or(u64::MAX),
                ..CommandRequest::default()
            }),
            kind: Some(HOOK_TYPE.to_owned()),
            priority: Some(PRIORITY),
            description: Some(format!("{} for {}", self.moment.as_str(), call.id)),
            launch_key: Some(format!("hook/{}/{}", self.moment.as_str(), call.key)),
            ..LaunchRequest::default()
        }
    }
}

impl std::fmt::Debug for Hook {
    /// Formats the value without the contents of environment variables, because they may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook")
            .field("moment", &self.moment)
            .field("command", &self.plan.command)
            .field("directory", &self.plan.directory)
            .field("environment", &self.plan.environment.keys().collect::<Vec<_>>())
            .field("timeout", &self.plan.timeout)
            .finish()
    }
}

impl std::fmt::Debug for HookPlan {
    /// Formats the value without the contents of environment variables, because they may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookPlan")
            .field("command", &self.command)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Event data for one run of a hook.
#[derive(Clone, Debug)]
pub(super) struct HookCall {
    /// Event or session that caused the hook run, for log messages and the process description.
    pub(super) id: String,
    /// Part of the launch key that is unique for the event.
    key: String,
    event: String,
    words: BTreeMap<&'static str, String>,
}

impl HookCall {
    pub(super) fn of_event(envelope: &Envelope) -> Self {
        let data = &envelope.data;
        let words = [
            ("id", envelope.subject.clone()),
            ("name", data.name.clone()),
            ("status", data.status.clone()),
            ("exit_code", data.exit_code.map(|code| code.to_string())),
            ("event", Some(envelope.event.clone())),
            ("session", data.session_id.clone()),
        ];
        let mut short = envelope.clone();
        let mut event = json(&short);
        if event.len() > MAX_EVENT_BYTES {
            (short.data.output, short.data.line, short.data.error) = (None, None, None);
            short.data.command.truncate(1);
            event = json(&short);
        }
        Self { id: envelope.id.clone(), key: envelope.id.clone(), event, words: filled(words) }
    }

    pub(super) fn of_batch(batch: &BatchView) -> Self {
        let words = [
            ("id", None),
            ("name", None),
            ("status", Some(worst(batch).to_owned())),
            ("exit_code", None),
            ("event", Some("SESSION_COMPLETE".to_owned())),
            ("session", Some(batch.session.clone())),
        ];
        let mut short = batch.clone();
        let mut event = json(&short);
        while event.len() > MAX_EVENT_BYTES && !short.ended.is_empty() {
            short.ended.truncate(short.ended.len() / 2);
            event = json(&short);
        }
        Self {
            id: format!("session {}", batch.session),
            // The cursor belongs to the last process end in the batch. No other batch contains this end, so the key is
            // unique.
            key: batch.cursor.clone(),
            event,
            words: filled(words),
        }
    }

    /// Replaces the placeholders in an argument. Inserted text is not searched for placeholders again.
    fn fill(&self, arg: &str) -> String {
        let mut filled = String::new();
        let mut rest = arg;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let word = after.split_once('}').and_then(|(name, after)| Some((self.words.get(name)?, after)));
            match word {
                Some((word, after)) => {
                    filled.push_str(word);
                    rest = after;
                }
                None => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let word = |name: &str| self.words.get(name).cloned().unwrap_or_default();
        [
            ("LONGHAUL_EVENT", self.event.clone()),
            ("LONGHAUL_EVENT_TYPE", word("event")),
            ("LONGHAUL_EVENT_PROCESS", word("id")),
            ("LONGHAUL_EVENT_NAME", word("name")),
            ("LONGHAUL_EVENT_STATUS", word("status")),
            ("LONGHAUL_EVENT_EXIT_CODE", word("exit_code")),
            ("LONGHAUL_EVENT_SESSION", word("session")),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
    }
}

/// Returns the words in braces that have the form of a placeholder: lower-case letters, `_` and `-`.
fn placeholders(arg: &str) -> impl Iterator<Item = &str> {
    let names = arg.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    let is_word = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-'))
    };
    names.filter(is_word)
}

fn filled<const N: usize>(words: [(&'static str, Option<String>); N]) -> BTreeMap<&'static str, String> {
    words.into_iter().map(|(name, word)| (name, word.unwrap_or_default())).collect()
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Returns the worst status in a batch. Failed is the worst status, and completed is the best.
fn worst(batch: &BatchView) -> &'static str {
    ["failed", "timeout", "interrupted", "cancelled"]
        .into_iter()
        .find(|status| batch.counts.contains_key(*status))
        .unwrap_or("completed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_wire::event::{EndedProcessView, EventData};

    fn hook(command: &[&str]) -> Hook {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let environment = BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]);
        let plan = HookPlan {
            command,
            directory: "/home/me".to_owned(),
            environment,
            timeout: Duration::from_secs(30),
            scope: ProcessScope::default(),
        };
        Hook::new(HookTrigger::End, plan).unwrap()
    }

    fn failed(name: &str) -> Envelope {
        let data = EventData {
            name: Some(name.to_owned()),
            status: Some("failed".to_owned()),
            exit_code: Some(3),
            ..EventData::default()
        };
        Envelope {
            id: "p/4/0".to_owned(),
            subject: Some("p".to_owned()),
            data,
            ..Envelope::of(EventKind::Failed)
        }
    }

    #[test]
    fn arguments_are_filled_and_nothing_in_them_is_read_again() {
        let hook =
            hook(&["{id}", "{name} ended: {status} ({exit_code})", "{nothing} {", "{{id}}", "$({name})"]);
        let request = hook.request(&HookCall::of_event(&failed("a; rm -rf {id} $(x)")));
        let command = request.command.unwrap();
        assert_eq!(command.program, "{id}", "what is run is what was configured");
        let expected =
            ["a; rm -rf {id} $(x) ended: failed (3)", "{nothing} {", "{p}", "$(a; rm -rf {id} $(x))"];
        assert_eq!(command.args, expected);
        assert_eq!((command.timeout_ms, request.kind.as_deref()), (30_000, Some(HOOK_TYPE)));
        assert_eq!(request.launch_key.as_deref(), Some("hook/on_end/p/4/0"));
        let declared = command.environment.declared;
        assert_eq!(
            (declared["PATH"].as_str(), declared["LONGHAUL_EVENT_TYPE"].as_str()),
            ("/bin", "PROCESS_FAILED")
        );
        assert!(command.environment.captured.is_none());
        serde_json::from_str::<Envelope>(&declared["LONGHAUL_EVENT"]).unwrap();
    }

    #[test]
    fn event_in_the_environment_is_never_too_large() {
        let mut envelope = failed("x");
        envelope.data.output = Some("\u{1}".repeat(20_000));
        envelope.data.error = Some("e".repeat(64 * 1_024));
        let ended = EndedProcessView { id: "p".repeat(36), ..EndedProcessView::default() };
        let batch = BatchView { ended: vec![ended; 1_000], ..BatchView::default() };
        for call in [HookCall::of_event(&envelope), HookCall::of_batch(&batch)] {
            assert!(call.event.len() <= MAX_EVENT_BYTES && call.event.len() > 100, "{}", call.event.len());
        }
    }

    #[test]
    fn hook_without_program_directory_or_timeout_is_refused() {
        let plan = |command: &str, directory: &str, timeout| HookPlan {
            command: vec![command.to_owned()],
            directory: directory.to_owned(),
            timeout: Duration::from_secs(timeout),
            ..HookPlan::default()
        };
        for (plan, error) in [
            (plan("", "/", 1), HookError::NoProgram),
            (plan("x", "here", 1), HookError::Directory),
            (plan("x", "/", 0), HookError::NoTimeout),
        ] {
            assert_eq!(Hook::new(HookTrigger::Start, plan).unwrap_err(), error);
        }
    }

    #[test]
    fn environment_of_a_hook_is_not_printed() {
        let text = format!("{:?}", hook(&["x"]));
        assert!(text.contains("PATH") && !text.contains("/bin"), "{text}");
    }
}
