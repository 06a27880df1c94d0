//! What earlier lives of this manager told of the output that they watched, as the event log has it.

use crate::engine::EngineShared;
use longhaul_domain::{Deadline, Fact, ProcessId, Timestamp};
use longhaul_ports::{AttemptKey, EventCursor, LoggedEvent, StoreError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::OnceCell;

/// The log is read in pages of so many events.
const PAGE: u32 = 1_000;
/// The wait before a log is read again that could not be read.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What earlier lives told; read when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct EarlierRuns(OnceCell<EarlierReports>);

#[derive(Debug, Default)]
struct EarlierReports {
    /// When the oldest event was that is kept: what was told before it is forgotten.
    since: Option<Timestamp>,
    of: HashMap<ProcessId, ReportedConditions>,
}

/// What was told of one attempt: where the lines begin, by pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReportedConditions(BTreeMap<String, BTreeSet<u64>>);

impl EarlierRuns {
    /// What was told of a live attempt, and the first offset of which that is known.
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
            // Another attempt has output of its own.
            Fact::Claimed { .. } | Fact::Ended { .. } => {
                self.of.remove(&logged.id);
            }
            Fact::Submitted
            | Fact::Spawned { .. }
            | Fact::NeverRan
            | Fact::BecameDue
            | Fact::NodeLost { .. }
            | Fact::GivenBack { .. }
            | Fact::RetryScheduled { .. }
            | Fact::StageChanged { .. }
            | Fact::Paused { .. }
            | Fact::Resumed { .. }
            | Fact::StopBegan { .. }
            | Fact::KillBegan { .. }
            | Fact::BecameStuck
            | Fact::Lingered { .. }
            | Fact::CascadeBegan { .. }
            | Fact::CascadeEnded
            | Fact::Prioritized { .. }
            | Fact::SessionEnded { .. }
            | Fact::SessionKept
            | Fact::ConditionBegan { .. }
            | Fact::ConditionEnded { .. }
            | Fact::Signalled { .. }
            | Fact::RestTold { .. }
            | Fact::LateExit { .. } => {}
        }
    }
}

async fn read(core: &EngineShared) -> EarlierReports {
    loop {
        match all(core).await {
            Ok(told) => return told,
            Err(error) => tracing::warn!(%error, "it cannot be told yet what was told before"),
        }
        let again = core.parts.clock.awake().plus(RETRY_DELAY);
        core.parts.clock.sleep_until(Deadline::Awake(again)).await;
    }
}

/// Reads the log as it is now. Nobody adds to what was told of the attempts of an earlier life before that is known.
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
