//! Rules as they are written in TOML.

use super::finding::Stream;
use serde::Deserialize;

/// A TOML file that contains rules.
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
    /// Kind of the findings of this rule.
    pub(super) kind: String,
    /// Regular expression for one line, with the optional groups `message`, `file`, `line` and `column`.
    pub(super) pattern: String,
    /// Template for the message, in which `${group}` stands for the text of a group. The default is the group
    /// `message`, or the whole line if the pattern has no group `message`.
    pub(super) message: Option<String>,
    /// Stream to which the rule applies. The default is both streams.
    pub(super) stream: Option<Stream>,
    /// Weight of the findings, from 0 to 100.
    #[serde(default = "default_weight")]
    pub(super) weight: u8,
    /// Required texts: a line must contain at least one of these texts. The texts make the search fast, because without
    /// them, the pattern is tried on each line.
    #[serde(default)]
    pub(super) contains: Vec<String>,
    /// True if the rule also applies to traces: a trace gets the kind of the rule if its final message matches.
    #[serde(default)]
    pub(super) refine: bool,
    /// Weight of a trace whose final message matches. The default is the original weight of the trace.
    pub(super) trace_weight: Option<u8>,
    /// True if a matching line is not an error.
    #[serde(default)]
    pub(super) ignore: bool,
    /// True if a matching line states an error that the command survived, such as a retry. The next matching rule
    /// determines the finding, but the weight of the finding is at most the weight of this rule.
    #[serde(default)]
    pub(super) demote: bool,
    /// Lines after the matching line that belong to the error.
    pub(super) block: Option<RawBlock>,
}

/// Describes the lines that belong to an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBlock {
    /// Regular expression of the last line.
    pub(super) until: Option<String>,
    /// Regular expression that every line of the block must match.
    #[serde(rename = "while")]
    pub(super) matching: Option<String>,
    /// Maximum number of lines, including the first line.
    pub(super) max_lines: Option<usize>,
    /// Regular expression with the groups `file`, `line` and `column`. The first line that matches gives the place of
    /// the error.
    pub(super) location: Option<String>,
    /// Regular expression with the group `message`. The text of this group in the first matching line is appended to
    /// the message of the finding.
    pub(super) message: Option<String>,
    /// Kind of the finding if a line of the block gives the place of the error.
    pub(super) located_kind: Option<String>,
}

const fn default_weight() -> u8 {
    50
}
