//! Regular expressions that come from untrusted users.

use regex::bytes::{Regex, RegexBuilder};
use std::fmt;

/// Maximum length of a pattern, in bytes.
const MAX_PATTERN_LEN: usize = 1024;
/// Maximum memory that a compiled pattern may use, in bytes.
const COMPILED: usize = 1024 * 1024;
/// Maximum memory that the state cache of the matcher may use, in bytes.
const CACHED: usize = 2 * 1024 * 1024;
/// Maximum nesting depth of groups.
const DEPTH: u32 = 64;

/// Regular expression whose search time is always proportional to the length of the searched text.
///
/// # Examples
///
/// ```
/// use longhaul_view::{CaseMode, Pattern};
///
/// let pattern = Pattern::new(r"error(\[E\d+\])?:", CaseMode::Ignored)?;
/// assert!(pattern.is_match(b"Error[E0308]: mismatched types"));
/// # Ok::<(), longhaul_view::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    line: Regex,
    /// Variant of the pattern that can search many lines at once. `None` if a match depends on where the text starts or
    /// ends.
    lines: Option<Regex>,
}

/// Whether a search distinguishes upper and lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseMode {
    /// The search distinguishes upper and lower case.
    Kept,
    /// The search ignores the difference between upper and lower case.
    Ignored,
}

/// Reason why a text is refused as a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// The text is empty.
    Empty,
    /// The text is longer than 1,024 bytes.
    TooLong {
        /// Length of the text in bytes.
        length: usize,
    },
    /// The compiled pattern needs too much memory, for example because of large nested repetitions.
    TooLarge,
    /// The text is not a valid regular expression.
    Broken {
        /// Description of the syntax error.
        why: String,
    },
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// Returns [`PatternError`] if the text is not a valid regular expression or exceeds a limit.
    pub fn new(text: &str, case: CaseMode) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_PATTERN_LEN {
            return Err(PatternError::TooLong { length: text.len() });
        }
        let mut builder = RegexBuilder::new(text);
        builder
            .case_insensitive(case == CaseMode::Ignored)
            .nest_limit(DEPTH)
            .size_limit(COMPILED)
            .dfa_size_limit(CACHED);
        let line = builder.build().map_err(|error| refusal(&error))?;
        let lines = if is_bound(text) { None } else { builder.multi_line(true).build().ok() };
        Ok(Self { line, lines })
    }

    /// Returns true if the pattern matches a part of the line.
    #[must_use]
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.line.is_match(line)
    }

    /// Returns the start and end index of the first match in a line.
    pub(crate) fn find(&self, line: &[u8]) -> Option<(usize, usize)> {
        self.line.find(line).map(|found| (found.start(), found.end()))
    }
}

impl Pattern {
    /// Returns true if at least one of several lines may match. If the result is false, none of the lines matches.
    ///
    /// A match within a single line is also a match within the joined lines, because `^`, `$` and `\b` behave the same
    /// way at the start and end of the line in both cases.
    pub(crate) fn may_match(&self, lines: &[u8]) -> bool {
        self.lines.as_ref().is_none_or(|regex| regex.is_match(lines))
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the pattern is empty"),
            Self::TooLong { length } => {
                write!(f, "the pattern has {length} bytes; the maximum is {MAX_PATTERN_LEN}")
            }
            Self::TooLarge => f.write_str("the pattern is too complex: its repetitions are too large"),
            Self::Broken { why } => write!(f, "the pattern is not a regular expression: {why}"),
        }
    }
}

impl std::error::Error for PatternError {}

/// Returns true if a match depends on where the searched text starts or ends. In this case the lines must be searched
/// one by one.
fn is_bound(text: &str) -> bool {
    let changes_edges = |group: &str| {
        let end = group.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(group.len());
        let (flags, rest) = group.split_at_checked(end).unwrap_or_default();
        flags.contains('R') || rest.starts_with('-')
    };
    text.contains(r"\A") || text.contains(r"\z") || text.split("(?").skip(1).any(changes_edges)
}

fn refusal(error: &regex::Error) -> PatternError {
    if matches!(error, regex::Error::CompiledTooBig(_)) {
        return PatternError::TooLarge;
    }
    // The parser's error text contains the pattern with a marker. Only the last line of the text describes the error.
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default();
    PatternError::Broken { why: why.trim().trim_start_matches("error: ").to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_pattern_is_refused_with_its_reason() {
        let refused = |text: &str| Pattern::new(text, CaseMode::Kept).unwrap_err();
        assert_eq!(refused(""), PatternError::Empty);
        assert_eq!(refused(&"a".repeat(1_025)), PatternError::TooLong { length: 1_025 });
        assert_eq!(refused(r"((((\w{100}){100}){100}){100})"), PatternError::TooLarge);
        let deep = format!("{}a{}", "(".repeat(200), ")".repeat(200));
        assert!(matches!(refused(&deep), PatternError::Broken { .. }));
        assert_eq!(refused("(a").to_string(), "the pattern is not a regular expression: unclosed group");
        assert!(matches!(refused(r"(a)\1"), PatternError::Broken { .. }));
    }

    #[test]
    fn pattern_that_looks_at_the_edges_of_the_text_is_known() {
        for text in [r"\Aerror", r"error\z", "(?-m)^a", "(?i-m:^a)", "a(?s-m)$", "(?R)a$"] {
            assert!(Pattern::new(text, CaseMode::Kept).unwrap().lines.is_none(), "{text}");
        }
        for text in ["^error$", "(?i)error", "(a|b)-", "(?P<name>a)-", "(?:a)-"] {
            assert!(Pattern::new(text, CaseMode::Kept).unwrap().lines.is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn line_that_matches_matches_among_others(
            lines in prop::collection::vec("[ab é]{0,4}", 1..5),
            pattern in r"(\^|\\b|\\B|)(a|b|é|[^a]|\\s|\\S|\\W|.|a\*|b\+|\(a\|b\))(a|[^b]|\\s|\\w|\*|\?|)(\$|\\b|\\B|)",
            case in prop_oneof![Just(CaseMode::Kept), Just(CaseMode::Ignored)],
        ) {
            if let Ok(pattern) = Pattern::new(&pattern, case) {
                let any = lines.iter().any(|line| pattern.is_match(line.as_bytes()));
                let mut joined = lines.join("\n");
                joined.push('\n');
                prop_assert!(!any || pattern.may_match(joined.as_bytes()));
            }
        }
    }

    #[test]
    fn catastrophe_of_others_is_none_here() {
        let pattern = Pattern::new("(a*)*b", CaseMode::Kept).unwrap();
        assert!(!pattern.is_match(&vec![b'a'; 100_000]));
    }

    #[test]
    fn case_counts_unless_it_is_ignored() {
        assert!(!Pattern::new("größe", CaseMode::Kept).unwrap().is_match("GRÖSSE GRÖßE".as_bytes()));
        assert!(Pattern::new("größe", CaseMode::Ignored).unwrap().is_match("GRÖßE".as_bytes()));
    }
}
