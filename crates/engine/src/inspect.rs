//! Facts about a live process that are not in its record.

use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::{ProcessId, Timestamp};
use longhaul_ports::{AttemptKey, ListeningPort, StoredProcess};
use std::time::Duration;

/// Current facts about a running command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveView {
    /// Ports on which the command and its descendants listen; `None` if unknown.
    pub listening: Option<Vec<ListeningPort>>,
    /// Operating-system process ids of the command and its live descendants; `None` if unknown.
    pub members: Option<Vec<u32>>,
    /// Time since the last output or heartbeat.
    pub silent_for: Duration,
    /// Time of the last output; `None` if the command has not written any output.
    pub last_output_at: Option<Timestamp>,
}

impl Engine {
    /// Inspects a running command. Returns `None` if the command is not running on this node.
    ///
    /// The call examines the whole process tree: use it for a single process, not for each process of a list.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id.
    pub async fn look(&self, id: ProcessId) -> Result<Option<LiveView>, EngineError> {
        let stored = self.process(id).await?;
        let Some(key) = self.runs_here(&stored) else { return Ok(None) };
        let core = &self.core;
        let look = core.parts.spawner.inspect(key).await;
        let look = look
            .inspect_err(|error| tracing::debug!(%id, %error, "could not inspect the tree of a process"))
            .ok();
        let (silent_for, last_output_at) = self.silence_of(&stored).await;
        let (listening, members) = look.map(|look| (look.listening, look.members)).unzip();
        Ok(Some(LiveView { listening, members, silent_for, last_output_at }))
    }

    /// Returns the time since the last output or heartbeat. Returns `None` unless the process is a running command of
    /// this node or reported work that has not ended.
    ///
    /// The call reads only the size of the output, so it is cheap enough for each process of a list.
    pub async fn silent_for(&self, stored: &StoredProcess) -> Option<Duration> {
        let is_reported = matches!(stored.process.state, longhaul_domain::State::Reported { .. });
        if !is_reported && self.runs_here(stored).is_none() {
            return None;
        }
        Some(self.silence_of(stored).await.0)
    }

    async fn silence_of(&self, stored: &StoredProcess) -> (Duration, Option<Timestamp>) {
        let process = &stored.process;
        let key = AttemptKey { id: process.id, attempt: process.attempt };
        let size = match process.spec.command() {
            Some(_) => self.core.parts.output.size(key).await.ok(),
            None => None,
        };
        let last_output_at = size.and_then(|size| size.last_at);
        let since = last_output_at.max(stored.live_stats.last_heartbeat).max(process.started_at);
        (self.now().since(since.unwrap_or(process.queued_at)), last_output_at)
    }

    fn runs_here(&self, stored: &StoredProcess) -> Option<AttemptKey> {
        let is_here = stored.owner.as_ref().is_some_and(|owner| owner.node == *self.node());
        let runs = is_here && stored.process.state.execution().is_some();
        runs.then_some(AttemptKey { id: stored.process.id, attempt: stored.process.attempt })
    }
}
