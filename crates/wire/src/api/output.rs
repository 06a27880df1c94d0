//! Output as text: pages under a budget, and what a search found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which stream is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamChoice {
    /// Both, in the order in which they were written.
    #[default]
    Both,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Asks for a page of output: at most one of `cursor`, `from_line` and `tail_lines`; without any of them its head and
/// tail are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadRequest {
    /// Go on here; a cursor names its attempt and its stream, which must not be said otherwise then.
    pub cursor: Option<String>,
    /// Stop here: the end of what was omitted.
    pub to_cursor: Option<String>,
    /// Begin with this line, counted from 1.
    pub from_line: Option<u64>,
    /// Show the last lines, so many.
    pub tail_lines: Option<u32>,
    /// Which attempt; the latest by default.
    pub attempt: Option<u32>,
    /// Which stream; both by default.
    pub stream: Option<StreamChoice>,
    /// The most tokens of the answer, a token being four bytes: 100 to 8,000; 1,500 by default.
    pub max_tokens: Option<u32>,
    /// Fold and strip nothing.
    pub raw: bool,
    /// Wait for so many milliseconds until there is more than the cursor has seen; at most 55,000.
    pub wait_ms: Option<u64>,
}

/// A page of output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutputView {
    /// Which attempt wrote it; 0 before the first.
    pub attempt: u32,
    /// The begin of the output, where a part between it and `text` was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// What was left out before `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omitted: Option<OmittedOutput>,
    /// So many bytes right before `text` were dropped from a log that grew too long, and cannot be read any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_bytes: Option<u64>,
    /// Where output could not be stored, because the disk was full or failing: among what is told here, its begin and end
    /// included. With many such places the last one counts for those behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostOutputView>,
    /// The text, which ends with a whole line unless the line is still being written or alone exceeds the budget.
    pub text: String,
    /// Hand this over to read on; it stays valid, also when the manager is restarted.
    pub next_cursor: String,
    /// True if the attempt is over and all was read.
    pub eof: bool,
    /// What the cursor stood at is gone; this is the oldest that is kept.
    #[serde(skip_serializing_if = "is_false")]
    pub cursor_expired: bool,
    /// Says why this is the last output that was kept beside the record, and not all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_only: Option<TailOnlyReason>,
}

/// Why no more than the last output can be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TailOnlyReason {
    /// The node that has all of it.
    pub node: String,
    /// Why it cannot be asked.
    pub why: String,
    /// What is before this offset is there alone.
    pub from_byte: u64,
}

/// Output that could not be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LostOutputView {
    /// How many bytes.
    pub bytes: u64,
    /// They are missing right before what is read here.
    pub cursor: String,
}

/// A part that was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OmittedOutput {
    /// How many lines, where that was cheap to count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// How many bytes.
    pub bytes: u64,
    /// How many of them were dropped from a log that grew too long, and cannot be read any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_bytes: Option<u64>,
    /// Read on here to see it.
    pub from_cursor: String,
    /// Where it ends.
    pub to_cursor: String,
}

/// Asks for the lines that match a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SearchRequest {
    /// A regular expression of at most 1,024 bytes, without look-around and back-references.
    pub pattern: String,
    /// Lines around each match, 0 to 5; 0 by default.
    pub context: Option<u32>,
    /// The most matches, 1 to 100; 20 by default.
    pub max_matches: Option<u32>,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// Go on here; a cursor names its attempt and its stream, which must not be said otherwise then.
    pub from_cursor: Option<String>,
    /// Which attempt; the latest by default.
    pub attempt: Option<u32>,
    /// Which stream; both by default.
    pub stream: Option<StreamChoice>,
    /// The most tokens of the answer, a token being four bytes: 100 to 8,000; 1,500 by default.
    pub max_tokens: Option<u32>,
    /// Search the bytes as they were written, escape sequences included.
    pub raw: bool,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SearchView {
    /// Which attempt wrote it; 0 before the first.
    pub attempt: u32,
    /// The matching lines, in their order.
    pub matches: Vec<MatchView>,
    /// How many lines matched of those that were scanned.
    pub total_matches: u64,
    /// How many lines were scanned.
    pub scanned_lines: u64,
    /// True if there are matches that are not shown, or output that was not scanned.
    pub truncated: bool,
    /// Search on here.
    pub next_cursor: String,
    /// So many bytes among those scanned were dropped from a log that grew too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_bytes: Option<u64>,
    /// So many bytes behind the begin of the search could not be stored, because the disk was full or failing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_bytes: Option<u64>,
    /// What the cursor stood at is gone; the search began with the oldest that is kept.
    #[serde(skip_serializing_if = "is_false")]
    pub cursor_expired: bool,
    /// Says why only the last output was searched that was kept beside the record, and not all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_only: Option<TailOnlyReason>,
}

/// A line that matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MatchView {
    /// Its number, counted from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where it begins: read here to see what follows.
    pub cursor: String,
    /// The line, or the part of a long one around the match.
    pub text: String,
    /// The lines before it that no earlier match told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// The lines after it, up to the next match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

/// How much output there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutputCounts {
    /// Bytes of both streams together.
    pub bytes: u64,
    /// Hand this over to read what is written from now on.
    pub next_cursor: String,
    /// True if the middle was dropped because the log grew too long.
    pub truncated: bool,
}

const fn is_false(value: &bool) -> bool {
    !*value
}
