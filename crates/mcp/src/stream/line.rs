//! Lines of limited length.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Maximum length of a message, in bytes.
pub(super) const MAX_MESSAGE_LEN: usize = 16 * 1024 * 1024;

/// Line reader with a maximum line length.
///
/// # Cancel safety
/// A cancelled read loses no data.
#[derive(Debug)]
pub(super) struct MessageReader<R> {
    read: R,
    line: Vec<u8>,
    /// True while the rest of an overlong line is being skipped.
    is_skipping: bool,
}

/// Result of reading a line.
#[derive(Debug)]
pub(super) enum StreamLine {
    Whole(Vec<u8>),
    TooLong,
    End,
}

impl<R: AsyncBufRead + Unpin> MessageReader<R> {
    pub(super) const fn new(read: R) -> Self {
        Self { read, line: Vec::new(), is_skipping: false }
    }

    pub(super) async fn next(&mut self) -> io::Result<StreamLine> {
        loop {
            let there = self.read.fill_buf().await?;
            if there.is_empty() {
                let last = std::mem::take(&mut self.line);
                return Ok(if last.is_empty() { StreamLine::End } else { StreamLine::Whole(last) });
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(there.len(), |end| end + 1);
            let was_skipping = self.is_skipping;
            let is_too_long = !was_skipping && self.line.len() + taken > MAX_MESSAGE_LEN;
            if is_too_long {
                self.line = Vec::new();
            } else if !was_skipping {
                self.line.extend(there.iter().take(taken));
            }
            self.read.consume(taken);
            self.is_skipping = (was_skipping || is_too_long) && end.is_none();
            if is_too_long {
                return Ok(StreamLine::TooLong);
            }
            if end.is_some() && !was_skipping {
                return Ok(StreamLine::Whole(std::mem::take(&mut self.line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn too_long_line_is_reported_once_and_the_next_line_is_read() {
        let mut bytes = vec![b'x'; MAX_MESSAGE_LEN + 100_000];
        bytes.extend_from_slice(b"\nnext\nlast");
        let mut lines = MessageReader::new(tokio::io::BufReader::new(bytes.as_slice()));
        assert!(matches!(lines.next().await.unwrap(), StreamLine::TooLong));
        for expected in ["next\n", "last"] {
            let StreamLine::Whole(line) = lines.next().await.unwrap() else { panic!("no line") };
            assert_eq!(line, expected.as_bytes());
        }
        assert!(matches!(lines.next().await.unwrap(), StreamLine::End));
    }
}
