//! The handle of an engine.

use crate::attention::{Attention, keep_attentive};
use crate::beat::{Neighbours, keep_lease, mind_deadline, tell_deadline};
use crate::clear::Clearing;
use crate::copies::Copies;
use crate::descend::Kin;
use crate::error::EngineError;
use crate::follow::follow;
use crate::hub::Hub;
use crate::lanes::Lanes;
use crate::leftovers::look_for_leftovers;
use crate::owned::Owned;
use crate::parts::{Parts, Settings};
use crate::queues::settled_policy;
use crate::reconcile::Regard;
use crate::retention::{Sweeps, keep_tidy};
use crate::shield::to_its_end;
use crate::starts::Starts;
use crate::subscribe::Listeners;
use crate::tenure::Tenure;
use crate::timers::Timers;
use crate::unexamined::Unexamined;
use crate::unrecorded::Unrecorded;
use crate::vitals::VitalsCache;
use crate::{pump, recover, timers};
use longhaul_domain::{
    Command, Context, Input, NodeId, Note, Policy, PolicyVersion, ProcessId, Revision, Timestamp, TreeUsage,
};
use longhaul_ports::{AttemptKey, Author, Filter, Lease, LeaseEnd, Listing, PageAsk, StoreError, Stored};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running engine: one per node. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) core: Arc<Core>,
}

/// What the tasks of an engine share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) parts: Parts,
    pub(crate) settings: Settings,
    pub(crate) tenure: Tenure,
    pub(crate) neighbours: Neighbours,
    pub(crate) regard: Regard,
    pub(crate) copies: Copies,
    pub(crate) policy: Mutex<(PolicyVersion, Policy)>,
    /// Whoever changes the policy here does it one after the other: each reads what the one before wrote.
    pub(crate) policy_turns: tokio::sync::Mutex<()>,
    pub(crate) hub: Hub,
    pub(crate) timers: Timers,
    pub(crate) attention: Attention,
    pub(crate) vitals: VitalsCache,
    pub(crate) owned: Owned,
    pub(crate) starts: Starts,
    pub(crate) unexamined: Unexamined,
    pub(crate) unrecorded: Unrecorded,
    pub(crate) kin: Kin,
    pub(crate) lanes: Lanes,
    pub(crate) sweeps: Sweeps,
    pub(crate) clearing: Clearing,
    pub(crate) listeners: Listeners,
    /// Becomes true when the engine takes nothing new.
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The process as it is now.
    pub stored: Stored,
    /// Whether anything changed.
    pub changed: bool,
    /// Why nothing changed although nothing was refused.
    pub note: Option<Note>,
}

impl Engine {
    /// Joins the store, finds out what became of the work of an earlier life, and goes to work.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be joined or read.
    pub async fn start(parts: Parts, settings: Settings) -> Result<Self, EngineError> {
        let (ends, sent) = (parts.store.leases_end(), parts.clock.now());
        let lease = parts.store.register(&settings.node).await?;
        let policy = settled_policy(parts.store.as_ref(), settings.policy.as_ref()).await?;
        let (lanes, inbox) = Lanes::new();
        let core = Arc::new(Core {
            parts,
            settings,
            tenure: Tenure::new(lease, ends, sent),
            neighbours: Neighbours::default(),
            regard: Regard::default(),
            copies: Copies::default(),
            policy: Mutex::new(policy),
            policy_turns: tokio::sync::Mutex::default(),
            hub: Hub::default(),
            timers: Timers::default(),
            attention: Attention::default(),
            vitals: VitalsCache::default(),
            owned: Owned::default(),
            starts: Starts::default(),
            unexamined: Unexamined::default(),
            unrecorded: Unrecorded::default(),
            kin: Kin::default(),
            lanes,
            sweeps: Sweeps::default(),
            clearing: Clearing::default(),
            listeners: Listeners::new(),
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
        tasks.push(tokio::spawn(pump::claim(core.clone())));
        tasks.push(tokio::spawn(pump::observe(core.clone())));
        tasks.push(tokio::spawn(timers::keep_time(core.clone())));
        tasks.push(tokio::spawn(keep_attentive(core.clone())));
        tasks.push(tokio::spawn(keep_tidy(core.clone())));
        core.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        Ok(Self { core })
    }

    /// The record of a process, with its latest vitals. While the store does not answer it is the one that this node
    /// keeps for itself, as [`away_since`](Self::away_since) says.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id.
    pub async fn process(&self, id: ProcessId) -> Result<Stored, EngineError> {
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
    pub fn is_alone(&self, id: ProcessId) -> bool {
        self.core.parts.store.is_alone(&id)
    }

    /// One page of records. While the store does not answer it has what this node keeps for itself, which is only of its
    /// own work, as [`away_since`](Self::away_since) says.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn list(&self, filter: &Filter, page: &PageAsk) -> Result<Listing, EngineError> {
        let store = &self.core.parts.store;
        let mut listing = match store.list(filter, page).await {
            Err(away @ StoreError::Unavailable { .. }) => {
                store.recall_page(filter, page).await.ok_or(away)?
            }
            listing => listing?,
        };
        let shown = |mut stored: Stored| {
            self.core.vitals.overlay(&mut stored);
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
        command: Command,
        expected: Option<Revision>,
    ) -> Result<Answer, EngineError> {
        let core = self.core.clone();
        to_its_end(async move { core.turn(id, &Input::Command(command), expected).await }).await
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
    pub fn unreachable_since(&self, stored: &Stored) -> Option<Timestamp> {
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
async fn recovered(core: &Arc<Core>, ends: bool) -> Result<Vec<JoinHandle<()>>, EngineError> {
    let mut tasks = Vec::new();
    if ends {
        core.enter().await?;
        core.reconciled(&core.lease()).await?;
        let end = core.parts.store.end().await?;
        tasks.push(tokio::spawn(keep_lease(core.clone())));
        tasks.push(tokio::spawn(mind_deadline(core.clone())));
        tasks.push(tokio::spawn(tell_deadline(core.clone())));
        tasks.push(tokio::spawn(follow(core.clone(), end)));
    } else {
        // The work of an earlier life may have begun where leases end.
        core.parts.spawner.lease_lasts(LeaseEnd::Never).await;
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

impl Core {
    /// The node that this engine runs.
    pub(crate) const fn here(&self) -> &NodeId {
        self.tenure.node()
    }

    /// The lease under which this node works now.
    pub(crate) fn lease(&self) -> Lease {
        self.tenure.lease()
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            now: self.parts.clock.now(),
            awake: self.parts.clock.awake(),
            chance: self.parts.ids.chance(),
            capabilities: self.parts.spawner.capabilities(),
        }
    }

    pub(crate) async fn load(&self, id: ProcessId) -> Result<Stored, EngineError> {
        let mut found = self.parts.store.load(&[id]).await?;
        let stored = found.pop().flatten();
        let stored = stored.ok_or_else(|| EngineError::NotFound { reference: id.to_string() })?;
        Ok(self.with_vitals(stored))
    }

    pub(crate) fn with_vitals(&self, mut stored: Stored) -> Stored {
        self.vitals.overlay(&mut stored);
        stored
    }

    /// In whose name this engine writes a record; none if another node owns it.
    pub(crate) fn author_of(&self, stored: &Stored) -> Option<Author> {
        match &stored.owner {
            None => Some(Author::Anyone),
            Some(owner) if owner.node == *self.here() => Some(Author::Owner(self.lease())),
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
