//! Output as text: pages of limited size, and search results.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Output stream to read or search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamChoice {
    /// Both streams, in the order in which they were written.
    #[default]
    Both,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Request for a page of output. At most one of `cursor`, `from_line` and `tail_lines`; without them, the reply shows
/// the start and the end of the output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadRequest {
    /// Cursor at which the page starts. A cursor includes its attempt and its stream; other values in `attempt` and
    /// `stream` are rejected.
    pub cursor: Option<String>,
    /// Cursor at which the page ends, such as the end of an omitted part.
    pub to_cursor: Option<String>,
    /// First line of the page, counted from 1.
    pub from_line: Option<u64>,
    /// Number of lines to show from the end of the output.
    pub tail_lines: Option<u32>,
    /// Attempt whose output is read; the latest by default.
    pub attempt: Option<u32>,
    /// Stream to read; both by default.
    pub stream: Option<StreamChoice>,
    /// Maximum size of the reply in tokens of four bytes: 100 to 8,000; 1,500 by default.
    pub max_tokens: Option<u32>,
    /// True to show the output as it was written: repeated lines are not folded, escape sequences are not removed.
    pub raw: bool,
    /// Maximum time to wait for new output behind the cursor, in milliseconds; at most 55,000.
    pub wait_ms: Option<u64>,
}

/// Page of output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutputView {
    /// Attempt that wrote the output; 0 before the first attempt.
    pub attempt: u32,
    /// Start of the output, if the part between it and `text` was omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Part that was omitted before `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omitted: Option<OmittedOutput>,
    /// Bytes directly before `text` that were dropped because the log was too long; they cannot be read any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_bytes: Option<u64>,
    /// Places on this page where output could not be stored because the disk was full or failed. If there are many, the
    /// last entry includes all later ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostOutputView>,
    /// Text of the page. The text ends with a whole line unless the line is still being written, or is longer than the
    /// page.
    pub text: String,
    /// Cursor for the next page; it remains valid when the manager restarts.
    pub next_cursor: String,
    /// True if the attempt has ended and its output was read to the end.
    pub eof: bool,
    /// True if the position of the cursor was deleted; the page then starts with the oldest output that is stored.
    #[serde(skip_serializing_if = "is_false")]
    pub cursor_expired: bool,
    /// Reason why only the end of the output can be shown; missing if all of it is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_only: Option<TailOnlyReason>,
}

/// Reason why only the output tail can be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TailOnlyReason {
    /// Name of the node that has the whole output.
    pub node: String,
    /// Reason why that node cannot be asked.
    pub why: String,
    /// Byte offset at which the tail starts. Output before it is only on that node.
    pub from_byte: u64,
}

/// Output that could not be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LostOutputView {
    /// Number of missing bytes.
    pub bytes: u64,
    /// Cursor of the place where the bytes are missing.
    pub cursor: String,
}

/// Part of the output that was omitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OmittedOutput {
    /// Number of omitted lines; missing if counting them would be expensive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Number of omitted bytes.
    pub bytes: u64,
    /// Number of the omitted bytes that were dropped because the log was too long; they cannot be read any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_bytes: Option<u64>,
    /// Cursor at which the omitted part starts.
    pub from_cursor: String,
    /// Cursor at which the omitted part ends.
    pub to_cursor: String,
}

/// Search for lines that match a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SearchRequest {
    /// Regular expression of at most 1,024 bytes, without look-around and back-references.
    pub pattern: String,
    /// Number of lines to show before and after each match, 0 to 5; 0 by default.
    pub context: Option<u32>,
    /// Maximum number of matches, 1 to 100; 20 by default.
    pub max_matches: Option<u32>,
    /// True to ignore the difference between upper and lower case.
    pub ignore_case: bool,
    /// Cursor at which the search starts. A cursor includes its attempt and its stream; other values in `attempt` and
    /// `stream` are rejected.
    pub from_cursor: Option<String>,
    /// Attempt whose output is searched; the latest by default.
    pub attempt: Option<u32>,
    /// Stream to search; both by default.
    pub stream: Option<StreamChoice>,
    /// Maximum size of the reply in tokens of four bytes: 100 to 8,000; 1,500 by default.
    pub max_tokens: Option<u32>,
    /// True to search the bytes as they were written, including escape sequences.
    pub raw: bool,
}

/// Result of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SearchView {
    /// Attempt that wrote the output; 0 before the first attempt.
    pub attempt: u32,
    /// Matching lines, in the order of the output.
    pub matches: Vec<MatchView>,
    /// Number of matching lines among the scanned lines.
    pub total_matches: u64,
    /// Number of scanned lines.
    pub scanned_lines: u64,
    /// True if some matches are not shown, or some output was not scanned.
    pub truncated: bool,
    /// Cursor from which the search can be continued.
    pub next_cursor: String,
    /// Number of bytes in the scanned range that were dropped because the log was too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_bytes: Option<u64>,
    /// Number of bytes behind the start of the search that could not be stored because the disk was full or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_bytes: Option<u64>,
    /// True if the position of the cursor was deleted; the search then started with the oldest output that is stored.
    #[serde(skip_serializing_if = "is_false")]
    pub cursor_expired: bool,
    /// Reason why only the end of the output was searched; missing if all of it is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_only: Option<TailOnlyReason>,
}

/// Line that matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MatchView {
    /// Line number, counted from 1; missing if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Cursor of the start of the line, from which the output can be read.
    pub cursor: String,
    /// Text of the line; of a long line, the part around the match.
    pub text: String,
    /// Lines before the match, without those that an earlier match shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Lines after the match, up to the next match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

const fn is_false(value: &bool) -> bool {
    !*value
}
