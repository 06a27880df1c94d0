//! Steps of a script: abstract requests that refer to any process that the model currently has.

use super::StoreModel;
use super::request::ModelRequest;
use crate::scripts::inputs;
use crate::suite::must;
use longhaul_domain::{
    ActionSeq, Capabilities, ChildrenPolicy, CommandSpec, DecisionContext, Exit, ExitStatus, Input,
    LaunchKey, Level, Lineage, LiveStats, NodeId, Observation, OpId, PendingAction, Placement, Policy,
    PolicyVersion, Priority, Process, ProcessId, QueueHold, RandomBits, ReportedSpec, Retention, SessionId,
    SlotKey, Spec, StopCause, TreeLimits, Work,
};
use longhaul_ports::{
    Change, ClaimCapacity, ClaimRequest, Lease, NodeDescriptor, NodeHome, PlacementClass, StoredProcess,
    Submission, SubmitLimits, Writer,
};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;
use std::sync::Arc;
use std::time::Duration;
use uuid::Builder;

/// One step of a script.
#[derive(Clone, Debug)]
pub enum ScriptStep {
    /// Submits a new process.
    Submit(Box<NewProcess>),
    /// Claims the next waiting processes.
    Claim {
        /// Number of the claiming node.
        node: u8,
        /// True to use an old lease of the node, whose epoch is no longer valid.
        old: bool,
        /// Maximum number of roots that the node may hold.
        roots: u32,
        /// Maximum number of processes to claim.
        batch: u32,
    },
    /// Commits a change that an engine would decide.
    Commit {
        /// Selects the process.
        which: Index,
        /// Input to the process; the domain rules derive the change from it.
        input: Box<Input>,
        /// True to write as a node that has no right to write the process.
        stranger: bool,
        /// True to send an older revision as the expected one.
        stale: bool,
    },
    /// Repeats the last commit.
    Again,
    /// Enqueues a pending action for the owner of the process.
    Wish(Index, PendingAction),
    /// Updates the live stats of a process.
    Touch(Index, Box<LiveStats>),
    /// Claims due processes: the number of the node, and the maximum number of processes.
    Attention(u8, u32),
    /// Prunes ended processes according to this rule, up to this number of processes.
    Prune(Retention, u32),
    /// Replaces the policy.
    SetPolicy {
        /// Slots of the key patterns `a`, `b` and `c*`.
        slots: Vec<u32>,
        /// Number of the key that is put on hold, if any.
        held: Option<u8>,
        /// True to send an older policy version as the expected one.
        stale: bool,
    },
    /// Registers a node, possibly for a second time.
    Register {
        /// Number of the node.
        node: u8,
        /// Number of the node's state directory, if the node reports one.
        home: Option<u8>,
    },
    /// Lets a node leave.
    Leave {
        /// Number of the node.
        node: u8,
        /// True to use an old lease of the node, whose epoch is no longer valid.
        old: bool,
    },
    /// Advances the clock, in milliseconds.
    Pass(u64),
}

/// Parameters of a new process.
#[derive(Clone, Debug)]
pub struct NewProcess {
    key: Option<u8>,
    priority: i8,
    parent: Option<Index>,
    placement: u8,
    launch_key: Option<u8>,
    session: bool,
    children: u8,
    /// Kind of work: 0 is reported work that starts at once, 1 is reported work that waits in its queue, other
    /// numbers are commands.
    work: u8,
    delay: Option<u32>,
    claim_for: Option<(u8, u32, bool)>,
    fail_if_queued: bool,
    /// Policy version that the submission claims to be based on: 0 is an older version, 1 is a newer version, other
    /// numbers are the current version.
    policy: u8,
    again: Option<Index>,
}

