//! Splits output into lines without losing a byte.

use std::iter::FusedIterator;

/// Iterator over the lines of an output, including an unfinished last line.
///
/// A line includes the line feed at its end, so that the concatenated lines are equal to the output.
///
/// # Examples
///
/// ```
/// use longhaul_view::LineSplitter;
///
/// let texts: Vec<&[u8]> = LineSplitter::new(b"one\r\n\ntwo").map(|line| line.text()).collect();
/// assert_eq!(texts, [&b"one"[..], b"", b"two"]);
/// ```
#[derive(Clone, Debug)]
pub struct LineSplitter<'a> {
    rest: &'a [u8],
}

impl<'a> LineSplitter<'a> {
    /// Creates an iterator over the lines of `output`.
    #[must_use]
    pub const fn new(output: &'a [u8]) -> Self {
        Self { rest: output }
    }
}

impl<'a> Iterator for LineSplitter<'a> {
    type Item = RawLine<'a>;

    fn next(&mut self) -> Option<RawLine<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let length = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |feed| feed + 1);
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(RawLine { bytes })
    }
}

impl DoubleEndedIterator for LineSplitter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (_last, before) = self.rest.split_last()?;
        let start = memchr::memrchr(b'\n', before).map_or(0, |feed| feed + 1);
        let (rest, bytes) = self.rest.split_at_checked(start)?;
        self.rest = rest;
        Some(RawLine { bytes })
    }
}

impl FusedIterator for LineSplitter<'_> {}

/// One line of output, including its line ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLine<'a> {
    bytes: &'a [u8],
}

impl<'a> RawLine<'a> {
    /// Returns the whole line, including its line feed.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the line without its line ending, which is a line feed or a carriage return and a line feed.
    #[must_use]
    pub fn text(self) -> &'a [u8] {
        match self.bytes {
            [text @ .., b'\r', b'\n'] | [text @ .., b'\n'] => text,
            text => text,
        }
    }

    /// Returns true if the line ends with a line feed. Only the last line of an output may have none.
    #[must_use]
    pub fn is_complete(self) -> bool {
        self.bytes.ends_with(b"\n")
    }
}

/// Returns the last `count` lines of `output`.
///
/// An unfinished last line counts as a line.
///
/// # Examples
///
/// ```
/// use longhaul_view::last_lines;
///
/// assert_eq!(last_lines(b"one\ntwo\nthree\n", 2), b"two\nthree\n");
/// assert_eq!(last_lines(b"one\ntwo\nthr", 2), b"two\nthr");
/// ```
#[must_use]
pub fn last_lines(output: &[u8], count: usize) -> &[u8] {
    let mut before = LineSplitter::new(output);
    for _ in 0..count {
        if before.next_back().is_none() {
            break;
        }
    }
    output.get(before.rest.len()..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_output_has_no_line() {
        assert_eq!(LineSplitter::new(b"").count(), 0);
        assert_eq!(last_lines(b"", 3), b"");
    }

    #[test]
    fn unfinished_line_is_a_line_and_says_so() {
        let lines: Vec<RawLine<'_>> = LineSplitter::new(b"a\n\nb").collect();
        assert_eq!(lines.iter().map(|line| line.bytes()).collect::<Vec<_>>(), [&b"a\n"[..], b"\n", b"b"]);
        assert_eq!(lines.iter().map(|line| line.is_complete()).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn text_drops_only_the_ending() {
        let texts: Vec<&[u8]> = LineSplitter::new(b"a\rb\r\n\r\nc\r").map(RawLine::text).collect();
        assert_eq!(texts, [&b"a\rb"[..], b"", b"c\r"]);
    }

    #[test]
    fn last_lines_of_none_is_empty_and_of_many_is_all() {
        assert_eq!(last_lines(b"a\nb\n", 0), b"");
        assert_eq!(last_lines(b"a\nb\n", usize::MAX), b"a\nb\n");
    }

    proptest! {
        #[test]
        fn lines_joined_are_the_output(output in text()) {
            let joined: Vec<u8> = LineSplitter::new(&output).flat_map(|line| line.bytes().to_vec()).collect();
            prop_assert_eq!(joined, output);
        }

        #[test]
        fn lines_read_backwards_are_the_same_lines(output in text()) {
            let mut backwards: Vec<RawLine<'_>> = LineSplitter::new(&output).rev().collect();
            backwards.reverse();
            prop_assert_eq!(backwards, LineSplitter::new(&output).collect::<Vec<_>>());
        }

        #[test]
        fn line_feed_stands_only_at_the_end_of_a_line(output in text()) {
            for line in LineSplitter::new(&output) {
                prop_assert!(!line.bytes().is_empty());
                prop_assert!(!line.text().contains(&b'\n'));
            }
        }

        #[test]
        fn last_lines_are_the_last_of_the_lines(output in text(), count in 0_usize..8) {
            let all: Vec<RawLine<'_>> = LineSplitter::new(&output).collect();
            let kept = all[all.len().saturating_sub(count)..].to_vec();
            prop_assert_eq!(LineSplitter::new(last_lines(&output, count)).collect::<Vec<_>>(), kept);
        }
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), any::<u8>()];
        prop::collection::vec(byte, 0..64)
    }
}
