//! Reads the event log of a shared store continuously, to detect changes that other nodes made. Each engine has one
//! reader.

use crate::engine::EngineShared;
use longhaul_domain::{AwakeTime, Deadline, ProcessId, Work};
use longhaul_ports::{EventCursor, StoredProcess};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of events in one read.
const PAGE: u32 = 500;
/// Delay before the next request to a store after an error.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Reads the event log from a cursor on, and notifies local waiters of changes that other nodes made.
pub(crate) async fn follow(core: Arc<EngineShared>, mut after: EventCursor) {
    loop {
        match core.parts.store.read(Some(after), PAGE, true).await {
            Ok(page) => {
                let ids: BTreeSet<ProcessId> = page.events.iter().map(|logged| logged.id).collect();
                core.handle_changes(ids).await;
                if page.gap {
                    core.notifier.all_changed();
                }
                after = page.events.last().map_or(after, |logged| logged.cursor);
            }
            Err(error) => {
                core.log_retry(None, &error, "could not read the events of other nodes; retrying");
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        }
    }
}

impl EngineShared {
    /// Handles changes of the given processes. This node or another node made them.
    async fn handle_changes(self: &Arc<Self>, ids: BTreeSet<ProcessId>) {
        let elsewhere: Vec<ProcessId> = ids.iter().copied().filter(|id| !self.owned.knows(*id)).collect();
        match self.parts.store.load_each(&elsewhere).await {
            Ok(found) => {
                found.into_iter().flatten().flatten().for_each(|stored| self.changed_elsewhere(&stored))
            }
            // The error needs no other handling: the following code notifies each waiter, and each waiter reads its
            // record again.
            Err(error) => self.log_retry(None, &error, "could not read the changes of other nodes; retrying"),
        }
        ids.into_iter().for_each(|id| self.notifier.changed(id));
    }

    fn changed_elsewhere(self: &Arc<Self>, stored: &StoredProcess) {
        if stored.process.status().is_ended() {
            self.live_stats.forget(stored.process.id);
            self.descendant_ended(stored);
            self.stop_orphan(stored);
        }
        // Reported work has no owner, so every node monitors its heartbeat.
        if matches!(stored.process.spec.work, Work::Reported(_)) {
            self.arm(stored);
            self.update_from(stored);
        }
    }
}
