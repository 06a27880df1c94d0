//! A simple model of a store, and a property test that compares any store with the model.
//!
//! The model keeps its data in plain lists and searches these lists for every answer. It shares no code with any store:
//! it implements the same rules a second time, as simply as possible. An error stays unnoticed only if both
//! implementations contain it.
//!
//! ```
//! use longhaul_adapters::memory::MemoryStore;
//! use longhaul_testkit::suite::StoreFixture;
//! use std::sync::Arc;
//!
//! longhaul_testkit::model_suite!(async |clock| {
//!     let store = MemoryStore::new(Arc::new(clock.clone()));
//!     StoreFixture::new(Arc::new(store), clock)
//! });
//! # fn main() {}
//! ```

mod accept;
mod change;
mod compare;
mod difference;
mod look;
mod request;
mod silence_panics;
mod step;

pub use compare::{MIN_SCRIPTS, holds, holds_in};
pub use request::{ModelRejection, ModelReply, ModelRequest};
pub use step::{NewProcess, ScriptStep};

use longhaul_domain::{
    ActionSeq, Epoch, Event, LaunchKey, NodeId, OpId, Policy, PolicyVersion, ProcessId, Revision, SessionId,
    SlotKey, SlotState, Spec, Timestamp,
};
use longhaul_ports::{Change, Clock, Lease, NodeHome, StoredProcess};
use std::sync::Arc;

/// Runs one property test over a store: the store must answer every request as the model does.
///
/// Takes an async function from a [`VirtualClock`](crate::fakes::VirtualClock) to a
/// [`StoreFixture`](crate::suite::StoreFixture) around an empty store, as [`store_suite`](crate::store_suite) does. If
/// the leases of the store expire, their duration must be at least one week.
///
/// At least [`MIN_SCRIPTS`] scripts run. For a store on the lower port `Rows`, whose rules are tested with other
/// databases, a second argument sets a smaller minimum.
#[macro_export]
macro_rules! model_suite {
    ($open:expr $(,)?) => {
        $crate::model_suite!($open, $crate::model::MIN_SCRIPTS);
    };
    ($open:expr, $fewest:expr $(,)?) => {
        #[test]
        fn it_answers_as_the_model_does() {
            $crate::model::holds($open, $fewest);
        }
    };
}

/// The complete state of a store, in plain lists.
#[derive(Clone, Debug)]
pub struct StoreModel {
    pub(crate) now: Timestamp,
    /// True if leases expire in the store under test. The test renews every lease, so none expires during a script.
    pub(crate) leases_expire: bool,
    pub(crate) rows: Vec<ModelRow>,
    pub(crate) nodes: Vec<(NodeId, Epoch)>,
    /// State directory of each node that reported one.
    pub(crate) homes: Vec<(NodeId, NodeHome)>,
    /// Nodes that have left and have not registered again.
    pub(crate) left: Vec<NodeId>,
    pub(crate) policy: (PolicyVersion, Policy),
    pub(crate) launch_keys: Vec<(Option<SessionId>, LaunchKey, ProcessId, Arc<Spec>)>,
    /// Concurrency keys in the order in which they were last served; the most recently served key is last.
    pub(crate) served: Vec<Option<SlotKey>>,
    pub(crate) events: Vec<(ProcessId, Revision, u32, Event)>,
    pub(crate) commits: Vec<(OpId, Revision)>,
    pub(crate) pending_actions: Vec<(OpId, ActionSeq)>,
    pub(crate) last_seq: u64,
    pub(crate) swept: u64,
    /// Pruned processes with their specs.
    pub(crate) gone: Vec<(ProcessId, Arc<Spec>)>,
    /// Number of ids that were generated so far.
    pub(crate) drawn: u64,
    pub(crate) last_change: Option<Change>,
    /// The most recent request.
    pub(crate) asked: ModelRequest,
    /// The reply that the most recent request must get.
    pub(crate) reply: ModelReply,
}

/// A record, together with the state that the model keeps about it.
#[derive(Clone, Debug)]
pub(crate) struct ModelRow {
    pub(crate) stored: StoredProcess,
    pub(crate) last_wish: ActionSeq,
    pub(crate) handed_until: Option<Timestamp>,
}

impl ModelRow {
    pub(crate) const fn id(&self) -> ProcessId {
        self.stored.process.id
    }

