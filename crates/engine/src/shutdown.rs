//! Shuts an engine down. Running processes either continue or are all stopped.

use crate::engine::Engine;
use crate::error::EngineError;
use crate::wait::{WaitCondition, WaitMode};
use longhaul_domain::{Action, ProcessId, Status, StopCause};
use longhaul_ports::{LeaseEnd, PageRequest, ProcessFilter, SortOrder, StoredProcess};
use std::sync::PoisonError;
use std::time::Duration;

/// Policy for running processes at shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shutdown {
    /// Running processes continue; the next manager adopts them.
    #[default]
    Leave,
    /// Running processes are stopped within their grace period.
    StopAll,
}

/// Additional time after the longest grace period, within which all stops must be confirmed.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum time to wait until started attempts are recorded. It is shorter than the time that clients wait for the next
/// manager.
const STARTS: Duration = Duration::from_secs(2);
const PAGE: u32 = 500;

impl Engine {
    /// Shuts the engine down: accepts nothing new, records attempts that are starting, stops running processes if
    /// requested, and leaves the store. Waiting processes remain queued.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read or left.
    pub async fn shut_down(&self, how: Shutdown) -> Result<(), EngineError> {
        self.core.closing.send_replace(true);
        if how == Shutdown::StopAll {
            self.stop_all().await?;
        }
        if let Err(error) = self.record_starts().await {
            tracing::warn!(%error, "the next manager will finish the process starts that are still in progress");
        }
        for task in self.core.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.core.attention.end();
        self.core.test_runs.end();
        self.core.listeners.end();
        let may_claim = self.core.lease_state.may_claim(self.core.parts.clock.now());
        self.core.parts.store.leave(&self.core.lease()).await?;
        // A node that has left properly keeps its processes. If the lease has expired, other nodes may already own
        // them.
        if may_claim {
            self.core.parts.spawner.set_lease_end(LeaseEnd::Never).await;
        }
        Ok(())
    }

    /// Aborts all tasks of this engine immediately, as a crash would. The store is not informed.
    pub fn abandon(&self) {
        self.core.closing.send_replace(true);
        for task in self.core.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.core.attention.end();
        self.core.test_runs.end();
        self.core.listeners.end();
    }

    /// Waits until each starting attempt is recorded as running or ended, because the status `starting` does not show
    /// whether the command ran.
    async fn record_starts(&self) -> Result<(), EngineError> {
        let filter = ProcessFilter {
            statuses: vec![Status::Starting],
            owner: Some(self.node().clone()),
            ..ProcessFilter::default()
        };
        let mut starting = self.listed(&filter).await?;
        starting.retain(|stored| self.core.starts.is_begun(&stored.process));
        let ids: Vec<ProcessId> = starting.iter().map(|stored| stored.process.id).collect();
        if self.wait(&ids, WaitCondition::Running, WaitMode::All, Some(STARTS)).await?.timed_out {
            tracing::warn!(
                "could not record some process starts before the shutdown; the next manager \
                examines them"
            );
        }
        Ok(())
    }

    async fn listed(&self, filter: &ProcessFilter) -> Result<Vec<StoredProcess>, EngineError> {
        let mut page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: PAGE };
        let mut listed = Vec::new();
        loop {
            let listing = self.list(filter, &page).await?;
            listed.extend(listing.processes);
            match listing.next {
                Some(next) => page.after = Some(next),
                None => return Ok(listed),
            }
        }
    }

    async fn stop_all(&self) -> Result<(), EngineError> {
        let mut time_limit = Duration::ZERO;
        let mut ids: Vec<ProcessId> = Vec::new();
        let filter = ProcessFilter { owner: Some(self.node().clone()), ..ProcessFilter::default() };
        for stored in self.listed(&filter).await? {
            if stored.process.status().is_ended() || stored.process.status() == Status::Pending {
                continue;
            }
            let grace = stored.process.spec.command().map(|command| command.stop.total_grace());
            time_limit = time_limit.max(grace.unwrap_or_default());
            ids.push(stored.process.id);
        }
        for id in &ids {
            match self.command(*id, Action::Cancel { cause: StopCause::Shutdown }, None).await {
                Ok(_) | Err(EngineError::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%id, %error, "could not record the stop of a process"),
            }
        }
        let waited = self
            .wait(&ids, WaitCondition::Ended, WaitMode::All, Some(time_limit.saturating_add(VERIFY_TIMEOUT)))
            .await?;
        if waited.timed_out {
            tracing::warn!(
                "some processes did not stop before the shutdown; the next manager continues to \
                stop them"
            );
        }
        Ok(())
    }
}
