//! Reaction to a rejected lease. Either another manager uses the name of this node, or the node was declared lost and
//! has to register again.

use crate::detached::run_to_completion;
use crate::engine::EngineShared;
use crate::error::EngineError;
use crate::local_attempts::GIVEN_UP;
use crate::recover::examine_unknown_attempts;
use longhaul_domain::{
    AwakeTime, CommandSpec, Deadline, Ending, Interruption, Observation, Process, SlotState,
};
use longhaul_ports::{
    Adopted, AttemptKey, Lease, Presence, StopRequest, StoreError, StoreRejection, StoredProcess,
};
use std::sync::Arc;
use std::time::Duration;

/// Delay before the next request to a store after an error.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Maximum number of records in one request.
const CHUNK: usize = 500;

/// Reason why a node has no valid lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseLoss {
    /// The node was declared lost, and other nodes may have taken over its processes.
    Lost,
    /// The store lost data, and now has no record of the node or only a record with an older lease.
    Forgotten,
}

impl EngineShared {
    /// Determines why a lease was rejected, and registers again if this node was lost. Returns true if this node now
    /// has a valid lease.
    pub(crate) async fn verify_lease(self: &Arc<Self>, refused: Lease) -> bool {
        let core = self.clone();
        // This future must not be cancelled: a registration whose result is unknown would later look like the
        // registration of another manager.
        let found = run_to_completion(async move { Ok(core.resolve_fencing(&refused).await) }).await;
        found.unwrap_or(false)
    }

    async fn resolve_fencing(self: &Arc<Self>, refused: &Lease) -> bool {
        let _turn = self.lease_state.doubts.lock().await;
        if self.lease_state.is_replaced() || !self.parts.store.leases_expire() {
            return false;
        }
        while self.lease_state.lease() == *refused {
            if self.is_closing() {
                return false;
            }
            match self.try_lease(refused).await {
                Ok(true) => return true,
                Ok(false) => return false,
                Err(error) => {
                    self.log_retry(None, &error, "could not find out why the lease was rejected; retrying")
                }
            }
            let until: AwakeTime = self.parts.clock.awake().plus(RETRY_DELAY);
            self.parts.clock.sleep_until(Deadline::Awake(until)).await;
        }
        true
    }

