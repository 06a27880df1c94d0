//! The task that prunes old records and output automatically.

use super::output::OutputUsage;
use crate::engine::EngineShared;
use crate::error::EngineError;
use longhaul_domain::{Deadline, ProcessId, Retention, Timestamp, millis};
use longhaul_ports::{StoreError, StoredProcess};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Maximum delay between two prune rounds.
const HOUR: Duration = Duration::from_secs(3600);
/// Minimum delay between two prune rounds.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Number of prune rounds within the maximum age of records. It matters only if that age is a few hours.
const ROUNDS_PER_AGE: u32 = 4;
/// Delay after a prune round that failed.
const RETRY_DELAY: Duration = Duration::from_secs(60);
/// Minimum age of records that are pruned because of size limits, so that waiting clients can still read them.
const MIN_PRUNE_AGE: Duration = Duration::from_secs(60);
/// Time between two searches for output without a record.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Number of records in one request of the search for output without a record. The next constant is the delay after
/// each of these requests.
const PAGE_SIZE: usize = 200;
const PAGE_DELAY: Duration = Duration::from_millis(20);
/// Delay of the first prune round after the start of the engine.
const START: Duration = Duration::from_secs(1);
const NO_RETENTION: Retention = Retention { age: None, count: None, before: None };

/// Prunes old records and output: shortly after the start, and then at least once an hour.
pub(crate) async fn prune_periodically(core: Arc<EngineShared>) {
    let clock = core.parts.clock.clone();
    // Only read the total number of pruned records now. The first prune round starts later, so that it does not delay
    // the first requests of clients.
    if let Err(error) = core.prune(&NO_RETENTION, 0).await {
        core.log_retry(None, &error, "the store did not report how many records were pruned");
    }
    clock.sleep_until(Deadline::At(clock.now().plus(START))).await;
    let mut searched: Option<Timestamp> = None;
    loop {
        let mut pause = pause(&core);
        if let Err(error) = round(&core).await {
            core.log_retry(None, &error, "could not prune old records; retrying");
            pause = pause.min(RETRY_DELAY);
        }
        let is_stale = searched.is_none_or(|at| clock.now().since(at) >= DAY);
        if is_stale || core.sweeps.leftover.swap(false, Ordering::Relaxed) {
            match remove_unknown(&core).await {
                Ok(()) => searched = Some(clock.now()),
                Err(error) => {
                    core.log_retry(None, &error, "could not search for output without a record");
                    searched = None;
                }
            }
        }
        clock.sleep_until(Deadline::At(clock.now().plus(pause))).await;
    }
}

fn pause(core: &EngineShared) -> Duration {
    let age = core.settings.retention.and_then(|rule| rule.age);
    age.map_or(HOUR, |age| age / ROUNDS_PER_AGE).clamp(MIN_INTERVAL, HOUR)
}

async fn round(core: &Arc<EngineShared>) -> Result<(), EngineError> {
    let settings = &core.settings;
    let rule = settings.retention.unwrap_or(NO_RETENTION);
    let bounds = (settings.retention_bytes, settings.output_total);
    let outputs = match bounds {
        (None, None) => OutputUsage::default(),
        (Some(_), _) | (_, Some(_)) => core.outputs().await?,
    };
    let young = Timestamp(core.parts.clock.now().0.saturating_sub(millis(MIN_PRUNE_AGE)));
    let by_bytes = bounds.0.and_then(|limit| outputs.prune_cutoff(limit)).map(|before| before.min(young));
    let pruned = core.prune_all(&Retention { before: rule.before.max(by_bytes), ..rule }).await?;
    if !pruned.ids.is_empty() {
        tracing::info!(records = pruned.ids.len(), bytes = pruned.bytes, "pruned old records");
    }
    if let Some(limit) = bounds.1 {
        for id in outputs.without(&pruned.ids).beyond(limit, young) {
            core.remove_output(id).await;
        }
    }
    Ok(())
}

/// Deletes the output of pruned records whose deletion was interrupted.
///
/// Deletes no output if more processes have output without a record than the store has ever pruned, because this output
/// then belongs to another store.
async fn remove_unknown(core: &Arc<EngineShared>) -> Result<(), EngineError> {
    let kept: Vec<ProcessId> = core.all_kept().await?.into_iter().collect();
    let mut unknown = Vec::new();
    for ids in kept.chunks(PAGE_SIZE) {
        let records = core.parts.store.load_each(ids).await?;
        let is_unknown = |record: &Result<Option<StoredProcess>, StoreError>| matches!(record, Ok(None));
        unknown.extend(ids.iter().zip(&records).filter(|(_, record)| is_unknown(record)).map(|(id, _)| *id));
        let clock = &core.parts.clock;
        clock.sleep_until(Deadline::Awake(clock.awake().plus(PAGE_DELAY))).await;
    }
    if u64::try_from(unknown.len()).unwrap_or(u64::MAX) > core.sweeps.total.load(Ordering::Relaxed) {
        let count = unknown.len();
        tracing::warn!(count, "found output of processes that this store does not know; it is not deleted");
        return Ok(());
    }
    for id in unknown {
        core.remove_output(id).await;
    }
    Ok(())
}
