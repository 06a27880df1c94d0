//! Watches the output of an attempt for patterns.

use super::earlier_runs::ReportedConditions;
use super::lines::OutputLine;
use super::pattern::CompiledPattern;
use super::scan::scan;
use crate::engine::EngineShared;
use longhaul_domain::{Deadline, Observation};
use longhaul_ports::{AttemptKey, StoredProcess};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Maximum number of reported matches for each pattern of an attempt.
const MAX_MATCHES: usize = 100;
/// Maximum number of characters of a matching line that are reported.
const MAX_REPORTED_LEN: usize = 200;
/// Maximum time by which the end of an attempt is delayed, so that matches in its last output are reported first.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_millis(300);

/// The run of the manager in which an attempt started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchStart {
    /// The current run: no match has been reported yet.
    Here,
    /// An earlier run: the event log contains the reported matches.
    Before,
}

/// A running search for patterns. Dropping it stops the search.
#[derive(Debug)]
pub(super) struct PatternWatch {
    over: watch::Sender<Option<u64>>,
    task: JoinHandle<()>,
}

impl PatternWatch {
    pub(super) fn start(
        core: &Arc<EngineShared>,
        key: AttemptKey,
        patterns: Vec<CompiledPattern>,
        begin: WatchStart,
    ) -> Self {
        let (over, told) = watch::channel(None);
        let core = core.clone();
        let task = tokio::spawn(async move {
            let tell = |observation| core.lanes.seen(key.id, observation);
            let (mut search, from) = WatchSearch::new(&core, key, patterns, begin).await;
            search.run(&core, from, told, tell).await;
        });
        Self { over, task }
    }

    /// Waits until all `written` bytes of the attempt have been searched, but at most [`OUTPUT_DRAIN_TIMEOUT`].
    pub(super) async fn finish(mut self, core: &EngineShared, written: u64) {
        self.over.send_replace(Some(written));
        let until = Deadline::Awake(core.parts.clock.awake().plus(OUTPUT_DRAIN_TIMEOUT));
        tokio::select! {
            biased;
            _ = &mut self.task => {}
            () = core.parts.clock.sleep_until(until) => {
                tracing::debug!("the search in the last output of an attempt timed out");
            }
        }
    }
}

impl Drop for PatternWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the unreported matches in the output of an attempt of an earlier run, in the order of the lines. `written`
/// is the size of that output in bytes.
pub(crate) async fn missed(core: &EngineShared, stored: &StoredProcess, written: u64) -> Vec<Observation> {
    let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
    let patterns = stored.process.spec.command().map(CompiledPattern::of).unwrap_or_default();
    let mut missed = Vec::new();
    if !patterns.is_empty() {
        let (mut search, from) = WatchSearch::new(core, key, patterns, WatchStart::Before).await;
        let (_over, told) = watch::channel(Some(written));
        let until = Deadline::Awake(core.parts.clock.awake().plus(OUTPUT_DRAIN_TIMEOUT));
        tokio::select! {
            biased;
            () = search.run(core, from, told, |observation| missed.push(observation)) => {}
            () = core.parts.clock.sleep_until(until) => {
                tracing::debug!(id = %key.id, "the search in the output of an attempt from an earlier manager \
                                               run timed out");
            }
        }
    }
    missed
}

struct WatchSearch {
    key: AttemptKey,
    patterns: Vec<PatternCount>,
}

struct PatternCount {
    pattern: CompiledPattern,
    /// Offsets at which the reported lines start. A line that has grown is searched again, but it is reported only
    /// once.
    told: BTreeSet<u64>,
}

impl WatchSearch {
    /// Creates a search. Also returns the output offset at which the search starts.
    async fn new(
        core: &EngineShared,
        key: AttemptKey,
        patterns: Vec<CompiledPattern>,
        begin: WatchStart,
    ) -> (Self, u64) {
        let (from, told) = match begin {
            WatchStart::Here => (0, ReportedConditions::default()),
            WatchStart::Before => core.attention.earlier_runs.of(core, key).await,
        };
        let counted = |pattern: CompiledPattern| PatternCount { told: told.by(&pattern.name), pattern };
        (Self { key, patterns: patterns.into_iter().map(counted).collect() }, from)
    }

    async fn run(
        &mut self,
        core: &EngineShared,
        from: u64,
        over: watch::Receiver<Option<u64>>,
        mut tell: impl FnMut(Observation),
    ) {
        if self.goes_on() {
            scan(core, self.key, from, over, |line| self.look_at(line, &mut tell)).await;
        }
    }

    /// Reports the patterns that match a line. Returns false when every pattern has reached [`MAX_MATCHES`].
    fn look_at(&mut self, line: OutputLine<'_>, tell: &mut impl FnMut(Observation)) -> bool {
        let text = line.text();
        for PatternCount { pattern, told } in &mut self.patterns {
            let is_news = told.len() < MAX_MATCHES && !told.contains(&line.offset);
            if is_news && pattern.covers(line.source) && pattern.expression.is_match(&text) {
                told.insert(line.offset);
                tell(Observation::OutputMatched {
                    attempt: self.key.attempt,
                    pattern: pattern.name.clone(),
                    offset: line.offset,
                    at: line.at,
                    line: longhaul_view::clean_label(&text).chars().take(MAX_REPORTED_LEN).collect(),
                });
            }
        }
        self.goes_on()
    }

    fn goes_on(&self) -> bool {
        self.patterns.iter().any(|counted| counted.told.len() < MAX_MATCHES)
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
    async fn search_continues_until_all_matches_are_found_or_its_guard_is_dropped() {
        let fixture = Fixture::new(false).await;
        let core = &fixture.engine.core;
        let stored = running(1, command());
        let key = AttemptKey { id: stored.process.id, attempt: stored.process.attempt };
        let (mut search, from) = WatchSearch::new(core, key, patterns(2), WatchStart::Here).await;
        assert_eq!(from, 0);
        let all = || (0..100_u64).collect::<BTreeSet<u64>>();
        search.patterns[0].told = all();
        search.patterns[1].told = (0..99).collect();
        assert!(search.goes_on());
        search.patterns[1].told = all();
        assert!(!search.goes_on());
        let watch = PatternWatch::start(core, key, patterns(1), WatchStart::Here);
        let task = watch.task.abort_handle();
        fixture.clock.settle().await;
        assert!(!task.is_finished());
        drop(watch);
        fixture.clock.settle().await;
        assert!(task.is_finished());
    }
}
