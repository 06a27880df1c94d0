//! Writes to the standard input of commands.

use crate::detached::run_to_completion;
use crate::engine::{Engine, EngineShared};
use crate::error::{EngineError, InputRefusal};
use longhaul_domain::{ProcessId, Stdin};
use longhaul_ports::{AttemptKey, SpawnError};

/// Result of a write to standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputResult {
    /// Number of bytes that were written, from the start of the given bytes. It is smaller than their number if the
    /// command stopped reading.
    pub bytes: usize,
    /// True if the input was closed as requested. The input stays open if some bytes could not be written.
    pub closed: bool,
}

impl Engine {
    /// Writes to the standard input of a running command. If `close` is true, closes the input afterwards.
    ///
    /// # Errors
    /// - [`EngineError::InputRefused`] if the input is not a pipe or is closed, or if the command is not running on
    ///   this node.
    /// - [`EngineError::NotFound`] for an unknown id.
    ///
    /// # Cancel safety
    /// The write continues if the future is dropped.
    pub async fn write_input(
        &self,
        id: ProcessId,
        bytes: Vec<u8>,
        close: bool,
    ) -> Result<InputResult, EngineError> {
        let core = self.core.clone();
        run_to_completion(async move { core.write_input(id, bytes, close).await }).await
    }
}

impl EngineShared {
    async fn write_input(
        &self,
        id: ProcessId,
        bytes: Vec<u8>,
        close: bool,
    ) -> Result<InputResult, EngineError> {
        let stored = self.load(id).await?;
        let refused = |refusal| EngineError::InputRefused { id, refusal };
        let process = &stored.process;
        if process.spec.command().is_none_or(|command| command.stdin != Stdin::Pipe) {
            return Err(refused(InputRefusal::NoPipe));
        }
        if process.state.execution().is_none() {
            return Err(refused(InputRefusal::NotRunning { status: process.status() }));
        }
        match &stored.owner {
            Some(owner) if owner.node != *self.here() => {
                return Err(refused(InputRefusal::Elsewhere { node: owner.node.clone() }));
            }
            Some(_) | None => {}
        }
        let key = AttemptKey { id, attempt: process.attempt };
        let given = bytes.len();
        match self.parts.spawner.write_input(key, bytes, close).await {
            Ok(bytes) => {
                self.input_given(key);
                Ok(InputResult { bytes, closed: close && bytes >= given })
            }
            Err(SpawnError::InputClosed { .. }) => Err(refused(InputRefusal::Closed)),
            Err(error) => Err(refused(InputRefusal::Unreachable { what: error.to_string() })),
        }
    }
}
