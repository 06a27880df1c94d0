//! Artifacts: files that are copied when an attempt ends.

use crate::engine::{Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{ArtifactList, Deadline, Observation, Process, ProcessId, Spec};
use longhaul_ports::{ArtifactChunk, ArtifactRequest, AttemptKey};
use std::sync::Arc;
use std::time::Duration;

/// Additional time after the configured limit for which the end of an attempt waits for its artifacts. After this time,
/// the file system is assumed to hang.
const HANG_TIMEOUT: Duration = Duration::from_secs(2);

impl Engine {
    /// Returns the artifacts of an attempt that ran on this node. Returns `None` if the artifacts have not been copied
    /// yet, or are never copied.
    ///
    /// # Errors
    /// [`EngineError::Artifacts`] if the list cannot be read.
    pub async fn artifacts(&self, key: AttemptKey) -> Result<Option<ArtifactList>, EngineError> {
        self.core.parts.artifacts.list(key).await.map_err(|source| EngineError::Artifacts { source })
    }

    /// Reads a part of an artifact: at most `limit` bytes from offset `from`.
    ///
    /// # Errors
    /// [`EngineError::Artifacts`] if the attempt has no artifact with this path, or if the artifact cannot be read.
    pub async fn read_artifact(
        &self,
        key: AttemptKey,
        path: &str,
        from: u64,
        limit: u32,
    ) -> Result<ArtifactChunk, EngineError> {
        let read = self.core.parts.artifacts.read(key, path, from, limit).await;
        read.map_err(|source| EngineError::Artifacts { source })
    }
}

impl EngineShared {
    /// Returns true if the artifacts of a process may be copied: the process has patterns, and its launch signature is
    /// valid. A forged record must not make this node copy files.
    pub(crate) fn may_collect(&self, process: &Process) -> bool {
        let wants = process.spec.command().is_some_and(|command| !command.artifacts.is_empty());
        let verified = if wants { self.verify(process) } else { return false };
        verified.inspect_err(|error| tracing::error!(%error, "skipped the artifacts of an attempt")).is_ok()
    }

    /// Copies the artifacts of an attempt if the observation is the exit of the attempt.
    ///
    /// Call this function before the exit is committed. A client that sees the end can then read the artifacts. If the
    /// manager crashes during the copy, the next manager copies the artifacts again.
    pub(crate) async fn collect_artifacts(&self, id: ProcessId, spec: &Spec, observation: &Observation) {
        let (Observation::Exited { attempt, .. }, Some(command)) = (observation, spec.command()) else {
            return;
        };
        let key = AttemptKey { id, attempt: *attempt };
        let limits = self.settings.artifacts;
        let clock = &self.parts.clock;
        let until = Deadline::Awake(clock.awake().plus(limits.time.saturating_add(HANG_TIMEOUT)));
        let request = ArtifactRequest {
            directory: command.directory.clone(),
            patterns: command.artifacts.clone(),
            limits,
        };
        tokio::select! {
            biased;
            collected = self.parts.artifacts.collect(key, request) => if let Err(error) = collected {
                tracing::warn!(%id, %attempt, %error, "could not copy the artifacts of an attempt");
            },
            () = clock.sleep_until(until) => {
                tracing::warn!(%id, %attempt, "could not copy the artifacts of an attempt in time");
            }
        }
    }

    /// Returns the spec of a monitored attempt if this observation ends the attempt and its artifacts may be copied.
    pub(crate) fn spec_with_artifacts(&self, id: ProcessId, observation: &Observation) -> Option<Arc<Spec>> {
        let Observation::Exited { attempt, .. } = observation else { return None };
        self.attention.spec_with_artifacts(AttemptKey { id, attempt: *attempt })
    }
}
