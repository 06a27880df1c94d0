//! The engine: the handle that callers use, and the state that the tasks of the engine share.

use crate::cascade::CascadeTracker;
use crate::detached::run_to_completion;
use crate::error::EngineError;
use crate::follow::follow;
use crate::inbox::InboxSender;
use crate::lease_renewal::{PeerState, enforce_lease_deadline, publish_lease_end, renew_periodically};
use crate::lease_state::LeaseState;
use crate::live_stats::LiveStatsCache;
use crate::local_attempts::LocalAttempts;
use crate::monitor::{Monitor, run_monitor};
use crate::notifier::Notifier;
use crate::parts::{EnginePorts, EngineSettings};
use crate::queues::apply_configured_limits;
use crate::reconcile::HistoryTracker;
use crate::record_cache::RecordCache;
use crate::reset::ResetState;
use crate::retention::{PruneStatus, prune_periodically};
use crate::stale_attempts::examine_stale_attempts;
use crate::start_dedup::StartDedup;
use crate::subscribe::SubscriptionShared;
use crate::test_runs::TestRuns;
use crate::timers::Timers;
use crate::uncommitted_exits::UncommittedExits;
use crate::unverified_attempts::UnverifiedAttempts;
use crate::{claim_loop, recover, timers};
use longhaul_domain::{
    Action, DecisionContext, Input, NoOpReason, NodeId, Policy, PolicyVersion, ProcessId, Revision,
    Timestamp, TreeUsage,
};
use longhaul_ports::{
    AttemptKey, Lease, LeaseEnd, Listing, PageRequest, ProcessFilter, StoreError, StoredProcess, Writer,
};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running engine. Each node has one engine; clones are handles of the same engine.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) core: Arc<EngineShared>,
}

/// State that the tasks of an engine share.
#[derive(Debug)]
pub(crate) struct EngineShared {
    pub(crate) parts: EnginePorts,
    pub(crate) settings: EngineSettings,
    pub(crate) lease_state: LeaseState,
    pub(crate) neighbours: PeerState,
    pub(crate) history_tracker: HistoryTracker,
    pub(crate) copies: LocalAttempts,
    pub(crate) policy: Mutex<(PolicyVersion, Policy)>,
    /// Serializes policy changes of this node, so that each change is based on the previous one.
    pub(crate) policy_turns: tokio::sync::Mutex<()>,
    pub(crate) notifier: Notifier,
    pub(crate) timers: Timers,
    pub(crate) attention: Monitor,
    pub(crate) live_stats: LiveStatsCache,
    pub(crate) owned: RecordCache,
    pub(crate) starts: StartDedup,
    pub(crate) test_runs: TestRuns,
    pub(crate) unexamined: UnverifiedAttempts,
    pub(crate) unrecorded: UncommittedExits,
    pub(crate) cascades: CascadeTracker,
    pub(crate) lanes: InboxSender,
    pub(crate) sweeps: PruneStatus,
    pub(crate) clearing: ResetState,
    pub(crate) listeners: SubscriptionShared,
    /// True as soon as the engine has started to shut down.
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// Outcome of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionOutcome {
    /// Record of the process after the action.
    pub stored: StoredProcess,
    /// True if the action changed the process.
    pub changed: bool,
    /// Reason why an accepted action changed nothing; `None` if it changed the process.
    pub note: Option<NoOpReason>,
}

