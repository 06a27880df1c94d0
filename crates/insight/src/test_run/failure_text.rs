//! Extracts facts from the text of a failure: the error type, the message, the compared values and the place.
//!
//! Each language has its own format and therefore its own module.

pub(super) mod go;
pub(super) mod javascript;
pub(super) mod python;
pub(super) mod rust;

use super::case::{TestCase, TestFailure};

/// Place of a failure in a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Name of the file.
    pub(super) file: String,
    /// Line; the first line is 1.
    pub(super) line: u32,
}

impl Place {
    /// Creates a place from the two parts of `file:line`.
    pub(super) fn new(file: &str, line: &str) -> Option<Self> {
        let line = line.parse().ok().filter(|line| *line > 0)?;
        (!file.is_empty()).then(|| Self { file: super::text::id(file), line })
    }

    /// Reads `file:line:column` or `file:line`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (rest, last) = text.rsplit_once(':')?;
        match rest.rsplit_once(':') {
            Some((file, line)) if is_number(line) && is_number(last) => Self::new(file, line),
            Some(_) | None => Self::new(rest, last),
        }
    }

    /// Splits `file:line:column: message`.
    pub(super) fn find(line: &str) -> Option<(Self, &str)> {
        let (place, message) = line.trim_start().split_once(": ")?;
        Some((Self::parse(place)?, message))
    }
}

/// Facts about a failure, as read from its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReadFailure {
    /// Details.
    pub(super) failure: TestFailure,
    /// Place of the failure, if the text states one.
    pub(super) place: Option<Place>,
}

impl ReadFailure {
    /// Adds these facts to the test. The place replaces the place of the test.
    pub(super) fn attach(self, case: &mut TestCase) {
        if let Some(Place { file, line }) = self.place {
            case.file = Some(file);
            case.line = Some(line);
        }
        case.failure = Some(Box::new(self.failure));
    }
}

/// Splits a text such as `ValueError: bad value` into the type and the message.
pub(super) fn split_kind(text: &str) -> (Option<&str>, &str) {
    match text.split_once(": ") {
        Some((kind, message)) if is_kind(kind) => (Some(kind), message),
        Some(_) | None => match text.strip_suffix(':').unwrap_or(text) {
            kind if is_kind(kind) && kind.ends_with("Error") => (Some(kind), ""),
            _ => (None, text),
        },
    }
}

/// Returns true for the name of an error type, such as `requests.Timeout` or `std::io::Error`.
fn is_kind(text: &str) -> bool {
    let last = text.rsplit(['.', ':']).next().unwrap_or_default();
    text.len() < 100
        && last.starts_with(|first: char| first.is_ascii_uppercase())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '$'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_is_split_from_the_message() {
        for (text, expected) in [
            ("ValueError: bad value", (Some("ValueError"), "bad value")),
            ("requests.Timeout: after 3 s: retry", (Some("requests.Timeout"), "after 3 s: retry")),
            ("assert 3 < 3", (None, "assert 3 < 3")),
            ("KeyError", (Some("KeyError"), "")),
            ("note: see above", (None, "note: see above")),
            ("", (None, "")),
        ] {
            assert_eq!(split_kind(text), expected, "{text}");
        }
    }

    #[test]
    fn source_location_has_a_line_and_optionally_a_column() {
        let place = |file: &str, line| Some(Place { file: file.to_owned(), line });
        assert_eq!(Place::parse("a/b.rs:7:42"), place("a/b.rs", 7));
        assert_eq!(Place::parse("C:/a.py:7"), place("C:/a.py", 7));
        assert_eq!(Place::parse("a.py:0"), None);
        assert_eq!(Place::parse("12:30"), place("12", 30));
        assert_eq!(Place::parse("nothing"), None);
    }
}
