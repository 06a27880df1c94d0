//! Patterns for output lines. Matching lines are reported as events.

use super::BadValue;
use std::str::FromStr;

/// Named pattern for output lines: `NAME=REGEX`, `stdout:NAME=REGEX` or `stderr:NAME=REGEX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchArg {
    name: String,
    pattern: String,
    stream: Option<&'static str>,
}

impl WatchArg {
    /// Returns the name under which a matching line is reported.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the regular expression.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Returns the stream to watch, `stdout` or `stderr`. Returns `None` if both are watched.
    #[must_use]
    pub const fn stream(&self) -> Option<&'static str> {
        self.stream
    }
}

impl FromStr for WatchArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let streams = ["stdout", "stderr"].into_iter();
        let named =
            streams.filter_map(|stream| Some((text.strip_prefix(stream)?.strip_prefix(':')?, stream))).next();
        let (rest, stream) = named.map_or((text, None), |(rest, stream)| (rest, Some(stream)));
        match rest.split_once('=') {
            Some((name, pattern)) if !name.is_empty() && !pattern.is_empty() => {
                Ok(Self { name: name.to_owned(), pattern: pattern.to_owned(), stream })
            }
            Some(_) | None => Err(BadValue::new("use NAME=REGEX, or stderr:NAME=REGEX for one stream")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_may_hold_an_equals_sign_and_name_a_stream() {
        let read = |text: &str| text.parse::<WatchArg>();
        let plain = read("error=code=[1-9]").unwrap();
        assert_eq!((plain.name(), plain.pattern(), plain.stream()), ("error", "code=[1-9]", None));
        let one = read("stderr:error=x").unwrap();
        assert_eq!((one.name(), one.pattern(), one.stream()), ("error", "x", Some("stderr")));
        assert_eq!(read("stdlog:error=x").unwrap().name(), "stdlog:error");
        for wrong in ["error", "=x", "error=", "stderr:=x", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
