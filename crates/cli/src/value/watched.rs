//! Lines of output to be told of.

use super::BadValue;
use std::str::FromStr;

/// Is a pattern to watch for, with the name that it is told by: `NAME=REGEX`, `stdout:NAME=REGEX` or
/// `stderr:NAME=REGEX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchArg {
    name: String,
    pattern: String,
    stream: Option<&'static str>,
}

impl WatchArg {
    /// Gives the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the regular expression.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Gives the one stream that it is looked for in, `stdout` or `stderr`; none for both.
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
