//! The consumers that read the same streams of the output of one attempt.

use super::agent_consumer::AgentConsumer;
use super::follower::WatchStart;
use super::output_consumer::{OutputConsumer, ReportPace};
use super::pattern::CompiledPattern;
use super::pattern_search::PatternSearch;
use super::progress_search::ProgressSearch;
use super::test_consumer::TestConsumer;
use crate::engine::EngineShared;
use longhaul_domain::{CommandSpec, Observation, Spec};
use longhaul_ports::{AttemptKey, OutputChunk, OutputPage, OutputSource};

/// The consumers that read the same streams, so that one read serves all of them.
///
/// The output is read separately for each set of an attempt. If the consumers of one set need only standard error, a
/// large standard output therefore costs them nothing.
#[derive(Debug, Default)]
pub(super) struct ConsumerSet {
    stream: Option<OutputSource>,
    all: Vec<Box<dyn OutputConsumer>>,
}

impl ConsumerSet {
    /// Returns true if the output of a process with this spec has a consumer.
    pub(super) fn is_needed(spec: &Spec) -> bool {
        let is_read = |command: &CommandSpec| {
            !command.watch.is_empty() || command.progress.reads_output() || AgentConsumer::is_needed(command)
        };
        spec.command().is_some_and(is_read) || TestConsumer::is_needed(spec)
    }

    /// Creates the three sets of consumers for the output of an attempt: for both streams, for standard output, and for
    /// standard error.
    pub(super) async fn of(
        core: &EngineShared,
        key: AttemptKey,
        spec: &Spec,
        begin: WatchStart,
    ) -> [Self; 3] {
        let mut all: Vec<Box<dyn OutputConsumer>> = Vec::new();
        let patterns = spec.command().map(CompiledPattern::of).unwrap_or_default();
        if !patterns.is_empty() {
            all.push(Box::new(PatternSearch::new(core, key, patterns, begin).await));
        }
        if let Some(agent) = spec.command().and_then(|command| AgentConsumer::of(command, key.attempt)) {
            all.push(Box::new(agent));
        }
        if let Some(search) = spec.command().and_then(|command| ProgressSearch::new(key, &command.progress)) {
            all.push(Box::new(search));
        }
        if let Some(tests) = TestConsumer::of(core, key).await {
            all.push(Box::new(tests));
        }
        [None, Some(OutputSource::Stdout), Some(OutputSource::Stderr)].map(|stream| {
            let all = all.extract_if(.., |consumer| consumer.stream() == stream).collect();
            Self { stream, all }
        })
    }

    pub(super) fn single(consumer: impl OutputConsumer + 'static) -> Self {
        Self { stream: consumer.stream(), all: vec![Box::new(consumer)] }
    }

    /// Returns the stream that the consumers need; `None` if they need both.
    pub(super) const fn stream(&self) -> Option<OutputSource> {
        self.stream
    }

    /// Returns true if a consumer accepts no output at the moment.
    pub(super) fn is_full(&self) -> bool {
        self.all.iter().any(|consumer| !consumer.is_done() && consumer.is_full())
    }

    /// Returns the lowest offset at which a consumer needs the output.
    pub(super) fn start(&self) -> u64 {
        self.all.iter().map(|consumer| consumer.start()).min().unwrap_or(0)
    }

    /// Returns true if no consumer needs more output.
    pub(super) fn is_done(&self) -> bool {
        self.all.iter().all(|consumer| consumer.is_done())
    }

    /// Returns true if a consumer needs new output immediately.
    pub(super) fn is_urgent(&self) -> bool {
        self.all.iter().any(|consumer| consumer.pace() == ReportPace::Immediate && !consumer.is_done())
    }

    /// Returns true if old output may be skipped, because all consumers that need more output accept this.
    pub(super) fn may_skip(&self) -> bool {
        self.all
            .iter()
            .all(|consumer| consumer.is_done() || consumer.pace() == ReportPace::Latest { may_skip: true })
    }

    /// Passes a page to the consumers.
    pub(super) fn push(&mut self, page: &OutputPage) {
        if page.gap > 0 {
            self.interrupt();
        }
        for consumer in self.all.iter_mut().filter(|consumer| !consumer.is_done()) {
            let start = consumer.start();
            for chunk in &page.chunks {
                let skipped = usize::try_from(start.saturating_sub(chunk.offset)).unwrap_or(usize::MAX);
                match chunk.bytes.get(skipped..) {
                    Some([]) | None => {}
                    Some(_) if skipped == 0 => consumer.push(chunk),
                    Some(bytes) => {
                        consumer.push(&OutputChunk { offset: start, bytes: bytes.to_vec(), ..chunk.clone() });
                    }
                }
            }
        }
    }

    /// Tells the consumers that output is missing before the next page.
    pub(super) fn interrupt(&mut self) {
        self.all.iter_mut().for_each(|consumer| consumer.interrupt());
    }

    /// Tells the consumers that the command has written nothing for a moment.
    pub(super) fn quiet(&mut self) {
        self.all.iter_mut().for_each(|consumer| consumer.quiet());
    }

    /// Returns the reports of all consumers that report after each page.
    pub(super) fn take_immediate(&mut self) -> Vec<Observation> {
        self.take(|pace| pace == ReportPace::Immediate)
    }

    /// Returns the reports of all consumers that report their latest state.
    pub(super) fn take_latest(&mut self) -> Vec<Observation> {
        self.take(|pace| pace != ReportPace::Immediate)
    }

    /// Returns the last reports, after the end of the attempt.
    pub(super) fn finish(&mut self, is_complete: bool) -> Vec<Observation> {
        self.all.iter_mut().flat_map(|consumer| consumer.finish(is_complete)).collect()
    }

    fn take(&mut self, is_taken: impl Fn(ReportPace) -> bool) -> Vec<Observation> {
        let taken = self.all.iter_mut().filter(|consumer| is_taken(consumer.pace()));
        taken.flat_map(|consumer| consumer.take_reports()).collect()
    }
}
