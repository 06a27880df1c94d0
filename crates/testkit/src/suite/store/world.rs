//! The fixture of the rules about stores, and helpers for the rules.

use super::draft::SubmissionBuilder;
use crate::fakes::{SequentialIds, VirtualClock};
use crate::suite::{instead_of, must, some};
use longhaul_domain::{
    Action, AttemptNo, Capabilities, Containment, DecisionContext, Exit, ExitStatus, Input, NodeId,
    Observation, Priority, Process, ProcessId, Retention, State, StopCause, Timestamp,
};
use longhaul_ports::{
    Change, ClaimCapacity, ClaimRequest, Clock, IdSource, Lease, NodeDescriptor, PlacementClass, Store,
    StoreError, StoredProcess, Submission, SubmitLimits, SubmitOutcome, Writer,
};
use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Opens another handle on the contents of the store in a fixture.
type OpenHandle = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Store>> + Send>> + Send + Sync>;

/// Fixture for one rule: an empty store with a clock that the rule moves.
pub struct StoreFixture {
    /// Store under test; it reads the time from [`clock`](Self::clock).
    pub store: Arc<dyn Store>,
    /// Clock of the store and of the rule.
    pub clock: VirtualClock,
    /// Source of new ids.
    pub ids: SequentialIds,
    another: Option<OpenHandle>,
    reopen: Option<OpenHandle>,
    cut: Option<Box<dyn Fn(ConnectionCut) + Send + Sync>>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

/// Point in time at which the connection to a store is cut during a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionCut {
    /// Before the store has committed the write.
    BeforeCommit,
    /// After the store has committed the write, before its answer arrives.
    AfterCommit,
}

/// Opens a fixture with a separate clock.
pub async fn open(open: impl AsyncFnOnce(VirtualClock) -> StoreFixture) -> StoreFixture {
    open(VirtualClock::default()).await
}

