//! Rules as they are written in TOML.

use super::finding::Stream;
use serde::Deserialize;

/// A file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRules {
    /// Rules in the order in which they are tried.
    #[serde(default)]
    pub(super) rule: Vec<RawRule>,
}

/// A rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    /// Unique name.
    pub(super) name: String,
    /// Kind of the finding.
    pub(super) kind: String,
    /// Regular expression for one line, with the optional groups `message`, `file`, `line` and `column`.
    pub(super) pattern: String,
    /// Message with `${group}` for each group; by default the group `message`, or else the line.
    pub(super) message: Option<String>,
    /// Stream that the rule reads; by default both.
    pub(super) stream: Option<Stream>,
    /// Weight of the finding from 0 to 100.
    #[serde(default = "default_weight")]
    pub(super) weight: u8,
    /// Texts of which a line must contain at least one. They make the search fast; without them the pattern is tried on
    /// each line.
    #[serde(default)]
    pub(super) contains: Vec<String>,
    /// True if the rule also gives its kind to a trace whose final message matches.
    #[serde(default)]
    pub(super) refine: bool,
    /// Weight of such a trace; by default that of the trace.
    pub(super) trace_weight: Option<u8>,
    /// True if a matching line states no error.
    #[serde(default)]
    pub(super) ignore: bool,
    /// Lines behind the matching one that belong to the error.
    pub(super) block: Option<RawBlock>,
}

/// Lines that belong to an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBlock {
    /// Regular expression of the last line.
    pub(super) until: Option<String>,
    /// Regular expression that all lines match.
    #[serde(rename = "while")]
    pub(super) matching: Option<String>,
    /// Maximum number of lines, with the first one.
    pub(super) max_lines: Option<usize>,
    /// Regular expression with groups `file`, `line` and `column`. The first line that matches is the place of the
    /// error.
    pub(super) location: Option<String>,
    /// Regular expression with the group `message`. The first line that matches continues the message of the finding.
    pub(super) message: Option<String>,
    /// Kind of the finding if the block has a place.
    pub(super) located_kind: Option<String>,
}

const fn default_weight() -> u8 {
    50
}
