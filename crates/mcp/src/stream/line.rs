//! Lines of at most so many bytes.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The longest message, in bytes.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;

/// Reads lines. A read that is broken off loses nothing.
#[derive(Debug)]
pub(super) struct Lines<R> {
    read: R,
    line: Vec<u8>,
    /// The rest of a line that was too long is passed over.
    is_skipping: bool,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) const fn new(read: R) -> Self {
        Self { read, line: Vec::new(), is_skipping: false }
    }

    pub(super) async fn next(&mut self) -> io::Result<Line> {
        loop {
            let there = self.read.fill_buf().await?;
            if there.is_empty() {
                let last = std::mem::take(&mut self.line);
                return Ok(if last.is_empty() { Line::End } else { Line::Whole(last) });
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(there.len(), |end| end + 1);
            let was_skipping = self.is_skipping;
            let is_too_long = !was_skipping && self.line.len() + taken > LONGEST;
            if is_too_long {
                self.line = Vec::new();
            } else if !was_skipping {
                self.line.extend(there.iter().take(taken));
            }
            self.read.consume(taken);
            self.is_skipping = (was_skipping || is_too_long) && end.is_none();
            if is_too_long {
                return Ok(Line::TooLong);
            }
            if end.is_some() && !was_skipping {
                return Ok(Line::Whole(std::mem::take(&mut self.line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn line_that_is_too_long_is_told_of_once_and_the_next_is_read() {
        let mut bytes = vec![b'x'; LONGEST + 100_000];
        bytes.extend_from_slice(b"\nnext\nlast");
        let mut lines = Lines::new(tokio::io::BufReader::new(bytes.as_slice()));
        assert!(matches!(lines.next().await.unwrap(), Line::TooLong));
        for expected in ["next\n", "last"] {
            let Line::Whole(line) = lines.next().await.unwrap() else { panic!("no line") };
            assert_eq!(line, expected.as_bytes());
        }
        assert!(matches!(lines.next().await.unwrap(), Line::End));
    }
}
