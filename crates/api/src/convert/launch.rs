//! Converts launch requests, and makes all checks that do not need the store.

use crate::convert::command::{self, LaunchDefaults};
use crate::convert::moment::exact;
use crate::convert::monitoring;
use crate::convert::node::placement;
use crate::error::ApiError;
use crate::runner::{ExpandedLaunch, ExpandedRunner, check_installed, expand};
use longhaul_domain::{
    AgentDescriptor, ChildrenPolicy, JsonText, NodeId, Placement, Priority, ProcessId, ProcessName,
    ProcessType, ReportedSpec, RetryPolicy, SessionPolicy, Spec, Timestamp, Work,
};
use longhaul_engine::{Launch, Launcher};
use longhaul_wire::api::{LaunchRequest, ReportedRequest, RetryRequest};
use serde_json::Value;
use std::str::FromStr;
use std::time::Duration;

/// Maximum duration of a timeout, heartbeat interval, delay or grace period.
const MAX_DURATION: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Maximum length of a description, agent name or message id, in bytes.
const MAX_TEXT_LEN: usize = 4 * 1024;
/// Maximum nesting depth of JSON from a caller. Replies nest this JSON deeper, and many JSON parsers fail at a depth of
/// 128.
const MAX_JSON_DEPTH: usize = 64;
/// Maximum number of exit codes in a retry policy.
const MAX_CODES: usize = 100;
/// Maximum length of a prompt, in bytes.
const MAX_PROMPT_LEN: usize = 256 * 1024;
const MAX_CAPABILITIES: usize = 100;

/// Converts a launch request. `parent` is the process that the request's `parent_id` refers to.
pub(crate) fn launch(
    request: LaunchRequest,
    parent: Option<ProcessId>,
    now: Timestamp,
    defaults: &LaunchDefaults,
) -> Result<Launch, ApiError> {
    // Check the prompt before the command that is built from it, so that the error names the prompt.
    text("prompt", request.prompt.clone(), MAX_PROMPT_LEN)?;
    let ExpandedLaunch { request, runner } = expand(&defaults.runners, request)?;
    let kind = parsed::<ProcessType>(request.kind.as_deref())?.unwrap_or_default();
    let placement = placement(&request)?;
    let (work, captured) = match (request.command, request.reported) {
        (Some(command), None) => {
            let (mut command, captured) = command::command(command, &kind, defaults)?;
            command.runner = runner.as_ref().map(|runner| runner.choice.clone());
            (Work::Command(Box::new(command)), captured)
        }
        (None, Some(reported)) => (Work::Reported(self::reported(&reported)?), None),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("launch", "both `command` and `reported` are given"));
        }
        (None, None) => {
            return Err(ApiError::invalid("launch", "`command` and `reported` are missing")
                .help(
                    "give `command` to execute a program, `reported` for work that you do yourself, or `prompt` for the \
                     agent of a runner",
                ));
        }
    };
    let spec = Spec {
        work,
        kind,
        name: request.name.as_deref().map(name).transpose()?,
        project: parsed(request.project.as_deref())?,
        session: parsed(request.session_id.as_deref())?,
        description: text("description", request.description, MAX_TEXT_LEN)?,
        metadata: request.metadata.filter(|value| !value.is_null()).map(metadata).transpose()?,
        agent: AgentDescriptor {
            agent_id: parsed(request.agent_id.as_deref())?,
            agent_type: parsed(request.agent_type.as_deref())?,
            capabilities: capabilities(&request.capabilities)?,
            parent_message_id: text("parent_message_id", request.parent_message_id, MAX_TEXT_LEN)?,
            prompt: text("prompt", request.prompt, MAX_PROMPT_LEN)?,
            agent: text("agent", request.agent, MAX_TEXT_LEN)?,
            model: text("model", request.model, MAX_TEXT_LEN)?,
        },
        key: parsed(request.key.as_deref())?,
        priority: Priority::new(request.priority.unwrap_or(0))?,
        launch_key: parsed(request.launch_key.as_deref())?,
        not_before: not_before(request.delay_ms, request.not_before.as_deref(), now)?,
        placement,
        children: request.children.as_deref().map_or(Ok(defaults.children), children)?,
        children_on_failure: match (request.children_on_failure.as_deref(), &request.children) {
            (Some(word), _) => Some(children(word)?),
            // If a launch sets only `children`, the policy applies to every ending.
            (None, Some(_)) => None,
            (None, None) => defaults.children_on_failure,
        },
        on_session_end: match request.on_session_end.as_deref() {
            Some(word) => session_policy(word, request.session_grace_ms, defaults.session_grace)?,
            None if request.session_grace_ms.is_none() => defaults.on_session_end,
            None => return Err(graceless()),
        },
        retry: request.retry.map_or_else(|| Ok(RetryPolicy::none()), |retry| self::retry(&retry))?,
        silence: monitoring::silence(request.idle_after_ms, request.stall_after_ms)?,
    };
    let launcher = request.launcher.as_deref().map_or(Ok(Launcher::Parent), launcher)?;
    // A delayed launch always waits, so only the request itself can refuse that.
    let no_queue = request.no_queue || (defaults.no_queue && spec.not_before.is_none());
    if let Some(runner) = runner {
        check_runner(&runner, &spec, captured.as_deref())?;
    }
    Ok(Launch { spec, parent, launcher, captured, no_queue })
}

