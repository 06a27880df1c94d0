//! The lines of one stream, with their offsets in the output of both streams.

use crate::bounded_lines::{BoundedLines, Line};

/// Splits one stream into lines.
///
/// Both streams share one sequence of offsets. The bytes of one stream are therefore not contiguous in the output: its
/// next bytes may start at a later offset than the end of its previous bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamLines {
    lines: BoundedLines,
    /// Number of bytes of this stream that `lines` has read.
    read: u64,
    /// Offset in the output of the first byte of the unfinished line.
    unfinished: Option<u64>,
    /// True after a gap, until the next line starts: the rest of a line is not a line.
    is_inside_line: bool,
}

impl StreamLines {
    /// Adds bytes and calls `line` for each complete line with its offset in the output.
    pub(super) fn push(&mut self, offset: u64, bytes: &[u8], mut line: impl FnMut(u64, &str)) {
        let (offset, bytes) = match (self.is_inside_line, memchr::memchr(b'\n', bytes)) {
            (false, _) => (offset, bytes),
            (true, None) => return,
            (true, Some(feed)) => {
                self.is_inside_line = false;
                let rest = bytes.get(feed + 1..).unwrap_or_default();
                (offset.saturating_add(to_u64(feed)).saturating_add(1), rest)
            }
        };
        let (start, unfinished) = (self.read, self.unfinished.take());
        self.lines.push(bytes, |Line { text, offset: own }| {
            line(place(own, start, offset, unfinished), text);
        });
        self.read = start.saturating_add(to_u64(bytes.len()));
        self.unfinished = match memchr::memrchr(b'\n', bytes) {
            Some(feed) if feed + 1 == bytes.len() => None,
            Some(feed) => Some(offset.saturating_add(to_u64(feed)).saturating_add(1)),
            None if bytes.is_empty() => unfinished,
            None => Some(unfinished.unwrap_or(offset)),
        };
    }

    /// Returns true if the next byte starts a line.
    pub(super) const fn is_at_line_start(&self) -> bool {
        self.unfinished.is_none() && !self.is_inside_line
    }

    /// Skips complete lines. The bytes must begin at the start of a line.
    pub(super) fn skip_lines(&mut self, bytes: &[u8]) {
        let length = to_u64(bytes.len());
        self.lines.skip(length);
        self.read = self.read.saturating_add(length);
    }

    /// Ends the stream: calls `line` for an unfinished last line.
    pub(super) fn finish(&mut self, mut line: impl FnMut(u64, &str)) {
        if let Some(offset) = self.unfinished.take() {
            self.lines.finish(|unfinished| line(offset, unfinished.text));
        }
    }

    /// Drops the unfinished line, because the rest of the line is missing.
    pub(super) fn drop_unfinished(&mut self) {
        self.lines.skip(0);
        self.unfinished = None;
        self.is_inside_line = true;
    }
}

/// Returns the offset in the output of a line that starts at position `own` in its stream. The current bytes start at
/// position `start` in the stream and at `offset` in the output.
fn place(own: u64, start: u64, offset: u64, unfinished: Option<u64>) -> u64 {
    match (unfinished, own.checked_sub(start)) {
        (_, Some(distance)) if distance > 0 => offset.saturating_add(distance),
        (Some(unfinished), Some(_) | None) => unfinished,
        (None, Some(_) | None) => offset,
    }
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_of_a_line_after_a_gap_is_not_a_line() {
        let (mut stream, mut lines) = (StreamLines::default(), Vec::new());
        stream.push(0, b"one\ntw", |at, text| lines.push((at, text.to_owned())));
        stream.drop_unfinished();
        for (offset, bytes) in [(100, "the rest"), (108, " of a line\nnext\n")] {
            stream.push(offset, bytes.as_bytes(), |at, text| lines.push((at, text.to_owned())));
        }
        assert_eq!(lines, [(0, "one".to_owned()), (119, "next".to_owned())]);
    }

    #[test]
    fn lines_have_the_offsets_of_the_shared_output() {
        let (mut stream, mut lines) = (StreamLines::default(), Vec::new());
        for (offset, bytes) in [(0, "one\ntw"), (10, ""), (20, "o\nthree\n"), (50, "four\nfi"), (60, "ve")] {
            stream.push(offset, bytes.as_bytes(), |at, text| lines.push((at, text.to_owned())));
        }
        stream.finish(|at, text| lines.push((at, text.to_owned())));
        let expected = [(0, "one"), (4, "two"), (22, "three"), (50, "four"), (55, "five")];
        assert_eq!(lines, expected.map(|(at, text)| (at, text.to_owned())));
    }
}
