//! Patterns that name the artifacts of a command: the files that are copied when an attempt ends.

use crate::id::InvalidText;
use std::fmt;
use std::str::{Chars, FromStr};

/// Maximum length of a pattern, in bytes.
const MAX_PATTERN_LEN: usize = 1024;
/// Maximum number of parts of a pattern.
const MAX_PARTS: usize = 32;

/// A pattern for paths of files, relative to the working directory of a command.
///
/// - `*` matches any text within a name, `?` one character, and `[a-z]` or `[!a-z]` one character of a set. A backslash
///   removes the special meaning of the next character.
/// - `**` as a whole part matches any number of directories.
/// - If the last part contains no wildcard or the pattern ends with `/`, the pattern also matches all files below a
///   directory with this path.
/// - A name that starts with a dot is matched only by a part that starts with a dot.
///
/// A pattern never leaves the working directory: it is relative and has no part `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactPattern {
    text: String,
    parts: Vec<PatternPart>,
}

/// One part of a pattern between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PatternPart {
    /// `**`: any number of directories, including none.
    AnyDirectories,
    /// Exactly one name.
    Name(Vec<NameToken>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum NameToken {
    Char(char),
    AnyChar,
    AnyText,
    Set { is_negated: bool, ranges: Vec<(char, char)> },
}

/// The parts of a pattern that can match the next name of a path, after the start of the path has matched. A search
/// computes this value for each directory, and passes it on to the names in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternProgress(u64);

impl PatternProgress {
    /// Returns true if no continuation of the path can match.
    #[must_use]
    pub const fn is_dead(self) -> bool {
        self.0 == 0
    }

    const fn has(self, position: usize) -> bool {
        self.0 >> position & 1 == 1
    }

    const fn with(self, position: usize) -> Self {
        Self(self.0 | 1 << position)
    }
}

impl ArtifactPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Returns [`InvalidText`] if the pattern is empty, absolute, too long or malformed, or if it has a part `..`.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let invalid = |why| InvalidText { what: "artifact pattern", why };
        if text.is_empty() {
            return Err(invalid("the pattern is empty"));
        }
        if text.len() > MAX_PATTERN_LEN {
            return Err(invalid("the pattern is longer than 1024 bytes"));
        }
        if text.contains('\0') {
            return Err(invalid("the pattern contains a NUL byte"));
        }
        if text.starts_with('/') {
            return Err(invalid(
                "the pattern is an absolute path; it must be relative to the working directory",
            ));
        }
        let mut parts: Vec<PatternPart> = Vec::new();
        for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            match part {
                ".." => return Err(invalid("the pattern contains `..`, which leaves the working directory")),
                "**" if parts.last() == Some(&PatternPart::AnyDirectories) => {}
                "**" => parts.push(PatternPart::AnyDirectories),
                name => parts.push(PatternPart::Name(tokens(name).map_err(invalid)?)),
            }
        }
        let is_name = match parts.last() {
            None => true,
            Some(PatternPart::AnyDirectories) => false,
            Some(PatternPart::Name(tokens)) => tokens.iter().all(|token| matches!(token, NameToken::Char(_))),
        };
        if is_name || text.ends_with('/') {
            parts.push(PatternPart::AnyDirectories);
        }
        if parts.len() > MAX_PARTS {
            return Err(invalid("the pattern has more than 32 parts"));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Returns the original text of the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the progress at the start of a path.
    #[must_use]
    pub fn begin(&self) -> PatternProgress {
        self.closed(PatternProgress(1))
    }

    /// Returns the progress after the next name of a path.
    #[must_use]
    pub fn enter(&self, from: PatternProgress, name: &str) -> PatternProgress {
        let mut next = PatternProgress(0);
        for (position, part) in self.parts.iter().enumerate().filter(|(position, _)| from.has(*position)) {
            next = match part {
                PatternPart::AnyDirectories if name.starts_with('.') => next,
                PatternPart::AnyDirectories => next.with(position),
                PatternPart::Name(tokens) if is_match(tokens, name) => next.with(position.saturating_add(1)),
                PatternPart::Name(_) => next,
            };
        }
        self.closed(next)
    }

    /// Returns true if the name matches a part of the pattern other than `**`, which matches every directory.
    #[must_use]
    pub fn names(&self, from: PatternProgress, name: &str) -> bool {
        self.parts.iter().enumerate().any(|(position, part)| match part {
            PatternPart::AnyDirectories => false,
            PatternPart::Name(tokens) => from.has(position) && is_match(tokens, name),
        })
    }

    /// Returns true if a file at this point of a path matches the pattern.
    #[must_use]
    pub fn accepts(&self, at: PatternProgress) -> bool {
        at.has(self.parts.len())
    }

    /// Returns true if names below this point of a path may match.
    #[must_use]
    pub fn goes_on(&self, at: PatternProgress) -> bool {
        (0..self.parts.len()).any(|position| at.has(position))
    }

    /// Returns true if the path of a file, with slashes between its names, matches the pattern.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.accepts(path.split('/').fold(self.begin(), |at, name| self.enter(at, name)))
    }

    /// Adds the position after each `**`, because `**` can also match zero directories.
    fn closed(&self, mut at: PatternProgress) -> PatternProgress {
        for (position, part) in self.parts.iter().enumerate() {
            if at.has(position) && *part == PatternPart::AnyDirectories {
                at = at.with(position.saturating_add(1));
            }
        }
        at
    }
}

