//! Merges the output streams of a command line by line.

use longhaul_ports::OutputSource;

/// Maximum length of an unfinished line in bytes. A longer line is passed on in parts.
const MAX_HELD: usize = 64 * 1024;

/// Merges standard output and standard error into one sequence of complete lines, so that a parser never sees a line of
/// one stream inside a line of the other stream.
#[derive(Debug, Default)]
pub(super) struct MergedLines {
    stdout: HeldLine,
    stderr: HeldLine,
}

/// Start of a line whose end has not been read yet.
#[derive(Debug, Default)]
struct HeldLine {
    /// Offset of the first byte in the output.
    offset: u64,
    bytes: Vec<u8>,
}

impl MergedLines {
    /// Adds a chunk and calls `pass` with the complete lines, each time with the offset of the first byte.
    pub(super) fn push(
        &mut self,
        source: OutputSource,
        offset: u64,
        bytes: &[u8],
        pass: &mut impl FnMut(u64, &[u8]),
    ) {
        let held = match source {
            OutputSource::Stdout => &mut self.stdout,
            OutputSource::Stderr => &mut self.stderr,
        };
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |feed| feed.saturating_add(1));
        let (lines, rest) = bytes.split_at_checked(end).unwrap_or((&[], bytes));
        if !lines.is_empty() {
            held.release(pass);
            pass(offset, lines);
        }
        if held.bytes.is_empty() {
            held.offset = offset.saturating_add(u64::try_from(end).unwrap_or(u64::MAX));
        }
        held.bytes.extend_from_slice(rest);
        if held.bytes.len() > MAX_HELD {
            held.release(pass);
        }
    }

    /// Passes on the unfinished lines.
    pub(super) fn finish(&mut self, pass: &mut impl FnMut(u64, &[u8])) {
        self.stderr.release(pass);
        self.stdout.release(pass);
    }
}

impl HeldLine {
    fn release(&mut self, pass: &mut impl FnMut(u64, &[u8])) {
        if !self.bytes.is_empty() {
            pass(self.offset, &self.bytes);
            self.bytes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_one_stream_never_interrupts_a_line_of_the_other_and_keeps_its_offset() {
        let (mut lines, mut all, mut offsets) = (MergedLines::default(), Vec::new(), Vec::new());
        let mut pass = |offset: u64, bytes: &[u8]| {
            all.extend_from_slice(bytes);
            offsets.push(offset);
        };
        for (source, offset, text) in [
            (OutputSource::Stdout, 0, "test a ... "),
            (OutputSource::Stderr, 11, "warning: x\n"),
            (OutputSource::Stdout, 22, "ok\ntest b"),
            (OutputSource::Stderr, 31, "last"),
        ] {
            lines.push(source, offset, text.as_bytes(), &mut pass);
        }
        lines.finish(&mut pass);
        assert_eq!(String::from_utf8(all).unwrap(), "warning: x\ntest a ... ok\nlasttest b");
        assert_eq!(offsets, [11, 0, 22, 31, 25]);
    }

    #[test]
    fn endless_line_needs_bounded_memory() {
        let (mut lines, mut passed) = (MergedLines::default(), 0);
        for number in 0..1000 {
            lines.push(OutputSource::Stdout, number * 1000, &[b'x'; 1000], &mut |_, bytes| {
                passed += bytes.len()
            });
            assert!(lines.stdout.bytes.len() <= MAX_HELD + 1000);
        }
        assert!(passed > 900_000);
    }
}
