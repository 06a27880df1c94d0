//! The results that were parsed from the sources of one test run.

use super::plan::TestPlan;
use super::source_parser::SourceParser;
use super::stream_lines::MergedLines;
use longhaul_insight::test_run::{EarlierTests, TestCollector, TestSource};
use longhaul_ports::{OutputChunk, OutputPage, OutputSource};
use std::sync::Arc;

/// Reason why the results are incomplete if the output is too large to be stored completely.
const DROPPED: &str = "a part of the output was dropped before it was read";

/// The parsers of all sources of one test run, and their results.
#[derive(Debug)]
pub(super) struct ParsedTests {
    pub(super) collector: TestCollector,
    plugin: SourceParser,
    junit: SourceParser,
    output: SourceParser,
    lines: MergedLines,
    /// Offset of the first byte of the output that was not parsed yet.
    output_next: u64,
}

impl ParsedTests {
    pub(super) fn new(plan: &TestPlan, earlier: &Arc<EarlierTests>) -> Self {
        let parser = |source| SourceParser::new(source, plan.framework, Arc::clone(earlier));
        Self {
            collector: TestCollector::new(plan.framework),
            plugin: parser(TestSource::Plugin),
            junit: parser(TestSource::Junit),
            output: parser(plan.output),
            lines: MergedLines::default(),
            output_next: 0,
        }
    }

    /// Returns the parser of a source.
    pub(super) const fn source(&self, source: TestSource) -> &SourceParser {
        match source {
            TestSource::Plugin => &self.plugin,
            TestSource::Junit => &self.junit,
            TestSource::Stream | TestSource::Console => &self.output,
        }
    }

    /// Returns the parser of a source and the collector of its events.
    pub(super) const fn source_mut(&mut self, source: TestSource) -> (&mut SourceParser, &mut TestCollector) {
        let parser = match source {
            TestSource::Plugin => &mut self.plugin,
            TestSource::Junit => &mut self.junit,
            TestSource::Stream | TestSource::Console => &mut self.output,
        };
        (parser, &mut self.collector)
    }

    /// Parses a chunk of the output. The part that was already parsed is skipped.
    pub(super) fn push_output(&mut self, chunk: &OutputChunk) {
        let known = usize::try_from(self.output_next.saturating_sub(chunk.offset)).unwrap_or(usize::MAX);
        let Some(bytes) = chunk.bytes.get(known..).filter(|bytes| !bytes.is_empty()) else { return };
        let offset = chunk.offset.max(self.output_next);
        let Self { output, collector, lines, .. } = self;
        lines.push(chunk.source, offset, bytes, &mut |at, bytes| output.push_at(at, bytes, collector));
        self.output_next = offset.saturating_add(length(bytes));
    }

    /// Ends all unfinished lines and marks the results as incomplete, because output is missing before the next chunk.
    pub(super) fn interrupt_output(&mut self) {
        let Self { output, collector, lines, .. } = self;
        lines.finish(&mut |at, bytes| output.push_at(at, bytes, collector));
        output.push(b"\n", collector);
        output.lose(DROPPED, collector);
    }

    /// Parses a page of the output.
    pub(super) fn push_page(&mut self, page: &OutputPage) {
        if page.gap > 0 {
            self.interrupt_output();
        }
        page.chunks.iter().for_each(|chunk| self.push_output(chunk));
        // The page may end with output of a stream that contains no results. No chunk then covers the end of the page.
        self.output_next = self.output_next.max(page.next);
    }

    /// Handles the end of the output.
    pub(super) fn finish_output(&mut self) {
        let Self { output, collector, lines, .. } = self;
        lines.finish(&mut |at, bytes| output.push_at(at, bytes, collector));
        output.finish(collector);
    }

    pub(super) const fn output_next(&self) -> u64 {
        self.output_next
    }

    /// Returns true if the output need not be parsed now: the report of the plugin is the better source. If this report
    /// turns out to be incomplete, the output is parsed after the end.
    pub(super) const fn prefers_plugin(&self) -> bool {
        self.plugin.is_recognized()
    }

    /// Returns true if some source contains results.
    pub(super) fn has_results(&self) -> bool {
        let parsers = [&self.plugin, &self.junit, &self.output];
        self.collector.counts().total > 0 || parsers.iter().any(|parser| parser.is_recognized())
    }
}

/// Returns the stream that contains results in the output; `None` if both streams contain them.
pub(super) const fn stream_of(source: TestSource) -> Option<OutputSource> {
    match source {
        TestSource::Stream => Some(OutputSource::Stdout),
        TestSource::Plugin | TestSource::Junit | TestSource::Console => None,
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
