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

/// Of each pattern so many lines are told for one attempt; what matches then is a flood that nobody reads.
const MAX_MATCHES: usize = 100;
/// So much of a line is told, in characters.
const MAX_REPORTED_LEN: usize = 200;
/// The end of an attempt waits so long for what it said last to be told before it.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// In whose life an attempt began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchStart {
    /// In this one: nothing of it was told.
    Here,
    /// In an earlier one of this manager: what was told then is told by the event log.
    Before,
}

/// A running watch; dropping it ends it.
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

    /// Returns when all that the attempt wrote was searched, or that takes too long.
    pub(super) async fn finish(mut self, core: &EngineShared, written: u64) {
        self.over.send_replace(Some(written));
        let until = Deadline::Awake(core.parts.clock.awake().plus(OUTPUT_DRAIN_TIMEOUT));
        tokio::select! {
            biased;
            _ = &mut self.task => {}
            () = core.parts.clock.sleep_until(until) => {
                tracing::debug!("the last words of an attempt were not searched in time");
            }
        }
    }
}

impl Drop for PatternWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What an attempt of an earlier life said and nobody was told, in the order of its lines. `written` is how much it said.
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
                tracing::debug!(id = %key.id, "what an attempt said meanwhile was not searched in time");
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
    /// Where the lines begin that were told: one may be looked at again when it has grown.
    told: BTreeSet<u64>,
}

impl WatchSearch {
    /// Also gives where it begins.
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

    /// Tells what matches; false when nothing more would be told.
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
