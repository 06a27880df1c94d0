//! Search for errors in the lines of one stream.

use super::block_text::{BlockText, MAX_BLOCK_LINES};
use super::finding::{Finding, MAX_MESSAGE_LEN, Stream, one_line};
use super::findings::Findings;
use super::line_rule::{RuleBlock, locate};
use super::rule_set::{RuleMatch, RuleSet};
use super::trace::{self, Fit, TRACE_WEIGHT, Trace, TraceReport};
use crate::bounded_text::cut;

/// Weight from which on a rule is regarded as stating a known cause.
const STRONG_WEIGHT: u8 = 60;

/// Reads the lines of one stream and finds the errors in them.
#[derive(Debug)]
pub(super) struct Reader {
    stream: Stream,
    open: OpenError,
}

/// The error whose lines the reader is currently reading.
#[derive(Debug)]
enum OpenError {
    /// No error.
    Nothing,
    /// Lines that are a trace, or that may turn out to be one.
    Trace(OpenTrace),
    /// A finding of a rule that describes a block of further lines.
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
    /// True after a line has continued the message.
    is_continued: bool,
}

impl Reader {
    /// Creates a reader for a stream that has not been read yet.
    pub(super) const fn new(stream: Stream) -> Self {
        Self { stream, open: OpenError::Nothing }
    }

    /// Returns true if no error is open. In this state, lines that cannot contain an error can be skipped.
    pub(super) const fn is_idle(&self) -> bool {
        match self.open {
            OpenError::Nothing => true,
            OpenError::Trace(_) | OpenError::Block(_) => false,
        }
    }

    /// Reads the next line.
    pub(super) fn read(&mut self, offset: u64, line: &str, findings: &mut Findings, rules: &RuleSet) {
        let taken = match &mut self.open {
            OpenError::Nothing => false,
            OpenError::Trace(trace) => match trace.read(line) {
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
            OpenError::Block(_) => false,
        };
        if taken {
            return;
        }
        if rules.may_match(line) && self.start(offset, line, findings, rules) {
            return;
        }
        if let OpenError::Block(block) = &mut self.open
            && block.ends_with(line)
        {
            self.close(findings, rules);
        }
    }

    /// Starts the error that the line contains. Returns false if the line contains no error.
    fn start(&mut self, offset: u64, line: &str, findings: &mut Findings, rules: &RuleSet) -> bool {
        let may_replace = match &self.open {
            OpenError::Nothing | OpenError::Block(_) => true,
            OpenError::Trace(open) => open.trace.is_replaceable(),
        };
        if may_replace
            && let Some(trace) = trace::open(line)
            && self.yields_to(trace.is_certain())
        {
            // A rule may match the same line. The finding of the rule remains only if the line turns out not to start a
            // trace.
            self.close(findings, rules);
            let mut text = BlockText::default();
            text.add(line);
            self.open = OpenError::Trace(OpenTrace { trace, offset, text });
        }
        let Some(found) = rules.first(self.stream, line) else {
            return matches!(&self.open, OpenError::Trace(_));
        };
        let is_enough = match &self.open {
            OpenError::Trace(open) => !open.trace.is_certain(),
            OpenError::Block(open) => found.weight() >= open.finding.weight,
            OpenError::Nothing => true,
        };
        if found.rule.ignores || !is_enough {
            return false;
        }
        self.start_rule(found, offset, line, findings, rules);
        true
    }

    /// Returns true if a trace may start now, even if another error is open. A line that may or may not start a trace
    /// does not end the block of a rule with a known cause.
    fn yields_to(&self, is_certain: bool) -> bool {
        match &self.open {
            OpenError::Nothing | OpenError::Trace(_) => true,
            OpenError::Block(open) => is_certain || open.finding.weight < STRONG_WEIGHT,
        }
    }

    fn start_rule(
        &mut self,
        found: RuleMatch<'_>,
        offset: u64,
        line: &str,
        findings: &mut Findings,
        rules: &RuleSet,
    ) {
        let RuleMatch { rule, .. } = found;
        let block = rule.block.as_ref().filter(|_| !found.is_demoted());
        let ends = match &self.open {
            OpenError::Nothing | OpenError::Block(_) => true,
            OpenError::Trace(open) => {
                block.is_some() && rule.weight >= STRONG_WEIGHT && open.trace.is_replaceable()
            }
        };
        if ends {
            self.close(findings, rules);
        }
        if block.is_none() && !findings.has_room_for(found.weight()) {
            return;
        }
        let Some(mut finding) = rule.find(self.stream, offset, line) else { return };
        finding.weight = found.weight();
        match block {
            Some(block) if ends => {
                let mut text = BlockText::default();
                text.add(line);
                let block = block.clone();
                self.open =
                    OpenError::Block(Box::new(OpenBlock { finding, block, text, is_continued: false }));
            }
            Some(_) | None => findings.add(finding),
        }
    }

    /// Ends the open error and stores its finding.
    pub(super) fn close(&mut self, findings: &mut Findings, rules: &RuleSet) {
        match std::mem::replace(&mut self.open, OpenError::Nothing) {
            OpenError::Nothing => {}
            OpenError::Trace(open) => {
                if let (true, Some(report)) = (open.trace.is_certain(), open.trace.report()) {
                    findings.remove_from(self.stream, open.offset);
                    findings.add(open.finding(self.stream, report, rules));
                }
            }
            OpenError::Block(open) => findings.add(open.into_finding()),
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
    /// Reads the next line. Returns true if the block ends with this line.
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