impl fmt::Display for ArtifactPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ArtifactPattern {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        Self::new(text)
    }
}

fn tokens(name: &str) -> Result<Vec<NameToken>, &'static str> {
    let mut tokens = Vec::new();
    let mut rest = name.chars();
    while let Some(char) = rest.next() {
        tokens.push(match char {
            '*' if tokens.last() == Some(&NameToken::AnyText) => continue,
            '*' => NameToken::AnyText,
            '?' => NameToken::AnyChar,
            '[' => set(&mut rest)?,
            '\\' => NameToken::Char(rest.next().ok_or("the pattern ends with a backslash")?),
            other => NameToken::Char(other),
        });
    }
    Ok(tokens)
}

/// Reads a set of characters from the text after its `[`. As in a shell, a `]` at the start of the set is a member of
/// the set.
fn set(rest: &mut Chars<'_>) -> Result<NameToken, &'static str> {
    const UNCLOSED: &str = "a `[` has no `]`; write `\\[` to match the character itself";
    let is_negated = rest.as_str().starts_with(['!', '^']);
    if is_negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        let from = match rest.next().ok_or(UNCLOSED)? {
            ']' if !ranges.is_empty() => return Ok(NameToken::Set { is_negated, ranges }),
            '\\' => rest.next().ok_or(UNCLOSED)?,
            other => other,
        };
        let mut ahead = rest.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => {
                *rest = ahead;
                to
            }
            _ => from,
        };
        ranges.push((from, to));
    }
}

