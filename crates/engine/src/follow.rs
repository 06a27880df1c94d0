//! What other nodes did: one reader of the event log per engine, where the store is shared.

use crate::engine::EngineShared;
use longhaul_domain::{AwakeTime, Deadline, ProcessId, Work};
use longhaul_ports::{EventCursor, StoredProcess};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The most events of one look.
const PAGE: u32 = 500;
/// The wait before a store that failed is asked again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Follows the log from a place on, for whoever waits here for what happens elsewhere.
pub(crate) async fn follow(core: Arc<EngineShared>, mut after: EventCursor) {
    loop {
        match core.parts.store.read(Some(after), PAGE, true).await {
            Ok(page) => {
                let ids: BTreeSet<ProcessId> = page.events.iter().map(|logged| logged.id).collect();
                core.hear_of(ids).await;
                if page.gap {
                    core.hub.all_changed();
                }
                after = page.events.last().map_or(after, |logged| logged.cursor);
            }
            Err(error) => {
                core.unanswered(None, &error, "what other nodes do cannot be followed now");
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        }
    }
}

impl EngineShared {
    /// These processes changed, perhaps elsewhere.
    async fn hear_of(self: &Arc<Self>, ids: BTreeSet<ProcessId>) {
        let elsewhere: Vec<ProcessId> = ids.iter().copied().filter(|id| !self.owned.knows(*id)).collect();
        match self.parts.store.load_each(&elsewhere).await {
            Ok(found) => {
                found.into_iter().flatten().flatten().for_each(|stored| self.changed_elsewhere(&stored))
            }
            // Whoever waits looks for itself.
            Err(error) => self.unanswered(None, &error, "what changed elsewhere cannot be read now"),
        }
        ids.into_iter().for_each(|id| self.hub.changed(id));
    }

    fn changed_elsewhere(self: &Arc<Self>, stored: &StoredProcess) {
        if stored.process.status().is_ended() {
            self.live_stats.forget(stored.process.id);
            self.descendant_ended(stored);
            self.stop_orphan(stored);
        }
        // Reported work belongs to nobody: whoever is there watches over its heartbeat.
        if matches!(stored.process.spec.work, Work::Reported(_)) {
            self.arm(stored);
            self.attend_to(stored);
        }
    }
}
