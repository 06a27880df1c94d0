//! Estimates the remaining time of a process from the durations of earlier runs.

use crate::engine::EngineShared;
use longhaul_domain::{
    Deadline, Observation, Process, ProgressReport, ProgressSource, Spec, Status, Timestamp,
};
use longhaul_ports::{AttemptKey, PageRequest, ProcessFilter, SortOrder};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of earlier runs that the estimate is based on.
const MAX_RUNS: usize = 10;
/// Maximum number of records that are read to find these runs.
const MAX_READ: u32 = 30;
/// Run time after which a process gets an estimate. Most processes end earlier and cause no search.
const DELAY: Duration = Duration::from_secs(2);

/// Reports the remaining time of a process: the usual duration of completed processes of the same project and name,
/// minus the time since the start of the process. Reports nothing if there are no such processes, or if this process
/// takes longer than usual.
pub(super) async fn estimate(core: Arc<EngineShared>, key: AttemptKey, spec: Arc<Spec>, started: Timestamp) {
    let clock = &core.parts.clock;
    clock.sleep_until(Deadline::Awake(clock.awake().plus(DELAY))).await;
    let filter = ProcessFilter {
        statuses: vec![Status::Completed],
        project: spec.project.clone(),
        name: spec.name.clone(),
        ..ProcessFilter::default()
    };
    let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: MAX_READ };
    let listing = match core.parts.store.list(&filter, &page).await {
        Ok(listing) => listing,
        Err(error) => {
            tracing::debug!(id = %key.id, %error, "could not read the earlier runs of a process");
            return;
        }
    };
    let earlier = listing.processes.iter().map(|stored| &stored.process);
    // Check the project again, because a filter without a project selects the processes of all projects.
    let earlier = earlier.filter(|process| process.spec.project == spec.project);
    let at = clock.now();
    let left = median(earlier.filter_map(duration).take(MAX_RUNS).collect())
        .and_then(|usual| usual.checked_sub(at.since(started)))
        .filter(|left| !left.is_zero());
    if let Some(left) = left {
        let report =
            ProgressReport { eta: Some(left), source: ProgressSource::History, ..ProgressReport::default() };
        core.lanes.seen(key.id, Observation::ProgressObserved { attempt: key.attempt, report, at });
    }
}

fn duration(process: &Process) -> Option<Duration> {
    Some(process.completed_at()?.since(process.started_at?))
}

/// Returns the median. For an even number of durations, this is the longer of the two middle durations.
fn median(mut durations: Vec<Duration>) -> Option<Duration> {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_duration_in_the_middle() {
        let of = |seconds: &[u64]| median(seconds.iter().copied().map(Duration::from_secs).collect());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[9]), Some(Duration::from_secs(9)));
        assert_eq!(of(&[90, 2, 3]), Some(Duration::from_secs(3)));
        assert_eq!(of(&[4, 1, 3, 2]), Some(Duration::from_secs(3)));
    }
}
