//! Converts the monitoring settings of a launch request. The engine validates patterns and limits later.

use crate::convert::launch::within;
use crate::error::ApiError;
use longhaul_domain::{ReadyWhen, SilencePolicy, Stdin, WatchPattern, WatchSource};
use longhaul_wire::api::{ReadyWhenRequest, StreamChoice, WatchRequest};

/// Maximum length of the URL or command in a readiness check, in bytes.
const MAX_PROBE_LEN: usize = 4 * 1024;

/// Converts the readiness check of a command. Exactly one kind of check must be given.
pub(super) fn ready_when(request: ReadyWhenRequest) -> Result<ReadyWhen, ApiError> {
    let ReadyWhenRequest { port, http, log, command } = request;
    match (port, http, log, command) {
        (Some(port), None, None, None) => Ok(ReadyWhen::Port(port)),
        (None, Some(url), None, None) => Ok(ReadyWhen::Http { url: line(url)? }),
        (None, None, Some(pattern), None) => Ok(ReadyWhen::Log { pattern }),
        (None, None, None, Some(words)) => command_line(words),
        (None, None, None, None) => {
            Err(ApiError::invalid("ready_when", "the readiness check names no method").help(ONE_OF_FOUR))
        }
        _ => Err(ApiError::invalid("ready_when", "the readiness check names more than one method")
            .help(ONE_OF_FOUR)),
    }
}

const ONE_OF_FOUR: &str = "give one of `port`, `http`, `log` and `command`";

fn command_line(words: Vec<String>) -> Result<ReadyWhen, ApiError> {
    if words.iter().map(String::len).sum::<usize>() > MAX_PROBE_LEN {
        return Err(ApiError::invalid(
            "ready_when",
            format!("the command of the readiness check has more than {MAX_PROBE_LEN} bytes"),
        ));
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err(ApiError::invalid(
            "ready_when",
            "the command of the readiness check contains a NUL byte",
        ));
    }
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    Ok(ReadyWhen::Command { program, args: words.collect() })
}

fn line(url: String) -> Result<String, ApiError> {
    if url.len() > MAX_PROBE_LEN {
        return Err(ApiError::invalid(
            "ready_when",
            format!("the address has more than {MAX_PROBE_LEN} bytes"),
        ));
    }
    if url.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(ApiError::invalid("ready_when", "the address contains blanks or control characters"));
    }
    Ok(url)
}

/// Converts the patterns to search for in the output. Adds each default pattern whose name the request does not use.
pub(super) fn watch(
    request: Vec<WatchRequest>,
    defaults: &[WatchPattern],
) -> Result<Vec<WatchPattern>, ApiError> {
    let mut patterns: Vec<WatchPattern> = request.into_iter().map(pattern).collect::<Result<_, _>>()?;
    for default in defaults {
        if !patterns.iter().any(|pattern| pattern.name == default.name) {
            patterns.push(default.clone());
        }
    }
    Ok(patterns)
}

fn pattern(request: WatchRequest) -> Result<WatchPattern, ApiError> {
    let WatchRequest { name, pattern, stream } = request;
    if name.chars().any(char::is_control) {
        return Err(ApiError::invalid("watch", "a pattern name contains control characters"));
    }
    let source = match stream.unwrap_or_default() {
        StreamChoice::Both => WatchSource::Both,
        StreamChoice::Stdout => WatchSource::Stdout,
        StreamChoice::Stderr => WatchSource::Stderr,
    };
    Ok(WatchPattern { name, pattern, source })
}

/// Converts the silence limits: the times in milliseconds after which work without output counts as idle or stalled.
pub(super) fn silence(idle: Option<u64>, stall: Option<u64>) -> Result<SilencePolicy, ApiError> {
    let span = |what, millis: Option<u64>| millis.map(|millis| within(what, millis)).transpose();
    Ok(SilencePolicy {
        idle_after: span("idle_after_ms", idle)?,
        stall_after: span("stall_after_ms", stall)?,
    })
}

/// Returns the name of the source of a command's standard input.
pub(super) const fn stdin(stdin: &Stdin) -> &'static str {
    match stdin {
        Stdin::Null => "null",
        Stdin::File(_) => "file",
        Stdin::Pipe => "pipe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_readiness_check_has_exactly_one_method() {
        let none = ReadyWhenRequest::default;
        let one = ready_when(ReadyWhenRequest { port: Some(80), ..none() });
        assert_eq!(one.unwrap(), ReadyWhen::Port(80));
        let words = vec!["curl".to_owned(), "-f".to_owned()];
        let command = ready_when(ReadyWhenRequest { command: Some(words), ..none() });
        assert_eq!(
            command.unwrap(),
            ReadyWhen::Command { program: "curl".to_owned(), args: vec!["-f".to_owned()] }
        );
        let log = ready_when(ReadyWhenRequest { log: Some("up".to_owned()), ..none() });
        assert_eq!(log.unwrap(), ReadyWhen::Log { pattern: "up".to_owned() });
        assert!(ready_when(none()).is_err());
        let two = ReadyWhenRequest { port: Some(80), log: Some("up".to_owned()), ..none() };
        assert!(ready_when(two).is_err());
        let broken = ReadyWhenRequest { command: Some(vec!["a\0".to_owned()]), ..none() };
        assert!(ready_when(broken).is_err());
        let split = ReadyWhenRequest { http: Some("http://x\r\nHost: y".to_owned()), ..none() };
        assert!(ready_when(split).is_err());
    }

    #[test]
    fn pattern_is_looked_for_in_both_streams_unless_one_is_named() {
        let named = |stream| {
            let one = WatchRequest { name: "n".to_owned(), pattern: "p".to_owned(), stream };
            watch(vec![one], &[]).unwrap().remove(0).source
        };
        assert_eq!(named(None), WatchSource::Both);
        assert_eq!(named(Some(StreamChoice::Both)), WatchSource::Both);
        assert_eq!(named(Some(StreamChoice::Stdout)), WatchSource::Stdout);
        assert_eq!(named(Some(StreamChoice::Stderr)), WatchSource::Stderr);
        let forged = WatchRequest { name: "a\nb".to_owned(), ..WatchRequest::default() };
        assert!(watch(vec![forged], &[]).is_err());
    }

    #[test]
    fn silence_that_is_not_spoken_of_is_left_to_the_deployment() {
        assert_eq!(silence(None, None).unwrap(), SilencePolicy::default());
        let said = silence(Some(0), Some(1_500)).unwrap();
        assert_eq!(said.idle_after, Some(Duration::ZERO));
        assert_eq!(said.stall_after, Some(Duration::from_millis(1_500)));
        assert!(silence(Some(u64::MAX), None).is_err());
    }
}
