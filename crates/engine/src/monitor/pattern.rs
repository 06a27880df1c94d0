//! Compiles regular expressions that users have chosen. Limits apply to their size and number.

use crate::error::EngineError;
use longhaul_domain::{CommandSpec, ProgressDetection, ReadyWhen, WatchPattern, WatchSource};
use longhaul_insight::progress::ProgressParser;
use longhaul_ports::OutputSource;
use regex::{Regex, RegexBuilder};

/// Maximum number of patterns for one process.
const MAX_PATTERNS: usize = 16;
/// Maximum length of a pattern in bytes.
const MAX_PATTERN_LEN: usize = 1_024;
/// Maximum length of the name of a pattern in bytes.
const MAX_NAME_LEN: usize = 64;
/// Maximum size of a compiled pattern in bytes. Counted repetitions can make a compiled pattern very large.
const MAX_PROGRAM_BYTES: usize = 1024 * 1024;

const PROGRESS_HELP: &str = "use auto, fd or off, or name the numbers in the pattern, such as (?P<percent>[0-9.]+) or (?P<done>[0-9]+) of (?P<total>[0-9]+)";

/// A compiled pattern to search for in the output.
#[derive(Debug)]
pub(super) struct CompiledPattern {
    pub(super) name: String,
    pub(super) expression: Regex,
    source: WatchSource,
}

impl CompiledPattern {
    /// Compiles the patterns of a command. An invalid pattern is skipped: launches with invalid patterns are rejected,
    /// but an older version may have accepted one.
    pub(super) fn of(command: &CommandSpec) -> Vec<Self> {
        let compiled = command.watch.iter().filter_map(|watch| {
            let expression = compile(&watch.pattern)
                .inspect_err(
                    |why| tracing::warn!(name = watch.name, %why, "ignored a pattern that is not valid"),
                )
                .ok()?;
            Some(Self { name: watch.name.clone(), expression, source: watch.source })
        });
        compiled.collect()
    }

    /// Returns true if the pattern applies to this stream.
    pub(super) const fn covers(&self, source: OutputSource) -> bool {
        match (self.source, source) {
            (WatchSource::Both, _)
            | (WatchSource::Stdout, OutputSource::Stdout)
            | (WatchSource::Stderr, OutputSource::Stderr) => true,
            (WatchSource::Stdout, OutputSource::Stderr) | (WatchSource::Stderr, OutputSource::Stdout) => {
                false
            }
        }
    }
}

/// Compiles a pattern. Matching takes time that is linear in the length of the text.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.is_empty() {
        return Err("the pattern is empty".to_owned());
    }
    if pattern.len() > MAX_PATTERN_LEN {
        return Err(format!("the pattern is longer than {MAX_PATTERN_LEN} bytes"));
    }
    RegexBuilder::new(pattern).size_limit(MAX_PROGRAM_BYTES).build().map_err(|error| error.to_string())
}

/// Checks that the patterns and the readiness condition of a command are valid.
///
/// # Errors
/// [`EngineError::Invalid`] with the invalid part.
pub(crate) fn check(command: &CommandSpec) -> Result<(), EngineError> {
    check_watch(&command.watch)?;
    check_progress(&command.progress)?;
    match &command.ready_when {
        Some(ReadyWhen::Port(0)) => {
            Err(invalid("ready_when", "port 0 is not a port on which a program can listen".to_owned()))
        }
        Some(ReadyWhen::Http { url }) if !url.starts_with("http://") => {
            Err(invalid("ready_when", "the address does not start with http://".to_owned()))
        }
        Some(ReadyWhen::Log { pattern }) => {
            compile(pattern).map(drop).map_err(|why| invalid("ready_when", why))
        }
        Some(ReadyWhen::Command { program, .. }) if program.is_empty() => {
            Err(invalid("ready_when", "the command names no program".to_owned()))
        }
        Some(ReadyWhen::Port(_) | ReadyWhen::Http { .. } | ReadyWhen::Command { .. }) | None => Ok(()),
    }
}

/// Checks the setting for the detection of progress.
///
/// # Errors
/// Returns [`EngineError::Invalid`] if the setting is an invalid pattern, or a pattern that cannot find progress.
pub fn check_progress(detection: &ProgressDetection) -> Result<(), EngineError> {
    let ProgressDetection::Pattern(pattern) = detection else { return Ok(()) };
    let why = if pattern.len() > MAX_PATTERN_LEN {
        format!("the pattern is longer than {MAX_PATTERN_LEN} bytes")
    } else {
        match ProgressParser::with_pattern(pattern) {
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        }
    };
    Err(EngineError::Invalid { what: "progress", why, help: Some(PROGRESS_HELP.to_owned()) })
}

