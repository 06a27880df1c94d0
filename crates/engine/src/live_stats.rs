//! Live stats of running attempts. A change is visible immediately, and is written to the store at most once per
//! second.

use crate::engine::EngineShared;
use longhaul_domain::{AttemptNo, LiveStats, ProcessId, ProgressReport, ProgressSource, Timestamp};
use longhaul_ports::{AttemptKey, StoredProcess, Writer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Minimum time between two writes for the same process.
const INTERVAL: Duration = Duration::from_secs(1);

/// Cache of live stats that are newer than those in the store.
#[derive(Debug, Default)]
pub(crate) struct LiveStatsCache {
    live: Mutex<HashMap<ProcessId, CachedLiveStats>>,
    away_until: Mutex<Option<Timestamp>>,
}

#[derive(Clone, Debug)]
struct CachedLiveStats {
    attempt: AttemptNo,
    author: Writer,
    live_stats: LiveStats,
    written: Timestamp,
    dirty: bool,
}

impl LiveStatsCache {
    /// Replaces the live stats of a loaded record with newer live stats from the cache.
    pub(crate) fn overlay(&self, stored: &mut StoredProcess) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = live.get(&stored.process.id)
            && kept.attempt == stored.process.attempt
            && !stored.process.status().is_ended()
        {
            stored.live_stats = kept.live_stats.clone();
        }
    }

    pub(crate) fn forget(&self, id: ProcessId) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Returns the end of the latest period in which no reporter could reach this engine.
    pub(crate) fn away_until(&self) -> Option<Timestamp> {
        *self.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn was_away_until(&self, now: Timestamp) {
        *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

impl EngineShared {
    /// Caches a report, so that clients see it immediately. Writes the report to the store now, or as soon as one
    /// second has passed since the last write.
    pub(crate) async fn keep(self: &Arc<Self>, stored: &StoredProcess, report: &ProgressReport) {
        let now = self.parts.clock.now();
        let id = stored.process.id;
        let Some(author) = self.author_of(stored) else {
            return;
        };
        let advance;
        let write_at = {
            let mut live = self.live_stats.live.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = || CachedLiveStats {
                attempt: stored.process.attempt,
                author: author.clone(),
                live_stats: stored.live_stats.clone(),
                written: Timestamp(i64::MIN),
                dirty: false,
            };
            let kept = live.entry(id).or_insert_with(fresh);
            if kept.attempt != stored.process.attempt {
                *kept = CachedLiveStats { live_stats: LiveStats::default(), ..fresh() };
            }
            let before = kept.live_stats.progress;
            kept.live_stats = kept.live_stats.reported(now, report);
            advance =
                report.progress.and(kept.live_stats.progress).filter(|progress| before != Some(*progress));
            kept.author = author;
            kept.dirty = true;
            kept.written.plus(INTERVAL)
        };
        if write_at <= now {
            self.write_vitals(id).await;
        } else {
            self.timers.write_vitals_at(id, write_at);
        }
        match report.source {
            ProgressSource::Worker | ProgressSource::Output => {
                self.reported(AttemptKey { id, attempt: stored.process.attempt }, advance);
            }
            // An estimate of longhaul does not show that the worker is active.
            ProgressSource::History => {}
        }
        self.notifier.changed(id);
    }

    pub(crate) async fn write_vitals(self: &Arc<Self>, id: ProcessId) {
        let now = self.parts.clock.now();
        let kept = {
            let mut live = self.live_stats.live.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(kept) = live.get_mut(&id).filter(|kept| kept.dirty) else {
                return;
            };
            kept.dirty = false;
            kept.written = now;
            kept.clone()
        };
        let author = match kept.author {
            Writer::Owner(_) => Writer::Owner(self.lease()),
            Writer::Anyone => Writer::Anyone,
        };
        let written =
            self.parts.store.update_live_stats(&author, &[(id, kept.attempt, kept.live_stats)]).await;
        if let Err(error) = written {
            tracing::warn!(%id, %error, "could not write the live stats of a process");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, waiting};

    #[test]
    fn cached_stats_are_shown_for_their_attempt_until_they_are_forgotten() {
        let stored = waiting(1, command());
        let (id, attempt) = (stored.process.id, stored.process.attempt);
        let cache = LiveStatsCache::default();
        let live_stats = LiveStats { last_heartbeat: Some(Timestamp(7)), ..LiveStats::default() };
        let kept = CachedLiveStats {
            attempt,
            author: Writer::Anyone,
            live_stats,
            written: Timestamp(0),
            dirty: false,
        };
        let shown = || {
            let mut stored = stored.clone();
            cache.overlay(&mut stored);
            stored.live_stats.last_heartbeat
        };
        let other = CachedLiveStats { attempt: attempt.next(), ..kept.clone() };
        cache.live.lock().unwrap().insert(id, other);
        assert_eq!(shown(), None);
        cache.live.lock().unwrap().insert(id, kept);
        assert_eq!(shown(), Some(Timestamp(7)));
        cache.forget(id);
        assert_eq!(shown(), None);
    }

    #[test]
    fn time_in_which_no_reporter_could_report_is_subtracted() {
        let cache = LiveStatsCache::default();
        assert_eq!(cache.away_until(), None);
        cache.was_away_until(Timestamp(9));
        assert_eq!(cache.away_until(), Some(Timestamp(9)));
    }
}