impl StoreFixture {
    /// Creates a fixture around a store that uses this clock.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: VirtualClock) -> Self {
        let ids = SequentialIds::default();
        Self { store, clock, ids, another: None, reopen: None, cut: None, _guard: None }
    }

    /// Adds a way to open a second handle on the same contents while the first one is in use, as another operating
    /// system process would. Rules with several nodes then use a separate handle for each node. With a single handle, a
    /// lock inside one operating system process could hide every race in the database.
    #[must_use]
    pub fn with_another<O>(self, open: impl Fn() -> O + Send + Sync + 'static) -> Self
    where
        O: Future<Output = Arc<dyn Store>> + Send + 'static,
    {
        Self { another: Some(Box::new(move || Box::pin(open()))), ..self }
    }

    /// Adds a way to reopen the same contents after all handles were dropped.
    #[must_use]
    pub fn with_reopening<O>(self, open: impl Fn() -> O + Send + Sync + 'static) -> Self
    where
        O: Future<Output = Arc<dyn Store>> + Send + 'static,
    {
        Self { reopen: Some(Box::new(move || Box::pin(open()))), ..self }
    }

    /// Adds a way to cut the connection during the next write. The write may still succeed if the store repeats it
    /// automatically.
    #[must_use]
    pub fn with_cut(self, cut: impl Fn(ConnectionCut) + Send + Sync + 'static) -> Self {
        Self { cut: Some(Box::new(cut)), ..self }
    }

    /// Returns another handle on the same contents. Returns the existing handle if the fixture has no way to open
    /// another.
    pub async fn another(&self) -> Arc<dyn Store> {
        match &self.another {
            Some(open) => open().await,
            None => Arc::clone(&self.store),
        }
    }

    /// Drops the handle on the store and reopens the same contents.
    ///
    /// # Panics
    /// Panics if the fixture has no [way to reopen its contents](Self::with_reopening).
    #[must_use]
    pub async fn reopened(self) -> Self {
        let Self { store, clock, ids, another, reopen, cut, _guard } = self;
        drop(store);
        let open = some(reopen);
        let store = open().await;
        Self { store, clock, ids, another, reopen: Some(open), cut, _guard }
    }

    /// Cuts the connection during the next write.
    ///
    /// # Panics
    /// Panics if the fixture has no [way to cut the connection](Self::with_cut).
    pub fn cut_next_write(&self, at: ConnectionCut) {
        some(self.cut.as_ref())(at);
    }

    /// Keeps `guard`, such as a temporary directory, alive as long as the fixture.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }

    /// Creates a builder for the submission of a command that any node may run.
    #[must_use]
    pub fn draft(&self) -> SubmissionBuilder {
        SubmissionBuilder::new(self.ids.process())
    }

    pub(crate) fn context(&self) -> DecisionContext {
        DecisionContext {
            now: self.clock.now(),
            awake: self.clock.awake(),
            chance: self.ids.chance(),
            capabilities: Capabilities::ALL,
        }
    }

    /// Returns the time of the fixture's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Registers a node under this name.
    pub async fn node(&self, name: &str) -> Lease {
        let facts = NodeDescriptor {
            id: node_id(name),
            home: None,
            boot: "a boot".to_owned(),
            version: "0.0.0".to_owned(),
        };
        must(self.store.register(&facts).await)
    }

    /// Builds the submission of a draft, with the limits of the current policy.
    pub async fn submission(&self, draft: SubmissionBuilder) -> Submission {
        let (version, policy) = must(self.store.policy().await);
        let slots = draft.spec.key.as_ref().and_then(|key| policy.slots_of(key));
        let (process, events) =
            Process::submit(&self.context(), draft.id, draft.lineage, Arc::new(draft.spec));
        Submission {
            process,
            events,
            limits: SubmitLimits { policy: version, slots, tree: draft.tree },
            claim_for: draft.claim_for,
            fail_if_queued: draft.fail_if_queued,
        }
    }

    /// Submits a draft.
    ///
    /// # Errors
    /// Returns the error of the store.
    pub async fn try_submit(&self, draft: SubmissionBuilder) -> Result<SubmitOutcome, StoreError> {
        self.store.submit(self.submission(draft).await).await
    }

    /// Submits a process that must not be claimed in the same step. Panics if the process is claimed.
    pub async fn submit(&self, draft: SubmissionBuilder) -> StoredProcess {
        let submitted = must(self.try_submit(draft).await);
        some(match submitted {
            SubmitOutcome::Waiting(stored) => Some(stored),
            SubmitOutcome::Claimed(_) | SubmitOutcome::Existing { .. } => None,
        })
    }

    /// Submits a process that must be claimed by this node in the same step. Panics if the process has to wait.
    pub async fn start(&self, draft: SubmissionBuilder, lease: &Lease) -> StoredProcess {
        let submitted = must(self.try_submit(draft.claimed_for(claimant(lease))).await);
        some(match submitted {
            SubmitOutcome::Claimed(stored) => Some(stored),
            SubmitOutcome::Waiting(_) | SubmitOutcome::Existing { .. } => None,
        })
    }

    /// Submits a process and makes it run on this node immediately. Panics if the process would have to wait.
    pub async fn run(&self, draft: SubmissionBuilder, lease: &Lease) -> StoredProcess {
        let stored = self.start(draft, lease).await;
        must(self.turn(&stored, spawned(&stored)).await)
    }

    /// Loads a record. Panics if the record does not exist.
    pub async fn load(&self, id: ProcessId) -> StoredProcess {
        let mut loaded = must(self.store.load(&[id]).await);
        some(loaded.pop().flatten())
    }

    /// Returns true if a record with this id exists.
    pub async fn exists(&self, id: ProcessId) -> bool {
        must(self.store.load(&[id]).await).iter().any(Option::is_some)
    }

    /// Returns the change that an engine would commit after this input, with a writer that may write the record.
    #[must_use]
    pub fn change(&self, stored: &StoredProcess, input: Input) -> Change {
        let step = must(stored.process.decide(&self.context(), &stored.live_stats, &input));
        let mut next = stored.process.clone();
        next.evolve(&step.events);
        Change {
            op: self.ids.op(),
            author: author(stored),
            expected: stored.revision,
            next,
            events: step.events,
            taken: longhaul_domain::ActionSeq(0),
            require_no_live_descendants: false,
        }
    }

    /// Decides an input, commits the decision, and loads the new record.
    ///
    /// # Errors
    /// Returns the error of the commit.
    pub async fn turn(&self, stored: &StoredProcess, input: Input) -> Result<StoredProcess, StoreError> {
        self.store.commit(self.change(stored, input)).await?;
        Ok(self.load(stored.process.id).await)
    }

    /// Makes a running command exit with this code.
    pub async fn exit(&self, stored: &StoredProcess, code: i32) -> StoredProcess {
        must(self.try_exit(stored, code).await)
    }

    /// Makes a running command exit with this code.
    ///
    /// # Errors
    /// Returns the error of the commit.
    pub async fn try_exit(&self, stored: &StoredProcess, code: i32) -> Result<StoredProcess, StoreError> {
        self.turn(stored, exited(stored, self.now(), code)).await
    }

    /// Creates a parent that has exited and waits for its children, and one running child. Returns both.
    pub(crate) async fn lingering(
        &self,
        lease: &Lease,
        draft: SubmissionBuilder,
    ) -> (StoredProcess, StoredProcess) {
        let parent = self.run(draft.awaiting(), lease).await;
        let child = self.run(self.draft().child_of(&parent), lease).await;
        let parent = self.exit(&parent, 0).await;
        assert!(matches!(parent.process.state, State::AwaitingChildren(_)), "{:?}", parent.process.state);
        (parent, child)
    }

    /// Claims all waiting processes that this node may run: those pinned to it and those that any node may run.
    pub async fn claim(&self, lease: &Lease) -> Vec<StoredProcess> {
        must(self.store.claim(lease, &room(lease)).await)
    }

    /// Claims waiting processes and returns their ids, in the order of the claim.
    pub(crate) async fn claim_ids(&self, lease: &Lease) -> Vec<ProcessId> {
        ids(&self.claim(lease).await)
    }

    /// Receives all pending updates, until a further call would have to wait.
    pub(crate) async fn hear_out(&self, lease: &Lease) {
        for _ in 0..20 {
            let wait_for_updates =
                tokio::time::timeout(crate::suite::PARK_CHECK, self.store.wait_for_updates(lease)).await;
            if wait_for_updates.is_err() {
                return;
            }
        }
        instead_of("a call that parks", &"one answer after the other");
    }
}

impl fmt::Debug for StoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFixture").field("store", &self.store).finish_non_exhaustive()
    }
}