/// Refuses a launch whose agent is not installed on this node, or that another node could not run.
fn check_runner(
    runner: &ExpandedRunner,
    spec: &Spec,
    captured: Option<&[(String, String)]>,
) -> Result<(), ApiError> {
    let name = &runner.choice.name;
    match (&spec.placement, spec.command()) {
        (Placement::Here, Some(command)) => check_installed(runner, command, captured),
        (Placement::Node(_) | Placement::Labels(_) | Placement::Anywhere, _) if runner.stays_here => {
            Err(ApiError::invalid(
                "node",
                format!("only the node that accepts the launch can use the runner {name}"),
            )
            .help("send the launch to the manager of that node"))
        }
        // Another node reports a missing program when it starts the command.
        (Placement::Here | Placement::Node(_) | Placement::Labels(_) | Placement::Anywhere, _) => Ok(()),
    }
}

fn launcher(text: &str) -> Result<Launcher, ApiError> {
    match text {
        "outside" => Ok(Launcher::Outside),
        id => {
            id.parse().map(Launcher::Process).map_err(|error| ApiError::unreadable("launcher", text, &error))
        }
    }
}

/// Converts milliseconds to a duration of at most 30 days. `what` is the name of the field in the error message.
pub(super) fn within(what: &str, millis: u64) -> Result<Duration, ApiError> {
    let span = Duration::from_millis(millis);
    if span > MAX_DURATION {
        return Err(ApiError::invalid(what, format!("{millis} ms exceed the maximum of 30 days")));
    }
    Ok(span)
}

/// Returns the earliest start time of a process, or `None` if it may start now.
fn not_before(delay: Option<u64>, at: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    let at = match (delay, at) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("launch", "both `delay_ms` and `not_before` are given")
                .help("give either `delay_ms` or `not_before`"));
        }
        (Some(delay), None) => now.plus(within("delay", delay)?),
        (None, Some(text)) => exact(text)?,
        (None, None) => return Ok(None),
    };
    if at.since(now) > MAX_DURATION {
        return Err(ApiError::invalid("not_before", "the time is more than 30 days away"));
    }
    Ok((at > now).then_some(at))
}

fn children(word: &str) -> Result<ChildrenPolicy, ApiError> {
    match word {
        "keep" => Ok(ChildrenPolicy::Keep),
        "cancel" => Ok(ChildrenPolicy::Cancel),
        "wait" => Ok(ChildrenPolicy::Wait),
        _ => {
            Err(ApiError::unreadable("policy for children", word, &"the value must be keep, cancel or wait"))
        }
    }
}

