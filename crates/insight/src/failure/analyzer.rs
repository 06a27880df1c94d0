//! Search for errors in output that arrives in chunks.

use super::finding::{Finding, Stream};
use super::findings::Findings;
use super::reader::Reader;
use super::rule_set::RuleSet;
use super::stream_lines::StreamLines;
use std::sync::Arc;

/// Approximate number of bytes that are searched in one step.
const WINDOW_LEN: usize = 8 * 1024;

/// Finds the errors in the output of one command.
///
/// ```
/// use longhaul_insight::failure::{Analyzer, RuleSet, Stream, primary};
///
/// let mut analyzer = Analyzer::new(RuleSet::builtin());
/// analyzer.push(Stream::Stderr, 0, b"main.c:3:9: error: expected ';'\nmake: *** [Makefile:2: all] Error 1\n");
/// let findings = analyzer.finish();
/// let error = primary(&findings).map(|finding| (finding.message.as_str(), finding.line));
/// assert_eq!(error, Some(("error: expected ';'", Some(3))));
/// ```
#[derive(Debug)]
pub struct Analyzer {
    rules: Arc<RuleSet>,
    stdout: Channel,
    stderr: Channel,
    findings: Findings,
    /// Offset after the last byte that was read.
    next: u64,
}

impl Analyzer {
    /// Creates an analyzer for the output of one command.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self {
            rules,
            stdout: Channel::new(Stream::Stdout),
            stderr: Channel::new(Stream::Stderr),
            findings: Findings::default(),
            next: 0,
        }
    }

    /// Reads the next bytes of a stream. `offset` is their position in the output; both streams share one sequence of
    /// offsets.
    ///
    /// If bytes before `offset` are missing, the lines around the gap are dropped. Bytes that were already read are
    /// ignored.
    pub fn push(&mut self, stream: Stream, offset: u64, bytes: &[u8]) {
        if offset > self.next {
            self.interrupt();
        }
        let repeated = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(new) = bytes.get(repeated..).filter(|new| !new.is_empty()) else { return };
        let start = offset.max(self.next);
        self.next = start.saturating_add(to_u64(new.len()));
        let channel = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        channel.push(start, new, &mut self.findings, &self.rules);
    }

    /// Marks a gap after the bytes that were read: unfinished lines, and the rest of each line after the gap, are dropped.
    pub fn interrupt(&mut self) {
        for channel in [&mut self.stdout, &mut self.stderr] {
            channel.interrupt(&mut self.findings, &self.rules);
        }
    }

    /// Ends the output and returns the findings in the order of their offsets.
    #[must_use]
    pub fn finish(mut self) -> Vec<Finding> {
        let (findings, rules) = (&mut self.findings, &*self.rules);
        for channel in [&mut self.stdout, &mut self.stderr] {
            let reader = &mut channel.reader;
            channel.output.finish(|at, line| reader.read(at, line, findings, rules));
            reader.close(findings, rules);
        }
        self.findings.into_sorted()
    }
}

/// Returns the complete lines within the first [`WINDOW_LEN`] bytes.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let window = bytes.get(..WINDOW_LEN).unwrap_or(bytes);
    memchr::memrchr(b'\n', window).and_then(|feed| window.get(..=feed)).unwrap_or_default()
}

/// Returns the first line with its line ending, or all bytes if there is no line ending.
fn first_line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).and_then(|feed| bytes.get(..=feed)).unwrap_or(bytes)
}

/// Returns true if the bytes are lines of printable ASCII. Such lines can be searched without cleaning them first.
fn is_plain(bytes: &[u8]) -> bool {
    // A loop without an early exit lets the compiler use vector instructions.
    bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~' | b'\t' | b'\n'))
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// One stream and the reader for its lines.
#[derive(Debug)]
struct Channel {
    output: StreamLines,
    reader: Reader,
}

impl Channel {
    fn new(stream: Stream) -> Self {
        Self { output: StreamLines::default(), reader: Reader::new(stream) }
    }

    fn push(&mut self, offset: u64, bytes: &[u8], findings: &mut Findings, rules: &RuleSet) {
        let (mut offset, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let lines = if self.output.is_at_line_start() { whole_lines(rest) } else { &[] };
            let used = if !lines.is_empty() && is_plain(lines) {
                self.push_plain(offset, lines, findings, rules);
                lines.len()
            } else {
                let piece = if lines.is_empty() { first_line(rest) } else { lines };
                self.push_lines(offset, piece, findings, rules);
                piece.len()
            };
            offset = offset.saturating_add(to_u64(used));
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Reads complete lines of printable ASCII. Consecutive lines that cannot contain an error are skipped in one step.
    fn push_plain(&mut self, offset: u64, lines: &[u8], findings: &mut Findings, rules: &RuleSet) {
        let (mut offset, mut rest) = (offset, lines);
        while !rest.is_empty() {
            let skippable = if self.reader.is_idle() { rules.skippable(rest) } else { 0 };
            let (skipped, behind) = rest.split_at_checked(skippable).unwrap_or((rest, &[]));
            self.output.skip_lines(skipped);
            offset = offset.saturating_add(to_u64(skipped.len()));
            let line = first_line(behind);
            self.push_lines(offset, line, findings, rules);
            offset = offset.saturating_add(to_u64(line.len()));
            rest = behind.get(line.len()..).unwrap_or_default();
        }
    }

    fn push_lines(&mut self, offset: u64, bytes: &[u8], findings: &mut Findings, rules: &RuleSet) {
        let reader = &mut self.reader;
        self.output.push(offset, bytes, |at, line| reader.read(at, line, findings, rules));
    }

    /// Drops the unfinished line and ends the open error, because the following output is missing.
    fn interrupt(&mut self, findings: &mut Findings, rules: &RuleSet) {
        self.output.drop_unfinished();
        self.reader.close(findings, rules);
    }
}
