//! One step of a script: what is asked, in terms of what there is.

use super::Model;
use super::request::Request;
use crate::scripts::inputs;
use crate::suite::must;
use longhaul_domain::{
    Capabilities, Chance, ChildrenPolicy, CommandSpec, Context, Exit, ExitStatus, Hold, Input, LaunchKey,
    Level, Lineage, NodeId, Observation, OpId, Placement, Policy, PolicyVersion, Priority, Process,
    ProcessId, ReportedSpec, Retention, SessionId, SlotKey, Spec, StopCause, TreeLimits, Vitals, Wish,
    WishNo, Work,
};
use longhaul_ports::{
    Author, Change, Claimant, Home, Lease, Limits, NodeFacts, PlacementClass, Room, Stored, Submission,
};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;
use std::sync::Arc;
use std::time::Duration;
use uuid::Builder;

/// One step of a script.
#[derive(Clone, Debug)]
pub enum Step {
    /// Something new.
    Submit(Box<New>),
    /// Whoever is next.
    Claim {
        /// By this node.
        node: u8,
        /// Under its lease before.
        old: bool,
        /// Room for so many roots.
        roots: u32,
        /// And so many now.
        batch: u32,
    },
    /// A change, as an engine would decide it.
    Commit {
        /// Of this process.
        which: Index,
        /// By this input.
        input: Box<Input>,
        /// By somebody who may not.
        stranger: bool,
        /// On an older revision.
        stale: bool,
    },
    /// The last change once more.
    Again,
    /// An order for the owner.
    Wish(Index, Wish),
    /// Signs of life.
    Touch(Index, Box<Vitals>),
    /// What is due.
    Attention(u8, u32),
    /// What is old.
    Sweep(Retention, u32),
    /// Other limits.
    SetPolicy {
        /// Of the keys.
        slots: Vec<u32>,
        /// This key is held.
        held: Option<u8>,
        /// On an older version.
        stale: bool,
    },
    /// A node joins, or joins again.
    Register {
        /// This one.
        node: u8,
        /// From this home, if it says so.
        home: Option<u8>,
    },
    /// A node leaves.
    Leave {
        /// This one.
        node: u8,
        /// Under its lease before.
        old: bool,
    },
    /// Time passes.
    Pass(u64),
}

/// Something new.
#[derive(Clone, Debug)]
pub struct New {
    key: Option<u8>,
    priority: i8,
    parent: Option<Index>,
    placement: u8,
    launch_key: Option<u8>,
    session: bool,
    children: u8,
    /// 0: done elsewhere at once, 1: done elsewhere in its turn, else a command.
    work: u8,
    delay: Option<u32>,
    claim_for: Option<(u8, u32, bool)>,
    or_refuse: bool,
    /// 0: resolved from an older policy, 1: from a newer one.
    policy: u8,
    again: Option<Index>,
}

/// All that may be asked.
pub(super) fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => news().prop_map(|new| Step::Submit(Box::new(new))),
        4 => (0..3_u8, seldom(), 0..4_u32, 0..4_u32)
            .prop_map(|(node, old, roots, batch)| Step::Claim { node, old, roots, batch }),
        10 => (any::<Index>(), moves(), seldom(), seldom())
            .prop_map(|(which, input, stranger, stale)| {
                Step::Commit { which, input: Box::new(input), stranger, stale }
            }),
        1 => Just(Step::Again),
        1 => (any::<Index>(), wishes()).prop_map(|(which, wish)| Step::Wish(which, wish)),
        2 => (any::<Index>(), 0..1_000_u64).prop_map(|(which, output_bytes)| {
            Step::Touch(which, Box::new(Vitals { output_bytes, ..Vitals::default() }))
        }),
        2 => (0..3_u8, 0..4_u32).prop_map(|(node, most)| Step::Attention(node, most)),
        2 => (option::of(0..5_000_u64), option::of(0..3_u64), proptest::bool::weighted(0.4), 0..4_u32)
            .prop_map(|(age, count, all, most)| {
                let before = all.then_some(longhaul_domain::Timestamp(i64::MAX));
                Step::Sweep(Retention { age: age.map(Duration::from_millis), count, before }, most)
            }),
        1 => (proptest::collection::vec(0..4_u32, 0..3), option::of(0..3_u8), seldom())
            .prop_map(|(slots, held, stale)| Step::SetPolicy { slots, held, stale }),
        1 => (0..3_u8, option::weighted(0.8, 0..2_u8))
            .prop_map(|(node, home)| Step::Register { node, home }),
        1 => (0..3_u8, any::<bool>()).prop_map(|(node, old)| Step::Leave { node, old }),
        3 => prop_oneof![Just(0), 1..2_000_u64, 4_000..7_000_u64].prop_map(Step::Pass),
    ]
}

