//! Patterns that strangers chose.

use regex::bytes::{Regex, RegexBuilder};
use std::fmt;

/// The longest pattern, in bytes.
const LONGEST: usize = 1024;
/// The most memory that a compiled pattern may take, in bytes.
const COMPILED: usize = 2 * 1024 * 1024;
/// The most memory that its matcher may take for what it has seen, in bytes.
const CACHED: usize = 2 * 1024 * 1024;
/// How deep groups may stand in each other.
const DEPTH: u32 = 64;

/// A regular expression whose search takes time in proportion to what is searched, whatever it says.
///
/// # Examples
///
/// ```
/// use longhaul_view::{Case, Pattern};
///
/// let pattern = Pattern::new(r"error(\[E\d+\])?:", Case::Ignored)?;
/// assert!(pattern.is_match(b"Error[E0308]: mismatched types"));
/// # Ok::<(), longhaul_view::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
}

/// Whether upper and lower case differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They do.
    Kept,
    /// They do not.
    Ignored,
}

/// Why a text is refused as a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It is empty.
    Empty,
    /// It has more than 1,024 bytes.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// What it stands for takes too much memory, as large repetitions of repetitions do.
    TooLarge,
    /// It is no regular expression.
    Broken {
        /// What is wrong with it.
        why: String,
    },
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// [`PatternError`] if it is none, or one that costs too much.
    pub fn new(text: &str, case: Case) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > LONGEST {
            return Err(PatternError::TooLong { length: text.len() });
        }
        let regex = RegexBuilder::new(text)
            .case_insensitive(case == Case::Ignored)
            .nest_limit(DEPTH)
            .size_limit(COMPILED)
            .dfa_size_limit(CACHED)
            .build()
            .map_err(|error| refusal(&error))?;
        Ok(Self { regex })
    }

    /// Tells whether a line matches.
    #[must_use]
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.regex.is_match(line)
    }

    /// Finds the first match in a line: where it begins and where it ends.
    pub(crate) fn find(&self, line: &[u8]) -> Option<(usize, usize)> {
        self.regex.find(line).map(|found| (found.start(), found.end()))
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the pattern is empty"),
            Self::TooLong { length } => {
                write!(f, "the pattern has {length} bytes, and {LONGEST} are the most")
            }
            Self::TooLarge => f.write_str("the pattern stands for too much: its repetitions are too large"),
            Self::Broken { why } => write!(f, "the pattern is no regular expression: {why}"),
        }
    }
}

impl std::error::Error for PatternError {}

fn refusal(error: &regex::Error) -> PatternError {
    if matches!(error, regex::Error::CompiledTooBig(_)) {
        return PatternError::TooLarge;
    }
    // The parser draws the pattern and points into it; its last line says what is wrong.
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default();
    PatternError::Broken { why: why.trim().trim_start_matches("error: ").to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_pattern_is_refused_with_its_reason() {
        let refused = |text: &str| Pattern::new(text, Case::Kept).unwrap_err();
        assert_eq!(refused(""), PatternError::Empty);
        assert_eq!(refused(&"a".repeat(1_025)), PatternError::TooLong { length: 1_025 });
        assert_eq!(refused(r"((((\w{100}){100}){100}){100})"), PatternError::TooLarge);
        let deep = format!("{}a{}", "(".repeat(200), ")".repeat(200));
        assert!(matches!(refused(&deep), PatternError::Broken { .. }));
        assert_eq!(refused("(a").to_string(), "the pattern is no regular expression: unclosed group");
        assert!(matches!(refused(r"(a)\1"), PatternError::Broken { .. }));
    }

    #[test]
    fn catastrophe_of_others_is_none_here() {
        let pattern = Pattern::new("(a*)*b", Case::Kept).unwrap();
        assert!(!pattern.is_match(&vec![b'a'; 100_000]));
    }

    #[test]
    fn case_counts_unless_it_is_ignored() {
        assert!(!Pattern::new("größe", Case::Kept).unwrap().is_match("GRÖSSE GRÖßE".as_bytes()));
        assert!(Pattern::new("größe", Case::Ignored).unwrap().is_match("GRÖßE".as_bytes()));
    }
}