impl Engine {
    /// Starts an engine: registers with the store, recovers the work of the previous run, and starts the background
    /// tasks.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the node cannot register, or if the store cannot be read.
    pub async fn start(parts: EnginePorts, settings: EngineSettings) -> Result<Self, EngineError> {
        let (ends, sent) = (parts.store.leases_expire(), parts.clock.now());
        let lease = parts.store.register(&settings.node).await?;
        let policy = apply_configured_limits(parts.store.as_ref(), settings.policy.as_ref()).await?;
        let (lanes, inbox) = InboxSender::new();
        let core = Arc::new(EngineShared {
            parts,
            settings,
            lease_state: LeaseState::new(lease, ends, sent),
            neighbours: PeerState::default(),
            history_tracker: HistoryTracker::default(),
            copies: LocalAttempts::default(),
            policy: Mutex::new(policy),
            policy_turns: tokio::sync::Mutex::default(),
            notifier: Notifier::default(),
            timers: Timers::default(),
            attention: Monitor::default(),
            live_stats: LiveStatsCache::default(),
            owned: RecordCache::default(),
            starts: StartDedup::default(),
            test_runs: TestRuns::default(),
            unexamined: UnverifiedAttempts::default(),
            unrecorded: UncommittedExits::default(),
            cascades: CascadeTracker::default(),
            lanes,
            sweeps: PruneStatus::default(),
            clearing: ResetState::default(),
            listeners: SubscriptionShared::new(),
            closing: watch::Sender::new(false),
            tasks: Mutex::default(),
        });
        let mut tasks = match recovered(&core, ends).await {
            Ok(tasks) => tasks,
            Err(error) => {
                core.closing.send_replace(true);
                core.cascades.open();
                return Err(error);
            }
        };
        core.cascades.open();
        tasks.extend(inbox.work(&core));
        tasks.push(tokio::spawn(claim_loop::claim(core.clone())));
        tasks.push(tokio::spawn(claim_loop::observe(core.clone())));
        tasks.push(tokio::spawn(timers::run_timers(core.clone())));
        tasks.push(tokio::spawn(run_monitor(core.clone())));
        tasks.push(tokio::spawn(prune_periodically(core.clone())));
        core.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        Ok(Self { core })
    }

    /// Returns the record of a process with its latest live stats. While the store is unreachable, the record comes
    /// from this node's own copy (see [`away_since`](Self::away_since)).
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id.
    pub async fn process(&self, id: ProcessId) -> Result<StoredProcess, EngineError> {
        self.core.load_or_recall(id).await
    }

    /// Returns the time since which the store has been unreachable, or `None` if the store answers. While the store is
    /// unreachable, reads return only this node's own copy of its work.
    #[must_use]
    pub fn away_since(&self) -> Option<Timestamp> {
        self.core.parts.store.away_since()
    }

    /// Returns true if this node accepted the process while the store was unreachable and the store has not received
    /// the process yet. Until then, other nodes do not know of the process.
    #[must_use]
    pub fn is_local_only(&self, id: ProcessId) -> bool {
        self.core.parts.store.is_local_only(&id)
    }

    /// Returns one page of records. While the store is unreachable, the page contains only this node's own work (see
    /// [`away_since`](Self::away_since)).
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, EngineError> {
        let store = &self.core.parts.store;
        let mut listing = match store.list(filter, page).await {
            Err(away @ StoreError::Unavailable { .. }) => {
                store.list_cached(filter, page).await.ok_or(away)?
            }
            listing => listing?,
        };
        let shown = |mut stored: StoredProcess| {
            self.core.live_stats.overlay(&mut stored);
            let before = stored.process.status();
            let stored = self.core.with_unrecorded(stored);
            let status = stored.process.status();
            let fits = status == before || filter.statuses.is_empty() || filter.statuses.contains(&status);
            fits.then_some(stored)
        };
        listing.processes = listing.processes.into_iter().filter_map(shown).collect();
        Ok(listing)
    }

    /// Performs an action on a process. If `expected` is given, the action applies only if the process has that
    /// revision.
    ///
    /// # Errors
    /// - [`EngineError::Rejected`] with the status of the process and the rejected action.
    /// - [`EngineError::RevisionMoved`] if the process has another revision.
    /// - [`EngineError::NotFound`] for an unknown id.
    /// - [`EngineError::StopUnrecorded`] if the stop is carried out but the store cannot record it.
    ///
    /// # Cancel safety
    /// The action continues if the future is dropped.
    pub async fn command(
        &self,
        id: ProcessId,
        command: Action,
        expected: Option<Revision>,
    ) -> Result<ActionOutcome, EngineError> {
        let core = self.core.clone();
        run_to_completion(async move { core.turn(id, &Input::Action(command), expected).await }).await
    }

    /// Returns the current resource usage of the process and its descendants. Returns `None` if the process is not
    /// running on this node, or if its usage cannot be read.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id.
    pub async fn usage(&self, id: ProcessId) -> Result<Option<TreeUsage>, EngineError> {
        let stored = self.process(id).await?;
        let is_here = stored.owner.as_ref().is_some_and(|owner| owner.node == *self.core.here());
        if !is_here || stored.process.state.execution().is_none() {
            return Ok(None);
        }
        let key = AttemptKey { id, attempt: stored.process.attempt };
        let used = self.core.parts.spawner.usage(key).await;
        Ok(used
            .inspect_err(
                |error| tracing::debug!(%id, %error, "could not measure the resource usage of a process"),
            )
            .ok())
    }

