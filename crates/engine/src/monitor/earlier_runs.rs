//! The pattern matches that earlier runs of this manager reported, read from the event log.

use crate::engine::EngineShared;
use longhaul_domain::{Deadline, Fact, ProcessId, Timestamp};
use longhaul_ports::{AttemptKey, EventCursor, LoggedEvent, StoreError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Maximum number of events in one read.
const PAGE: u32 = 1_000;
/// Delay before the next read of the event log after an error.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Reports of earlier runs. They are read from the event log on first use.
#[derive(Debug, Default)]
pub(super) struct EarlierRuns(OnceCell<EarlierReports>);

#[derive(Debug, Default)]
struct EarlierReports {
    /// Time of the oldest stored event; older reports are unknown.
    since: Option<Timestamp>,
    of: HashMap<ProcessId, ReportedConditions>,
}

/// Matches that were reported for one attempt: for each pattern, the offsets at which the matching lines start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReportedConditions(BTreeMap<String, BTreeSet<u64>>);

impl EarlierRuns {
    /// Returns the reported matches of a live attempt, and an output offset. All reported matches from this offset on
    /// are included; matches before it may be missing.
    pub(super) async fn of(&self, core: &EngineShared, key: AttemptKey) -> (u64, ReportedConditions) {
        let told = self.0.get_or_init(|| read(core)).await;
        let from = match told.since {
            Some(since) => core.parts.output.since(key, since).await.unwrap_or(0),
            None => 0,
        };
        (from, told.of.get(&key.id).cloned().unwrap_or_default())
    }
}

impl ReportedConditions {
    pub(super) fn by(&self, pattern: &str) -> BTreeSet<u64> {
        self.0.get(pattern).cloned().unwrap_or_default()
    }
}

impl EarlierReports {
    fn take_in(&mut self, logged: LoggedEvent) {
        self.since = self.since.or(Some(logged.event.at));
        match logged.event.fact {
            Fact::OutputMatched { pattern, offset, .. } => {
                let told = self.of.entry(logged.id).or_default();
                told.0.entry(pattern).or_default().insert(offset);
            }
            // A new attempt has its own output log, so the recorded offsets do not apply to it.
            Fact::Claimed { .. } | Fact::Ended { .. } => {
                self.of.remove(&logged.id);
            }
            Fact::Submitted
            | Fact::Spawned { .. }
            | Fact::NeverRan
            | Fact::BecameDue
            | Fact::NodeLost { .. }
            | Fact::Restored { .. }
            | Fact::RetryScheduled { .. }
            | Fact::StageChanged { .. }
            | Fact::OutcomeReported(_)
            | Fact::TestsReported(_)
            | Fact::TestsDoubted(_)
            | Fact::Paused { .. }
            | Fact::Resumed { .. }
            | Fact::StopRequested { .. }
            | Fact::KillStarted { .. }
            | Fact::BecameStuck
            | Fact::AwaitingChildren { .. }
            | Fact::CascadeStarted { .. }
            | Fact::CascadeEnded
            | Fact::Prioritized { .. }
            | Fact::SessionEnded { .. }
            | Fact::SessionKept
            | Fact::ConditionStarted { .. }
            | Fact::ConditionEnded { .. }
            | Fact::SignalSent { .. }
            | Fact::OrphanStopRequested { .. }
            | Fact::LateExit { .. } => {}
        }
    }
}

async fn read(core: &EngineShared) -> EarlierReports {
    loop {
        match all(core).await {
            Ok(told) => return told,
            Err(error) => {
                tracing::warn!(%error, "could not read which conditions were reported earlier; retrying")
            }
        }
        let again = core.parts.clock.awake().plus(RETRY_DELAY);
        core.parts.clock.sleep_until(Deadline::Awake(again)).await;
    }
}

/// Reads the log up to its current end. Until this is done, no new matches are reported for attempts of earlier runs.
async fn all(core: &EngineShared) -> Result<EarlierReports, StoreError> {
    let (store, mut told) = (&core.parts.store, EarlierReports::default());
    let end = store.end().await?;
    let mut after: Option<EventCursor> = None;
    while after.is_none_or(|after| after < end) {
        let page = store.read(after, PAGE, false).await?;
        let Some(last) = page.events.last() else { break };
        after = Some(last.cursor);
        page.events.into_iter().for_each(|logged| told.take_in(logged));
    }
    Ok(told)
}