pub(crate) fn node_id(name: &str) -> NodeId {
    must(NodeId::new(name))
}

pub(crate) fn ids(stored: &[StoredProcess]) -> Vec<ProcessId> {
    stored.iter().map(|stored| stored.process.id).collect()
}

/// Returns the writer that has the right to write a record: its owner, or any node if it has no owner.
pub(crate) fn author(stored: &StoredProcess) -> Writer {
    stored.owner.clone().map_or(Writer::Anyone, Writer::Owner)
}

/// Returns a claim request with capacity for many roots.
pub(crate) fn claimant(lease: &Lease) -> ClaimRequest {
    ClaimRequest { lease: lease.clone(), roots: 1000 }
}

/// Returns a large capacity for all processes that this node may run.
pub(crate) fn room(lease: &Lease) -> ClaimCapacity {
    ClaimCapacity {
        roots: 1000,
        batch: 100,
        classes: vec![
            PlacementClass::Node(lease.node.clone()),
            PlacementClass::Shared(longhaul_domain::Placement::Anywhere),
        ],
    }
}

pub(crate) fn spawned(stored: &StoredProcess) -> Input {
    Input::Observation(Observation::Spawned {
        attempt: stored.process.attempt,
        pid: Some(4711),
        containment: Some(Containment::Cgroup),
        at: stored.process.queued_at,
    })
}

pub(crate) fn exited(stored: &StoredProcess, at: Timestamp, code: i32) -> Input {
    Input::Observation(Observation::Exited {
        attempt: stored.process.attempt,
        exit: Exit::of(ExitStatus::Code(code), at),
    })
}

pub(crate) fn never_ran(attempt: AttemptNo) -> Input {
    Input::Observation(Observation::NeverRan { attempt })
}

pub(crate) const fn cancel() -> Input {
    Input::Action(Action::Cancel { cause: StopCause::User })
}

/// Returns the input that terminates a process and all its descendants.
pub(crate) const fn terminate() -> Input {
    Input::Action(Action::Terminate { cause: StopCause::User, force: false })
}

/// Returns the observation that all descendants of a process have ended.
pub(crate) const fn descendants_ended() -> Input {
    Input::Observation(Observation::DescendantsEnded)
}

/// Returns a retention rule that prunes all ended processes.
pub(crate) const fn everything() -> Retention {
    Retention { age: Some(Duration::ZERO), count: Some(0), before: Some(Timestamp(i64::MAX)) }
}

/// Returns the input that changes the priority of a process in its queue.
pub(crate) fn prioritize(priority: i64) -> Input {
    Input::Action(Action::Prioritize { priority: must(Priority::stored(priority)) })
}

pub(crate) const fn complete() -> Input {
    Input::Action(Action::Complete { result: None })
}
