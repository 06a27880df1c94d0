//! The search for errors in output that arrives in pieces.

use super::block_text::{BlockText, MAX_BLOCK_LINES};
use super::finding::{Finding, MAX_MESSAGE_LEN, Stream, cut, one_line};
use super::findings::Findings;
use super::line_rule::{RuleBlock, locate};
use super::output_stream::OutputStream;
use super::rule_set::RuleSet;
use super::trace::{self, Fit, TRACE_WEIGHT, Trace, TraceReport};
use std::sync::Arc;

/// Number of bytes that are searched together.
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
    /// Offset behind the last bytes.
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

    /// Reads the next bytes of a stream, which are at `offset` of the output. Both streams share one sequence of offsets.
    ///
    /// If bytes are missing before the offset, the lines around the gap are dropped. Bytes that were already read are
    /// ignored.
    pub fn push(&mut self, stream: Stream, offset: u64, bytes: &[u8]) {
        if offset > self.next {
            for channel in [&mut self.stdout, &mut self.stderr] {
                channel.interrupt(&mut self.findings, &self.rules);
            }
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

/// Returns the whole lines at the start of `bytes`, about [`WINDOW_LEN`] bytes.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let window = bytes.get(..WINDOW_LEN).unwrap_or(bytes);
    memchr::memrchr(b'\n', window).and_then(|feed| window.get(..=feed)).unwrap_or_default()
}

/// Returns the first line with its end, or all bytes if it has no end.
fn first_line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).and_then(|feed| bytes.get(..=feed)).unwrap_or(bytes)
}

