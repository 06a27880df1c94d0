//! Whether what a record asks for was asked by somebody who may.
//!
//! Whoever can write to the store can write records. What one of them would execute is looked at before any of it is
//! used: at the start of an attempt, before a question whether it is ready, and before it is run again.

use crate::engine::Core;
use crate::error::EngineError;
use longhaul_domain::{Observation, Process, StartFailure, StartStage};
use longhaul_ports::{AttemptKey, Found, Here, SealFault};
use std::sync::Arc;

impl Core {
    /// Whether the present attempt of a record may be started here and now.
    pub(crate) fn admit(&self, process: &Process) -> Result<(), SealFault> {
        let now = self.parts.clock.now();
        self.parts.notary.admit(process, &Here { node: self.here(), offer: &self.settings.offer, now })
    }

    /// Whether a record still asks for what was accepted.
    pub(crate) fn verify(&self, process: &Process) -> Result<(), EngineError> {
        let verified = self.parts.notary.verify(process);
        verified.map_err(|fault| EngineError::Unvouched { id: process.id, fault })
    }

    /// Ends a process whose record is not trusted, without anything of it having run. What runs already was trusted when
    /// it began: its end is told as it is, whatever became of its record.
    pub(crate) async fn refuse(self: &Arc<Self>, process: &Process, key: AttemptKey, fault: &SealFault) {
        let observation = match self.parts.spawner.adopt(key).await {
            Ok(Found::Over(Observation::NeverRan { attempt })) => {
                let detail = format!("{fault}; {}", fault.help());
                tracing::error!(id = %key.id, attempt = attempt.0, %fault, "a launch is refused");
                let failure = StartFailure { stage: StartStage::Seal, errno: None, detail };
                Observation::SpawnFailed { attempt, failure }
            }
            Ok(Found::Over(observation)) => self.copies.seen(key.id, observation),
            Ok(Found::Alive(observation)) => {
                self.copies.began(process, key);
                observation
            }
            Err(error) => {
                tracing::warn!(id = %key.id, %error, "a launch that is not trusted cannot be looked at yet");
                self.starts.failed(process);
                return self.again_later(key);
            }
        };
        self.lanes.seen(key.id, observation);
    }
}
