//! Parses one source of test results.

use longhaul_insight::test_run::{
    EarlierTests, Framework, TestCollector, TestEvent, TestList, TestParser, TestSource, parser_of,
};
use std::sync::Arc;

/// Parses one source of test results and encodes the list of its tests.
#[derive(Debug)]
pub(super) struct SourceParser {
    source: TestSource,
    parser: Box<dyn TestParser>,
    list: TestList,
    is_recognized: bool,
}

impl SourceParser {
    pub(super) fn new(source: TestSource, framework: Option<Framework>, earlier: Arc<EarlierTests>) -> Self {
        Self {
            source,
            parser: parser_of(source, framework),
            list: TestList::new(earlier),
            is_recognized: false,
        }
    }

    /// Parses the next bytes of the source.
    pub(super) fn push(&mut self, bytes: &[u8], collector: &mut TestCollector) {
        self.parse(collector, |parser, emit| parser.push(bytes, emit));
    }

    /// Parses the next bytes of the output. `offset` is the offset of the first byte.
    pub(super) fn push_at(&mut self, offset: u64, bytes: &[u8], collector: &mut TestCollector) {
        self.parse(collector, |parser, emit| parser.push_at(offset, bytes, emit));
    }

    /// Records that a part of the source is missing, which makes the results incomplete.
    pub(super) fn lose(&mut self, why: &str, collector: &mut TestCollector) {
        collector.add(self.source, &TestEvent::Unreadable { why: why.to_owned() });
    }

    /// Handles the end of the source.
    pub(super) fn finish(&mut self, collector: &mut TestCollector) {
        self.parse(collector, |parser, emit| parser.finish(emit));
    }

    /// Starts a further report of the same source.
    pub(super) fn start_report(&mut self, framework: Option<Framework>) {
        self.parser = parser_of(self.source, framework);
    }

    fn parse(
        &mut self,
        collector: &mut TestCollector,
        parse: impl FnOnce(&mut dyn TestParser, &mut dyn FnMut(TestEvent)),
    ) {
        let Self { source, parser, list, is_recognized } = self;
        parse(parser.as_mut(), &mut |event| {
            *is_recognized |= matches!(event, TestEvent::Recognized(_));
            list.add(&event);
            collector.add(*source, &event);
        });
    }

    /// Returns true if the source contains the results of a known framework.
    pub(super) const fn is_recognized(&self) -> bool {
        self.is_recognized
    }

    pub(super) const fn list(&self) -> &TestList {
        &self.list
    }

    pub(super) const fn list_mut(&mut self) -> &mut TestList {
        &mut self.list
    }
}