/// Returns true if the bytes are lines of printable ASCII, in which a search finds the same as in the cleaned lines.
fn is_plain(bytes: &[u8]) -> bool {
    // Without an early exit, the compiler uses vector instructions.
    bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~' | b'\t' | b'\n'))
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// One stream and the reader of its lines.
#[derive(Debug)]
struct Channel {
    output: OutputStream,
    reader: Reader,
}

impl Channel {
    fn new(stream: Stream) -> Self {
        Self { output: OutputStream::default(), reader: Reader { stream, open: Open::Nothing } }
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

    /// Reads whole lines of printable ASCII. Lines in which nothing can be found are skipped together.
    fn push_plain(&mut self, offset: u64, lines: &[u8], findings: &mut Findings, rules: &RuleSet) {
        let (mut offset, mut rest) = (offset, lines);
        while !rest.is_empty() {
            let skippable = match self.reader.open {
                Open::Nothing => rules.skippable(rest),
                Open::Trace(_) | Open::Block(_) => 0,
            };
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

    /// Ends what is open, because output is missing.
    fn interrupt(&mut self, findings: &mut Findings, rules: &RuleSet) {
        self.output.drop_unfinished();
        self.reader.close(findings, rules);
    }
}

/// Reads the lines of one stream.
#[derive(Debug)]
struct Reader {
    stream: Stream,
    open: Open,
}

/// An error whose lines are being read.
#[derive(Debug)]
enum Open {
    /// No error.
    Nothing,
    /// Lines that are a trace or may become one.
    Trace(OpenTrace),
    /// A finding of a rule with a block.
    Block(Box<OpenBlock>),
}

#[derive(Debug)]
struct OpenTrace {
    trace: Box<dyn Trace>,
    offset: u64,
    text: BlockText,
}

#[derive(Debug)]
struct OpenBlock {
    finding: Finding,
    block: RuleBlock,
    text: BlockText,
    /// True once a line continued the message.
    is_continued: bool,
}

impl Reader {
    fn read(&mut self, offset: u64, line: &str, findings: &mut Findings, rules: &RuleSet) {
        let taken = match &mut self.open {
            Open::Nothing => false,
            Open::Trace(trace) => match trace.read(line) {
                Fit::Part => trace.trace.is_certain(),
                Fit::Last => {
                    self.close(findings, rules);
                    true
                }
                Fit::Outside => {
                    self.close(findings, rules);
                    false
                }
            },
            Open::Block(_) => false,
        };
        if taken {
            return;
        }
        if rules.may_match(line) && self.start(offset, line, findings, rules) {
            return;
        }
        if let Open::Block(block) = &mut self.open
            && block.ends_with(line)
        {
            self.close(findings, rules);
        }
    }

    /// Starts the error that the line states, and returns true if there is one.
    fn start(&mut self, offset: u64, line: &str, findings: &mut Findings, rules: &RuleSet) -> bool {
        let may_replace = match &self.open {
            Open::Nothing | Open::Block(_) => true,
            Open::Trace(open) => open.trace.is_replaceable(),
        };
        if may_replace && let Some(trace) = trace::open(line) {
            // A rule may match the same line. Its finding remains only if the line turns out not to start a trace.
            let block_ends = trace.is_certain() || !matches!(self.open, Open::Block(_));
            if block_ends {
                self.close(findings, rules);
                let mut text = BlockText::default();
                text.add(line);
                self.open = Open::Trace(OpenTrace { trace, offset, text });
            }
        }
        let Some(rule) = rules.first(self.stream, line) else { return matches!(&self.open, Open::Trace(_)) };
        if rule.ignores {
            return false;
        }
        let weight = match &self.open {
            Open::Trace(open) if open.trace.is_certain() => return true,
            Open::Trace(_) | Open::Nothing => 0,
            Open::Block(open) => open.finding.weight,
        };
        if rule.weight < weight {
            return false;
        }
        let Some(finding) = rule.find(self.stream, offset, line) else { return false };
        match (&rule.block, &self.open) {
            (Some(block), Open::Nothing | Open::Block(_)) => {
                self.close(findings, rules);
                let mut text = BlockText::default();
                text.add(line);
                let block = block.clone();
                self.open = Open::Block(Box::new(OpenBlock { finding, block, text, is_continued: false }));
            }
            (Some(_), Open::Trace(_)) => findings.add(finding),
            (None, Open::Nothing | Open::Trace(_)) => findings.add(finding),
            (None, Open::Block(_)) => {
                self.close(findings, rules);
                findings.add(finding);
            }
        }
        true
    }

    /// Ends what is open and stores its finding.
    fn close(&mut self, findings: &mut Findings, rules: &RuleSet) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Trace(open) => {
                if let (true, Some(report)) = (open.trace.is_certain(), open.trace.report()) {
                    findings.remove_from(self.stream, open.offset);
                    findings.add(open.finding(self.stream, report, rules));
                }
            }
            Open::Block(open) => findings.add(open.into_finding()),
        }
    }
}

impl OpenTrace {
    fn read(&mut self, line: &str) -> Fit {
        let fit = self.trace.read(line);
        match fit {
            Fit::Part | Fit::Last => self.text.add(line),
            Fit::Outside => {}
        }
        fit
    }

    fn finding(self, stream: Stream, report: TraceReport, rules: &RuleSet) -> Finding {
        let refined = report.inner.as_ref().and_then(|inner| rules.refining(&inner.message));
        let refined = refined.or_else(|| rules.refining(&report.message));
        let message = match &report.inner {
            Some(inner) => format!("{}; {} {}", report.message, inner.relation, inner.message),
            None => report.message,
        };
        let (line, column) = report.frame.as_ref().map_or((None, None), |frame| (frame.line, frame.column));
        Finding {
            kind: refined.map_or_else(|| report.kind.to_owned(), |rule| rule.kind.clone()),
            rule: report.rule.to_owned(),
            message: one_line(&message),
            file: report.frame.map(|frame| cut(&frame.file, MAX_MESSAGE_LEN).to_owned()),
            line,
            column,
            stream,
            offset: self.offset,
            detail: self.text.into_detail(),
            weight: refined.and_then(|rule| rule.trace_weight).unwrap_or(TRACE_WEIGHT),
        }
    }
}

impl OpenBlock {
    /// Reads the next line, and returns true if the block ends here.
    fn ends_with(&mut self, line: &str) -> bool {
        if self.block.matching.as_ref().is_some_and(|matching| !matching.is_match(line)) {
            return true;
        }
        self.text.add(line);
        if self.finding.file.is_none()
            && let Some(groups) = self.block.location.as_ref().and_then(|location| location.captures(line))
        {
            locate(&mut self.finding, &groups);
            if let Some(kind) = &self.block.located_kind {
                self.finding.kind.clone_from(kind);
            }
        }
        let message = self.block.message.as_ref().and_then(|message| message.captures(line)?.name("message"));
        if let Some(message) = message.filter(|_| !self.is_continued) {
            self.finding.message = one_line(&format!("{}: {}", self.finding.message, message.as_str()));
            self.is_continued = true;
        }
        self.block.until.as_ref().is_some_and(|until| until.is_match(line))
            || self.text.lines() >= self.block.max_lines.min(MAX_BLOCK_LINES)
    }

    fn into_finding(self) -> Finding {
        Finding { detail: self.text.into_detail(), ..self.finding }
    }
}
