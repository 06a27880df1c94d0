//! Stops orphans: commands that are still running although their processes were recorded as interrupted.

use crate::cascade::below;
use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{AwakeTime, Deadline, Effect, ProcessId, Status};
use longhaul_ports::{Adopted, AttemptKey, ProcessFilter, StopRequest, StoredProcess};
use std::sync::Arc;
use std::time::Duration;

/// Delay before a failed stop is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

impl Engine {
    /// Returns true if, as far as this node knows, the command of an ended process is still running on this node. The
    /// process was recorded as interrupted while the node was unreachable.
    #[must_use]
    pub fn is_orphaned(&self, stored: &StoredProcess) -> bool {
        let process = &stored.process;
        let key = AttemptKey { id: process.id, attempt: process.attempt };
        process.may_live_on() && self.core.copies.is_alive(key)
    }
}

impl EngineShared {
    /// Stops the orphan of a process if the record of the process requires that.
    pub(crate) fn stop_orphan(self: &Arc<Self>, stored: &StoredProcess) {
        if let Some(Effect::StopOrphan { attempt, cause, force }) = stored.process.wanted() {
            self.stop_rest(
                stored,
                AttemptKey { id: stored.process.id, attempt },
                StopRequest { cause, force },
            );
        }
    }

    /// Stops the orphan of an attempt if the attempt belongs to this node. The call does not wait for the end of the
    /// orphan, which will be recorded as a late exit.
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
                        tracing::warn!(id = %key.id, %error, "could not stop an orphan; retrying");
                        let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                        core.parts.clock.sleep_until(Deadline::Awake(until)).await;
                    }
                }
            }
        });
    }

    /// Returns the interrupted descendants of a process whose commands may still be running.
    pub(crate) async fn orphaned_descendants(
        &self,
        id: ProcessId,
    ) -> Result<Vec<StoredProcess>, EngineError> {
        self.orphaned_matching(&below(id)).await
    }

    /// Returns the interrupted processes whose commands may still be running and that match the filter. The statuses of
    /// the filter are ignored.
    pub(crate) async fn orphaned_matching(
        &self,
        filter: &ProcessFilter,
    ) -> Result<Vec<StoredProcess>, EngineError> {
        if !self.parts.store.leases_expire() {
            return Ok(Vec::new());
        }
        let filter = ProcessFilter { statuses: vec![Status::Interrupted], ..filter.clone() };
        let mut ended = self.all(&filter).await?;
        ended.retain(|stored| stored.process.may_live_on());
        Ok(ended)
    }
}
