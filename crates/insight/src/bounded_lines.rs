//! Splitting of output into lines of bounded length, for parsers.

use longhaul_view::{TerminalPolicy, sanitize};

/// Maximum length of a line in bytes. If a line is longer, the rest of it is dropped.
pub const MAX_LINE_LEN: usize = 16 * 1024;

/// A complete line of output, without control bytes and without its line ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Text of the line. Bytes that are not UTF-8 are replaced.
    pub text: &'a str,
    /// Offset of the first byte of the line in the output.
    pub offset: u64,
}

/// Splits output that arrives in chunks into lines.
///
/// A carriage return starts the line again, as on a terminal. If a program redraws a line, only the last state of the
/// line is returned.
#[derive(Clone, Debug, Default)]
pub struct BoundedLines {
    /// Bytes of the current line.
    held: Vec<u8>,
    /// Offset of the first byte of the current line.
    start: u64,
    /// Offset of the next byte to read.
    next: u64,
}

impl BoundedLines {
    /// Adds bytes and calls `line` for each line that is complete.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(Line<'_>)) {
        let mut rest = bytes;
        while let Some(feed) = memchr::memchr(b'\n', rest) {
            let (piece, behind) = rest.split_at_checked(feed).unwrap_or((rest, &[]));
            self.next = self.next.saturating_add(to_u64(piece.len()).saturating_add(1));
            if self.held.is_empty() {
                let piece = piece.get(..MAX_LINE_LEN).unwrap_or(piece);
                release(piece, self.start, &mut line);
            } else {
                self.hold(piece);
                release(&self.held, self.start, &mut line);
                self.held.clear();
            }
            self.start = self.next;
            rest = behind.get(1..).unwrap_or_default();
        }
        self.hold(rest);
        self.next = self.next.saturating_add(to_u64(rest.len()));
    }

    /// Adds bytes that start at an offset of the output. An unfinished line keeps its own offset.
    pub fn push_at(&mut self, offset: u64, bytes: &[u8], line: impl FnMut(Line<'_>)) {
        if self.next == self.start {
            self.start = offset;
        }
        self.next = offset;
        self.push(bytes, line);
    }

    /// Ends the output: calls `line` for an unfinished last line.
    pub fn finish(&mut self, mut line: impl FnMut(Line<'_>)) {
        if self.next > self.start {
            release(&self.held, self.start, &mut line);
            self.held.clear();
            self.start = self.next;
        }
    }

    /// Skips missing output. `bytes` is the number of missing bytes, or 0 if the number is unknown. The unfinished line
    /// is dropped.
    pub fn skip(&mut self, bytes: u64) {
        self.held.clear();
        self.next = self.next.saturating_add(bytes);
        self.start = self.next;
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_LEN.saturating_sub(self.held.len());
        self.held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

/// Calls `line` with the text of a complete line.
fn release(whole: &[u8], offset: u64, line: &mut impl FnMut(Line<'_>)) {
    let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
    if let (true, Ok(text)) = (is_plain(whole), std::str::from_utf8(whole)) {
        return line(Line { text, offset });
    }
    let shown = memchr::memrchr(b'\r', whole).map_or(whole, |at| whole.get(at + 1..).unwrap_or_default());
    line(Line { text: &String::from_utf8_lossy(&sanitize(shown, TerminalPolicy::Plain)), offset });
}

/// Returns true if all bytes are printable ASCII characters or tabs. Such bytes need no cleaning.
///
/// `fold` always visits all bytes, so the compiler can check several bytes at once.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |is_plain, byte| is_plain & matches!(byte, b' '..=b'~' | b'\t'))
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(pieces: &[&[u8]]) -> Vec<(u64, String)> {
        let (mut splitter, mut lines) = (BoundedLines::default(), Vec::new());
        for piece in pieces {
            splitter.push(piece, |line| lines.push((line.offset, line.text.to_owned())));
        }
        splitter.finish(|line| lines.push((line.offset, line.text.to_owned())));
        lines
    }

    #[test]
    fn lines_have_offsets_and_no_control_bytes() {
        let found = lines(&[b"one\r\n\x1b[31mt", b"wo\x1b[0m\n 10%\r100%\nlast"]);
        let expected = [(0, "one"), (5, "two"), (18, "100%"), (28, "last")];
        assert_eq!(found, expected.map(|(offset, text)| (offset, text.to_owned())));
    }

    #[test]
    fn lines_of_merged_streams_keep_their_offsets() {
        let (mut splitter, mut found) = (BoundedLines::default(), Vec::new());
        for (offset, piece) in [(11, "warning: x\n"), (0, "test a "), (22, "ok\ntest b\n"), (40, "last")] {
            splitter
                .push_at(offset, piece.as_bytes(), |line| found.push((line.offset, line.text.to_owned())));
        }
        splitter.finish(|line| found.push((line.offset, line.text.to_owned())));
        let expected = [(11, "warning: x"), (0, "test a ok"), (25, "test b"), (40, "last")];
        assert_eq!(found, expected.map(|(offset, text)| (offset, text.to_owned())));
    }

    #[test]
    fn long_line_is_cut_and_the_next_line_has_its_own_offset() {
        let mut output = vec![b'x'; MAX_LINE_LEN + 9];
        output.extend(b"\nnext\n");
        let found = lines(&[&output]);
        assert_eq!(found[0].1.len(), MAX_LINE_LEN);
        assert_eq!(found[1], (u64::try_from(MAX_LINE_LEN + 10).unwrap(), "next".to_owned()));
    }

    #[test]
    fn skipped_output_drops_the_unfinished_line() {
        let (mut splitter, mut found) = (BoundedLines::default(), Vec::new());
        splitter.push(b"half", |_| {});
        splitter.skip(10);
        splitter.push(b"whole\n", |line| found.push((line.offset, line.text.to_owned())));
        assert_eq!(found, [(14, "whole".to_owned())]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_pieces(output in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
            let (first, second) = output.split_at(cut.min(output.len()));
            prop_assert_eq!(lines(&[first, second]), lines(&[&output]));
        }
    }
}
