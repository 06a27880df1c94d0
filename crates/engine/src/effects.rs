//! Executes effects by calling ports. The results of the calls return as observations.

use crate::engine::EngineShared;
use crate::error::EngineError;
use crate::rejoin::runs_again_if_lost;
use longhaul_domain::{
    AttemptNo, Deadline, Effect, Observation, Process, ProcessId, StartFailure, StartStage, Status,
    StopCause, Work,
};
use longhaul_failpoint::crashpoint;
use longhaul_ports::{
    Adopted, AttemptKey, EnvironmentStoreError, SpawnError, StartRequest, StopRequest, StoredProcess,
};
use std::sync::Arc;
use std::time::Duration;

/// Delay before an effect that failed is tried again.
const RESOURCE_RETRY_DELAY: Duration = Duration::from_millis(500);

impl EngineShared {
    pub(crate) async fn perform_all(self: &Arc<Self>, stored: &StoredProcess, effects: Vec<Effect>) {
        let mut effects = effects.into_iter();
        while let Some(effect) = effects.next() {
            if let Effect::Cascade { force } = effect {
                return self.cascade(stored, force, effects.collect());
            }
            self.perform(stored, effect).await;
        }
    }

    /// Performs the effects that follow from the state of a record.
    pub(crate) async fn perform_pending_effects(self: &Arc<Self>, stored: &StoredProcess) {
        let wanted = stored.process.wanted_below().into_iter().chain(stored.process.wanted());
        self.perform_all(stored, wanted.collect()).await;
    }

    /// Performs the effects that follow from the state of a record, in a background task.
    pub(crate) fn perform_beside(self: &Arc<Self>, stored: StoredProcess) {
        let core = self.clone();
        tokio::spawn(async move { core.perform_pending_effects(&stored).await });
    }

    async fn perform(self: &Arc<Self>, stored: &StoredProcess, effect: Effect) {
        let id = stored.process.id;
        match effect {
            Effect::Spawn { attempt } => self.spawn(stored, AttemptKey { id, attempt }).await,
            Effect::Stop { attempt, cause } => self.stop(stored, attempt, cause, false).await,
            Effect::Kill { attempt, cause } => self.stop(stored, attempt, cause, true).await,
            Effect::Pause { attempt } => {
                let key = AttemptKey { id, attempt };
                let mut paused = self.parts.spawner.pause(key).await;
                if self.was_readopted(&stored.process, &paused).await {
                    paused = self.parts.spawner.pause(key).await;
                }
                if let Err(error) = paused {
                    tracing::warn!(%id, %error, "could not pause a process");
                    self.lanes.seen(id, Observation::PauseFailed { attempt });
                    // The process may be paused although the call returned an error. Only the retry that starts here
                    // then resumes the process.
                    self.again_later(key);
                } else {
                    self.check_halt(stored).await;
                }
            }
            Effect::Resume { attempt } => {
                if let Err(error) = self.parts.spawner.resume(AttemptKey { id, attempt }).await {
                    tracing::warn!(%id, %error, "could not resume a process");
                    self.again_later(AttemptKey { id, attempt });
                } else {
                    self.check_halt(stored).await;
                }
            }
            Effect::Signal { attempt, signal, target } => {
                let key = AttemptKey { id, attempt };
                tracing::info!(%id, attempt = attempt.0, %signal, ?target, "started to send a signal");
                let mut sent = self.parts.spawner.signal(key, signal, target).await;
                if self.was_readopted(&stored.process, &sent).await {
                    sent = self.parts.spawner.signal(key, signal, target).await;
                }
                if let Err(error) = sent {
                    tracing::warn!(%id, %signal, %error, "could not send a signal");
                }
            }
            Effect::StopOrphan { attempt, cause, force } => {
                self.stop_rest(stored, AttemptKey { id, attempt }, StopRequest { cause, force });
            }
            Effect::Keep { report } => self.keep(stored, &report).await,
            // Nothing to do: the caller that requested the restart makes a separate launch.
            Effect::Relaunch => {}
            Effect::Cascade { force } => self.cascade(stored, force, Vec::new()),
            Effect::AwaitDescendants => self.await_descendants(id),
        }
    }

    async fn spawn(self: &Arc<Self>, stored: &StoredProcess, key: AttemptKey) {
        let Work::Command(command) = &stored.process.spec.work else {
            return;
        };
        if !self.starts.begin(&stored.process) {
            return;
        }
        // This check must come after `starts.begin`, because a shutdown waits only for the starts that were registered
        // before the shutdown began.
        if self.is_closing() {
            return self.starts.failed(&stored.process);
        }
        // No other node can take over a local-only process, so its start needs no valid lease.
        let may_claim =
            self.lease_state.may_claim(self.parts.clock.now()) || self.parts.store.is_local_only(&key.id);
        if !may_claim || (self.parts.store.leases_expire() && self.copies.may_be_left_before(key)) {
            tracing::warn!(
                id = %key.id, may_claim,
                "postponed a process start until the lease is valid and older attempts have ended"
            );
            self.starts.failed(&stored.process);
            return self.again_later(key);
        }
        // If the answer to a claim was lost, the engine learned about the claim from a later read. A failover of the
        // store can still undo such a claim.
        match self.parts.store.is_durable(&key.id, key.attempt).await {
            Ok(true) => {}
            answer @ (Ok(false) | Err(_)) => {
                self.starts.failed(&stored.process);
                if let Err(error) = answer {
                    self.log_retry(
                        Some(key.id),
                        &error,
                        "postponed a process start until its claim is durable",
                    );
                }
                return self.again_later(key);
            }
        }
        if !self.admit(&stored.process, key).await {
            return;
        }
        let mut environment = match self.environment_of(command, stored.process.spec.session.as_ref()).await {
            Ok(environment) => environment,
            Err(error @ (EnvironmentStoreError::Missing { .. } | EnvironmentStoreError::Unusable { .. })) => {
                let failure =
                    StartFailure { stage: StartStage::Environment, errno: None, detail: error.to_string() };
                self.lanes.seen(key.id, Observation::SpawnFailed { attempt: key.attempt, failure });
                return;
            }
            Err(error) => {
                tracing::warn!(id = %key.id, %error, "postponed a process start until the environment can be read");
                self.starts.failed(&stored.process);
                return self.again_later(key);
            }
        };
        self.add_test_variables(&stored.process, key, &mut environment);
        // Start the collection of test results first, because the command may end before its start is committed.
        self.follow_tests(stored);
        self.copies.began(&stored.process, key);
        let leased = self.parts.store.leases_expire() && runs_again_if_lost(&stored.process);
        let order = StartRequest { key, command: command.as_ref().clone(), environment, leased };
        crashpoint!("engine.spawn");
        let started = self.parts.spawner.start(order).await;
        crashpoint!("engine.spawned");
        match started {
            Ok(()) => {}
            Err(SpawnError::Refused { failure }) => {
                self.lanes.seen(key.id, Observation::SpawnFailed { attempt: key.attempt, failure });
            }
            Err(error) => {
                tracing::warn!(id = %key.id, %error, "the spawner did not answer a start request");
                self.starts.failed(&stored.process);
                self.readopt(&stored.process, key).await;
            }
        }
    }