    /// Returns the time at which the lease of the process's owner expired, as far as this node knows. If the owner left
    /// the cluster properly, returns the time at which its lease would have expired. After this time, the actual state
    /// of the process is unknown. Returns `None` if no other node owns the process. The time is not part of the record.
    #[must_use]
    pub fn unreachable_since(&self, stored: &StoredProcess) -> Option<Timestamp> {
        let owner = stored.owner.as_ref().filter(|owner| owner.node != *self.core.here())?;
        self.core.unreachable_since(&owner.node)
    }

    /// Waits until another manager has registered under this node's name. From then on, this engine claims nothing, and
    /// the store rejects its writes. Commands that are running on this node continue.
    pub async fn replaced(&self) {
        self.core.lease_state.until_replaced().await;
    }

    /// Returns the current time of the engine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.core.parts.clock.now()
    }

    /// Returns the id of the node that this engine runs.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        self.core.here()
    }
}

/// Recovers the work of the previous run. If leases expire in this store, the function also starts the lease renewal,
/// so that the lease stays valid during recovery.
async fn recovered(core: &Arc<EngineShared>, ends: bool) -> Result<Vec<JoinHandle<()>>, EngineError> {
    let mut tasks = Vec::new();
    if ends {
        core.enter().await?;
        core.reconciled(&core.lease()).await?;
        let end = core.parts.store.end().await?;
        tasks.push(tokio::spawn(renew_periodically(core.clone())));
        tasks.push(tokio::spawn(enforce_lease_deadline(core.clone())));
        tasks.push(tokio::spawn(publish_lease_end(core.clone())));
        tasks.push(tokio::spawn(follow(core.clone(), end)));
    } else {
        // The previous run may have used a store with expiring leases. The attempts of the previous run must not stop
        // when its last lease expires.
        core.parts.spawner.set_lease_end(LeaseEnd::Never).await;
    }
    let recovered = recover::recover(core).await;
    if ends && recovered.is_ok() {
        examine_stale_attempts(core).await;
    }
    match recovered {
        Ok(rest) => {
            tasks.extend(rest);
            Ok(tasks)
        }
        Err(error) => {
            tasks.iter().for_each(JoinHandle::abort);
            Err(error)
        }
    }
}

impl EngineShared {
    /// Returns the id of the node that this engine runs.
    pub(crate) const fn here(&self) -> &NodeId {
        self.lease_state.node()
    }

    /// Returns the current lease of this node.
    pub(crate) fn lease(&self) -> Lease {
        self.lease_state.lease()
    }

    pub(crate) fn context(&self) -> DecisionContext {
        DecisionContext {
            now: self.parts.clock.now(),
            awake: self.parts.clock.awake(),
            chance: self.parts.ids.chance(),
            capabilities: self.parts.spawner.capabilities(),
        }
    }

    pub(crate) async fn load(&self, id: ProcessId) -> Result<StoredProcess, EngineError> {
        let mut found = self.parts.store.load(&[id]).await?;
        let stored = found.pop().flatten();
        let stored = stored.ok_or_else(|| EngineError::NotFound { reference: id.to_string() })?;
        Ok(self.with_vitals(stored))
    }

    pub(crate) fn with_vitals(&self, mut stored: StoredProcess) -> StoredProcess {
        self.live_stats.overlay(&mut stored);
        stored
    }

    /// Returns the author of writes with which this engine may change a record, or `None` if another node owns the
    /// record.
    pub(crate) fn author_of(&self, stored: &StoredProcess) -> Option<Writer> {
        match &stored.owner {
            None => Some(Writer::Anyone),
            Some(owner) if owner.node == *self.here() => Some(Writer::Owner(self.lease())),
            Some(_) => None,
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    pub(crate) fn policy_version(&self) -> PolicyVersion {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) async fn refresh_policy(&self) -> Result<(), EngineError> {
        let fresh = self.parts.store.policy().await?;
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}
