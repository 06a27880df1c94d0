//! Splits output into lines, separately for stdout and stderr.

use longhaul_domain::Timestamp;
use longhaul_ports::{OutputChunk, OutputSource};
use longhaul_view::{LineSplitter, TerminalPolicy, sanitize};
use std::borrow::Cow;

/// Maximum length of a line in bytes; a longer line is split into parts of about this size.
const MAX_LINE_LEN: usize = 64 * 1024;

/// Assembles lines from chunks of output.
#[derive(Debug, Default)]
pub(super) struct LineFeed {
    stdout: PartialLine,
    stderr: PartialLine,
}

/// The start of a line whose end has not been read yet.
#[derive(Debug, Default)]
struct PartialLine {
    offset: u64,
    at: Timestamp,
    bytes: Vec<u8>,
    /// True if the partial line was already shown with its current length.
    shown: bool,
}

/// One line of output.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputLine<'a> {
    /// Offset of the first byte of the line. It is unique among the lines of a stream.
    pub(super) offset: u64,
    pub(super) source: OutputSource,
    /// Time at which the last part of the line was read.
    pub(super) at: Timestamp,
    bytes: &'a [u8],
}

impl LineFeed {
    /// Adds a chunk and calls `show` with each completed line.
    pub(super) fn take(&mut self, chunk: &OutputChunk, mut show: impl FnMut(OutputLine<'_>)) {
        let source = chunk.source;
        let unfinished = match source {
            OutputSource::Stdout => &mut self.stdout,
            OutputSource::Stderr => &mut self.stderr,
        };
        let mut offset = chunk.offset;
        for piece in LineSplitter::new(&chunk.bytes) {
            if unfinished.bytes.is_empty() {
                unfinished.offset = offset;
            }
            if piece.is_complete() && unfinished.bytes.is_empty() {
                show(OutputLine { offset, source, at: chunk.at, bytes: piece.bytes() });
                offset += length(piece.bytes());
                continue;
            }
            offset += length(piece.bytes());
            unfinished.bytes.extend_from_slice(piece.bytes());
            unfinished.shown = false;
            unfinished.at = chunk.at;
            if piece.is_complete() || unfinished.bytes.len() >= MAX_LINE_LEN {
                show(unfinished.line(source));
                unfinished.bytes.clear();
            }
        }
    }

    /// Drops the partial lines, because the output after them is missing.
    pub(super) fn interrupt(&mut self) {
        *self = Self::default();
    }

    /// Calls `show` with lines that have no end yet, such as prompts.
    pub(super) fn show_unfinished(&mut self, mut show: impl FnMut(OutputLine<'_>)) {
        for (source, unfinished) in
            [(OutputSource::Stdout, &mut self.stdout), (OutputSource::Stderr, &mut self.stderr)]
        {
            if unfinished.waits() {
                unfinished.shown = true;
                show(unfinished.line(source));
            }
        }
    }
}

impl PartialLine {
    fn line(&self, source: OutputSource) -> OutputLine<'_> {
        OutputLine { offset: self.offset, source, at: self.at, bytes: &self.bytes }
    }

    const fn waits(&self) -> bool {
        !self.shown && !self.bytes.is_empty()
    }
}

impl OutputLine<'_> {
    /// Returns the text of the line without its line end and terminal control sequences.
    pub(super) fn text(&self) -> Cow<'_, str> {
        let bytes = match self.bytes {
            [text @ .., b'\r', b'\n'] | [text @ .., b'\n'] => text,
            text => text,
        };
        // `fold` always visits all bytes, so the compiler can check several bytes at once.
        if bytes.iter().fold(true, |is_plain, byte| is_plain & matches!(byte, b'\t' | b' '..=b'~')) {
            return String::from_utf8_lossy(bytes);
        }
        Cow::Owned(String::from_utf8_lossy(&sanitize(bytes, TerminalPolicy::Plain)).into_owned())
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns true if the feed holds a partial line that it has not passed on with its current length.
    const fn waits(feed: &LineFeed) -> bool {
        feed.stdout.waits() || feed.stderr.waits()
    }

    fn chunk(offset: u64, source: OutputSource, bytes: &[u8]) -> OutputChunk {
        OutputChunk { offset, source, at: Timestamp(0), bytes: bytes.to_vec() }
    }

