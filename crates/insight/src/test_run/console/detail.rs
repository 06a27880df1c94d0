//! Collects the lines that explain one failure.

use crate::bounded_text::BoundedText;
use crate::test_run::case::MAX_TEXT_LEN;

/// A failure whose lines are being read.
#[derive(Clone, Debug)]
pub(super) struct OpenDetail {
    /// Name of the test, as in the heading.
    pub(super) name: String,
    /// Lines after the heading.
    pub(super) text: BoundedText,
    /// Offset of the heading in the output.
    pub(super) offset: u64,
}

impl OpenDetail {
    /// Starts a failure with the heading of a test, which is at the offset `at`.
    pub(super) fn new(name: &str, at: u64) -> Self {
        Self { name: crate::test_run::text::id(name), text: BoundedText::new(MAX_TEXT_LEN), offset: at }
    }

    /// Adds a line.
    pub(super) fn push(&mut self, line: &str) {
        self.text.push(line.as_bytes());
        self.text.push(b"\n");
    }
}
