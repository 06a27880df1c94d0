//! Converts the command of a launch request to a validated [`CommandSpec`].

use crate::convert::artifacts;
use crate::convert::launch::within;
use crate::convert::{monitoring, reporting};
use crate::error::ApiError;
use crate::runner::RunnerSet;
use longhaul_domain::{
    ChildrenPolicy, CommandSpec, EnvironmentSpec, Leftovers, OutputBound, ProcessType, ProgressDetection,
    ResourceLimits, SessionPolicy, Stdin, StopPolicy, WatchPattern,
};
use longhaul_wire::api::{CommandRequest, EnvironmentRequest, LimitsRequest};
use std::sync::Arc;
use std::time::Duration;

/// Returns a program and its arguments as one line, separated by spaces. For `/bin/sh -c LINE`, returns `LINE`.
#[must_use]
pub fn command_line(words: &[String]) -> String {
    match words {
        [shell, flag, line] if flag == "-c" && shell == "/bin/sh" => line.clone(),
        words => words.join(" "),
    }
}

/// Default settings for values that a launch request leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchDefaults {
    /// Time between the stop signal and SIGKILL when a command is stopped.
    pub grace: Duration,
    /// Amount of output that is stored for each attempt.
    pub output: OutputBound,
    /// Policy that decides what happens to the live children of a process when the process ends.
    pub children: ChildrenPolicy,
    /// Policy for live descendants when the process fails, times out or is interrupted. `None` means `children`.
    pub children_on_failure: Option<ChildrenPolicy>,
    /// Policy that decides what happens to the processes of a session when the session ends.
    pub on_session_end: SessionPolicy,
    /// Default grace period of the session policy `grace`.
    pub session_grace: Duration,
    /// Patterns to search for in the output of each command. A pattern in the request replaces the default pattern of
    /// the same name.
    pub watch: Vec<WatchPattern>,
    /// Detection of the progress of each command.
    pub progress: ProgressDetection,
    /// True to refuse launches that would have to wait for a slot.
    pub no_queue: bool,
    /// Runners, which build the commands of agents.
    pub runners: Arc<RunnerSet>,
}

/// Grace period of the session policy `grace`, if neither the request nor the configuration sets one.
const SESSION_GRACE: Duration = Duration::from_secs(30);

impl Default for LaunchDefaults {
    fn default() -> Self {
        Self {
            grace: StopPolicy::DEFAULT_GRACE,
            output: OutputBound::default(),
            children: ChildrenPolicy::default(),
            children_on_failure: None,
            on_session_end: SessionPolicy::default(),
            session_grace: SESSION_GRACE,
            watch: Vec::new(),
            progress: ProgressDetection::default(),
            no_queue: false,
            runners: Arc::default(),
        }
    }
}

/// Maximum number of arguments, including the program.
const MAX_ARGUMENTS: usize = 1_000;
/// Maximum total size of the program and its arguments, in bytes.
const MAX_ARGUMENTS_BYTES: usize = 128 * 1024;
/// Maximum number of environment variables. The limit applies separately to captured, declared and removed variables.
const MAX_VARIABLES: usize = 1_000;
/// Maximum total size of environment variables, in bytes. The limit applies separately to captured and declared
/// variables.
const MAX_ENVIRONMENT_BYTES: usize = 256 * 1024;
/// Maximum length of a path, in bytes.
const MAX_PATH_LEN: usize = 4096;
/// Highest signal number.
const LAST_SIGNAL: u8 = 64;
/// Minimum memory limit that a request may set, in bytes. Below this limit even the smallest program does not start.
const MIN_MEMORY: u64 = 1024 * 1024;
/// Maximum number of bytes that are stored from each end (head and tail) of an attempt's output.
const MAX_OUTPUT_BYTES: u64 = 64 * 1024 * 1024 * 1024;

type Variables = Vec<(String, String)>;

