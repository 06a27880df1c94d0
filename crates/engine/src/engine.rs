//! The handle of an engine.

use crate::cascade::CascadeTracker;
use crate::detached::run_to_completion;
use crate::error::EngineError;
use crate::follow::follow;
use crate::inbox::InboxSender;
use crate::lease_renewal::{PeerState, enforce_lease_deadline, keep_lease, publish_lease_end};
use crate::lease_state::LeaseState;
use crate::live_stats::LiveStatsCache;
use crate::local_attempts::LocalAttempts;
use crate::monitor::{Monitor, run_monitor};
use crate::notifier::Notifier;
use crate::parts::{EnginePorts, EngineSettings};
use crate::queues::settled_policy;
use crate::reconcile::HistoryTracker;
use crate::record_cache::RecordCache;
use crate::reset::ResetState;
use crate::retention::{PruneStatus, keep_tidy};
use crate::stale_attempts::look_for_leftovers;
use crate::start_dedup::StartDedup;
use crate::subscribe::SubscriptionShared;
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

/// A running engine: one per node. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) core: Arc<EngineShared>,
}

/// What the tasks of an engine share.
#[derive(Debug)]
pub(crate) struct EngineShared {
    pub(crate) parts: EnginePorts,
    pub(crate) settings: EngineSettings,
    pub(crate) tenure: LeaseState,
    pub(crate) neighbours: PeerState,
    pub(crate) regard: HistoryTracker,
    pub(crate) copies: LocalAttempts,
    pub(crate) policy: Mutex<(PolicyVersion, Policy)>,
    /// Whoever changes the policy here does it one after the other: each reads what the one before wrote.
    pub(crate) policy_turns: tokio::sync::Mutex<()>,
    pub(crate) hub: Notifier,
    pub(crate) timers: Timers,
    pub(crate) attention: Monitor,
    pub(crate) live_stats: LiveStatsCache,
    pub(crate) owned: RecordCache,
    pub(crate) starts: StartDedup,
    pub(crate) unexamined: UnverifiedAttempts,
    pub(crate) unrecorded: UncommittedExits,
    pub(crate) kin: CascadeTracker,
    pub(crate) lanes: InboxSender,
    pub(crate) sweeps: PruneStatus,
    pub(crate) clearing: ResetState,
    pub(crate) listeners: SubscriptionShared,
    /// Becomes true when the engine takes nothing new.
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionOutcome {
    /// The process as it is now.
    pub stored: StoredProcess,
    /// Whether anything changed.
    pub changed: bool,
    /// Why nothing changed although nothing was refused.
    pub note: Option<NoOpReason>,
}

impl Engine {
    /// Joins the store, finds out what became of the work of an earlier life, and goes to work.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be joined or read.
    pub async fn start(parts: EnginePorts, settings: EngineSettings) -> Result<Self, EngineError> {
        let (ends, sent) = (parts.store.leases_expire(), parts.clock.now());
        let lease = parts.store.register(&settings.node).await?;
        let policy = settled_policy(parts.store.as_ref(), settings.policy.as_ref()).await?;
        let (lanes, inbox) = InboxSender::new();
        let core = Arc::new(EngineShared {
            parts,
            settings,
            tenure: LeaseState::new(lease, ends, sent),
            neighbours: PeerState::default(),
            regard: HistoryTracker::default(),
            copies: LocalAttempts::default(),
            policy: Mutex::new(policy),
            policy_turns: tokio::sync::Mutex::default(),
            hub: Notifier::default(),
            timers: Timers::default(),
            attention: Monitor::default(),
            live_stats: LiveStatsCache::default(),
            owned: RecordCache::default(),
            starts: StartDedup::default(),
            unexamined: UnverifiedAttempts::default(),
            unrecorded: UncommittedExits::default(),
            kin: CascadeTracker::default(),
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
                core.kin.open();
                return Err(error);
            }
        };
        core.kin.open();
        tasks.extend(inbox.work(&core));
        tasks.push(tokio::spawn(claim_loop::claim(core.clone())));
        tasks.push(tokio::spawn(claim_loop::observe(core.clone())));
        tasks.push(tokio::spawn(timers::keep_time(core.clone())));
        tasks.push(tokio::spawn(run_monitor(core.clone())));
        tasks.push(tokio::spawn(keep_tidy(core.clone())));
        core.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        Ok(Self { core })
    }