    pub(crate) const fn slot_state(&self) -> SlotState {
        self.stored.process.state.slot_state()
    }

    /// Returns the time at which the process is due for a decision if no node owns it. A process with a pending action
    /// counts as due from the time at which it was queued.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        if self.stored.pending_actions.is_empty() {
            return self.stored.process.due();
        }
        Some(self.stored.process.queued_at)
    }

    pub(crate) fn key(&self) -> Option<&SlotKey> {
        self.stored.process.spec.key.as_ref()
    }

    pub(crate) fn is_root(&self) -> bool {
        self.stored.process.lineage.ancestors.is_empty()
    }
}

impl StoreModel {
    /// Creates the model of an empty store.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            now: crate::fakes::VirtualClock::default().now(),
            leases_expire: false,
            rows: Vec::new(),
            nodes: Vec::new(),
            homes: Vec::new(),
            left: Vec::new(),
            policy: (PolicyVersion(0), Policy::default()),
            launch_keys: Vec::new(),
            served: Vec::new(),
            events: Vec::new(),
            commits: Vec::new(),
            pending_actions: Vec::new(),
            last_seq: 0,
            swept: 0,
            gone: Vec::new(),
            drawn: 0,
            last_change: None,
            asked: ModelRequest::Nothing,
            reply: ModelReply::Done,
        }
    }

    /// Applies one request and computes its reply.
    #[must_use]
    pub fn after(mut self, asked: ModelRequest) -> Self {
        self.reply = match &asked {
            ModelRequest::Nothing => ModelReply::Done,
            ModelRequest::Submit(new) => ModelReply::Submitted(Box::new(self.submit(new))),
            ModelRequest::Claim(lease, room) => ModelReply::Records(self.claim(lease, room)),
            ModelRequest::Commit(change) => {
                self.last_change = Some(change.as_ref().clone());
                ModelReply::Committed(self.commit(change))
            }
            ModelRequest::Wish(id, op, action) => ModelReply::Wished(self.enqueue_action(*id, *op, *action)),
            ModelRequest::Touch(author, id, attempt, live_stats) => {
                ModelReply::Touched(self.update_live_stats(author, *id, *attempt, live_stats))
            }
            ModelRequest::Attention(lease, limit) => ModelReply::Records(self.claim_due(lease, *limit)),
            ModelRequest::Prune(rule, limit) => ModelReply::Pruned(self.prune(rule, *limit)),
            ModelRequest::SetPolicy(expected, policy) => {
                ModelReply::Policy(self.set_policy(*expected, policy))
            }
            ModelRequest::Register(facts) => ModelReply::Registered(self.register(facts)),
            ModelRequest::Leave(lease) => ModelReply::Left(self.leave(lease)),
            ModelRequest::Pass(span) => {
                self.now = self.now.plus(*span);
                ModelReply::Done
            }
        };
        self.asked = asked;
        self
    }

    pub(crate) fn row(&self, id: ProcessId) -> Option<&ModelRow> {
        self.rows.iter().find(|row| row.id() == id)
    }

    pub(crate) fn lease(&self, node: &NodeId) -> Option<Lease> {
        let (node, epoch) = self.nodes.iter().find(|(known, _)| known == node)?;
        Some(Lease { node: node.clone(), epoch: *epoch })
    }

    /// Returns the processes that hold a slot under a key, in order of submission.
    pub(crate) fn holders(&self, key: &SlotKey) -> Vec<ProcessId> {
        let holds = |row: &&ModelRow| row.slot_state() == SlotState::Holding && row.key() == Some(key);
        self.rows.iter().filter(holds).map(ModelRow::id).collect()
    }

    /// Returns the roots that hold a slot and are owned by the node, in order of submission.
    pub(crate) fn roots_of(&self, node: &NodeId) -> Vec<ProcessId> {
        let holds = |row: &&ModelRow| {
            row.is_root()
                && row.slot_state() == SlotState::Holding
                && row.stored.owner.as_ref().is_some_and(|owner| owner.node == *node)
        };
        self.rows.iter().filter(holds).map(ModelRow::id).collect()
    }

    pub(crate) fn note(&mut self, id: ProcessId, revision: Revision, events: &[Event]) {
        for (index, event) in (0..).zip(events) {
            self.events.push((id, revision, index, event.clone()));
        }
    }
}