/// Converts the command of a launch request. Also returns the environment that the caller captured, if the request
/// contains one.
pub(super) fn command(
    request: CommandRequest,
    kind: &ProcessType,
    defaults: &LaunchDefaults,
) -> Result<(CommandSpec, Option<Variables>), ApiError> {
    check_line(&request)?;
    let (environment, captured) = environment(request.environment)?;
    let timeout = within("timeout", request.timeout_ms)?;
    let grace = request.grace_ms.map_or(Ok(defaults.grace), |grace| within("grace", grace))?;
    let signal = match request.stop_signal {
        None => StopPolicy::default().signal,
        Some(number) if (1..=LAST_SIGNAL).contains(&number) => number,
        Some(number) => {
            return Err(ApiError::invalid(
                "stop signal",
                format!("there is no signal with the number {number}"),
            ));
        }
    };
    let interrupted = request.interrupt_first.unwrap_or(*kind == ProcessType::TestSuite);
    let spec = CommandSpec {
        program: request.program,
        args: request.args,
        directory: request.directory,
        environment,
        stdin: stdin(request.stdin, request.stdin_pipe)?,
        timeout: (!timeout.is_zero()).then_some(timeout),
        stop: StopPolicy { grace, signal, interrupt_first: interrupted.then_some(StopPolicy::REPORT_GRACE) },
        leftovers: if request.keep_leftovers { Leftovers::Keep } else { Leftovers::Stop },
        output: OutputBound {
            head: output_bytes("head", request.output.head, defaults.output.head)?,
            tail: output_bytes("tail", request.output.tail, defaults.output.tail)?,
        },
        limits: limits(&request.limits)?,
        ready_when: request.ready_when.map(monitoring::ready_when).transpose()?,
        watch: monitoring::watch(request.watch, &defaults.watch)?,
        artifacts: artifacts::patterns(&request.artifacts)?,
        runner: None,
        tests: reporting(request.report.as_deref())?,
        progress: request
            .progress
            .map_or_else(|| defaults.progress.clone(), |chosen| ProgressDetection::named(&chosen)),
    };
    Ok((spec, captured))
}

fn check_line(request: &CommandRequest) -> Result<(), ApiError> {
    if request.program.is_empty() {
        return Err(ApiError::invalid("command", "the program is missing"));
    }
    if request.args.len() >= MAX_ARGUMENTS {
        return Err(ApiError::invalid(
            "command",
            format!("the command has {} arguments; the maximum is {}", request.args.len(), MAX_ARGUMENTS - 1),
        )
        .help("pass the arguments in a file"));
    }
    let line = || std::iter::once(&request.program).chain(&request.args);
    let bytes: usize = line().map(String::len).sum();
    if bytes > MAX_ARGUMENTS_BYTES {
        return Err(ApiError::invalid(
            "command",
            format!("the arguments have {bytes} bytes; the maximum is {MAX_ARGUMENTS_BYTES}"),
        )
        .help("pass large inputs in a file"));
    }
    if let Some((index, _)) = line().enumerate().find(|(_, word)| word.contains('\0')) {
        return Err(ApiError::invalid("command", format!("argument {index} contains a NUL byte")));
    }
    check_path("directory", &request.directory)
}

fn check_path(what: &str, path: &str) -> Result<(), ApiError> {
    if !path.starts_with('/') {
        return Err(ApiError::invalid(what, format!("{path:?} is not an absolute path")));
    }
    if path.len() > MAX_PATH_LEN {
        return Err(ApiError::invalid(
            what,
            format!("the path of the directory is longer than {MAX_PATH_LEN} bytes"),
        ));
    }
    if path.contains('\0') {
        return Err(ApiError::invalid(what, "the path of the directory contains a NUL byte"));
    }
    Ok(())
}

fn environment(request: EnvironmentRequest) -> Result<(EnvironmentSpec, Option<Variables>), ApiError> {
    let captured = request.captured.map(|captured| captured.into_iter().collect::<Variables>());
    let declared: Variables = request.declared.into_iter().collect();
    for variables in captured.iter().chain([&declared]) {
        check_variables(variables)?;
    }
    if request.removed.len() > MAX_VARIABLES {
        return Err(ApiError::invalid(
            "environment",
            format!("the launch removes more than {MAX_VARIABLES} environment variables"),
        ));
    }
    let environment =
        EnvironmentSpec { captured: None, declared, removed: request.removed, bare: request.bare };
    Ok((environment, captured))
}

/// Checks environment variables. Error messages contain only the name of a variable, because its value may be a secret.
fn check_variables(variables: &[(String, String)]) -> Result<(), ApiError> {
    if variables.len() > MAX_VARIABLES {
        return Err(ApiError::invalid(
            "environment",
            format!("the environment has {} variables; the maximum is {MAX_VARIABLES}", variables.len()),
        ));
    }
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > MAX_ENVIRONMENT_BYTES {
        return Err(ApiError::invalid(
            "environment",
            format!("the environment has {bytes} bytes; the maximum is {MAX_ENVIRONMENT_BYTES}"),
        )
        .help("remove variables with --clear-env, or pass them in a file"));
    }
    for (name, value) in variables {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(ApiError::invalid("environment", format!("{name:?} is not a valid variable name")));
        }
        if value.contains('\0') {
            return Err(ApiError::invalid("environment", format!("the value of {name} contains a NUL byte")));
        }
    }
    Ok(())
}

fn stdin(path: Option<String>, pipe: bool) -> Result<Stdin, ApiError> {
    match (path, pipe) {
        (None, false) => Ok(Stdin::Null),
        (None, true) => Ok(Stdin::Pipe),
        (Some(path), false) => {
            check_path("standard input", &path)?;
            Ok(Stdin::File(path))
        }
        (Some(_), true) => Err(ApiError::invalid("standard input", "both a file and a pipe are given")
            .help("give `stdin` or `stdin_pipe`")),
    }
}

