//! Merges the output streams of a command line by line.

use longhaul_ports::OutputSource;

/// Maximum length of an unfinished line in bytes. A longer line is passed on in parts.
const MAX_HELD: usize = 64 * 1024;

/// Merges standard output and standard error into one sequence of complete lines, so that a parser never sees a line of
/// one stream inside a line of the other stream.
#[derive(Debug, Default)]
pub(super) struct MergedLines {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl MergedLines {
    /// Adds a chunk and calls `pass` with the complete lines.
    pub(super) fn push(&mut self, source: OutputSource, bytes: &[u8], pass: &mut impl FnMut(&[u8])) {
        let held = match source {
            OutputSource::Stdout => &mut self.stdout,
            OutputSource::Stderr => &mut self.stderr,
        };
        let end = memchr_last(bytes).map_or(0, |feed| feed.saturating_add(1));
        let (lines, rest) = bytes.split_at_checked(end).unwrap_or((&[], bytes));
        if !lines.is_empty() {
            if !held.is_empty() {
                pass(held);
                held.clear();
            }
            pass(lines);
        }
        held.extend_from_slice(rest);
        if held.len() > MAX_HELD {
            pass(held);
            held.clear();
        }
    }

    /// Passes on the unfinished lines.
    pub(super) fn finish(&mut self, pass: &mut impl FnMut(&[u8])) {
        for held in [&mut self.stderr, &mut self.stdout] {
            if !held.is_empty() {
                pass(held);
                held.clear();
            }
        }
    }
}

fn memchr_last(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_one_stream_never_interrupts_a_line_of_the_other() {
        let (mut lines, mut all) = (MergedLines::default(), Vec::new());
        for (source, text) in [
            (OutputSource::Stdout, "test a ... "),
            (OutputSource::Stderr, "warning: x\n"),
            (OutputSource::Stdout, "ok\ntest b"),
            (OutputSource::Stderr, "last"),
        ] {
            lines.push(source, text.as_bytes(), &mut |bytes| all.extend_from_slice(bytes));
        }
        lines.finish(&mut |bytes| all.extend_from_slice(bytes));
        assert_eq!(String::from_utf8(all).unwrap(), "warning: x\ntest a ... ok\nlasttest b");
    }

    #[test]
    fn endless_line_needs_bounded_memory() {
        let (mut lines, mut passed) = (MergedLines::default(), 0);
        for _ in 0..1000 {
            lines.push(OutputSource::Stdout, &[b'x'; 1000], &mut |bytes| passed += bytes.len());
            assert!(lines.stdout.len() <= MAX_HELD + 1000);
        }
        assert!(passed > 900_000);
    }
}