/// Generates all kinds of steps.
pub(super) fn steps() -> impl Strategy<Value = ScriptStep> {
    prop_oneof![
        6 => news().prop_map(|new| ScriptStep::Submit(Box::new(new))),
        4 => (0..3_u8, seldom(), 0..4_u32, 0..4_u32)
            .prop_map(|(node, old, roots, batch)| ScriptStep::Claim { node, old, roots, batch }),
        10 => (any::<Index>(), moves(), seldom(), seldom())
            .prop_map(|(which, input, stranger, stale)| {
                ScriptStep::Commit { which, input: Box::new(input), stranger, stale }
            }),
        1 => Just(ScriptStep::Again),
        1 => (any::<Index>(), pending_actions()).prop_map(|(which, action)| ScriptStep::Wish(which, action)),
        2 => (any::<Index>(), 0..1_000_u64).prop_map(|(which, output_bytes)| {
            ScriptStep::Touch(which, Box::new(LiveStats { output_bytes, ..LiveStats::default() }))
        }),
        2 => (0..3_u8, 0..4_u32).prop_map(|(node, limit)| ScriptStep::Attention(node, limit)),
        2 => (option::of(0..5_000_u64), option::of(0..3_u64), proptest::bool::weighted(0.4), 0..4_u32)
            .prop_map(|(age, count, all, limit)| {
                let before = all.then_some(longhaul_domain::Timestamp(i64::MAX));
                ScriptStep::Prune(Retention { age: age.map(Duration::from_millis), count, before }, limit)
            }),
        1 => (proptest::collection::vec(0..4_u32, 0..3), option::of(0..3_u8), seldom())
            .prop_map(|(slots, held, stale)| ScriptStep::SetPolicy { slots, held, stale }),
        1 => (0..3_u8, option::weighted(0.8, 0..2_u8))
            .prop_map(|(node, home)| ScriptStep::Register { node, home }),
        1 => (0..3_u8, any::<bool>()).prop_map(|(node, old)| ScriptStep::Leave { node, old }),
        3 => prop_oneof![Just(0), 1..2_000_u64, 4_000..7_000_u64].prop_map(ScriptStep::Pass),
    ]
}

fn seldom() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.08)
}

fn news() -> impl Strategy<Value = NewProcess> {
    let what = (option::of(0..3_u8), -2..3_i8, option::of(any::<Index>()), 0..7_u8, 0..6_u8, 0..6_u8);
    let names = (option::weighted(0.2, 0..3_u8), any::<bool>(), option::weighted(0.15, 0..5_000_u32));
    let how = (
        option::weighted(0.4, (0..3_u8, 0..4_u32, seldom())),
        seldom(),
        0..25_u8,
        option::weighted(0.1, any::<Index>()),
    );
    (what, names, how).prop_map(|(what, names, how)| NewProcess {
        key: what.0,
        priority: what.1,
        parent: what.2,
        placement: what.3,
        children: what.4,
        work: what.5,
        launch_key: names.0,
        session: names.1,
        delay: names.2,
        claim_for: how.0,
        fail_if_queued: how.1,
        policy: how.2,
        again: how.3,
    })
}

/// Generates inputs. Most of them move a process to its next state.
fn moves() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => Just(Input::Observation(Observation::Spawned {
            attempt: longhaul_domain::AttemptNo(0),
            pid: Some(7),
            containment: None,
            at: longhaul_domain::Timestamp(1_700_000_000_000),
        })),
        2 => (0..3_i32, 0..20_000_i64).prop_map(|(code, after)| Input::Observation(Observation::Exited {
            attempt: longhaul_domain::AttemptNo(0),
            exit: exit(code, after),
        })),
        1 => Just(Input::Tick),
        4 => inputs(),
    ]
}

/// Returns an exit at an arbitrary time. An exit can become known long after it occurred, and after later exits became
/// known.
fn exit(code: i32, after: i64) -> Exit {
    let at = longhaul_domain::Timestamp(1_700_000_000_000_i64.saturating_add(after));
    Exit::of(ExitStatus::Code(code), at)
}

fn pending_actions() -> impl Strategy<Value = PendingAction> {
    prop_oneof![
        Just(PendingAction::Cancel { cause: StopCause::User }),
        Just(PendingAction::Pause),
        Just(PendingAction::Resume)
    ]
}

impl StoreModel {
    /// Applies one step.
    #[must_use]
    pub fn step(mut self, step: &ScriptStep) -> Self {
        let asked = self.request(step).unwrap_or(ModelRequest::Nothing);
        self.after(asked)
    }

