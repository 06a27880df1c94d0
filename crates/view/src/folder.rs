//! Folding of output that arrives in chunks.

use crate::entry::WindowEntries;
use crate::window::{Window, WindowEnd};

/// Number of new bytes that are collected before they are folded. Without this delay, a long run of equal lines would
/// be scanned again for each new line.
const BATCH_BYTES: usize = 256 * 1024;

/// Folds output chunk by chunk. Redrawn lines are reduced to their last state, equal consecutive lines are shown once
/// with their number, and control bytes are removed.
///
/// The result is the same text as the concatenated pages of the output. Some text is held back until more output
/// arrives, because the next line may equal the last one.
///
/// # Examples
///
/// ```
/// use longhaul_view::LineCollapser;
///
/// let mut folder = LineCollapser::new();
/// let mut shown = folder.push(b" 10%\r100%\nsame\nsa");
/// shown += &folder.push(b"me\nother\n");
/// shown += &folder.finish();
/// assert_eq!(shown, "100%\nsame ×2\nother\n");
/// ```
#[derive(Clone, Debug)]
pub struct LineCollapser {
    window: Window,
    /// Number of bytes at the start of the window that have been scanned but not yet shown, because their text depends
    /// on the bytes that follow.
    waiting: usize,
}

impl LineCollapser {
    /// Creates a line collapser for output that is read from its start.
    #[must_use]
    pub const fn new() -> Self {
        Self { window: Window::new(0), waiting: 0 }
    }

    /// Adds bytes and returns the text that can no longer change. Returns an empty text until enough bytes have been
    /// collected.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.window.push(self.window.next(), bytes);
        let gathered = self.window.bytes().len() - self.waiting;
        if gathered < BATCH_BYTES { String::new() } else { self.decided() }
    }

    /// Ends the output and returns the remaining text.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.window.close(self.window.next(), WindowEnd::Over);
        self.decided()
    }

    fn decided(&mut self) -> String {
        let (mut text, mut end) = (String::new(), 0);
        let mut entries = WindowEntries::new(&self.window, None, 0);
        while let Ok(entry) = entries.next() {
            text.push_str(&entry.text);
            end = entry.end;
        }
        self.window.forget(end);
        self.waiting = self.window.bytes().len();
        text
    }
}

impl Default for LineCollapser {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn pieces_do_not_change_the_result(
            output in prop::collection::vec(
                prop::sample::select(vec![&b"\n"[..], b"\r", b"a", b"same\n", b"same\n", b"\x1b[1m", b"\xc3\xa9", b"\xff"]),
                0..30,
            ),
            sizes in prop::collection::vec(1_usize..100_000, 1..5),
        ) {
            // The filler is several times larger than a batch, so that `push` returns some text before `finish` is
            // called.
            let filler = b"filler\nfiller\n".repeat(BATCH_BYTES / 10);
            let output = [output.concat(), filler.clone(), output.concat(), filler].concat();
            let mut whole = LineCollapser::new();
            let mut expected = whole.push(&output);
            expected.push_str(&whole.finish());
            let (mut folder, mut text, mut rest) = (LineCollapser::new(), String::new(), output.as_slice());
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at((*size).min(rest.len()));
                text.push_str(&folder.push(piece));
                rest = behind;
            }
            text.push_str(&folder.finish());
            prop_assert_eq!(text, expected);
        }
    }
}
