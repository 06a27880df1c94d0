//! What a live process shows of itself beside its record.

use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::{ProcessId, Timestamp};
use longhaul_ports::{AttemptKey, ListeningPort, StoredProcess};
use std::time::Duration;

/// What a running command shows at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveView {
    /// Where its tree listens for connections; none if that cannot be told.
    pub listening: Option<Vec<ListeningPort>>,
    /// Who of its tree is alive, by process ids; none if that cannot be told.
    pub members: Option<Vec<u32>>,
    /// For how long it has said nothing, and not reported anything.
    pub silent_for: Duration,
    /// When it last wrote something; none if it never did.
    pub last_output_at: Option<Timestamp>,
}

impl Engine {
    /// Looks at a running command; none if it does not run on this node.
    ///
    /// It looks into the tree of the command: to be asked for one process, not for each of a list.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id.
    pub async fn look(&self, id: ProcessId) -> Result<Option<LiveView>, EngineError> {
        let stored = self.process(id).await?;
        let Some(key) = self.runs_here(&stored) else { return Ok(None) };
        let core = &self.core;
        let look = core.parts.spawner.look(key).await;
        let look =
            look.inspect_err(|error| tracing::debug!(%id, %error, "its tree cannot be looked at")).ok();
        let (silent_for, last_output_at) = self.silence_of(&stored).await;
        let (listening, members) = look.map(|look| (look.listening, look.members)).unzip();
        Ok(Some(LiveView { listening, members, silent_for, last_output_at }))
    }

    /// For how long a running command of this node, or reported work under way, has said nothing; none of any other.
    ///
    /// It reads only the size of the output: cheap enough for each of a list.
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
        let since = last_output_at.max(stored.live_stats.last_beat).max(process.started_at);
        (self.now().since(since.unwrap_or(process.queued_at)), last_output_at)
    }

    fn runs_here(&self, stored: &StoredProcess) -> Option<AttemptKey> {
        let is_here = stored.owner.as_ref().is_some_and(|owner| owner.node == *self.node());
        let runs = is_here && stored.process.state.execution().is_some();
        runs.then_some(AttemptKey { id: stored.process.id, attempt: stored.process.attempt })
    }
}