/// Parses the policy for the end of a session. `grace` is the grace period in milliseconds; `default` applies if the
/// request has none.
pub(crate) fn session_policy(
    word: &str,
    grace: Option<u64>,
    default: Duration,
) -> Result<SessionPolicy, ApiError> {
    match (word, grace) {
        ("keep", None) => Ok(SessionPolicy::Keep),
        ("cancel", None) => Ok(SessionPolicy::Cancel),
        ("grace", Some(grace)) => Ok(SessionPolicy::Grace(within("grace of the session", grace)?)),
        ("grace", None) => Ok(SessionPolicy::Grace(default)),
        ("keep" | "cancel", Some(_)) => Err(graceless()),
        _ => Err(ApiError::unreadable(
            "policy for the end of a session",
            word,
            &"the value must be keep, cancel or grace",
        )),
    }
}

/// Returns the error for a request that sets a grace period without the session policy `grace`.
pub(crate) fn graceless() -> ApiError {
    ApiError::invalid("policy for the end of a session", "a grace period requires the policy `grace`")
}

/// Checks the depth and size of a JSON value from a caller, and converts the value to text.
pub(crate) fn json_text(what: &str, value: &Value) -> Result<JsonText, ApiError> {
    if is_deeper(value, MAX_JSON_DEPTH) {
        return Err(ApiError::invalid(
            what,
            format!("the JSON is nested deeper than {MAX_JSON_DEPTH} levels"),
        ));
    }
    JsonText::checked(value.to_string()).map_err(|error| ApiError::invalid(what, error.to_string()))
}

/// Returns true if lists and objects are nested deeper than `levels`.
fn is_deeper(value: &Value, levels: usize) -> bool {
    let inside = |limit: usize| move |value: &Value| is_deeper(value, limit);
    match (value, levels.checked_sub(1)) {
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => false,
        (Value::Array(_) | Value::Object(_), None) => true,
        (Value::Array(values), Some(rest)) => values.iter().any(inside(rest)),
        (Value::Object(fields), Some(rest)) => fields.values().any(inside(rest)),
    }
}

/// Parses a process name. Names that start with `@` or `agent:` are refused, because references such as `@last` and
/// `agent:NAME` have this form.
fn name(text: &str) -> Result<ProcessName, ApiError> {
    if text.starts_with('@') {
        return Err(ApiError::invalid(
            "name",
            "the name starts with @, which is reserved for words such as @last",
        ));
    }
    if text.starts_with("agent:") {
        return Err(ApiError::invalid(
            "name",
            "the name starts with agent:, which is reserved for references to the processes of an agent",
        ));
    }
    Ok(text.parse()?)
}

fn parsed<T>(text: Option<&str>) -> Result<Option<T>, ApiError>
where
    T: FromStr<Err = longhaul_domain::InvalidText>,
{
    Ok(text.map(str::parse).transpose()?)
}

fn text(what: &str, text: Option<String>, max_len: usize) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.len() > max_len => Err(ApiError::invalid(
            what,
            format!("the text has {} bytes; the maximum is {max_len}", text.len()),
        )),
        Some(text) if text.contains('\0') => Err(ApiError::invalid(what, "the text contains a NUL byte")),
        other => Ok(other),
    }
}

fn metadata(value: Value) -> Result<JsonText, ApiError> {
    if !value.is_object() {
        return Err(ApiError::invalid("metadata", "the value is not a JSON object"));
    }
    json_text("metadata", &value)
}

fn capabilities(words: &[String]) -> Result<Vec<longhaul_domain::Capability>, ApiError> {
    if words.len() > MAX_CAPABILITIES {
        return Err(ApiError::invalid(
            "capabilities",
            format!("there are {} values; the maximum is {MAX_CAPABILITIES}", words.len()),
        ));
    }
    Ok(words.iter().map(|word| word.parse()).collect::<Result<_, _>>()?)
}

