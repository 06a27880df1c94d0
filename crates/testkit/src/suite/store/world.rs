//! A store of its own for each rule, and what rules do with it.

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

/// Opens a handle on the content of a world.
type OpenHandle = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Store>> + Send>> + Send + Sync>;

/// A store of its own for each rule, empty, with a clock that the rule moves.
pub struct StoreFixture {
    /// The store; it takes its time from the clock.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: VirtualClock,
    /// New identities.
    pub ids: SequentialIds,
    another: Option<OpenHandle>,
    reopen: Option<OpenHandle>,
    cut: Option<Box<dyn Fn(ConnectionCut) + Send + Sync>>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

/// Where the connection to a store is cut in the midst of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionCut {
    /// Before the store has committed it.
    BeforeCommit,
    /// After the store has committed it, before its answer arrives.
    AfterCommit,
}

/// Opens a world with a clock of its own.
pub async fn open(open: impl AsyncFnOnce(VirtualClock) -> StoreFixture) -> StoreFixture {
    open(VirtualClock::default()).await
}

impl StoreFixture {
    /// A world around a store that takes its time from this clock.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: VirtualClock) -> Self {
        let ids = SequentialIds::default();
        Self { store, clock, ids, another: None, reopen: None, cut: None, _guard: None }
    }

    /// The same, with a way to open another handle on the same content while the first one is in use, as another process
    /// would. Rules with several nodes give each node a handle of its own then: a lock of one process hides every race of
    /// the database.
    #[must_use]
    pub fn with_another<O>(self, open: impl Fn() -> O + Send + Sync + 'static) -> Self
    where
        O: Future<Output = Arc<dyn Store>> + Send + 'static,
    {
        Self { another: Some(Box::new(move || Box::pin(open()))), ..self }
    }

    /// The same, with a way to open the same content after every handle on it was dropped.
    #[must_use]
    pub fn with_reopening<O>(self, open: impl Fn() -> O + Send + Sync + 'static) -> Self
    where
        O: Future<Output = Arc<dyn Store>> + Send + 'static,
    {
        Self { reopen: Some(Box::new(move || Box::pin(open()))), ..self }
    }

    /// The same, with a way to cut the connection during the next write. A store that sends the write again by itself may
    /// succeed.
    #[must_use]
    pub fn with_cut(self, cut: impl Fn(ConnectionCut) + Send + Sync + 'static) -> Self {
        Self { cut: Some(Box::new(cut)), ..self }
    }

    /// Another handle on the same content; the same one in a world that has no other.
    pub async fn another(&self) -> Arc<dyn Store> {
        match &self.another {
            Some(open) => open().await,
            None => Arc::clone(&self.store),
        }
    }

    /// The same content, opened after this handle was dropped.
    ///
    /// # Panics
    /// If the world was not made [with a way to do that](Self::with_reopening).
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
    /// If the world was not made [with a way to do that](Self::with_cut).
    pub fn cut_next_write(&self, at: ConnectionCut) {
        some(self.cut.as_ref())(at);
    }

    /// The same; what is given lives as long as the world, such as a temporary directory.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }

    /// A command that any node may run.
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

    /// The time by the clock of this world.
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

    /// The submission of a draft under the policy in force.
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
    /// What the store answers.
    pub async fn try_submit(&self, draft: SubmissionBuilder) -> Result<SubmitOutcome, StoreError> {
        self.store.submit(self.submission(draft).await).await
    }

    /// Submits what is not claimed at once, and fails if it is.
    pub async fn submit(&self, draft: SubmissionBuilder) -> StoredProcess {
        let submitted = must(self.try_submit(draft).await);
        some(match submitted {
            SubmitOutcome::Waiting(stored) => Some(stored),
            SubmitOutcome::Claimed(_) | SubmitOutcome::Existing { .. } => None,
        })
    }

    /// Submits what is claimed at once for this node, and fails if it has to wait.
    pub async fn start(&self, draft: SubmissionBuilder, lease: &Lease) -> StoredProcess {
        let submitted = must(self.try_submit(draft.claimed_for(claimant(lease))).await);
        some(match submitted {
            SubmitOutcome::Claimed(stored) => Some(stored),
            SubmitOutcome::Waiting(_) | SubmitOutcome::Existing { .. } => None,
        })
    }

    /// Submits what runs at once on this node, and fails if it has to wait.
    pub async fn run(&self, draft: SubmissionBuilder, lease: &Lease) -> StoredProcess {
        let stored = self.start(draft, lease).await;
        must(self.turn(&stored, spawned(&stored)).await)
    }

    /// The record of an id; fails if there is none.
    pub async fn load(&self, id: ProcessId) -> StoredProcess {
        let mut loaded = must(self.store.load(&[id]).await);
        some(loaded.pop().flatten())
    }

    /// Whether there is a record of this id.
    pub async fn exists(&self, id: ProcessId) -> bool {
        must(self.store.load(&[id]).await).iter().any(Option::is_some)
    }

    /// What an engine would commit after this input, by the author that may write the record.
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

    /// Decides an input, commits what follows, and loads what became of it.
    ///
    /// # Errors
    /// What the store answers to the commit.
    pub async fn turn(&self, stored: &StoredProcess, input: Input) -> Result<StoredProcess, StoreError> {
        self.store.commit(self.change(stored, input)).await?;
        Ok(self.load(stored.process.id).await)
    }

    /// Lets a running command exit with this code.
    pub async fn exit(&self, stored: &StoredProcess, code: i32) -> StoredProcess {
        must(self.try_exit(stored, code).await)
    }

    /// Lets a running command exit with this code, if the store takes it.
    ///
    /// # Errors
    /// What the store answers to the commit.
    pub async fn try_exit(&self, stored: &StoredProcess, code: i32) -> Result<StoredProcess, StoreError> {
        self.turn(stored, exited(stored, self.now(), code)).await
    }

    /// What waits for its children, with one of them at work.
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

    /// Claims for this node with much room: what is pinned to it, and what any node may run.
    pub async fn claim(&self, lease: &Lease) -> Vec<StoredProcess> {
        must(self.store.claim(lease, &room(lease)).await)
    }

    /// What a claim hands out, in its order.
    pub(crate) async fn claim_ids(&self, lease: &Lease) -> Vec<ProcessId> {
        ids(&self.claim(lease).await)
    }

    /// Takes in every call there is, until the next one parks.
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

/// Whoever may write it.
pub(crate) fn author(stored: &StoredProcess) -> Writer {
    stored.owner.clone().map_or(Writer::Anyone, Writer::Owner)
}

/// Room for many.
pub(crate) fn claimant(lease: &Lease) -> ClaimRequest {
    ClaimRequest { lease: lease.clone(), roots: 1000 }
}

/// Room for many, for everything that this node may run.
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

/// To end it and all below it.
pub(crate) const fn terminate() -> Input {
    Input::Action(Action::Terminate { cause: StopCause::User, force: false })
}

/// None below it lives any more.
pub(crate) const fn descendants_ended() -> Input {
    Input::Observation(Observation::DescendantsEnded)
}

/// Lets go of all that has ended.
pub(crate) const fn everything() -> Retention {
    Retention { age: Some(Duration::ZERO), count: Some(0), before: Some(Timestamp(i64::MAX)) }
}

/// To move it in its queue.
pub(crate) fn prioritize(priority: i64) -> Input {
    Input::Action(Action::Prioritize { priority: must(Priority::kept(priority)) })
}

pub(crate) const fn complete() -> Input {
    Input::Action(Action::Complete { result: None })
}