    /// Repeats work of an attempt that failed, in the background, until the work succeeds or another attempt is the
    /// current one.
    pub(crate) fn again_later(self: &Arc<Self>, key: AttemptKey) {
        let core = self.clone();
        tokio::spawn(async move {
            loop {
                let again = core.parts.clock.awake().plus(RESOURCE_RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(again)).await;
                if core.is_closing() {
                    return;
                }
                match core.load(key.id).await {
                    Ok(stored) => return Box::pin(core.try_again(&stored, key)).await,
                    Err(EngineError::NotFound { .. }) => return,
                    Err(error) => {
                        tracing::warn!(id = %key.id, %error, "postponed a retry until the store answers")
                    }
                }
            }
        });
    }

    /// Reads the record again after a pause or resume has been executed, because a pause and a resume may be executed
    /// in the wrong order. If the record now requires another state, applies that state.
    async fn check_halt(self: &Arc<Self>, done: &StoredProcess) {
        let (id, attempt) = (done.process.id, done.process.attempt);
        match self.load(id).await {
            Ok(now) if now.process.attempt == attempt && now.process.wanted() != done.process.wanted() => {
                Box::pin(self.perform_pending_effects(&now)).await;
            }
            Ok(_) | Err(EngineError::NotFound { .. }) => {}
            Err(_) => self.again_later(AttemptKey { id, attempt }),
        }
    }

    async fn try_again(self: &Arc<Self>, stored: &StoredProcess, key: AttemptKey) {
        let is_mine = stored.owner.as_ref().is_some_and(|owner| owner.node == *self.here());
        if stored.process.attempt != key.attempt || !is_mine {
            return self.unexamined.remove(key);
        }
        if stored.process.status() == Status::Starting || self.readopt(&stored.process, key).await {
            self.perform_pending_effects(stored).await;
        }
    }

    async fn stop(
        self: &Arc<Self>,
        stored: &StoredProcess,
        attempt: AttemptNo,
        cause: StopCause,
        force: bool,
    ) {
        let key = AttemptKey { id: stored.process.id, attempt };
        crashpoint!("engine.stop");
        if let Err(error) = self.parts.spawner.stop(key, StopRequest { cause, force }).await {
            tracing::warn!(id = %key.id, %error, "a stop request found no running process");
            if self.readopt(&stored.process, key).await
                && let Err(error) = self.parts.spawner.stop(key, StopRequest { cause, force }).await
            {
                tracing::warn!(id = %key.id, %error, "a stop request did not reach the running processes");
                self.again_later(key);
            }
        }
    }

    /// Returns true if a call failed because the spawner did not observe the attempt, and if the attempt has now been
    /// adopted. This happens to an action that was stored while no manager was running, because it may be executed
    /// before its attempt is adopted.
    async fn was_readopted(self: &Arc<Self>, process: &Process, done: &Result<(), SpawnError>) -> bool {
        match done {
            Err(SpawnError::Unknown { key }) => self.readopt(process, *key).await,
            Ok(()) | Err(_) => false,
        }
    }

    /// Adopts an attempt that the spawner does not observe. Returns true if the attempt is alive and now observed.
    async fn readopt(self: &Arc<Self>, process: &Process, key: AttemptKey) -> bool {
        let Some(command) = process.spec.command() else { return false };
        match self.parts.spawner.adopt(key, command).await {
            Ok(Adopted::Alive(observation)) => {
                self.unexamined.remove(key);
                self.lanes.seen(key.id, observation);
                true
            }
            Ok(Adopted::Over(observation)) => {
                self.lanes.seen(key.id, self.copies.seen(key.id, observation));
                false
            }
            Err(error) => {
                tracing::error!(id = %key.id, %error, "could not inspect an attempt; retrying");
                self.again_later(key);
                false
            }
        }
    }

    /// Reports to the spawner that the end of an attempt is durable.
    pub(crate) async fn settled(&self, id: ProcessId, attempt: AttemptNo) {
        crashpoint!("engine.settle");
        self.starts.over(id, attempt);
        self.copies.is_over(AttemptKey { id, attempt });
        self.unexamined.remove(AttemptKey { id, attempt });
        self.parts.spawner.end_recorded(AttemptKey { id, attempt }).await;
    }
}