fn reported(request: &ReportedRequest) -> Result<ReportedSpec, ApiError> {
    Ok(ReportedSpec {
        node: parsed::<NodeId>(request.node_id.as_deref())?,
        queued: request.queued,
        heartbeat: request
            .heartbeat_ms
            .filter(|heartbeat| *heartbeat > 0)
            .map(|heartbeat| within("heartbeat", heartbeat))
            .transpose()?,
        grace: request.grace_ms.map_or(Ok(ReportedSpec::DEFAULT_GRACE), |grace| within("grace", grace))?,
    })
}

fn retry(request: &RetryRequest) -> Result<RetryPolicy, ApiError> {
    if request.retries > RetryPolicy::MAX_RETRIES {
        return Err(ApiError::invalid(
            "number of retries",
            format!("{} exceeds the maximum of {}", request.retries, RetryPolicy::MAX_RETRIES),
        ));
    }
    if request.codes.len() > MAX_CODES {
        return Err(ApiError::invalid(
            "exit codes for retries",
            format!("there are {} codes; the maximum is {MAX_CODES}", request.codes.len()),
        ));
    }
    if let Some(code) = request.codes.iter().find(|code| !(1..=255).contains(*code)) {
        return Err(ApiError::invalid(
            "exit codes for retries",
            format!("{code} is not the exit code of a failure"),
        ));
    }
    let none = RetryPolicy::none();
    let wait = |what, millis: Option<u64>, default| match millis.map(Duration::from_millis) {
        None => Ok(default),
        Some(wait) if wait <= RetryPolicy::MAX_RETRY_DELAY => Ok(wait),
        Some(_) => Err(ApiError::invalid(what, "the delay is longer than an hour")),
    };
    let first = wait("first delay of retries", request.first_ms, none.first)?;
    let cap = wait("maximum delay of retries", request.cap_ms, none.cap.max(first))?;
    if first > cap {
        return Err(ApiError::invalid(
            "delays of retries",
            "the first delay is longer than the maximum delay",
        ));
    }
    Ok(RetryPolicy {
        retries: request.retries,
        first,
        cap,
        codes: request.codes.clone(),
        after_timeout: request.after_timeout,
        after_interruption: request.after_interruption,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_wire::api::CommandRequest;

    #[test]
    fn launch_is_a_command_or_reported_work_and_not_both() {
        let both = LaunchRequest { reported: Some(ReportedRequest::default()), ..command_request() };
        assert!(read(both).is_err());
        assert!(read(LaunchRequest::default()).is_err());
        assert!(read(command_request()).is_ok());
    }

    #[test]
    fn absurd_numbers_are_refused() {
        let retries = Some(RetryRequest { retries: 101, ..RetryRequest::default() });
        assert!(read(LaunchRequest { retry: retries, ..command_request() }).is_err());
        let thirty_days = 30 * 24 * 3_600 * 1_000;
        let delayed = |delay_ms| LaunchRequest { delay_ms: Some(delay_ms), ..command_request() };
        assert!(read(delayed(thirty_days + 1)).is_err());
        assert!(read(delayed(u64::MAX)).is_err());
        assert!(read(delayed(thirty_days)).is_ok());
        assert!(read(LaunchRequest { priority: Some(101), ..command_request() }).is_err());
    }

    #[test]
    fn metadata_is_an_object_of_at_most_64_kib() {
        let with = |metadata| read(LaunchRequest { metadata: Some(metadata), ..command_request() });
        assert!(with(serde_json::json!([1])).is_err());
        assert!(with(serde_json::json!({"a": "x".repeat(64 * 1024)})).is_err());
        let kept = with(serde_json::json!({"a": 1})).unwrap().spec.metadata.unwrap();
        assert_eq!(kept.as_str(), r#"{"a":1}"#);
        assert!(with(Value::Null).unwrap().spec.metadata.is_none());
    }

    #[test]
    fn json_has_at_most_64_levels() {
        let nested = |levels: usize| {
            (1..levels).fold(serde_json::json!({}), |inner, _| serde_json::json!({ "a": inner }))
        };
        let with = |metadata| read(LaunchRequest { metadata: Some(metadata), ..command_request() });
        assert!(with(nested(64)).is_ok());
        assert!(with(nested(65)).is_err());
        assert!(json_text("result", &serde_json::json!([nested(64)])).is_err());
    }

    #[test]
    fn retry_names_codes_that_a_failure_can_have() {
        let with = |codes: Vec<i32>| {
            let retry = Some(RetryRequest { retries: 1, codes, ..RetryRequest::default() });
            read(LaunchRequest { retry, ..command_request() })
        };
        assert!(with((1..=100).collect()).is_ok());
        assert!(with(vec![255]).is_ok());
        for refused in [(1..=101).collect(), vec![0], vec![1, -1], vec![256]] {
            assert!(with(refused).is_err());
        }
    }

    #[test]
    fn name_begins_with_anything_but_an_at_sign() {
        let with = |name: &str| read(LaunchRequest { name: Some(name.to_owned()), ..command_request() });
        assert!(with("@last").is_err());
        assert!(with("agent:zed").is_err());
        assert!(with("last@").is_ok());
    }

    #[test]
    fn delay_counts_from_now() {
        let launch = read(LaunchRequest { delay_ms: Some(500), ..command_request() }).unwrap();
        assert_eq!(launch.spec.not_before, Some(Timestamp(1_500)));
    }

    #[test]
    fn children_policy_of_a_launch_applies_to_failures_unless_the_launch_sets_a_policy_for_failures() {
        let defaults =
            LaunchDefaults { children_on_failure: Some(ChildrenPolicy::Cancel), ..LaunchDefaults::default() };
        let policies = |children: Option<&str>, on_failure: Option<&str>| {
            let request = LaunchRequest {
                children: children.map(str::to_owned),
                children_on_failure: on_failure.map(str::to_owned),
                ..command_request()
            };
            launch(request, None, Timestamp(0), &defaults)
                .map(|launch| (launch.spec.children, launch.spec.children_on_failure))
        };
        let (keep, cancel, wait) = (ChildrenPolicy::Keep, ChildrenPolicy::Cancel, ChildrenPolicy::Wait);
        assert_eq!(policies(None, None).unwrap(), (keep, Some(cancel)));
        assert_eq!(policies(Some("wait"), None).unwrap(), (wait, None));
        assert_eq!(policies(Some("wait"), Some("keep")).unwrap(), (wait, Some(keep)));
        assert_eq!(policies(None, Some("wait")).unwrap(), (keep, Some(wait)));
        assert!(policies(None, Some("kill")).is_err());
    }

    #[test]
    fn launches_that_would_wait_are_refused_by_default_only_if_the_deployment_says_so() {
        let no_queue = |refuses: bool, request: LaunchRequest| {
            let defaults = LaunchDefaults { no_queue: refuses, ..LaunchDefaults::default() };
            launch(request, None, Timestamp(1_000), &defaults).unwrap().no_queue
        };
        assert!(!no_queue(false, command_request()));
        assert!(no_queue(true, command_request()));
        let delayed = LaunchRequest { delay_ms: Some(500), ..command_request() };
        assert!(!no_queue(true, delayed), "a delayed launch waits on purpose");
    }

    fn read(request: LaunchRequest) -> Result<Launch, ApiError> {
        launch(request, None, Timestamp(1_000), &LaunchDefaults::default())
    }

    fn command_request() -> LaunchRequest {
        LaunchRequest {
            command: Some(CommandRequest {
                program: "true".into(),
                directory: "/".into(),
                ..CommandRequest::default()
            }),
            ..LaunchRequest::default()
        }
    }
}