/// Matches a name against tokens. After a mismatch, only the last `*` is extended, so the time is at most proportional
/// to the product of the two lengths.
fn is_match(tokens: &[NameToken], name: &str) -> bool {
    if name.starts_with('.') && tokens.first() != Some(&NameToken::Char('.')) {
        return false;
    }
    let (mut tokens, mut name) = (tokens, name.chars());
    let mut retry: Option<(&[NameToken], Chars<'_>)> = None;
    loop {
        let step = match tokens.split_first() {
            None => name.as_str().is_empty().then_some(None),
            Some((NameToken::AnyText, after)) => {
                tokens = after;
                retry = Some((tokens, name.clone()));
                continue;
            }
            Some((token, after)) => name.next().filter(|char| token.is(*char)).map(|_| Some(after)),
        };
        match step {
            Some(None) => return true,
            Some(Some(after)) => tokens = after,
            None => {
                let Some((again, from)) = &mut retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                (tokens, name) = (*again, from.clone());
            }
        }
    }
}

impl NameToken {
    /// Returns true if the token matches one character.
    fn is(&self, char: char) -> bool {
        match self {
            Self::Char(own) => *own == char,
            Self::AnyChar => true,
            Self::AnyText => false,
            Self::Set { is_negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&char)) != *is_negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        ArtifactPattern::new(pattern).unwrap().matches(path)
    }

    #[test]
    fn pattern_matches_as_in_a_shell() {
        for (pattern, path) in [
            ("a.xml", "a.xml"),
            ("./a.xml", "a.xml"),
            ("*.xml", "a.xml"),
            ("a*b*c", "a1b2b3c"),
            ("?.txt", "ü.txt"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[a-]", "-"),
            (r"\*", "*"),
            (r"[\]]", "]"),
            ("out/*.txt", "out/a.txt"),
            ("**/*.xml", "a.xml"),
            ("**/*.xml", "a/b/c.xml"),
            ("a/**/z", "a/z"),
            ("a/**/z", "a/b/c/z"),
            ("a/**", "a/b/c"),
            (".cache/x", ".cache/x"),
            (".*", ".hidden"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("a.xml", "b.xml"),
            ("*.xml", "d/a.xml"),
            ("*.xml", ".a.xml"),
            ("?a", ".a"),
            ("[.]a", ".a"),
            ("**", ".git/config"),
            ("**/*.xml", ".git/a.xml"),
            ("a*b*c", "a1b2b3"),
            ("*", "a/b"),
            ("[!a-c]x", "ax"),
            ("a", "A"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn name_of_a_directory_stands_for_the_files_below_it() {
        assert!(matches("reports", "reports/a/b.xml"));
        assert!(matches("reports", "reports"));
        assert!(matches("reports/", "reports/a"));
        assert!(matches("log*/", "logs/a"));
        assert!(!matches("log*", "logs/a"), "a wildcard matches files only");
        assert!(!matches("reports", "reports/.cache/a"), "hidden files are left out");
        assert!(matches(".", "a/b"));
        assert!(!matches(".", ".git/config"));
    }

    #[test]
    fn pattern_that_leaves_the_directory_is_refused() {
        for bad in ["", "/etc/passwd", "../x", "a/../x", "a/..", "..", "[a", "a\\", "[a-", "a\0"] {
            assert!(ArtifactPattern::new(bad).is_err(), "{bad:?}");
        }
        assert!(ArtifactPattern::new(&"x".repeat(1025)).is_err());
        assert!(ArtifactPattern::new(&"x/".repeat(40)).is_err());
        assert!(ArtifactPattern::new("..a/b..").is_ok());
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        assert!(!matches(&"*a".repeat(200), &format!("{}b", "a".repeat(250))));
    }

    #[test]
    fn link_is_named_only_by_a_part_of_its_own() {
        let pattern = ArtifactPattern::new("**/target/*.log").unwrap();
        assert!(pattern.names(pattern.begin(), "target"));
        assert!(!pattern.names(pattern.begin(), "src"));
        assert!(!pattern.enter(pattern.begin(), "src").is_dead());
        let fixed = ArtifactPattern::new("out/a").unwrap();
        assert!(fixed.enter(fixed.begin(), "src").is_dead());
    }

    proptest! {
        /// Every path without a hidden name matches itself, regardless of the characters in it.
        #[test]
        fn escaped_path_matches_itself(path in "[^./\0][^/\0]{0,8}(/[^./\0][^/\0]{0,8}){0,3}") {
            let escaped: String = path.chars().flat_map(|char| {
                let escape = matches!(char, '*' | '?' | '[' | '\\').then_some('\\');
                escape.into_iter().chain([char])
            }).collect();
            prop_assert!(matches(&escaped, &path));
        }

        /// Parsing and matching terminate for every text.
        #[test]
        fn any_text_is_parsed_or_refused(pattern in "\\PC{0,40}", path in "\\PC{0,40}") {
            if let Ok(pattern) = ArtifactPattern::new(&pattern) {
                let _ = pattern.matches(&path);
            }
        }
    }
}
