//! From a requested command to a command.

use crate::convert::attention;
use crate::convert::launch::within;
use crate::fault::Fault;
use longhaul_domain::{
    ChildrenPolicy, CommandSpec, Environment, Leftovers, OutputBound, ProcessType, ResourceLimits,
    SessionPolicy, Stdin, StopPolicy,
};
use longhaul_wire::api::{CommandRequest, EnvironmentRequest, LimitsRequest};
use std::time::Duration;

/// The words of a command as one line; of a shell that was given a line, that line.
#[must_use]
pub fn command_line(words: &[String]) -> String {
    match words {
        [shell, flag, line] if flag == "-c" && shell == "/bin/sh" => line.clone(),
        words => words.join(" "),
    }
}

/// What a launch gets that asks for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchDefaults {
    /// From the stop signal to KILL.
    pub grace: Duration,
    /// How much output is kept of an attempt.
    pub output: OutputBound,
    /// What becomes of its live descendants when it ends by itself.
    pub children: ChildrenPolicy,
    /// What becomes of it when its session ends.
    pub on_session_end: SessionPolicy,
    /// How long a grace after the end of a session is where nobody says.
    pub session_grace: Duration,
}

/// How long a process goes on after its session where nothing is configured.
const SESSION_GRACE: Duration = Duration::from_secs(30);

impl Default for LaunchDefaults {
    fn default() -> Self {
        Self {
            grace: StopPolicy::DEFAULT_GRACE,
            output: OutputBound::default(),
            children: ChildrenPolicy::default(),
            on_session_end: SessionPolicy::default(),
            session_grace: SESSION_GRACE,
        }
    }
}

/// The most arguments, the program included.
const MOST_ARGUMENTS: usize = 1_000;
/// The most bytes of all arguments together.
const LARGEST_ARGUMENTS: usize = 128 * 1024;
/// The most variables, captured and declared each.
const MOST_VARIABLES: usize = 1_000;
/// The most bytes of all variables together, captured and declared each.
const LARGEST_ENVIRONMENT: usize = 256 * 1024;
/// The longest path.
const LONGEST_PATH: usize = 4096;
/// The largest number of a signal.
const LAST_SIGNAL: u8 = 64;
/// The least memory that a limit leaves to a command: with less not even the smallest program starts.
const LEAST_MEMORY: u64 = 1024 * 1024;
/// The most output that may be kept of an attempt, at either end.
const LARGEST_OUTPUT: u64 = 64 * 1024 * 1024 * 1024;

type Variables = Vec<(String, String)>;

