//! Whether what a record asks for was asked by somebody who may.
//!
//! Whoever can write to the store can write records. What one of them would execute is looked at before any of it is
//! used: at the start of an attempt, before a question whether it is ready, and before it is run again.

use crate::engine::Core;
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, Observation, Process, StartFailure, StartStage};
use longhaul_ports::{AttemptKey, Found, Here, SealFault, SpawnError};
use std::sync::Arc;

impl Core {
    /// Whether the present attempt of a record may be started here and now. If not, what follows is taken care of.
    pub(crate) async fn admit(self: &Arc<Self>, process: &Process, key: AttemptKey) -> bool {
        let here = Here { node: self.here(), offer: &self.settings.offer, now: self.parts.clock.now() };
        let admitted = match self.parts.notary.admit(process, &here) {
            Ok(()) => self.unspent(process, key).await,
            Err(fault) => Ok(Err(fault)),
        };
        match admitted {
            Ok(Ok(())) => return true,
            Ok(Err(fault)) => self.refuse(process, key, &fault).await,
            Err(error) => {
                tracing::warn!(id = %key.id, %error, "the start waits until earlier attempts can be looked at");
                self.starts.failed(process);
                self.again_later(key);
            }
        }
        false
    }

    /// Whether a sealed launch has attempts left, as far as this node knows from what it ran itself: a record that was put
    /// back to an earlier state, which is sealed as well, does not run for ever.
    async fn unspent(&self, process: &Process, key: AttemptKey) -> Result<Result<(), SealFault>, SpawnError> {
        if process.seal.is_none() {
            return Ok(Ok(()));
        }
        let Some(command) = process.spec.command() else {
            return Ok(Ok(()));
        };
        let mut times = 0_u32;
        for attempt in (1..key.attempt.0).map(AttemptNo) {
            let earlier = AttemptKey { attempt, ..key };
            match self.parts.spawner.adopt(earlier, command).await? {
                Found::Over(Observation::NeverRan { .. } | Observation::SpawnFailed { .. }) => {}
                Found::Over(_) | Found::Alive(_) => times = times.saturating_add(1),
            }
            self.parts.spawner.settled(earlier).await;
        }
        Ok(if times > process.spec.retry.retries { Err(SealFault::Spent { times }) } else { Ok(()) })
    }

    /// Whether a record still asks for what was accepted.
    pub(crate) fn verify(&self, process: &Process) -> Result<(), EngineError> {
        let verified = self.parts.notary.verify(process);
        verified.map_err(|fault| EngineError::Unvouched { id: process.id, fault })
    }

    /// Ends a process whose record is not trusted, without anything of it having run. What runs already was trusted when
    /// it began: its end is told as it is, whatever became of its record.
    async fn refuse(self: &Arc<Self>, process: &Process, key: AttemptKey, fault: &SealFault) {
        let Some(command) = process.spec.command() else { return };
        let observation = match self.parts.spawner.adopt(key, command).await {
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