fn seldom() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.08)
}

fn news() -> impl Strategy<Value = New> {
    let what = (option::of(0..3_u8), -2..3_i8, option::of(any::<Index>()), 0..7_u8, 0..6_u8, 0..6_u8);
    let names = (option::weighted(0.2, 0..3_u8), any::<bool>(), option::weighted(0.15, 0..5_000_u32));
    let how = (
        option::weighted(0.4, (0..3_u8, 0..4_u32, seldom())),
        seldom(),
        0..25_u8,
        option::weighted(0.1, any::<Index>()),
    );
    (what, names, how).prop_map(|(what, names, how)| New {
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
        or_refuse: how.1,
        policy: how.2,
        again: how.3,
    })
}

/// Mostly what gets a life on.
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

/// An end may become known long after it was, and after later ones.
fn exit(code: i32, after: i64) -> Exit {
    let at = longhaul_domain::Timestamp(1_700_000_000_000_i64.saturating_add(after));
    Exit::of(ExitStatus::Code(code), at)
}

fn wishes() -> impl Strategy<Value = Wish> {
    prop_oneof![Just(Wish::Cancel { cause: StopCause::User }), Just(Wish::Pause), Just(Wish::Resume)]
}

impl Model {
    /// Takes one step.
    #[must_use]
    pub fn step(mut self, step: &Step) -> Self {
        let asked = self.request(step).unwrap_or(Request::Nothing);
        self.after(asked)
    }

    /// None if there is nothing to ask it about.
    fn request(&mut self, step: &Step) -> Option<Request> {
        match step {
            Step::Submit(new) => self.submission(new).map(|new| Request::Submit(Box::new(new))),
            Step::Claim { node, old, roots, batch } => {
                let lease = self.lease_of(*node, *old)?;
                let classes = vec![
                    PlacementClass::Node(lease.node.clone()),
                    PlacementClass::Shared(Placement::Anywhere),
                ];
                Some(Request::Claim(lease, Room { roots: *roots, batch: *batch, classes }))
            }
            Step::Commit { which, input, stranger, stale } => {
                let stored = self.pick(which)?;
                self.change(&stored, input, *stranger, *stale).map(|change| Request::Commit(Box::new(change)))
            }
            Step::Again => self.last_change.clone().map(|change| Request::Commit(Box::new(change))),
            Step::Wish(which, wish) => {
                let id = self.pick(which)?.process.id;
                Some(Request::Wish(id, OpId::new(self.draw()), *wish))
            }
            Step::Touch(which, vitals) => {
                let stored = self.pick(which)?;
                let (id, attempt) = (stored.process.id, stored.process.attempt);
                Some(Request::Touch(author(&stored), id, attempt, vitals.as_ref().clone()))
            }
            Step::Attention(node, most) => Some(Request::Attention(self.lease_of(*node, false)?, *most)),
            Step::Sweep(rule, most) => Some(Request::Sweep(*rule, *most)),
            Step::SetPolicy { slots, held, stale } => {
                let slots = ["a", "b", "c*"].map(str::to_owned).into_iter().zip(slots.iter().copied());
                let hold = Hold { since: self.now, by: None };
                let policy = Policy {
                    slots: slots.collect(),
                    default_slots: 2,
                    held: held.iter().map(|key| (slot_key(*key), hold.clone())).collect(),
                    configured: None,
                };
                Some(Request::SetPolicy(self.version(*stale), policy))
            }
            Step::Register { node, home } => Some(Request::Register(facts(*node, *home))),
            Step::Leave { node, old } => Some(Request::Leave(self.lease_of(*node, *old)?)),
            Step::Pass(millis) => Some(Request::Pass(Duration::from_millis(*millis))),
        }
    }

