//! Verification of launch signatures.
//!
//! Any program with write access to the store can write records. A record is therefore verified before the engine
//! executes a command of the record: before an attempt starts, before a readiness probe, and before a restart.

use crate::engine::EngineShared;
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, Exit, Observation, Process, StartFailure, StartStage};
use longhaul_ports::{Adopted, AttemptKey, LaunchTarget, SignatureError, SpawnError};
use std::sync::Arc;

impl EngineShared {
    /// Returns true if the current attempt may be started on this node now. If it may not, handles the rejection.
    pub(crate) async fn admit(self: &Arc<Self>, process: &Process, key: AttemptKey) -> bool {
        let here =
            LaunchTarget { node: self.here(), offer: &self.settings.offer, now: self.parts.clock.now() };
        let refusal = match self.parts.signer.admit(process, &here) {
            Ok(()) => self.already_ran(process, key).await,
            Err(fault) => Ok(Some(refused(key, &fault))),
        };
        match refusal {
            Ok(None) => return true,
            Ok(Some(instead)) => self.refuse(process, key, instead).await,
            Err(wait) => {
                tracing::warn!(id = %key.id, %wait, "postponed a process start");
                self.starts.failed(process);
                self.again_later(key);
            }
        }
        false
    }

    /// Checks the attempt directories of this node for earlier attempts of a signed launch. If the launch has no
    /// attempts left, returns the observation to record instead of a start. This happens if the store, or this record
    /// alone, was reset to an earlier state.
    async fn already_ran(
        &self,
        process: &Process,
        key: AttemptKey,
    ) -> Result<Option<Observation>, VerifyPostponed> {
        if process.signature.is_none() {
            return Ok(None);
        }
        let Some(command) = process.spec.command() else {
            return Ok(None);
        };
        let (mut times, mut latest) = (0_u32, None);
        for attempt in (1..key.attempt.0).map(AttemptNo) {
            let earlier = AttemptKey { attempt, ..key };
            match self.parts.spawner.adopt(earlier, command).await? {
                Adopted::Over(Observation::NeverRan { .. } | Observation::SpawnFailed { .. }) => {}
                Adopted::Over(seen) => {
                    times = times.saturating_add(1);
                    latest = Some((attempt, exit_of(seen)));
                }
                Adopted::Alive(_) => return Err(VerifyPostponed::Lives { attempt }),
            }
            self.parts.spawner.end_recorded(earlier).await;
        }
        let Some((earlier, exit)) = latest.filter(|_| times > process.spec.retry.retries) else {
            return Ok(None);
        };
        tracing::error!(id = %key.id, earlier = earlier.0, "a launch ran on this node, but the store has no record \
         of the attempt");
        Ok(Some(Observation::AlreadyRan { attempt: key.attempt, earlier, exit }))
    }

    /// Verifies that a record still matches its launch signature.
    pub(crate) fn verify(&self, process: &Process) -> Result<(), EngineError> {
        let verified = self.parts.signer.verify(process);
        verified.map_err(|fault| EngineError::UntrustedLaunch { id: process.id, fault })
    }

    /// Records `instead` in place of a start. If the attempt has already started, records its real state, because the
    /// launch was trusted when it started.
    async fn refuse(self: &Arc<Self>, process: &Process, key: AttemptKey, instead: Observation) {
        let Some(command) = process.spec.command() else { return };
        let observation = match self.parts.spawner.adopt(key, command).await {
            Ok(Adopted::Over(Observation::NeverRan { .. })) => instead,
            Ok(Adopted::Over(observation)) => self.copies.seen(key.id, observation),
            Ok(Adopted::Alive(observation)) => {
                self.copies.began(process, key);
                observation
            }
            Err(error) => {
                tracing::warn!(
                    id = %key.id, %error,
                    "could not check whether an untrusted launch has already started; retrying"
                );
                self.starts.failed(process);
                return self.again_later(key);
            }
        };
        self.lanes.seen(key.id, observation);
    }
}

/// Reason why the check before a start is postponed.
#[derive(Debug, thiserror::Error)]
enum VerifyPostponed {
    #[error("earlier attempts cannot be inspected: {source}")]
    Unseen {
        #[from]
        source: SpawnError,
    },
    #[error("attempt {attempt} of the process is still running on this node")]
    Lives { attempt: AttemptNo },
}

/// Returns the observation that ends an attempt with an invalid launch signature.
fn refused(key: AttemptKey, fault: &SignatureError) -> Observation {
    tracing::error!(id = %key.id, attempt = key.attempt.0, %fault, "rejected a launch that is not trusted");
    let detail = format!("{fault}; {}", fault.help());
    let failure = StartFailure { stage: StartStage::Signature, errno: None, detail };
    Observation::SpawnFailed { attempt: key.attempt, failure }
}

fn exit_of(seen: Observation) -> Option<Exit> {
    if let Observation::Exited { exit, .. } = seen { Some(exit) } else { None }
}