    /// Converts a step to a request. Returns `None` if the model has no object to which the step applies.
    fn request(&mut self, step: &ScriptStep) -> Option<ModelRequest> {
        match step {
            ScriptStep::Submit(new) => self.submission(new).map(|new| ModelRequest::Submit(Box::new(new))),
            ScriptStep::Claim { node, old, roots, batch } => {
                let lease = self.lease_of(*node, *old)?;
                let classes = vec![
                    PlacementClass::Node(lease.node.clone()),
                    PlacementClass::Shared(Placement::Anywhere),
                ];
                Some(ModelRequest::Claim(lease, ClaimCapacity { roots: *roots, batch: *batch, classes }))
            }
            ScriptStep::Commit { which, input, stranger, stale } => {
                let stored = self.pick(which)?;
                self.change(&stored, input, *stranger, *stale)
                    .map(|change| ModelRequest::Commit(Box::new(change)))
            }
            ScriptStep::Again => {
                self.last_change.clone().map(|change| ModelRequest::Commit(Box::new(change)))
            }
            ScriptStep::Wish(which, action) => {
                let id = self.pick(which)?.process.id;
                Some(ModelRequest::Wish(id, OpId::new(self.draw()), *action))
            }
            ScriptStep::Touch(which, live_stats) => {
                let stored = self.pick(which)?;
                let (id, attempt) = (stored.process.id, stored.process.attempt);
                Some(ModelRequest::Touch(author(&stored), id, attempt, live_stats.as_ref().clone()))
            }
            ScriptStep::Attention(node, limit) => {
                Some(ModelRequest::Attention(self.lease_of(*node, false)?, *limit))
            }
            ScriptStep::Prune(rule, limit) => Some(ModelRequest::Prune(*rule, *limit)),
            ScriptStep::SetPolicy { slots, held, stale } => {
                let slots = ["a", "b", "c*"].map(str::to_owned).into_iter().zip(slots.iter().copied());
                let hold = QueueHold { since: self.now, by: None };
                let policy = Policy {
                    slots: slots.collect(),
                    default_slots: 2,
                    held: held.iter().map(|key| (slot_key(*key), hold.clone())).collect(),
                    configured: None,
                };
                Some(ModelRequest::SetPolicy(self.version(*stale), policy))
            }
            ScriptStep::Register { node, home } => Some(ModelRequest::Register(facts(*node, *home))),
            ScriptStep::Leave { node, old } => Some(ModelRequest::Leave(self.lease_of(*node, *old)?)),
            ScriptStep::Pass(millis) => Some(ModelRequest::Pass(Duration::from_millis(*millis))),
        }
    }

    fn submission(&mut self, new: &NewProcess) -> Option<Submission> {
        let id = match new.again.as_ref().and_then(|which| self.pick_ever(which)) {
            Some(id) => id,
            None => ProcessId::new(self.draw()),
        };
        let parent = new.parent.as_ref().and_then(|which| self.pick(which));
        let lineage =
            parent.map_or_else(Lineage::default, |parent| parent.process.lineage.child_of(parent.process.id));
        let work = match new.work {
            0 => Work::Reported(ReportedSpec::default()),
            1 => Work::Reported(ReportedSpec { queued: true, ..ReportedSpec::default() }),
            _ => Work::Command(Box::new(CommandSpec::of("true", &[], "/"))),
        };
        let spec = Spec {
            key: new.key.map(slot_key),
            priority: must(Priority::new(i64::from(new.priority))),
            launch_key: new.launch_key.map(|key| must(LaunchKey::new(&format!("launch-{key}")))),
            session: new.session.then(|| must(SessionId::new("session"))),
            not_before: new.delay.map(|delay| self.now.plus(Duration::from_millis(delay.into()))),
            placement: match new.placement {
                node @ 0..=2 => Placement::Node(node_id(node)),
                // The scripts never claim a process with this placement, but the process keeps its position in the
                // queue.
                3 => Placement::Here,
                _ => Placement::Anywhere,
            },
            children: match new.children {
                0 => ChildrenPolicy::Wait,
                1 => ChildrenPolicy::Cancel,
                _ => ChildrenPolicy::Keep,
            },
            ..Spec::of(work)
        };
        let slots = spec.key.as_ref().and_then(|key| self.policy.1.slots_of(key));
        let (process, events) = Process::submit(&self.context(), id, lineage, Arc::new(spec));
        let claim_for = match new.claim_for {
            Some((node, roots, old)) => Some(ClaimRequest { lease: self.lease_of(node, old)?, roots }),
            None => None,
        };
        Some(Submission {
            process,
            events,
            limits: SubmitLimits {
                policy: if new.policy == 1 { self.policy.0.next() } else { self.version(new.policy == 0) },
                slots,
                tree: TreeLimits { max_level: Level(2), per_level: 3 },
            },
            claim_for,
            fail_if_queued: new.fail_if_queued,
        })
    }

