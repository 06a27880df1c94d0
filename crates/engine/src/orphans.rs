//! What lives on of processes that ended because their node was lost: ended is final, and what is left can be stopped.

use crate::cascade::below;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{AwakeTime, Deadline, Effect, ProcessId, Status};
use longhaul_ports::{Adopted, AttemptKey, ProcessFilter, StopRequest, StoredProcess};
use std::sync::Arc;
use std::time::Duration;

/// The wait before what could not be stopped is asked again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

impl Engine {
    /// Whether a process that has ended goes on here all the same, as far as this node has seen: it was called
    /// interrupted while the node was away.
    #[must_use]
    pub fn is_orphaned(&self, stored: &StoredProcess) -> bool {
        let process = &stored.process;
        let key = AttemptKey { id: process.id, attempt: process.attempt };
        process.may_live_on() && self.core.copies.is_alive(key)
    }
}

impl EngineShared {
    /// Does what a record says of the rest of an ended process.
    pub(crate) fn stop_orphan(self: &Arc<Self>, stored: &StoredProcess) {
        if let Some(Effect::StopOrphan { attempt, cause, force }) = stored.process.wanted() {
            self.stop_rest(
                stored,
                AttemptKey { id: stored.process.id, attempt },
                StopRequest { cause, force },
            );
        }
    }

    /// Stops what is left of an attempt if this is its node; returns at once. Its end is told as a late one.
    pub(crate) fn stop_rest(self: &Arc<Self>, stored: &StoredProcess, key: AttemptKey, order: StopRequest) {
        if stored.process.node.as_ref() != Some(self.here()) {
            return;
        }
        let (core, process) = (self.clone(), stored.process.clone());
        tokio::spawn(async move {
            let Some(command) = process.spec.command() else { return };
            while !core.is_closing() {
                if core.parts.spawner.stop(key, order).await.is_ok() {
                    return;
                }
                match core.parts.spawner.adopt(key, command).await {
                    Ok(Adopted::Alive(_)) => core.copies.began(&process, key),
                    Ok(Adopted::Over(seen)) => {
                        let seen = core.copies.seen(key.id, seen);
                        return core.lanes.seen(key.id, seen);
                    }
                    Err(error) => {
                        tracing::warn!(id = %key.id, %error, "what is left of it cannot be stopped yet");
                        let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                        core.parts.clock.sleep_until(Deadline::Awake(until)).await;
                    }
                }
            }
        });
    }

    /// Those below a process that ended with their nodes and may live on there.
    pub(crate) async fn left_below(&self, id: ProcessId) -> Result<Vec<StoredProcess>, EngineError> {
        self.left_of(&below(id)).await
    }

    /// Those that a filter of live processes would admit, had they not ended with their nodes.
    pub(crate) async fn left_of(&self, filter: &ProcessFilter) -> Result<Vec<StoredProcess>, EngineError> {
        if !self.parts.store.leases_expire() {
            return Ok(Vec::new());
        }
        let filter = ProcessFilter { statuses: vec![Status::Interrupted], ..filter.clone() };
        let mut ended = self.all(&filter).await?;
        ended.retain(|stored| stored.process.may_live_on());
        Ok(ended)
    }
}
