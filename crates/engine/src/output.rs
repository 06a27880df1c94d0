//! Output: read it, and wait for more.

use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, ProcessId, State, Status, Timestamp};
use longhaul_ports::{
    AttemptKey, Loss, OutputError, OutputLocation, OutputPage, OutputRead, OutputSize, OutputSource,
    StoredProcess,
};

/// What a follower learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowProgress {
    /// There may be more output, or the process changed: look again.
    Changed,
    /// The attempt is over: what there is now is all.
    Over,
}

impl Engine {
    /// A page of output of an attempt.
    ///
    /// # Errors
    /// [`EngineError::Output`] if there is none or it cannot be read.
    pub async fn output(&self, key: AttemptKey, wanted: OutputRead) -> Result<OutputPage, EngineError> {
        self.core.parts.output.read(key, wanted).await.map_err(|source| EngineError::Output { source })
    }

    /// Where output of an attempt could not be stored.
    ///
    /// # Errors
    /// [`EngineError::Output`] if there is none or it cannot be read.
    pub async fn output_losses(&self, key: AttemptKey) -> Result<Vec<Loss>, EngineError> {
        self.core.parts.output.losses(key).await.map_err(|source| EngineError::Output { source })
    }

    /// How much output an attempt has.
    ///
    /// # Errors
    /// [`EngineError::Output`] if there is none or it cannot be read.
    pub async fn output_size(&self, key: AttemptKey) -> Result<OutputSize, EngineError> {
        self.core.parts.output.size(key).await.map_err(|source| EngineError::Output { source })
    }

    /// Bytes of output that the latest attempt of a command has written so far, while no record tells: as the log is at
    /// this moment. None where a record does, before the first attempt, on another node, and if it cannot be told.
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
            | State::Withdrawing { .. }
            | State::Lingering(_) => false,
        };
        if !is_here || is_told || process.spec.command().is_none() {
            return None;
        }
        let key = AttemptKey { id: process.id, attempt: process.attempt };
        let size = self.core.parts.output.size(key).await;
        size.inspect_err(|error| tracing::debug!(id = %key.id, %error, "its output cannot be measured"))
            .ok()
            .map(|size| size.end)
    }

    /// Where the last `lines` lines begin.
    ///
    /// # Errors
    /// [`EngineError::Output`] if there is none or it cannot be read.
    pub async fn output_tail(
        &self,
        key: AttemptKey,
        lines: u32,
        only: Option<OutputSource>,
    ) -> Result<u64, EngineError> {
        let tail = self.core.parts.output.last_lines(key, lines, only).await;
        tail.map_err(|source| EngineError::Output { source })
    }

    /// Where output begins that is not older than a moment.
    ///
    /// # Errors
    /// [`EngineError::Output`] if there is none or it cannot be read.
    pub async fn output_since(&self, key: AttemptKey, moment: Timestamp) -> Result<u64, EngineError> {
        self.core.parts.output.since(key, moment).await.map_err(|source| EngineError::Output { source })
    }

    /// Where a person finds the output of an attempt.
    #[must_use]
    pub fn output_place(&self, key: AttemptKey) -> OutputLocation {
        self.core.parts.output.place(key)
    }

    /// Parks until there may be output beyond an offset, or the attempt is over, or the process changes.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id, [`EngineError::Output`] if output cannot be watched.
    pub async fn follow(
        &self,
        id: ProcessId,
        attempt: AttemptNo,
        beyond: u64,
    ) -> Result<FollowProgress, EngineError> {
        let core = &self.core;
        let ear = core.hub.subscribe(&[id]);
        if attempt_is_over(&core.load(id).await?, attempt) {
            return Ok(FollowProgress::Over);
        }
        let key = AttemptKey { id, attempt };
        tokio::select! {
            () = ear.changed() => {}
            grown = core.parts.output.grown(key, beyond) => match grown {
                // An output that has ended grows no more, and tells so at once: whoever records the end gets a turn.
                Ok(()) => tokio::task::yield_now().await,
                // Its directory is not there yet: its start is a change.
                Err(OutputError::Missing { .. }) => ear.changed().await,
                Err(source) => return Err(EngineError::Output { source }),
            },
        }
        Ok(FollowProgress::Changed)
    }
}

/// Whether nothing more will be written for an attempt: it waits for the next one, has had it, or has ended.
fn attempt_is_over(stored: &StoredProcess, attempt: AttemptNo) -> bool {
    let process = &stored.process;
    let waits = attempt > AttemptNo(0) && process.attempt == attempt && process.status() == Status::Pending;
    waits || process.attempt > attempt || process.status().is_ended()
}
