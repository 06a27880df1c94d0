//! An error that was found in the output.

use super::trace::TRACE_WEIGHT;
use crate::bounded_text::cut;
use serde::{Deserialize, Serialize};

/// Maximum length of a message and of a file name in bytes.
pub const MAX_MESSAGE_LEN: usize = 1024;

/// Kinds of traces that programs also print for errors that they handle. If there are several such traces, the last one
/// is the error that ended the program.
const LAST_WINS: [&str; 2] = ["python_traceback", "stack_trace"];

/// A stream of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// An error that the output contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Kind of the error, such as `compile_error`, `exception` or `disk_full`.
    pub kind: String,
    /// Name of the rule or the kind of trace that matched.
    pub rule: String,
    /// The error in one line, such as `AssertionError: test_login failed`; at most [`MAX_MESSAGE_LEN`] bytes.
    pub message: String,
    /// Source file, as named in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file; the first line is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in that line; the first column is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Stream that contains the error.
    pub stream: Stream,
    /// Offset of the first line of the error in the output.
    pub offset: u64,
    /// All lines of the error, such as the whole traceback. `None` if the error has only one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How well the error explains the failure, from 0 to 100. An error of the command itself has a greater weight than
    /// the report of a wrapper.
    pub weight: u8,
}

/// Returns the finding that explains the failure best, which is the finding with the greatest weight. If several
/// findings have this weight, returns the first of them, because later errors often follow from the first error. Traces
/// that programs also print for handled errors are an exception: if there are several such traces, returns the last of
/// them, unless this trace only reports the failure of another program.
#[must_use]
pub fn primary(findings: &[Finding]) -> Option<&Finding> {
    findings.iter().reduce(|best, next| if next.explains_more_than(best) { next } else { best })
}

impl Finding {
    /// Returns true if this finding explains the failure better than the finding `earlier`.
    fn explains_more_than(&self, earlier: &Self) -> bool {
        let last_wins = LAST_WINS.contains(&self.rule.as_str()) && LAST_WINS.contains(&earlier.rule.as_str());
        self.weight > earlier.weight || (last_wins && self.weight >= TRACE_WEIGHT.min(earlier.weight))
    }
}

/// Returns the first line of a text without surrounding spaces, cut to [`MAX_MESSAGE_LEN`] bytes.
pub(super) fn one_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    cut(line, MAX_MESSAGE_LEN).trim_end().to_owned()
}