    /// Returns the change that an engine would commit after this input. Returns `None` if the domain rules refuse the
    /// input.
    fn change(
        &mut self,
        stored: &StoredProcess,
        input: &Input,
        stranger: bool,
        stale: bool,
    ) -> Option<Change> {
        // Only the store itself claims processes.
        if matches!(input, Input::Observation(Observation::Claimed { .. })) {
            return None;
        }
        let mut input = input.clone();
        if let Input::Observation(observation) = &mut input {
            crate::scripts::aim(observation, stored.process.attempt);
        }
        let step = stored.process.decide(&self.context(), &stored.live_stats, &input).ok()?;
        let mut next = stored.process.clone();
        next.evolve(&step.events);
        let before = longhaul_domain::Revision(stored.revision.0.saturating_sub(1));
        Some(Change {
            op: OpId::new(self.draw()),
            author: if stranger { self.stranger(stored) } else { author(stored) },
            expected: if stale { before } else { stored.revision },
            next,
            events: step.events,
            taken: stored.pending_actions.first().map_or(ActionSeq(0), |(no, _)| *no),
            require_no_live_descendants: matches!(input, Input::Observation(Observation::DescendantsEnded)),
        })
    }

    fn context(&self) -> DecisionContext {
        let awake = longhaul_domain::AwakeTime(self.now.0 - 1_700_000_000_000 + 3_600_000);
        DecisionContext {
            now: self.now,
            awake,
            chance: RandomBits(self.drawn),
            capabilities: Capabilities::ALL,
        }
    }

    fn pick(&self, which: &Index) -> Option<StoredProcess> {
        if self.rows.is_empty() {
            return None;
        }
        self.rows.get(which.index(self.rows.len())).map(|row| row.stored.clone())
    }

    /// Selects an existing process or, with equal probability, a pruned one.
    fn pick_ever(&self, which: &Index) -> Option<ProcessId> {
        let there = self.pick(which).map(|stored| stored.process.id);
        if self.gone.is_empty() || which.index(2) == 0 {
            return there;
        }
        self.gone.get(which.index(self.gone.len())).map(|(id, _)| *id)
    }

    fn lease_of(&self, node: u8, old: bool) -> Option<Lease> {
        let mut lease = self.lease(&node_id(node))?;
        if old {
            lease.epoch = longhaul_domain::Epoch(lease.epoch.0.saturating_sub(1));
        }
        Some(lease)
    }

    const fn version(&self, stale: bool) -> PolicyVersion {
        PolicyVersion(self.policy.0.0.saturating_sub(stale as u64))
    }

    /// Returns a writer that has no right to write this process.
    fn stranger(&self, stored: &StoredProcess) -> Writer {
        match &stored.owner {
            Some(owner) => {
                let epoch = longhaul_domain::Epoch(owner.epoch.0 + 1);
                Writer::Owner(Lease { node: owner.node.clone(), epoch })
            }
            None => Writer::Owner(Lease { node: node_id(9), epoch: longhaul_domain::Epoch(1) }),
        }
    }

    fn draw(&mut self) -> uuid::Uuid {
        self.drawn += 1;
        let spread = crate::fakes::spread(self.drawn);
        Builder::from_random_bytes(((u128::from(spread) << 64) | u128::from(self.drawn)).to_be_bytes())
            .into_uuid()
    }
}

fn author(stored: &StoredProcess) -> Writer {
    stored.owner.clone().map_or(Writer::Anyone, Writer::Owner)
}

fn slot_key(number: u8) -> SlotKey {
    must(SlotKey::new(["a", "b", "c"].get(usize::from(number)).copied().unwrap_or("a")))
}

fn node_id(number: u8) -> NodeId {
    must(NodeId::new(&format!("node-{number}")))
}

pub(super) fn facts(number: u8, home: Option<u8>) -> NodeDescriptor {
    let home = home.map(|home| NodeHome { id: format!("home-{home}"), place: format!("/home-{home}") });
    NodeDescriptor { id: node_id(number), home, boot: "a boot".to_owned(), version: "0.0.0".to_owned() }
}