fn output_bytes(end: &str, asked: Option<u64>, default: u64) -> Result<u64, ApiError> {
    match asked {
        None => Ok(default),
        Some(bytes) if bytes <= MAX_OUTPUT_BYTES => Ok(bytes),
        Some(bytes) => Err(ApiError::invalid(
            "limit of the stored output",
            format!("a {end} of {bytes} bytes exceeds the maximum of {MAX_OUTPUT_BYTES}"),
        )),
    }
}

fn limits(request: &LimitsRequest) -> Result<ResourceLimits, ApiError> {
    let bounded =
        |what: &str, limit: Option<u64>| match limit {
            Some(0) => Err(ApiError::invalid(what, "a limit of 0 allows nothing")
                .help("omit the limit to have no limit")),
            other => Ok(other),
        };
    Ok(ResourceLimits {
        cpu_seconds: bounded("limits.cpu_seconds", request.cpu_seconds)?,
        memory_bytes: match bounded("limits.memory_bytes", request.memory_bytes)? {
            Some(bytes) if bytes < MIN_MEMORY => {
                let why = format!(
                    "no program can start with {bytes} bytes of memory; the minimum is \
                    {MIN_MEMORY}"
                );
                return Err(ApiError::invalid("limits.memory_bytes", why).help("give at least 1 MiB"));
            }
            other => other,
        },
        open_files: bounded("limits.open_files", request.open_files)?,
        processes: bounded("limits.processes", request.processes)?,
        file_bytes: bounded("limits.file_bytes", request.file_bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_words_are_refused() {
        let refused = |change: fn(&mut CommandRequest)| {
            let mut request = request();
            change(&mut request);
            read(request).is_err()
        };
        assert!(refused(|request| request.program = String::new()));
        assert!(refused(|request| request.args = vec!["a\0b".into()]));
        assert!(refused(|request| request.args = vec!["x".into(); 1_000]));
        assert!(refused(|request| request.args = vec!["x".repeat(128 * 1024)]));
        assert!(refused(|request| request.directory = "relative".into()));
        assert!(refused(|request| request.timeout_ms = u64::MAX));
        assert!(refused(|request| request.stop_signal = Some(0)));
        assert!(refused(|request| request.stop_signal = Some(65)));
        assert!(refused(|request| request.limits.cpu_seconds = Some(0)));
        assert!(refused(|request| request.limits.file_bytes = Some(0)));
        assert!(refused(|request| request.stdin = Some("relative".into())));
        assert!(refused(|request| {
            request.stdin = Some("/in".into());
            request.stdin_pipe = true;
        }));
        assert!(refused(|request| {
            request.environment.declared.insert("A=B".into(), String::new());
        }));
        assert!(read(request()).is_ok());
    }

    #[test]
    fn complaint_about_a_variable_keeps_its_value_secret() {
        let mut request = request();
        request.environment.declared.insert("TOKEN".into(), "hunter2\0".into());
        let complaint = format!("{:?}", read(request).unwrap_err());
        assert!(complaint.contains("TOKEN") && !complaint.contains("hunter2"), "{complaint}");
    }

    #[test]
    fn test_suite_is_interrupted_first_unless_it_says_no() {
        let suite = |interrupt_first| {
            let request = CommandRequest { interrupt_first, ..request() };
            let read = command(request, &ProcessType::TestSuite, &LaunchDefaults::default());
            read.unwrap().0.stop.interrupt_first
        };
        assert_eq!(suite(None), Some(Duration::from_secs(2)));
        assert_eq!(suite(Some(false)), None);
        assert_eq!(read(request()).unwrap().0.stop.interrupt_first, None);
    }

    #[test]
    fn standard_input_is_nothing_unless_it_is_asked_for() {
        let read = |stdin: Option<&str>, stdin_pipe| {
            let stdin = stdin.map(str::to_owned);
            read(CommandRequest { stdin, stdin_pipe, ..request() }).unwrap().0.stdin
        };
        assert_eq!(read(None, false), Stdin::Null);
        assert_eq!(read(Some("/in"), false), Stdin::File("/in".to_owned()));
        assert_eq!(read(None, true), Stdin::Pipe);
    }

    #[test]
    fn no_timeout_is_no_timeout() {
        assert_eq!(read(request()).unwrap().0.timeout, None);
    }

    fn read(request: CommandRequest) -> Result<(CommandSpec, Option<Variables>), ApiError> {
        command(request, &ProcessType::Custom, &LaunchDefaults::default())
    }

    fn request() -> CommandRequest {
        CommandRequest { program: "true".into(), directory: "/".into(), ..CommandRequest::default() }
    }
}
