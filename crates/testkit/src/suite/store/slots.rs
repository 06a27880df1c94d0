//! Rules about slots: how many processes can run under a key, and when a slot is freed.

use super::world::{StoreFixture, cancel, complete, descendants_ended, exited, never_ran, spawned};
use crate::suite::{must, some};
use longhaul_domain::{Action, Input, Interruption, Observation, Pending, StartFailure, StartStage, State};

async fn limited(world: &StoreFixture, slots: u32) {
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert("k".to_owned(), slots);
    must(world.store.set_policy(version, &policy).await);
}

/// The number of occupied slots never exceeds the number of slots of the key.
pub async fn slots_of_a_key_are_never_exceeded(world: &StoreFixture) {
    let node = world.node("a").await;
    let other = world.node("b").await;
    limited(world, 2).await;
    for _ in 0..5 {
        world.submit(world.draft().key("k")).await;
    }
    assert_eq!(world.claim(&node).await.len(), 2);
    assert_eq!(world.claim(&other).await, []);
}

/// A key without an entry in the policy has the default number of slots. A key with 0 slots has no limit, and neither
/// has work without a key.
pub async fn only_limited_keys_have_a_limit(world: &StoreFixture) {
    let node = world.node("a").await;
    limited(world, 0).await;
    for _ in 0..8 {
        world.submit(world.draft().key("k")).await;
        world.submit(world.draft().key("usual")).await;
        world.submit(world.draft()).await;
    }
    let claimed = world.claim(&node).await;
    let count = |key: Option<&str>| {
        let same = |stored: &&longhaul_ports::StoredProcess| {
            stored.process.spec.key.as_ref().map(|key| key.as_str()) == key
        };
        claimed.iter().filter(same).count()
    };
    assert_eq!([count(Some("k")), count(Some("usual")), count(None)], [8, 5, 8]);
}

/// A process frees its slot in whichever way it ends.
pub async fn a_slot_returns_on_every_ending(world: &StoreFixture) {
    let node = world.node("a").await;
    limited(world, 1).await;
    for place in 0..4 {
        let running = world.run(world.draft().key("k"), &node).await;
        let attempt = running.process.attempt;
        let endings = [
            exited(&running, world.now(), 0),
            exited(&running, world.now(), 1),
            Input::Observation(Observation::SupervisorLost { attempt, why: Interruption::Reboot }),
            Input::Observation(Observation::OwnerLost),
        ];
        assert_slots(world, 1).await;
        let ending = some(endings.get(place)).clone();
        let ended = must(world.turn(&running, ending).await);
        assert!(ended.process.status().is_ended());
        assert_eq!(ended.owner, None);
        assert_slots(world, 0).await;
    }
    let running = world.run(world.draft().key("k"), &node).await;
    let stopping = must(world.turn(&running, cancel()).await);
    assert_slots(world, 1).await;
    must(world.turn(&stopping, exited(&stopping, world.now(), 0)).await);
    assert_slots(world, 0).await;
    let failed = world.start(world.draft().key("k"), &node).await;
    let failure = StartFailure { stage: StartStage::Exec, errno: Some(2), detail: "missing".to_owned() };
    let attempt = failed.process.attempt;
    let input = Input::Observation(Observation::SpawnFailed { attempt, failure });
    must(world.turn(&failed, input).await);
    assert_slots(world, 0).await;
    world.submit(world.draft().key("k").reported_in_queue()).await;
    let reported = some(world.claim(&node).await.pop());
    assert_slots(world, 1).await;
    must(world.turn(&reported, complete()).await);
    assert_slots(world, 0).await;
}

/// A process that is waiting for a retry holds no slot. A process that was requeued because it never ran holds no slot
/// either.
pub async fn a_slot_returns_between_attempts(world: &StoreFixture) {
    let node = world.node("a").await;
    limited(world, 1).await;
    let running = world.run(world.draft().key("k").retrying(), &node).await;
    let waiter = world.submit(world.draft().key("k")).await;
    assert_eq!(world.claim_ids(&node).await, []);
    let retrying = world.exit(&running, 1).await;
    assert!(matches!(retrying.process.state, State::Pending(Pending::Retrying { .. })));
    assert_eq!(retrying.owner, None);
    let next = some(world.claim(&node).await.pop());
    assert_eq!(next.process.id, waiter.process.id);
    must(world.turn(&next, never_ran(next.process.attempt)).await);
    assert_slots(world, 0).await;
}

/// A process that is only waiting for its children holds no slot and has no owner.
pub async fn a_slot_returns_before_the_children_have_ended(world: &StoreFixture) {
    let node = world.node("a").await;
    limited(world, 1).await;
    let (parent, child) = world.lingering(&node, world.draft().key("k")).await;
    assert_eq!(parent.owner, None);
    let queues = must(world.store.queues(None).await);
    let holders: Vec<_> = queues.iter().flat_map(|queue| queue.holders.clone()).collect();
    assert_eq!(holders, [child.process.id], "which has no key");
    let next = world.start(world.draft().key("k"), &node).await;
    world.exit(&child, 0).await;
    must(world.turn(&parent, descendants_ended()).await);
    assert_eq!(world.load(next.process.id).await, next);
    assert_slots(world, 1).await;
}

/// A paused or stopping process keeps its slot and its owner.
pub async fn paused_and_stopping_work_holds_its_slot(world: &StoreFixture) {
    let node = world.node("a").await;
    limited(world, 1).await;
    let starting = world.start(world.draft().key("k"), &node).await;
    let running = must(world.turn(&starting, spawned(&starting)).await);
    assert_eq!(running.owner, Some(node.clone()));
    let paused = must(world.turn(&running, Input::Action(Action::Pause)).await);
    assert_eq!(paused.owner, Some(node.clone()));
    assert_slots(world, 1).await;
    let stopping = must(world.turn(&paused, cancel()).await);
    assert_eq!(stopping.owner, Some(node));
    assert_slots(world, 1).await;
}

async fn assert_slots(world: &StoreFixture, taken: usize) {
    let queues = must(world.store.queues(None).await);
    let holders: usize = queues.iter().map(|queue| queue.holders.len()).sum();
    assert_eq!(holders, taken);
}
