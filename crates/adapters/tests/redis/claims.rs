//! Random scripts with many keys, patterns, placements and nodes. They check that the Redis store claims the same
//! processes as the reference store, and that its indexes stay consistent.

use crate::audit::audit;
use crate::proxy::Proxy;
use crate::server::{Server, now};
use longhaul_adapters::memory::MemoryStore;
use longhaul_adapters::redis::{LeaseTimes, RedisOptions, RedisStore};
use longhaul_domain::{
    Action, AttemptNo, Capability, Input, NodeId, Observation, Placement, Policy, Priority, ProcessId,
    QueueHold, SlotKey, Status, StopCause,
};
use longhaul_ports::{
    ClaimCapacity, ClaimRequest, IdSource, Lease, NodeUpdates, PlacementClass, Store, StoreError,
    StoredProcess, Submission, SubmitOutcome,
};
use longhaul_testkit::fakes::{SequentialIds, VirtualClock};
use longhaul_testkit::suite::StoreFixture;
use longhaul_testkit::suite::agreement::{ScriptTally, agree};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

const KEYS: [&str; 6] = ["a-1", "a-2", "ab-1", "ab*", "b", "c"];
const PATTERNS: [&str; 7] = ["a*", "a-*", "ab*", "ab-1*", "a-1", "*", "b"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_claim_is_the_claim_of_the_reference() {
    let (mut claimed, mut refused) = (0, 0);
    for seed in 0..12 {
        let mut script = Script::new(seed, None, None).await;
        script.run(500).await;
        claimed += script.claimed;
        refused += script.refused;
    }
    assert!(claimed > 500 && refused > 50, "the script must claim and reject processes: {claimed} {refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_claim_does_not_change_when_answers_are_lost() {
    let server = Server::start();
    let proxy = Proxy::before(&server.socket(), &server.directory().join("proxy"));
    let mut script = Script::new(77, None, Some((server, proxy))).await;
    script.run(400).await;
    let lost = script.proxy.as_ref().map_or(0, Proxy::lost);
    assert!(lost > 50 && script.claimed > 20, "the script must lose leases: {lost} {}", script.claimed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_processes_of_a_lost_node_are_those_of_the_reference() {
    let times = LeaseTimes { lease: Duration::from_secs(5), grace: Duration::from_secs(10) };
    let (mut claimed, mut handed, mut fenced) = (0, 0, 0);
    for seed in 200..208 {
        let mut script = Script::new(seed, Some(times), None).await;
        script.run(500).await;
        claimed += script.claimed;
        handed += script.handed;
        fenced += script.fenced;
    }
    let least = claimed.min(handed).min(fenced);
    assert!(least > 30, "the script must claim, hand out and fence: {claimed} {handed} {fenced}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_index_follows_from_the_heads_whatever_is_asked() {
    let mut tally = ScriptTally::default();
    for seed in 100..104 {
        let (server, redis) = redis(None);
        tally = tally.and(agree(&memory(None), &redis, seed, 400).await);
        audit(&server).await;
    }
    assert!(tally.written > 100 && tally.pruned > 5, "the script must have an effect: {tally:?}");
}

fn memory(leases: Option<LeaseTimes>) -> StoreFixture {
    let clock = VirtualClock::default();
    let store = MemoryStore::new(Arc::new(clock.clone()));
    let store = match leases {
        Some(times) => store.with_leases(times.lease, times.grace),
        None => store,
    };
    StoreFixture::new(Arc::new(store), clock)
}

fn redis(leases: Option<LeaseTimes>) -> (Server, StoreFixture) {
    let server = Server::start();
    let world = at(server.url(), &server, leases);
    (server, world)
}

fn at(url: String, server: &Server, leases: Option<LeaseTimes>) -> StoreFixture {
    let clock = VirtualClock::default();
    let options = RedisOptions { url, leases, clock: Some(Arc::new(clock.clone())), ..server.options() };
    StoreFixture::new(Arc::new(now(RedisStore::open(options)).unwrap()), clock)
}

/// A random sequence of operations, generated from a seed and executed on both stores.
struct Script {
    memory: StoreFixture,
    redis: StoreFixture,
    server: Server,
    /// Proxy that loses replies to the Redis store.
    proxy: Option<Proxy>,
    chance: SequentialIds,
    times: Option<LeaseTimes>,
    leases: [Lease; 2],
    known: Vec<ProcessId>,
    seed: u64,
    step: u32,
    claimed: usize,
    refused: usize,
    handed: usize,
    fenced: usize,
}

/// Executes an operation on both stores and checks that the results are equal.
macro_rules! both {
    ($script:ident, $what:expr, $store:ident => $ask:expr) => {{
        let $store = &$script.memory.store;
        let one = $ask.await;
        let $store = &$script.redis.store;
        let other = $ask.await;
        let at = ($script.seed, $script.step);
        assert_eq!(shown(&one), shown(&other), "seed and step {at:?}: {}", $what);
        one
    }};
}

impl Script {
    async fn new(seed: u64, times: Option<LeaseTimes>, proxied: Option<(Server, Proxy)>) -> Self {
        let (server, redis, proxy) = match proxied {
            None => {
                let (server, redis) = redis(times);
                (server, redis, None)
            }
            Some((server, proxy)) => {
                let redis = at(format!("redis+unix://{}", proxy.socket().display()), &server, times);
                (server, redis, Some(proxy))
            }
        };
        let memory = memory(times);
        let mut leases = Vec::new();
        for name in ["a", "b"] {
            leases.push(memory.node(name).await);
            assert_eq!(leases.last(), Some(&redis.node(name).await));
        }
        Self {
            memory,
            redis,
            server,
            proxy,
            chance: SequentialIds::seeded(seed),
            times,
            leases: leases.try_into().unwrap(),
            known: Vec::new(),
            seed,
            step: 0,
            claimed: 0,
            refused: 0,
            handed: 0,
            fenced: 0,
        }
    }

    fn draw(&self, below: usize) -> usize {
        usize::try_from(self.chance.chance().0 % u64::try_from(below).unwrap()).unwrap()
    }

    fn odds(&self, one_in: usize) -> bool {
        self.draw(one_in) == 0
    }

    fn small(&self, below: usize) -> u32 {
        u32::try_from(self.draw(below)).unwrap()
    }

    fn lease(&self) -> &Lease {
        self.leases.get(self.draw(2)).unwrap()
    }

    async fn run(&mut self, steps: u32) {
        for step in 0..steps {
            self.step = step;
            self.act().await;
            if step % 25 == 24 {
                self.look().await;
            }
        }
    }

    async fn act(&mut self) {
        if let Some(proxy) = &self.proxy
            && self.odds(3)
        {
            proxy.lose_answers_after(0);
        }
        match self.draw(20) {
            0..=6 => self.submit().await,
            7..=10 => self.claim().await,
            11..=17 => self.turn().await,
            18 => self.set_policy().await,
            _ => self.wait(3_000),
        }
        if self.times.is_some() {
            self.live_or_die().await;
        }
    }

    fn wait(&self, limit: usize) {
        let span = Duration::from_millis(u64::from(self.small(limit)));
        self.memory.clock.advance(span);
        self.redis.clock.advance(span);
    }

    /// Executes a random operation on a node, such as a lease renewal or a drain.
    async fn live_or_die(&mut self) {
        let lease = self.lease().clone();
        let node = lease.node.clone();
        match self.draw(24) {
            0..=7 => {
                // Due times in the past count as the current time. The end of the lease and the history are not
                // compared.
                let beaten = async |store: &Arc<dyn Store>| {
                    let calls = store.renew_lease(&lease).await?;
                    let due = calls.due.map(|due| due.max(calls.now));
                    Ok(NodeUpdates { lease_until: None, due, history: None, ..calls })
                };
                let beaten = both!(self, format!("a renewal of {lease:?}"), store => beaten(store));
                if beaten.is_err() {
                    self.fenced += 1;
                    self.register(&node).await;
                }
            }
            8..=11 => {
                let due = both!(self, format!("due work for {lease:?}"), store => store.claim_due(&lease, 3));
                self.handed += due.map_or(0, |due| due.len());
            }
            12..=14 => self.wait(6_000),
            15 => self.register(&node).await,
            16 => {
                let drain = self.odds(2);
                both!(self, format!("a drain of {node}"), store => store.drain(&node, drain)).unwrap();
            }
            17 => both!(self, format!("a leave of {lease:?}"), store => store.leave(&lease)).unwrap(),
            18 => drop(both!(self, format!("a forget of {node}"), store => store.forget(&node))),
            19 => {
                let (id, op) = (self.known.last().copied(), self.chance.op());
                let Some(id) = id else { return };
                let action = longhaul_domain::PendingAction::Pause;
                both!(self, format!("a pending action for {id}"), store => store.enqueue_action(&id, op, action)).ok();
            }
            _ => {}
        }
    }

    async fn register(&mut self, node: &NodeId) {
        let facts = longhaul_ports::NodeDescriptor {
            id: node.clone(),
            home: None,
            boot: "b".to_owned(),
            version: "1".to_owned(),
        };
        let lease =
            both!(self, format!("a registration of {node}"), store => store.register(&facts)).unwrap();
        for known in &mut self.leases {
            if known.node == *node {
                *known = lease.clone();
            }
        }
    }

    async fn submit(&mut self) {
        let new = self.submission().await;
        self.known.push(new.process.id);
        let id = new.process.id;
        let submit = async |store: &Arc<dyn Store>| store.submit(new.clone()).await.map(|it| as_new(it, id));
        let submitted = both!(self, format!("{new:?}"), store => submit(store));
        self.refused += usize::from(submitted.is_err());
    }

    async fn submission(&self) -> Submission {
        let mut draft = longhaul_testkit::suite::SubmissionBuilder::new(self.chance.process())
            .priority(i64::from(self.small(3)))
            .placed(self.placement());
        if let Some(key) = KEYS.get(self.draw(KEYS.len() + 2)) {
            draft = draft.key(key);
        }
        if self.odds(6) {
            draft = draft.reported_in_queue();
        }
        if self.odds(3)
            && let Some(parent) = self.stored().await
        {
            draft = draft.child_of(&parent);
        }
        if self.odds(3) {
            draft = draft.claimed_for(ClaimRequest { lease: self.lease().clone(), roots: self.small(8) });
            if self.odds(2) {
                draft = draft.or_refused();
            }
        }
        self.memory.submission(draft).await
    }

    fn placement(&self) -> Placement {
        match self.draw(6) {
            0 => Placement::Node(NodeId::new("a").unwrap()),
            1 => Placement::Node(NodeId::new("b").unwrap()),
            2 => Placement::Labels(vec![Capability::new("gpu").unwrap(), Capability::new("big").unwrap()]),
            3 => Placement::Here,
            _ => Placement::Anywhere,
        }
    }

    async fn stored(&self) -> Option<StoredProcess> {
        let id = *self.known.get(self.draw(self.known.len().max(1)))?;
        self.memory.store.load(&[id]).await.unwrap().pop().flatten()
    }

    async fn claim(&mut self) {
        let lease = self.lease().clone();
        let labels = vec![Capability::new("gpu").unwrap(), Capability::new("big").unwrap()];
        let mut classes = vec![
            PlacementClass::Node(lease.node.clone()),
            PlacementClass::Shared(Placement::Anywhere),
            PlacementClass::Shared(Placement::Here),
            PlacementClass::Shared(Placement::Labels(labels)),
        ];
        classes.retain(|_| !self.odds(4));
        let room = ClaimCapacity { roots: self.small(12), batch: 1 + self.small(4), classes };
        let what = format!("a claim of {lease:?} with {room:?}");
        let claimed = both!(self, what, store => store.claim(&lease, &room));
        self.claimed += claimed.map_or(0, |claimed| claimed.len());
    }

    async fn turn(&mut self) {
        let Some(stored) = self.stored().await else { return };
        let attempt = stored.process.attempt;
        let input = match (stored.process.status(), self.draw(4)) {
            (Status::Pending, 0) => Input::Action(Action::Cancel { cause: StopCause::User }),
            (Status::Pending, _) => {
                let priority = Priority::stored(i64::from(self.small(200)) - 50).unwrap();
                Input::Action(Action::Prioritize { priority })
            }
            (Status::Starting, 0) if attempt != AttemptNo(0) => {
                Input::Observation(Observation::NeverRan { attempt })
            }
            _ => Input::Observation(Observation::OwnerLost),
        };
        let context = longhaul_domain::DecisionContext {
            now: self.memory.now(),
            awake: longhaul_domain::AwakeTime(0),
            chance: longhaul_domain::RandomBits(0),
            capabilities: longhaul_domain::Capabilities::ALL,
        };
        if stored.process.decide(&context, &stored.live_stats, &input).is_err() {
            return;
        }
        let change = self.memory.change(&stored, input);
        both!(self, format!("{change:?}"), store => store.commit(change.clone())).ok();
    }

    async fn set_policy(&mut self) {
        let (version, mut policy): (_, Policy) = self.memory.store.policy().await.unwrap();
        policy.default_slots = self.small(4);
        let pattern = PATTERNS.get(self.draw(PATTERNS.len())).unwrap();
        if self.odds(3) {
            policy.slots.remove(*pattern);
        } else {
            policy.slots.insert((*pattern).to_owned(), self.small(5));
        }
        let key = SlotKey::new(KEYS.get(self.draw(KEYS.len())).unwrap()).unwrap();
        if policy.held.remove(&key).is_none() && self.odds(2) {
            policy.held.insert(key, QueueHold { since: self.memory.now(), by: None });
        }
        both!(self, format!("{policy:?}"), store => store.set_policy(version, &policy)).unwrap();
    }

    async fn look(&self) {
        both!(self, "the queues", store => store.queues(None)).unwrap();
        for key in KEYS {
            let key = SlotKey::new(key).unwrap();
            both!(self, "a queue", store => store.queues(Some(&key))).unwrap();
        }
        if self.times.is_some() {
            both!(self, "the nodes", store => store.list_nodes()).unwrap();
        }
        audit(&self.server).await;
    }
}

/// Converts the reply to a repeated submission into the reply that the first submission would have received.
fn as_new(submitted: SubmitOutcome, me: ProcessId) -> SubmitOutcome {
    match submitted {
        SubmitOutcome::Existing { id, stored: Some(stored), same_spec: true } if id == me => {
            if stored.revision.0 == 1 {
                SubmitOutcome::Waiting(stored)
            } else {
                SubmitOutcome::Claimed(stored)
            }
        }
        first @ (SubmitOutcome::Waiting(_) | SubmitOutcome::Claimed(_) | SubmitOutcome::Existing { .. }) => {
            first
        }
    }
}

fn shown<T: Debug>(answer: &Result<T, StoreError>) -> String {
    format!("{answer:#?}")
}