    /// The record of a process, with its latest vitals. While the store does not answer it is the one that this node
    /// keeps for itself, as [`away_since`](Self::away_since) says.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id.
    pub async fn process(&self, id: ProcessId) -> Result<StoredProcess, EngineError> {
        self.core.load_or_recall(id).await
    }

    /// Since when the store does not answer: what is read meanwhile is what this node keeps of its own work. None while
    /// it answers.
    #[must_use]
    pub fn away_since(&self) -> Option<Timestamp> {
        self.core.parts.store.away_since()
    }

    /// Whether this node accepted a process alone while the store was away: what is told of it is true, and no other node
    /// knows of it until the store is back.
    #[must_use]
    pub fn is_local_only(&self, id: ProcessId) -> bool {
        self.core.parts.store.is_local_only(&id)
    }

    /// One page of records. While the store does not answer it has what this node keeps for itself, which is only of its
    /// own work, as [`away_since`](Self::away_since) says.
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

    /// Asks something of a process; with `expected` only if it still is at that revision. Dropping the call does not
    /// take it back.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] with its status and what was tried, [`EngineError::RevisionMoved`],
    /// [`EngineError::NotFound`]; [`EngineError::StopUnrecorded`] if the store cannot write while a stop goes ahead.
    pub async fn command(
        &self,
        id: ProcessId,
        command: Action,
        expected: Option<Revision>,
    ) -> Result<ActionOutcome, EngineError> {
        let core = self.core.clone();
        run_to_completion(async move { core.turn(id, &Input::Action(command), expected).await }).await
    }

    /// What the tree of a process uses at this moment; none if it does not run on this node, or cannot be told.
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
        Ok(used.inspect_err(|error| tracing::debug!(%id, %error, "its usage cannot be told")).ok())
    }

    /// Since when the lease of the node that runs a process is over, or would be if it had not left in good order, as far
    /// as this node has heard: nobody can tell now
    /// how it is. None for what nobody runs. It is no part of the record, which stays as its node left it.
    #[must_use]
    pub fn unreachable_since(&self, stored: &StoredProcess) -> Option<Timestamp> {
        let owner = stored.owner.as_ref().filter(|owner| owner.node != *self.core.here())?;
        self.core.unreachable_since(&owner.node)
    }

    /// Done once another manager works under the name of this node: this one claims nothing more, and no write of it
    /// counts. What runs here goes on.
    pub async fn replaced(&self) {
        self.core.tenure.until_replaced().await;
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.core.parts.clock.now()
    }

    /// The node that this engine runs.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        self.core.here()
    }
}

/// Takes up the work of an earlier life, while the lease is kept if it could end meanwhile.
async fn recovered(core: &Arc<EngineShared>, ends: bool) -> Result<Vec<JoinHandle<()>>, EngineError> {
    let mut tasks = Vec::new();
    if ends {
        core.enter().await?;
        core.reconciled(&core.lease()).await?;
        let end = core.parts.store.end().await?;
        tasks.push(tokio::spawn(keep_lease(core.clone())));
        tasks.push(tokio::spawn(enforce_lease_deadline(core.clone())));
        tasks.push(tokio::spawn(publish_lease_end(core.clone())));
        tasks.push(tokio::spawn(follow(core.clone(), end)));
    } else {
        // The work of an earlier life may have begun where leases end.
        core.parts.spawner.set_lease_end(LeaseEnd::Never).await;
    }
    let recovered = recover::recover(core).await;
    if ends && recovered.is_ok() {
        look_for_leftovers(core).await;
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
    /// The node that this engine runs.
    pub(crate) const fn here(&self) -> &NodeId {
        self.tenure.node()
    }

    /// The lease under which this node works now.
    pub(crate) fn lease(&self) -> Lease {
        self.tenure.lease()
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

    /// In whose name this engine writes a record; none if another node owns it.
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
