//! Splits JSON lines that arrive in chunks.

/// Maximum length of a line in bytes. Longer lines are skipped.
const MAX_JSON_LEN: usize = 1024 * 1024;

/// Splits bytes into lines. Lines that are too long are skipped, because a cut line is not valid JSON.
#[derive(Debug, Default)]
pub(crate) struct JsonLines {
    held: Vec<u8>,
    is_skipping: bool,
    skipped: u64,
}

impl JsonLines {
    /// Adds bytes and calls `line` for each complete line that is not empty.
    pub(crate) fn push(&mut self, bytes: &[u8], line: &mut dyn FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(feed) = memchr::memchr(b'\n', rest) {
            let (piece, behind) = rest.split_at_checked(feed).unwrap_or((rest, &[]));
            if self.held.is_empty() && !self.is_skipping {
                release(piece, line);
            } else {
                self.hold(piece);
                if !self.is_skipping {
                    release(&self.held, line);
                }
                self.held.clear();
                self.is_skipping = false;
            }
            rest = behind.get(1..).unwrap_or_default();
        }
        self.hold(rest);
    }

    /// Calls `line` for an unfinished last line.
    pub(crate) fn finish(&mut self, line: &mut dyn FnMut(&[u8])) {
        release(&std::mem::take(&mut self.held), line);
    }

    /// Returns the number of lines that were skipped because they are too long.
    pub(crate) const fn skipped(&self) -> u64 {
        self.skipped
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.held.len().saturating_add(bytes.len()) > MAX_JSON_LEN && !self.is_skipping {
            self.is_skipping = true;
            self.skipped = self.skipped.saturating_add(1);
            self.held.clear();
        }
        if !self.is_skipping {
            self.held.extend_from_slice(bytes);
        }
    }
}

fn release(bytes: &[u8], line: &mut dyn FnMut(&[u8])) {
    let bytes = bytes.trim_ascii();
    if !bytes.is_empty() && bytes.len() <= MAX_JSON_LEN {
        line(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_skipped_and_the_next_line_is_read() {
        let input = [b"one\r\n\n".to_vec(), vec![b'x'; MAX_JSON_LEN + 1], b"\ntwo\nthree".to_vec()].concat();
        for piece in [1, 1000, input.len()] {
            let (mut lines, mut found) = (JsonLines::default(), Vec::new());
            input.chunks(piece).for_each(|bytes| lines.push(bytes, &mut |line| found.push(line.to_vec())));
            lines.finish(&mut |line| found.push(line.to_vec()));
            assert_eq!(found, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
        }
    }
}