/// Checks the patterns that are searched in the output of a command.
///
/// # Errors
/// [`EngineError::Invalid`] with the invalid part.
pub fn check_watch(patterns: &[WatchPattern]) -> Result<(), EngineError> {
    if patterns.len() > MAX_PATTERNS {
        return Err(invalid("watch", format!("there are more than {MAX_PATTERNS} patterns")));
    }
    for watch in patterns {
        if watch.name.is_empty() || watch.name.len() > MAX_NAME_LEN {
            return Err(invalid(
                "watch",
                format!("the name of a pattern must have 1 to {MAX_NAME_LEN} bytes"),
            ));
        }
        if patterns.iter().filter(|other| other.name == watch.name).count() > 1 {
            return Err(invalid("watch", format!("two patterns have the name {:?}", watch.name)));
        }
        compile(&watch.pattern).map_err(|why| invalid("watch", why))?;
    }
    Ok(())
}

const fn invalid(what: &'static str, why: String) -> EngineError {
    EngineError::Invalid { what, why, help: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_readiness_check_is_refused() {
        let watching = |name: &str, pattern: &str| WatchPattern {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
            source: WatchSource::Both,
        };
        let command = |change: &dyn Fn(&mut CommandSpec)| {
            let mut command = CommandSpec::of("make", &[], "/");
            change(&mut command);
            check(&command)
        };
        let ready = |ready_when: ReadyWhen| {
            command(&|command: &mut CommandSpec| command.ready_when = Some(ready_when.clone()))
        };
        let watch = |patterns: &[WatchPattern]| {
            command(&|command: &mut CommandSpec| command.watch = patterns.to_vec())
        };
        let many: Vec<WatchPattern> = (0..17).map(|number| watching(&number.to_string(), "x")).collect();
        for refused in [
            watch(&[watching("e", "(")]),
            watch(&[watching("e", "")]),
            watch(&[watching("e", &"x".repeat(1_025))]),
            watch(&[watching("e", r"(\w{1000}){1000}")]),
            watch(&[watching("", "x")]),
            watch(&[watching("e", "x"), watching("e", "y")]),
            watch(&many),
            ready(ReadyWhen::Port(0)),
            ready(ReadyWhen::Http { url: "file:///etc/passwd".to_owned() }),
            ready(ReadyWhen::Log { pattern: "[".to_owned() }),
            ready(ReadyWhen::Command { program: String::new(), args: Vec::new() }),
        ] {
            assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{refused:?}");
        }
        assert!(watch(&[watching("e", "(?i)error"), watching("w", "warn")]).is_ok());
        assert!(ready(ReadyWhen::Http { url: "http://127.0.0.1:1".to_owned() }).is_ok());
        assert!(ready(ReadyWhen::Port(80)).is_ok());
    }

    #[test]
    fn limits_include_their_last_value() {
        let watching =
            |name: String, pattern: String| WatchPattern { name, pattern, source: WatchSource::Both };
        let checked = |watch: Vec<WatchPattern>| {
            let mut command = CommandSpec::of("make", &[], "/");
            command.watch = watch;
            check(&command)
        };
        let many =
            |count: u32| (0..count).map(|number| watching(number.to_string(), "x".to_owned())).collect();
        assert!(checked(many(16)).is_ok());
        assert!(checked(many(17)).is_err());
        assert!(checked(vec![watching("n".repeat(64), "x".to_owned())]).is_ok());
        assert!(checked(vec![watching("n".repeat(65), "x".to_owned())]).is_err());
        assert!(checked(vec![watching("n".to_owned(), "x".repeat(1_024))]).is_ok());
        assert!(checked(vec![watching("n".to_owned(), "x".repeat(1_025))]).is_err());
        assert!(checked(vec![watching("n".to_owned(), r"\w{5}".to_owned())]).is_ok());
        assert_eq!(MAX_PROGRAM_BYTES, 1_048_576);
    }

    #[test]
    fn invalid_pattern_of_an_older_version_is_skipped_and_a_pattern_covers_its_stream() {
        let watching = |name: &str, pattern: &str, source| WatchPattern {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
            source,
        };
        let mut command = CommandSpec::of("make", &[], "/");
        command.watch = vec![
            watching("broken", "(", WatchSource::Both),
            watching("out", "x", WatchSource::Stdout),
            watching("err", "x", WatchSource::Stderr),
            watching("both", "x", WatchSource::Both),
        ];
        let compiled = CompiledPattern::of(&command);
        let covered = compiled.iter().map(|pattern| {
            let covers = [OutputSource::Stdout, OutputSource::Stderr].map(|source| pattern.covers(source));
            (pattern.name.as_str(), covers)
        });
        let covered: Vec<_> = covered.collect();
        assert_eq!(covered, [("out", [true, false]), ("err", [false, true]), ("both", [true, true])]);
    }
}