/// Reads a command, and the environment that its caller captured.
pub(super) fn command(
    request: CommandRequest,
    kind: &ProcessType,
    defaults: &LaunchDefaults,
) -> Result<(CommandSpec, Option<Variables>), Fault> {
    check_line(&request)?;
    let (environment, captured) = environment(request.environment)?;
    let timeout = within("timeout", request.timeout_ms)?;
    let grace = request.grace_ms.map_or(Ok(defaults.grace), |grace| within("grace", grace))?;
    let signal = match request.stop_signal {
        None => StopPolicy::default().signal,
        Some(number) if (1..=LAST_SIGNAL).contains(&number) => number,
        Some(number) => {
            return Err(Fault::invalid("stop signal", format!("no signal has the number {number}")));
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
        leftovers: if request.keep_leftovers { Leftovers::Keep } else { Leftovers::Sweep },
        output: OutputBound {
            head: kept("head", request.output.head, defaults.output.head)?,
            tail: kept("tail", request.output.tail, defaults.output.tail)?,
        },
        limits: limits(&request.limits)?,
        ready_when: request.ready_when.map(attention::ready_when).transpose()?,
        watch: attention::watch(request.watch)?,
    };
    Ok((spec, captured))
}

fn check_line(request: &CommandRequest) -> Result<(), Fault> {
    if request.program.is_empty() {
        return Err(Fault::invalid("command", "it names no program"));
    }
    if request.args.len() >= MOST_ARGUMENTS {
        return Err(Fault::invalid(
            "command",
            format!("it has {} arguments, {} may be", request.args.len(), MOST_ARGUMENTS - 1),
        )
        .help("hand over a list in a file"));
    }
    let line = || std::iter::once(&request.program).chain(&request.args);
    let bytes: usize = line().map(String::len).sum();
    if bytes > LARGEST_ARGUMENTS {
        return Err(Fault::invalid(
            "command",
            format!("its {bytes} bytes are more than the most, {LARGEST_ARGUMENTS}"),
        )
        .help("hand over large inputs in a file"));
    }
    if let Some((index, _)) = line().enumerate().find(|(_, word)| word.contains('\0')) {
        return Err(Fault::invalid("command", format!("argument {index} holds a NUL byte")));
    }
    check_path("directory", &request.directory)
}

fn check_path(what: &str, path: &str) -> Result<(), Fault> {
    if !path.starts_with('/') {
        return Err(Fault::invalid(what, format!("{path:?} is no absolute path")));
    }
    if path.len() > LONGEST_PATH {
        return Err(Fault::invalid(what, format!("its path is longer than {LONGEST_PATH} bytes")));
    }
    if path.contains('\0') {
        return Err(Fault::invalid(what, "its path holds a NUL byte"));
    }
    Ok(())
}

fn environment(request: EnvironmentRequest) -> Result<(Environment, Option<Variables>), Fault> {
    let captured = request.captured.map(|captured| captured.into_iter().collect::<Variables>());
    let declared: Variables = request.declared.into_iter().collect();
    for variables in captured.iter().chain([&declared]) {
        check_variables(variables)?;
    }
    if request.removed.len() > MOST_VARIABLES {
        return Err(Fault::invalid(
            "environment",
            format!("more than {MOST_VARIABLES} variables are removed"),
        ));
    }
    let environment = Environment { captured: None, declared, removed: request.removed, bare: request.bare };
    Ok((environment, captured))
}

/// Names what is wrong by the name of the variable: its value may be a secret.
fn check_variables(variables: &[(String, String)]) -> Result<(), Fault> {
    if variables.len() > MOST_VARIABLES {
        return Err(Fault::invalid(
            "environment",
            format!("it has {} variables, {MOST_VARIABLES} may be", variables.len()),
        ));
    }
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > LARGEST_ENVIRONMENT {
        return Err(Fault::invalid(
            "environment",
            format!("its {bytes} bytes are more than the most, {LARGEST_ENVIRONMENT}"),
        )
        .help("leave variables out with --clear-env, or hand them over in a file"));
    }
    for (name, value) in variables {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Fault::invalid("environment", format!("{name:?} is no name of a variable")));
        }
        if value.contains('\0') {
            return Err(Fault::invalid("environment", format!("the value of {name} holds a NUL byte")));
        }
    }
    Ok(())
}

fn stdin(path: Option<String>, pipe: bool) -> Result<Stdin, Fault> {
    match (path, pipe) {
        (None, false) => Ok(Stdin::Null),
        (None, true) => Ok(Stdin::Pipe),
        (Some(path), false) => {
            check_path("standard input", &path)?;
            Ok(Stdin::File(path))
        }
        (Some(_), true) => Err(Fault::invalid("standard input", "it is both a file and a pipe")
            .help("give `stdin` or `stdin_pipe`")),
    }
}

fn kept(end: &str, asked: Option<u64>, usual: u64) -> Result<u64, Fault> {
    match asked {
        None => Ok(usual),
        Some(bytes) if bytes <= LARGEST_OUTPUT => Ok(bytes),
        Some(bytes) => Err(Fault::invalid(
            "bound of the output",
            format!("a {end} of {bytes} bytes is more than the most, {LARGEST_OUTPUT}"),
        )),
    }
}

fn limits(request: &LimitsRequest) -> Result<ResourceLimits, Fault> {
    let bounded =
        |what: &str, limit: Option<u64>| match limit {
            Some(0) => Err(Fault::invalid(what, "a limit of 0 lets nothing run")
                .help("leave the limit out for none at all")),
            other => Ok(other),
        };
    Ok(ResourceLimits {
        cpu_seconds: bounded("limits.cpu_seconds", request.cpu_seconds)?,
        memory_bytes: match bounded("limits.memory_bytes", request.memory_bytes)? {
            Some(bytes) if bytes < LEAST_MEMORY => {
                let why = format!("{bytes} bytes let no program start, {LEAST_MEMORY} are the least");
                return Err(Fault::invalid("limits.memory_bytes", why).help("give at least 1 MiB"));
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

    fn read(request: CommandRequest) -> Result<(CommandSpec, Option<Variables>), Fault> {
        command(request, &ProcessType::Custom, &LaunchDefaults::default())
    }

    fn request() -> CommandRequest {
        CommandRequest { program: "true".into(), directory: "/".into(), ..CommandRequest::default() }
    }
}
