//! Reads the output of attempts, also while it is being written.

use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, ProcessId, State, Status, Timestamp};
use longhaul_ports::{
    AttemptKey, Loss, OutputError, OutputLocation, OutputPage, OutputRead, OutputSize, OutputSource,
    StoredProcess,
};

/// Result of waiting for more output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowProgress {
    /// There may be more output, or the process has changed.
    Changed,
    /// The attempt has ended, and its output is complete.
    Over,
}

impl Engine {
    /// Returns a page of the output of an attempt.
    ///
    /// # Errors
    /// [`EngineError::Output`] if the output is missing or cannot be read.
    pub async fn output(&self, key: AttemptKey, wanted: OutputRead) -> Result<OutputPage, EngineError> {
        self.core.parts.output.read(key, wanted).await.map_err(|source| EngineError::Output { source })
    }

    /// Returns the parts of the output of an attempt that could not be stored.
    ///
    /// # Errors
    /// [`EngineError::Output`] if the output is missing or cannot be read.
    pub async fn output_losses(&self, key: AttemptKey) -> Result<Vec<Loss>, EngineError> {
        self.core.parts.output.losses(key).await.map_err(|source| EngineError::Output { source })
    }

    /// Returns the size of the output of an attempt.
    ///
    /// # Errors
    /// [`EngineError::Output`] if the output is missing or cannot be read.
    pub async fn output_size(&self, key: AttemptKey) -> Result<OutputSize, EngineError> {
        self.core.parts.output.size(key).await.map_err(|source| EngineError::Output { source })
    }

    /// Returns the current output size in bytes of the latest attempt. Returns `None` if the record already contains
    /// the size, if the latest attempt is not on this node, if the process is reported work, or if the size cannot be
    /// read.
    pub async fn written(&self, stored: &StoredProcess) -> Option<u64> {
        let process = &stored.process;
        let is_here = process.node.as_ref() == Some(self.node());
        let is_told = match &process.state {
            State::Ended(ended) => ended.ending.exit().is_some(),
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_) => false,
        };
        if !is_here || is_told || process.spec.command().is_none() {
            return None;
        }
        let key = AttemptKey { id: process.id, attempt: process.attempt };
        let size = self.core.parts.output.size(key).await;
        size.inspect_err(
            |error| tracing::debug!(id = %key.id, %error, "could not measure the output of a process"),
        )
        .ok()
        .map(|size| size.end)
    }

    /// Returns the offset at which the last `lines` lines start.
    ///
    /// # Errors
    /// [`EngineError::Output`] if the output is missing or cannot be read.
    pub async fn output_tail(
        &self,
        key: AttemptKey,
        lines: u32,
        only: Option<OutputSource>,
    ) -> Result<u64, EngineError> {
        let tail = self.core.parts.output.last_lines(key, lines, only).await;
        tail.map_err(|source| EngineError::Output { source })
    }

    /// Returns the offset of the first output that was written at or after `moment`.
    ///
    /// # Errors
    /// [`EngineError::Output`] if the output is missing or cannot be read.
    pub async fn output_since(&self, key: AttemptKey, moment: Timestamp) -> Result<u64, EngineError> {
        self.core.parts.output.since(key, moment).await.map_err(|source| EngineError::Output { source })
    }

    /// Returns the location of the output of an attempt, for display to a user.
    #[must_use]
    pub fn output_place(&self, key: AttemptKey) -> OutputLocation {
        self.core.parts.output.place(key)
    }

    /// Waits until there may be output after an offset, the attempt has ended, or the process has changed.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id, [`EngineError::Output`] if the output cannot be watched.
    pub async fn follow(
        &self,
        id: ProcessId,
        attempt: AttemptNo,
        beyond: u64,
    ) -> Result<FollowProgress, EngineError> {
        let core = &self.core;
        let ear = core.notifier.subscribe(&[id]);
        if attempt_is_over(&core.load(id).await?, attempt) {
            return Ok(FollowProgress::Over);
        }
        let key = AttemptKey { id, attempt };
        tokio::select! {
            () = ear.changed() => {}
            grown = core.parts.output.grown(key, beyond) => match grown {
                // For complete output, `grown` returns without waiting. Yield, so that the task that commits the end
                // can run.
                Ok(()) => tokio::task::yield_now().await,
                // The attempt directory does not exist yet. When the attempt starts, the process changes.
                Err(OutputError::Missing { .. }) => ear.changed().await,
                Err(source) => return Err(EngineError::Output { source }),
            },
        }
        Ok(FollowProgress::Changed)
    }
}

/// Returns true if no more output of the attempt will follow: the process is waiting for its next attempt, is in a
/// later attempt, or has ended.
fn attempt_is_over(stored: &StoredProcess, attempt: AttemptNo) -> bool {
    let process = &stored.process;
    let waits = attempt > AttemptNo(0) && process.attempt == attempt && process.status() == Status::Pending;
    waits || process.attempt > attempt || process.status().is_ended()
}