    fn submission(&mut self, new: &New) -> Option<Submission> {
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
                // No claim of a script asks for these, yet they stand before others in their queue.
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
            Some((node, roots, old)) => Some(Claimant { lease: self.lease_of(node, old)?, roots }),
            None => None,
        };
        Some(Submission {
            process,
            events,
            limits: Limits {
                policy: if new.policy == 1 { self.policy.0.next() } else { self.version(new.policy == 0) },
                slots,
                tree: TreeLimits { deepest: Level(2), per_level: 3 },
            },
            claim_for,
            or_refuse: new.or_refuse,
        })
    }

    /// What an engine would commit after this input, if the rules take it.
    fn change(&mut self, stored: &Stored, input: &Input, stranger: bool, stale: bool) -> Option<Change> {
        // Only a claim of the store's claims.
        if matches!(input, Input::Observation(Observation::Claimed { .. })) {
            return None;
        }
        let mut input = input.clone();
        if let Input::Observation(observation) = &mut input {
            crate::scripts::aim(observation, stored.process.attempt);
        }
        let step = stored.process.decide(&self.context(), &stored.vitals, &input).ok()?;
        let mut next = stored.process.clone();
        next.evolve(&step.events);
        let before = longhaul_domain::Revision(stored.revision.0.saturating_sub(1));
        Some(Change {
            op: OpId::new(self.draw()),
            author: if stranger { self.stranger(stored) } else { author(stored) },
            expected: if stale { before } else { stored.revision },
            next,
            events: step.events,
            taken: stored.wishes.first().map_or(WishNo(0), |(no, _)| *no),
            childless: matches!(input, Input::Observation(Observation::DescendantsEnded)),
        })
    }

    fn context(&self) -> Context {
        let awake = longhaul_domain::Awake(self.now.0 - 1_700_000_000_000 + 3_600_000);
        Context { now: self.now, awake, chance: Chance(self.drawn), capabilities: Capabilities::ALL }
    }

    fn pick(&self, which: &Index) -> Option<Stored> {
        if self.rows.is_empty() {
            return None;
        }
        self.rows.get(which.index(self.rows.len())).map(|row| row.stored.clone())
    }

    /// One that is there, or as often one that was.
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

    /// Somebody who may not write it.
    fn stranger(&self, stored: &Stored) -> Author {
        match &stored.owner {
            Some(owner) => {
                let epoch = longhaul_domain::Epoch(owner.epoch.0 + 1);
                Author::Owner(Lease { node: owner.node.clone(), epoch })
            }
            None => Author::Owner(Lease { node: node_id(9), epoch: longhaul_domain::Epoch(1) }),
        }
    }

    fn draw(&mut self) -> uuid::Uuid {
        self.drawn += 1;
        let spread = crate::fakes::spread(self.drawn);
        Builder::from_random_bytes(((u128::from(spread) << 64) | u128::from(self.drawn)).to_be_bytes())
            .into_uuid()
    }
}

fn author(stored: &Stored) -> Author {
    stored.owner.clone().map_or(Author::Anyone, Author::Owner)
}

fn slot_key(number: u8) -> SlotKey {
    must(SlotKey::new(["a", "b", "c"].get(usize::from(number)).copied().unwrap_or("a")))
}

fn node_id(number: u8) -> NodeId {
    must(NodeId::new(&format!("node-{number}")))
}

pub(super) fn facts(number: u8, home: Option<u8>) -> NodeFacts {
    let home = home.map(|home| Home { id: format!("home-{home}"), place: format!("/home-{home}") });
    NodeFacts { id: node_id(number), home, boot: "a boot".to_owned(), version: "0.0.0".to_owned() }
}