    async fn try_lease(self: &Arc<Self>, refused: &Lease) -> Result<bool, EngineError> {
        let asked = self.mark_before_request();
        match self.parts.store.renew_lease(refused).await {
            // The lease is valid again after it had expired without consequences, or only the rejected write was not
            // allowed because its process belongs to another node.
            Ok(calls) => {
                self.heard(refused, &asked, &calls);
                return Ok(true);
            }
            Err(StoreError::Fenced { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let known = self.parts.store.list_nodes().await?;
        let me = known.into_iter().find(|node| node.facts.id == *self.here());
        // Epochs never decrease, so a lower epoch means that the store is in an older state.
        let me = me.filter(|node| node.epoch >= refused.epoch);
        match me.map(|node| node.presence) {
            None => self.register_again(LeaseLoss::Forgotten).await,
            Some(Presence::Lost { .. }) => self.register_again(LeaseLoss::Lost).await,
            Some(Presence::Present { .. } | Presence::Unreachable { .. } | Presence::Left) => {
                self.lease_state.replaced();
                Ok(false)
            }
        }
    }

    /// Registers the node again. Returns false if the name of this node is now used by another state directory.
    async fn register_again(self: &Arc<Self>, parted: LeaseLoss) -> Result<bool, EngineError> {
        let (lease, sent) = loop {
            let sent = self.parts.clock.now();
            match self.parts.store.register(&self.settings.node).await {
                Ok(lease) => break (lease, sent),
                Err(StoreError::Refused(
                    StoreRejection::NameTaken { .. } | StoreRejection::NameHeld { .. },
                )) => {
                    self.lease_state.replaced();
                    return Ok(false);
                }
                Err(error) => self.log_retry(None, &error, "could not register the node again; retrying"),
            }
            let until: AwakeTime = self.parts.clock.awake().plus(RETRY_DELAY);
            self.parts.clock.sleep_until(Deadline::Awake(until)).await;
        };
        tracing::warn!(
            epoch = lease.epoch.0,
            "the lease of this node was no longer valid; registered the node again"
        );
        match parted {
            LeaseLoss::Lost => self.lease_state.begin(lease.clone(), sent),
            // The registration renews the lease. No other node has taken over the processes, so local attempts
            // continue.
            LeaseLoss::Forgotten => {
                self.lease_state.hold(sent);
                self.lease_state.begin(lease.clone(), self.lease_state.after(sent));
            }
        }
        // Restore records first, because a lost record looks like a process that another node has taken over.
        let reconciled = self.reconciled(&lease).await?;
        self.reexamine_attempts().await;
        if reconciled.went_back {
            examine_unknown_attempts(self).await;
        }
        self.advertise().await;
        let asked = self.mark_before_request();
        if let Ok(calls) = self.parts.store.renew_lease(&lease).await {
            self.heard(&lease, &asked, &calls);
        }
        Ok(true)
    }

    /// Advertises the properties of this node to other nodes. A failure is only logged, because the next registration
    /// advertises them again.
    pub(crate) async fn advertise(&self) {
        if let Err(error) = self.parts.store.advertise(&self.lease(), &self.settings.offer).await {
            tracing::warn!(%error, "could not publish the labels and capacity of this node");
        }
    }

    /// Examines the live local attempts again, because other nodes may have taken over their processes.
    pub(crate) async fn reexamine_attempts(self: &Arc<Self>) {
        for kept in self.copies.running().chunks(CHUNK) {
            let ids: Vec<_> = kept.iter().map(|(key, _)| key.id).collect();
            match self.parts.store.load(&ids).await {
                Ok(found) => {
                    for ((key, process), found) in kept.iter().zip(found) {
                        self.review_attempt(*key, process, found);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "could not list the processes of this node; examining them one by one");
                    kept.iter().for_each(|(key, process)| self.review_later(*key, process.clone()));
                }
            }
        }
    }

    fn review_later(self: &Arc<Self>, key: AttemptKey, process: Process) {
        let core = self.clone();
        tokio::spawn(async move {
            while !core.is_closing() {
                match core.load(key.id).await {
                    Ok(found) => return core.review_attempt(key, &process, Some(found)),
                    Err(EngineError::NotFound { .. }) => return core.review_attempt(key, &process, None),
                    Err(error) => tracing::warn!(%error, "could not examine a process; retrying"),
                }
                let until: AwakeTime = core.parts.clock.awake().plus(RETRY_DELAY);
                core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            }
        });
    }

    /// Stops a local attempt whose process is now running on another node. An attempt of an interrupted process may
    /// continue; its exit is recorded as a late exit.
    fn review_attempt(self: &Arc<Self>, key: AttemptKey, process: &Process, found: Option<StoredProcess>) {
        let Some(found) = found else {
            self.owned.take(key.id);
            return self.review_unknown(key, process);
        };
        self.settle(&found);
        self.stop_orphan(&found);
        let is_same = found.process.attempt == key.attempt;
        let is_mine = found.owner.as_ref().is_some_and(|owner| owner.node == *self.here());
        let is_orphan = found.owner.is_none() && found.process.state.slot_state() == SlotState::Holding;
        if is_orphan && is_same {
            self.lanes.seen(key.id, Observation::OwnerLost);
        }
        let goes_on = is_same && (is_mine || is_orphan || found.process.status().is_ended());
        if !goes_on || (is_orphan && runs_again_if_lost(process)) {
            self.end_copy(process, key);
        }
    }

    /// Handles a local attempt whose process has no record any more, because the record was pruned or lost. The attempt
    /// is stopped only if another node may have started the process again.
    fn review_unknown(self: &Arc<Self>, key: AttemptKey, process: &Process) {
        if runs_again_if_lost(process) {
            return self.end_copy(process, key);
        }
        tracing::warn!(id = %key.id, attempt = key.attempt.0, "left an attempt running although the store \
            has no record of its process");
    }

    /// Stops the local attempts whose processes other nodes start again as soon as the lease of this node has expired.
    pub(crate) fn stop_local_attempts(self: &Arc<Self>) {
        for (key, process) in self.copies.running() {
            if runs_again_if_lost(&process) {
                self.end_copy(&process, key);
            }
        }
    }

    /// Stops an attempt whose process may run on another node. The exit is treated as the loss of this node.
    pub(crate) fn end_copy(self: &Arc<Self>, process: &Process, key: AttemptKey) {
        if !self.copies.mark_stopping(key) {
            return;
        }
        tracing::warn!(id = %key.id, attempt = key.attempt.0, "decided to stop an attempt because its \
            process may run on another node");
        let (core, spec) = (self.clone(), Arc::clone(&process.spec));
        tokio::spawn(async move {
            let Some(command) = spec.command() else { return };
            core.stop_copy(key, command, false).await;
            let until: AwakeTime =
                core.parts.clock.awake().plus(command.stop.total_grace().min(LOST_LEASE_GRACE));
            core.parts.clock.sleep_until(Deadline::Awake(until)).await;
            core.stop_copy(key, command, true).await;
        });
    }

    /// Repeats the request to stop an attempt until the request succeeds or the attempt has ended.
    async fn stop_copy(self: &Arc<Self>, key: AttemptKey, command: &CommandSpec, force: bool) {
        while self.copies.is_stopping(key) && !self.is_closing() {
            match self.parts.spawner.stop(key, StopRequest { cause: GIVEN_UP, force }).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(id = %key.id, %error, "could not stop an attempt whose process runs \
                 elsewhere")
                }
            }
            if let Ok(Adopted::Over(_)) = self.parts.spawner.adopt(key, command).await {
                return self.copies.is_over(key);
            }
            let until: AwakeTime = self.parts.clock.awake().plus(STOP_RETRY_DELAY);
            self.parts.clock.sleep_until(Deadline::Awake(until)).await;
        }
    }
}

/// Delay before a failed stop is tried again.
const STOP_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Maximum time from the first signal to SIGKILL. It is much shorter than the grace period after the end of a lease.
const LOST_LEASE_GRACE: Duration = Duration::from_secs(5);

/// Returns true if the process would be retried after the loss of its node.
pub(crate) fn runs_again_if_lost(process: &Process) -> bool {
    let lost = Ending::Interrupted { why: Interruption::NodeGone };
    process.spec.retry.covers(&lost, process.retries)
}
