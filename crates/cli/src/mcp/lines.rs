//! Reads lines whose length is limited.

use std::io;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Maximum length of a forwarded line, in bytes.
pub(super) const MAX_LINE_LEN: usize = 16 * 1024 * 1024;
/// Number of bytes at the start of an overlong line that are stored. These bytes usually contain the id of the message.
const KEPT_PREFIX_LEN: usize = 4 * 1024;
/// Size of the read buffer, in bytes.
const BUFFER: usize = 64 * 1024;

/// Reader that limits the length of each line.
#[derive(Debug)]
pub(super) struct LineReader<R> {
    source: BufReader<R>,
    line: Vec<u8>,
    /// True if the current line is overlong. The reader skips the rest of an overlong line.
    skips: bool,
}

/// Result of reading a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadLine {
    /// A complete line with its line ending.
    Whole(Vec<u8>),
    /// The last line of the stream, without a line ending.
    Unended(Vec<u8>),
    /// The first bytes of a line that is too long. The rest of the line was dropped.
    TooLong(Vec<u8>),
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source: BufReader::with_capacity(BUFFER, source), line: Vec::new(), skips: false }
    }

    /// Returns the next line. Returns `None` at the end of the stream.
    ///
    /// # Cancel safety
    /// Dropping the future loses no data.
    pub(super) async fn next(&mut self) -> io::Result<Option<ReadLine>> {
        loop {
            let there = self.source.fill_buf().await?;
            if there.is_empty() {
                return Ok(self.take_rest());
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(there.len(), |end| end + 1);
            if !self.skips {
                self.line.extend(there.iter().take(taken));
            }
            if self.line.len() > MAX_LINE_LEN {
                self.skips = true;
                self.line.truncate(KEPT_PREFIX_LEN);
                self.line.shrink_to_fit();
            }
            self.source.consume(taken);
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                let skipped = std::mem::take(&mut self.skips);
                return Ok(Some(if skipped { ReadLine::TooLong(line) } else { ReadLine::Whole(line) }));
            }
        }
    }

    /// Returns the incomplete line at the end of the stream. Returns `None` if the stream ends with a complete line.
    fn take_rest(&mut self) -> Option<ReadLine> {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.skips) {
            return Some(ReadLine::TooLong(line));
        }
        (!line.is_empty()).then_some(ReadLine::Unended(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn lines_come_whole_however_they_arrive() {
        let (mut near, far) = tokio::io::duplex(8);
        let mut lines = LineReader::new(far);
        let writer = tokio::spawn(async move {
            for piece in ["one", "\ntw", "o\n", "\nhalf"] {
                near.write_all(piece.as_bytes()).await.unwrap();
            }
        });
        for expected in ["one\n", "two\n", "\n"] {
            assert_eq!(lines.next().await.unwrap(), Some(ReadLine::Whole(expected.into())));
        }
        assert_eq!(lines.next().await.unwrap(), Some(ReadLine::Unended(b"half".to_vec())));
        assert_eq!(lines.next().await.unwrap(), None);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn line_that_is_too_long_is_skipped_without_being_kept() {
        let mut bytes = vec![b'x'; MAX_LINE_LEN + 10];
        bytes.extend(b"\nnext\n");
        let mut lines = LineReader::new(bytes.as_slice());
        assert_eq!(lines.next().await.unwrap(), Some(ReadLine::TooLong(vec![b'x'; KEPT_PREFIX_LEN])));
        assert!(lines.line.capacity() < MAX_LINE_LEN);
        assert_eq!(lines.next().await.unwrap(), Some(ReadLine::Whole(b"next\n".to_vec())));
    }
}
