//! Watches the output of an attempt for patterns.

use super::lines::Line;
use super::pattern::Pattern;
use super::scan::scan;
use crate::engine::Core;
use longhaul_domain::{Deadline, Observation};
use longhaul_ports::{AttemptKey, OutputSource};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Of each pattern so many lines are told for one attempt; what matches then is a flood that nobody reads.
const MOST_MATCHES: u32 = 100;
/// So much of a line is told, in characters.
const LONGEST_TOLD: usize = 200;
/// The end of an attempt waits so long for what it said last to be told before it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// With the first byte.
    Start,
    /// With what is written from now on: what came before was told in an earlier life.
    End,
}

/// A running watch; dropping it ends it.
#[derive(Debug)]
pub(super) struct Watch {
    over: watch::Sender<Option<u64>>,
    task: JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(core: &Arc<Core>, key: AttemptKey, patterns: Vec<Pattern>, begin: Begin) -> Self {
        let (over, told) = watch::channel(None);
        let core = core.clone();
        let task = tokio::spawn(async move { run(&core, key, patterns, begin, told).await });
        Self { over, task }
    }

    /// Returns when all that the attempt wrote was searched, or that takes too long.
    pub(super) async fn finish(mut self, core: &Core, written: u64) {
        self.over.send_replace(Some(written));
        let until = Deadline::Awake(core.parts.clock.awake().plus(PATIENCE));
        tokio::select! {
            biased;
            _ = &mut self.task => {}
            () = core.parts.clock.sleep_until(until) => {
                tracing::debug!("the last words of an attempt were not searched in time");
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    core: &Core,
    key: AttemptKey,
    patterns: Vec<Pattern>,
    begin: Begin,
    over: watch::Receiver<Option<u64>>,
) {
    let from = match begin {
        Begin::Start => 0,
        Begin::End => core.parts.output.size(key).await.map_or(0, |size| size.end),
    };
    let mut search = Search { key, patterns: patterns.into_iter().map(Counted::from).collect() };
    scan(core, key, from, over, |line| search.look_at(core, line)).await;
}

struct Search {
    key: AttemptKey,
    patterns: Vec<Counted>,
}

struct Counted {
    pattern: Pattern,
    left: u32,
    /// The last line that was told: it may be looked at again when it has grown.
    told: Option<(OutputSource, u64)>,
}

impl Search {
    /// Tells what matches; false when nothing more would be told.
    fn look_at(&mut self, core: &Core, line: Line<'_>) -> bool {
        let text = line.text();
        let place = Some((line.source, line.offset));
        for counted in &mut self.patterns {
            let pattern = &counted.pattern;
            let is_news = counted.left > 0 && counted.told != place && pattern.covers(line.source);
            if is_news && pattern.expression.is_match(&text) {
                counted.left -= 1;
                counted.told = place;
                let observation = Observation::OutputMatched {
                    attempt: self.key.attempt,
                    pattern: pattern.name.clone(),
                    offset: line.offset,
                    at: line.at,
                    line: longhaul_view::clean_label(&text).chars().take(LONGEST_TOLD).collect(),
                };
                core.lanes.seen(self.key.id, observation);
            }
        }
        self.patterns.iter().any(|counted| counted.left > 0)
    }
}

impl From<Pattern> for Counted {
    fn from(pattern: Pattern) -> Self {
        Self { pattern, left: MOST_MATCHES, told: None }
    }
}
