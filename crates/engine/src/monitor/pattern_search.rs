//! Searches the output of an attempt for patterns.

use super::earlier_runs::ReportedConditions;
use super::follower::WatchStart;
use super::lines::{LineFeed, OutputLine};
use super::output_consumer::{OutputConsumer, ReportPace};
use super::pattern::CompiledPattern;
use crate::engine::EngineShared;
use longhaul_domain::{AttemptNo, Observation};
use longhaul_ports::{AttemptKey, OutputChunk, OutputSource};
use std::collections::BTreeSet;

/// Maximum number of reported matches for each pattern of an attempt.
const MAX_MATCHES: usize = 100;
/// Maximum number of characters of a matching line that are reported.
const MAX_REPORTED_LEN: usize = 200;

/// Reports the lines of the output that match a pattern.
#[derive(Debug)]
pub(super) struct PatternSearch {
    from: u64,
    feed: LineFeed,
    matches: PatternMatches,
}

#[derive(Debug)]
struct PatternMatches {
    attempt: AttemptNo,
    patterns: Vec<PatternCount>,
    unreported: Vec<Observation>,
}

#[derive(Debug)]
struct PatternCount {
    pattern: CompiledPattern,
    /// Offsets at which the reported lines start. A line that has grown is searched again, but it is reported only
    /// once.
    told: BTreeSet<u64>,
}

impl PatternSearch {
    /// Creates a search. If an earlier run of the manager may have reported matches, the search starts at an offset
    /// after which all reported matches are known, so that it repeats none of them.
    pub(super) async fn new(
        core: &EngineShared,
        key: AttemptKey,
        patterns: Vec<CompiledPattern>,
        begin: WatchStart,
    ) -> Self {
        let (from, told) = match begin {
            WatchStart::Here => (0, ReportedConditions::default()),
            WatchStart::Before => core.attention.earlier_runs.of(core, key).await,
        };
        let counted = |pattern: CompiledPattern| PatternCount { told: told.by(&pattern.name), pattern };
        let patterns = patterns.into_iter().map(counted).collect();
        let matches = PatternMatches { attempt: key.attempt, patterns, unreported: Vec::new() };
        Self { from, feed: LineFeed::default(), matches }
    }
}

impl OutputConsumer for PatternSearch {
    fn start(&self) -> u64 {
        self.from
    }

    fn stream(&self) -> Option<OutputSource> {
        let covers = |source| self.matches.patterns.iter().any(|counted| counted.pattern.covers(source));
        match (covers(OutputSource::Stdout), covers(OutputSource::Stderr)) {
            (true, false) => Some(OutputSource::Stdout),
            (false, true) => Some(OutputSource::Stderr),
            (true, true) | (false, false) => None,
        }
    }

    fn pace(&self) -> ReportPace {
        ReportPace::Immediate
    }

    fn push(&mut self, chunk: &OutputChunk) {
        let Self { feed, matches, .. } = self;
        feed.take(chunk, |line| matches.look_at(line));
    }

    fn interrupt(&mut self) {
        self.feed.interrupt();
    }

    fn quiet(&mut self) {
        let Self { feed, matches, .. } = self;
        feed.show_unfinished(|line| matches.look_at(line));
    }

    fn take_reports(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.matches.unreported)
    }

    fn is_done(&self) -> bool {
        self.matches.patterns.iter().all(|counted| counted.told.len() >= MAX_MATCHES)
    }
}

impl PatternMatches {
    /// Reports the patterns that match a line.
    fn look_at(&mut self, line: OutputLine<'_>) {
        let text = line.text();
        for PatternCount { pattern, told } in &mut self.patterns {
            let is_news = told.len() < MAX_MATCHES && !told.contains(&line.offset);
            if is_news && pattern.covers(line.source) && pattern.expression.is_match(&text) {
                told.insert(line.offset);
                self.unreported.push(Observation::OutputMatched {
                    attempt: self.attempt,
                    pattern: pattern.name.clone(),
                    offset: line.offset,
                    at: line.at,
                    line: longhaul_view::clean_label(&text).chars().take(MAX_REPORTED_LEN).collect(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Fixture, command, running};
    use longhaul_domain::{CommandSpec, WatchPattern, WatchSource};

    fn patterns(count: usize) -> Vec<CompiledPattern> {
        let mut spec = CommandSpec::of("run", &[], "/");
        spec.watch = (0..count)
            .map(|number| WatchPattern {
                name: number.to_string(),
                pattern: "x".to_owned(),
                source: WatchSource::Both,
            })
            .collect();
        CompiledPattern::of(&spec)
    }

    #[tokio::test(start_paused = true)]
    async fn search_continues_until_every_pattern_has_all_its_matches() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let stored = running(1, command());
        let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
        let mut search = PatternSearch::new(core, key, patterns(2), WatchStart::Here).await;
        assert_eq!(search.start(), 0);
        let all = || (0..100_u64).collect::<BTreeSet<u64>>();
        search.matches.patterns[0].told = all();
        search.matches.patterns[1].told = (0..99).collect();
        assert!(!search.is_done());
        search.matches.patterns[1].told = all();
        assert!(search.is_done());
    }
}
