//! Texts of bounded length.

use longhaul_view::{TerminalPolicy, sanitize};
use std::borrow::Cow;

/// Returns the start of a text, at most `limit` bytes long.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

/// Returns the bytes as text without control characters other than tabs and line feeds.
pub(crate) fn clean(bytes: &[u8]) -> Cow<'_, str> {
    let is_clean = bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n'));
    if let (true, Ok(text)) = (is_clean, std::str::from_utf8(bytes)) {
        return Cow::Borrowed(text);
    }
    let text = String::from_utf8_lossy(&sanitize(bytes, TerminalPolicy::Plain)).into_owned();
    Cow::Owned(if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text })
}

/// Collects a text that arrives in chunks. Only the start and the end of a long text are stored, because they are its
/// most informative parts.
#[derive(Clone, Debug)]
pub(crate) struct BoundedText {
    limit: usize,
    start: Vec<u8>,
    end: Vec<u8>,
    is_cut: bool,
}

impl BoundedText {
    /// Creates an empty text that stores about `limit` bytes: three quarters for the start, and one quarter for the
    /// end.
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, start: Vec::new(), end: Vec::new(), is_cut: false }
    }

    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = (self.limit / 4).saturating_mul(3).saturating_sub(self.start.len());
        let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.start.extend_from_slice(first);
        let room = self.limit / 4;
        let kept = rest.len().saturating_sub(room);
        self.is_cut |= kept > 0;
        self.end.extend_from_slice(rest.get(kept..).unwrap_or_default());
        if self.end.len() > room.saturating_mul(2) {
            self.is_cut = true;
            self.end.drain(..self.end.len().saturating_sub(room));
        }
    }

    /// Returns the text without control characters. An ellipsis replaces the part that was left out.
    pub(crate) fn text(&self) -> String {
        let room = self.limit / 4;
        if !self.is_cut && self.end.len() <= room {
            let whole = [self.start.as_slice(), self.end.as_slice()].concat();
            return clean(&whole).into_owned();
        }
        let end = self.end.get(self.end.len().saturating_sub(room)..).unwrap_or_default();
        format!("{}\n…\n{}", clean(whole_chars(&self.start)), clean(end))
    }
}

/// Returns the bytes without an incomplete UTF-8 character at their end.
fn whole_chars(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.get(..error.valid_up_to()).unwrap_or_default(),
        Ok(_) | Err(_) => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_keeps_its_start_and_its_end() {
        for piece in [1, 7, 1000] {
            let mut text = BoundedText::new(40);
            let input = format!("start{}end", "x".repeat(500));
            input.as_bytes().chunks(piece).for_each(|bytes| text.push(bytes));
            assert_eq!(text.text(), format!("start{}\n…\n{}end", "x".repeat(25), "x".repeat(7)));
        }
        let mut text = BoundedText::new(40);
        text.push(b"exactly forty bytes are kept as they are");
        assert_eq!(text.text(), "exactly forty bytes are kept as they are");
    }

    #[test]
    fn control_characters_are_removed_and_lines_stay() {
        assert_eq!(clean(b"a\x1b[31mb\x1b[0m\r\nc\td\x07"), "ab\nc\td");
        assert_eq!(clean("größe".as_bytes()), "größe");
        assert_eq!(clean(b"\xff"), "\u{fffd}");
    }
}
