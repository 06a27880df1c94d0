//! Bounded text of an error that spans several lines.

use super::finding::MAX_MESSAGE_LEN;
use crate::bounded_text::cut;

/// Maximum number of stored lines of one error.
pub const MAX_BLOCK_LINES: usize = 200;
/// Maximum length of the stored lines of one error in bytes.
pub const MAX_BLOCK_LEN: usize = 16 * 1024;

/// The first lines of an error.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockText {
    text: String,
    stored: usize,
}

impl BlockText {
    /// Adds a line if the limits allow it. Long lines are cut, so that a single line does not use the space of the
    /// other lines.
    pub(super) fn add(&mut self, line: &str) {
        let room = MAX_BLOCK_LEN.saturating_sub(self.text.len());
        if self.stored < MAX_BLOCK_LINES && room > 1 {
            self.text.push_str(cut(line, MAX_MESSAGE_LEN.min(room - 1)));
            self.text.push('\n');
            self.stored += 1;
        }
    }

    /// Returns the number of stored lines.
    pub(super) const fn lines(&self) -> usize {
        self.stored
    }

    /// Returns the stored lines without empty lines at the end. Returns `None` if there is at most one line.
    pub(super) fn into_detail(mut self) -> Option<String> {
        self.text.truncate(self.text.trim_end().len());
        self.text.contains('\n').then_some(self.text)
    }
}