    fn lines(feed: &mut LineFeed, chunk: &OutputChunk) -> Vec<(u64, String)> {
        let mut lines = Vec::new();
        feed.take(chunk, |line| lines.push((line.offset, line.text().into_owned())));
        lines
    }

    #[test]
    fn lines_of_two_streams_are_put_together_each_by_itself() {
        let mut feed = LineFeed::default();
        assert_eq!(lines(&mut feed, &chunk(0, OutputSource::Stdout, b"one\ntw")), [(0, "one".to_owned())]);
        let stderr = chunk(6, OutputSource::Stderr, b"oops\r\n");
        assert_eq!(lines(&mut feed, &stderr), [(6, "oops".to_owned())]);
        assert_eq!(lines(&mut feed, &chunk(12, OutputSource::Stdout, b"o\n")), [(4, "two".to_owned())]);
    }

    #[test]
    fn an_unfinished_line_is_shown_once_and_again_when_it_has_grown() {
        let mut feed = LineFeed::default();
        assert_eq!(lines(&mut feed, &chunk(0, OutputSource::Stdout, b"Name")), []);
        let mut shown = Vec::new();
        for _ in 0..2 {
            feed.show_unfinished(|line| shown.push(line.text().into_owned()));
        }
        assert_eq!(lines(&mut feed, &chunk(4, OutputSource::Stdout, b": ")), []);
        assert!(waits(&feed));
        feed.show_unfinished(|line| shown.push(line.text().into_owned()));
        assert_eq!(shown, ["Name", "Name: "]);
        assert!(!waits(&feed));
        assert_eq!(lines(&mut feed, &chunk(6, OutputSource::Stdout, b"x\n")), [(0, "Name: x".to_owned())]);
    }

    #[test]
    fn a_line_without_end_is_taken_in_pieces_and_one_without_begin_not_at_all() {
        let mut feed = LineFeed::default();
        let long = vec![b'x'; MAX_LINE_LEN - 1];
        assert_eq!(lines(&mut feed, &chunk(0, OutputSource::Stdout, &long)), []);
        assert_eq!(lines(&mut feed, &chunk(length(&long), OutputSource::Stdout, b"xx")).len(), 1);
        assert!(!waits(&feed));
        lines(&mut feed, &chunk(90_000, OutputSource::Stdout, b"begin"));
        feed.interrupt();
        assert_eq!(
            lines(&mut feed, &chunk(95_000, OutputSource::Stdout, b"end\n")),
            [(95_000, "end".to_owned())]
        );
    }

    #[test]
    fn control_sequences_are_not_part_of_a_line() {
        let mut feed = LineFeed::default();
        let red = chunk(0, OutputSource::Stderr, b"\x1b[31merror\x1b[0m: no\n");
        assert_eq!(lines(&mut feed, &red), [(0, "error: no".to_owned())]);
    }

    #[test]
    fn line_of_the_maximum_length_is_shown_at_once() {
        assert_eq!(MAX_LINE_LEN, 65_536);
        let mut feed = LineFeed::default();
        assert_eq!(lines(&mut feed, &chunk(0, OutputSource::Stdout, &[b'x'; 65_535])).len(), 0);
        assert_eq!(lines(&mut feed, &chunk(65_535, OutputSource::Stdout, b"x")).len(), 1);
        assert!(!waits(&feed));
        assert_eq!(
            lines(&mut feed, &chunk(65_536, OutputSource::Stdout, b"a\nb\n")),
            [(65_536, "a".to_owned()), (65_538, "b".to_owned())]
        );
    }

    #[test]
    fn each_stream_waits_by_itself() {
        for source in [OutputSource::Stdout, OutputSource::Stderr] {
            let mut feed = LineFeed::default();
            assert!(!waits(&feed));
            lines(&mut feed, &chunk(0, source, b"Name: "));
            assert!(waits(&feed));
            let mut shown = Vec::new();
            feed.show_unfinished(|line| shown.push((line.source, line.text().into_owned())));
            assert_eq!(shown, [(source, "Name: ".to_owned())]);
            assert!(!waits(&feed));
        }
    }

    #[test]
    fn only_bytes_that_a_terminal_shows_are_text() {
        let mut feed = LineFeed::default();
        let line = chunk(0, OutputSource::Stdout, "a\tb ~\u{7f}\u{e9}\n".as_bytes());
        assert_eq!(lines(&mut feed, &line)[0].1, "a\tb ~\u{e9}");
    }
}
