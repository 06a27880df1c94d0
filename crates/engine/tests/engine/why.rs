use crate::queues::{key, keyed, with_slots};
use crate::trees::child;
use crate::world::{World, command, retrying, seconds};
use longhaul_domain::{
    Capability, Ending, NodeId, Placement, Policy, Priority, ProcessId, QueueHold, Spec, Status,
};
use longhaul_engine::WaitReason;
use longhaul_engine::ports::AttemptKey;
use longhaul_testkit::fakes::{Fault, PortCall};
use std::collections::BTreeMap;

async fn why(world: &World, id: ProcessId) -> WaitReason {
    world.engine.why(id).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_waiting_process_gets_its_key_its_position_and_the_slot_holders() {
    let world = with_slots(&[("k", 1)]).await;
    let holder = world.launch_spec(keyed("run", "k")).await;
    let first = world.launch_spec(keyed("run", "k")).await;
    let second = world.launch_spec(keyed("run", "k")).await;
    world.launch_spec(Spec { priority: Priority::new(1).unwrap(), ..keyed("run", "k") }).await;
    world.settle().await;
    let expected = |position| WaitReason::Queued {
        key: Some(key("k")),
        position,
        ahead: position - 1,
        slots: Some(1),
        holders: vec![holder],
        stalled: false,
    };
    assert_eq!(why(&world, first).await, expected(2));
    assert_eq!(why(&world, second).await, expected(3));
    assert_eq!(why(&world, holder).await, WaitReason::NotWaiting { status: Status::Running });
}

#[tokio::test(start_paused = true)]
async fn a_process_in_a_held_queue_gets_the_time_and_the_author_of_the_hold() {
    let world = World::new().await;
    world.engine.hold_queue(&key("k"), Some("ann".to_owned())).await.unwrap();
    let hold = QueueHold { since: world.engine.now(), by: Some("ann".to_owned()) };
    world.launch_spec(keyed("run", "k")).await;
    let id = world.launch_spec(keyed("run", "k")).await;
    world.pass(seconds(10)).await;
    assert_eq!(why(&world, id).await, WaitReason::Held { key: key("k"), hold, position: 2 });
}

#[tokio::test(start_paused = true)]
async fn a_root_gets_the_full_node_as_its_reason_and_a_child_overtakes_it() {
    let world = World::with(|settings| settings.max_parallel = 2).await;
    let first = world.launch_spec(keyed("run", "a")).await;
    let second = world.launch("run").await;
    let waits = world.launch("run").await;
    let behind = world.launch("run").await;
    world.settle().await;
    let full = |position| WaitReason::NodeFull { limit: 2, holders: vec![first, second], position };
    assert_eq!(why(&world, waits).await, full(1));
    assert_eq!(why(&world, behind).await, full(2));
    let below = child(&world, first, command("run")).await;
    world.settle().await;
    assert_eq!(why(&world, below).await, WaitReason::NotWaiting { status: Status::Running });
}

#[tokio::test(start_paused = true)]
async fn a_delay_and_a_retry_are_reported_with_their_times() {
    let world = World::new().await;
    let until = world.engine.now().plus(seconds(600));
    let id = world.launch_spec(Spec { not_before: Some(until), ..command("run") }).await;
    assert_eq!(why(&world, id).await, WaitReason::Delayed { until });
    let id = world.launch_spec(retrying("exit 3", 2)).await;
    world.settle().await;
    let told = why(&world, id).await;
    let WaitReason::Retrying { attempt, at, after } = told else { unreachable!("{told:?}") };
    assert!(attempt == 2 && at > world.engine.now() && matches!(after, Ending::Failed { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_process_for_an_absent_node_gets_the_reason_and_blocks_no_other() {
    let world = with_slots(&[("k", 1)]).await;
    let holder = world.launch_spec(keyed("run", "k")).await;
    let elsewhere = Placement::Node(NodeId::new("elsewhere").unwrap());
    let labels = Placement::Labels(vec![Capability::new("gpu").unwrap()]);
    for placement in [elsewhere, labels] {
        let id = world.launch_spec(Spec { placement: placement.clone(), ..keyed("run", "k") }).await;
        assert_eq!(why(&world, id).await, WaitReason::NoNode { placement, draining: Vec::new() });
    }
    let next = world.launch_spec(keyed("run", "k")).await;
    world.settle().await;
    assert!(matches!(why(&world, next).await, WaitReason::Queued { position: 1, .. }));
    world.cancel(holder).await;
    world.pass(seconds(1)).await;
    assert_eq!(world.status(next).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn trees_that_hold_all_slots_and_wait_for_their_children_are_reported_as_a_deadlock() {
    let world = with_slots(&[("k", 2)]).await;
    let one = world.launch_spec(keyed("run", "k")).await;
    let other = world.launch_spec(keyed("run", "k")).await;
    world.settle().await;
    let below = child(&world, one, keyed("run", "k")).await;
    assert!(
        matches!(why(&world, below).await, WaitReason::Queued { stalled: false, .. }),
        "one of the processes keeps running"
    );
    let beside = child(&world, other, keyed("run", "k")).await;
    for id in [below, beside] {
        assert!(matches!(why(&world, id).await, WaitReason::Queued { stalled: true, .. }));
    }
    world.engine.set_slots("k", Some(3)).await.unwrap();
    world.settle().await;
    assert_eq!(world.status(below).await, Status::Running);
    assert!(matches!(why(&world, beside).await, WaitReason::Queued { stalled: false, .. }));
}

#[tokio::test(start_paused = true)]
async fn holder_whose_child_waits_for_another_key_does_not_count_as_stalled() {
    let world = with_slots(&[("j", 1), ("k", 1)]).await;
    let holder = world.launch_spec(keyed("run", "k")).await;
    world.launch_spec(keyed("run", "j")).await;
    child(&world, holder, keyed("run", "j")).await;
    let waits = world.launch_spec(keyed("run", "k")).await;
    world.settle().await;
    let why = why(&world, waits).await;
    assert!(matches!(why, WaitReason::Queued { stalled: false, .. }), "{why:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_the_store_does_not_hand_out_gets_another_reason_than_a_full_node() {
    let world = with_slots(&[("k", 1)]).await;
    let holder = world.launch_spec(keyed("run", "k")).await;
    let waits = world.launch_spec(keyed("run", "k")).await;
    world.settle().await;
    for _ in 0..20 {
        world.store.fail_on(PortCall::Claim, 1, Fault::Unavailable);
    }
    world.cancel(holder).await;
    world.pass(seconds(1)).await;
    let why = why(&world, waits).await;
    let WaitReason::Queued { position: 1, slots: Some(1), holders, .. } = why else { panic!("{why:?}") };
    assert_eq!(holders, []);
}

/// Returns the waiting processes, each with the reason that the engine reports.
async fn told(world: &World, ids: &[ProcessId]) -> BTreeMap<ProcessId, WaitReason> {
    let mut told = BTreeMap::new();
    for id in ids {
        if world.status(*id).await == Status::Pending {
            told.insert(*id, why(world, *id).await);
        }
    }
    told
}

const fn position(why: &WaitReason) -> Option<u32> {
    match why {
        WaitReason::Queued { position, .. }
        | WaitReason::Held { position, .. }
        | WaitReason::Settling { position, .. }
        | WaitReason::NodeFull { position, .. } => Some(*position),
        WaitReason::NotWaiting { .. }
        | WaitReason::Delayed { .. }
        | WaitReason::Retrying { .. }
        | WaitReason::NoNode { .. } => None,
    }
}

/// Checks that every waiting process has a reason to wait, and that the reported limits are correct.
async fn check_at_rest(world: &World, told: &BTreeMap<ProcessId, WaitReason>, seed: u64) {
    for (id, why) in told {
        match why {
            WaitReason::Queued { slots, holders, position, ahead, .. } => {
                let slots = slots.expect("without a key limit only a full node makes a process wait");
                assert!(holders.len() >= slots as usize, "seed {seed}: {id} could go: {why:?}");
                assert_eq!(*position, ahead + 1);
            }
            WaitReason::NodeFull { limit, holders, .. } => {
                assert_eq!(holders.len(), *limit as usize, "seed {seed}");
                for holder in holders {
                    assert!(world.stored(*holder).await.process.lineage.ancestors.is_empty());
                }
            }
            WaitReason::Held { key, .. } => {
                assert!(world.engine.policy().await.unwrap().held.contains_key(key), "seed {seed}");
            }
            WaitReason::NotWaiting { .. }
            | WaitReason::Settling { .. }
            | WaitReason::Delayed { .. }
            | WaitReason::Retrying { .. }
            | WaitReason::NoNode { .. } => {
                unreachable!("seed {seed}: {id} waits: {why:?}")
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_process_that_is_reported_as_next_is_claimed_next() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let slots = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let world = World::with(|settings| {
            settings.max_parallel = 3;
            settings.policy = Some(Policy { slots, ..Policy::default() });
        })
        .await;
        let mut ids = Vec::new();
        for _ in 0..14 {
            let mut spec = match dice.below(4) {
                0 => command("run"),
                1 => keyed("run", "a"),
                _ => keyed("run", "b"),
            };
            spec.priority = Priority::new(dice.below(3) as i64).unwrap();
            let parent =
                (dice.below(3) == 0 && !ids.is_empty()).then(|| ids[dice.below(ids.len() as u64) as usize]);
            match parent {
                Some(parent) => ids.extend(crate::trees::try_child(&world, parent, spec).await.ok()),
                None => ids.push(world.launch_spec(spec).await),
            }
            if dice.below(6) == 0 {
                world.engine.hold_queue(&key("b"), None).await.unwrap();
            } else {
                world.engine.release_queue(&key("b")).await.unwrap();
            }
            world.settle().await;
        }
        for _ in 0..40 {
            let before = told(&world, &ids).await;
            check_at_rest(&world, &before, seed).await;
            let live: Vec<AttemptKey> = world.spawner.live();
            if live.is_empty() {
                break;
            }
            world.spawner.exit(live[dice.below(live.len() as u64) as usize], 0);
            world.settle().await;
            let mut claimed: BTreeMap<Option<String>, Vec<u32>> = BTreeMap::new();
            for (id, why) in &before {
                let stored = world.stored(*id).await;
                if stored.process.status() != Status::Pending {
                    let key = stored.process.spec.key.as_ref().map(ToString::to_string);
                    claimed.entry(key).or_default().extend(position(why));
                }
            }
            for (key, positions) in claimed {
                assert_eq!(positions, [1], "seed {seed}, key {key:?}");
            }
        }
    }
}

/// A random number generator with a seed, for reproducible tests.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
