//! Rules about the policy of the queues, and about the reported state of queues.

use super::world::{StoreFixture, ids, never_ran, prioritize, room};
use crate::suite::{must, refused};
use longhaul_domain::{Capability, ConfiguredLimits, Placement, QueueHold, SlotKey};
use longhaul_ports::{PlacementClass, QueueState, StoreError, StoreRejection};
use std::time::Duration;

/// Each change of the policy gets a new version, and later reads return the changed policy.
pub async fn each_change_of_the_policy_gets_a_new_version(world: &StoreFixture) {
    let (first, mut policy) = must(world.store.policy().await);
    policy.slots.insert("gpu*".to_owned(), 2);
    policy.default_slots = 7;
    policy.held.insert(must(SlotKey::new("gpu1")), QueueHold::default());
    let second = must(world.store.set_policy(first, &policy).await);
    assert_eq!(second, first.next());
    assert_eq!(must(world.store.policy().await), (second, policy));
}

/// A policy change that expects an older version is refused and changes nothing.
pub async fn a_policy_change_based_on_an_older_version_is_refused(world: &StoreFixture) {
    let (first, policy) = must(world.store.policy().await);
    let second = must(world.store.set_policy(first, &policy).await);
    let mut other = policy.clone();
    other.default_slots = 99;
    refused!(
        world.store.set_policy(first, &other).await,
        StoreError::Refused(StoreRejection::StalePolicy { found }) if *found == second
    );
    assert_eq!(must(world.store.policy().await), (second, policy));
}

/// If the policy gives a key more slots, more processes start. If it gives a key fewer slots, running processes
/// continue, but no further process starts.
pub async fn changed_limits_apply_at_the_next_claim(world: &StoreFixture) {
    let node = world.node("a").await;
    set(world, "k", 1).await;
    for _ in 0..4 {
        world.submit(world.draft().key("k")).await;
    }
    assert_eq!(world.claim(&node).await.len(), 1);
    set(world, "k", 3).await;
    let more = world.claim(&node).await;
    assert_eq!(more.len(), 2);
    set(world, "k", 2).await;
    for stored in &more {
        assert_eq!(world.load(stored.process.id).await, *stored);
    }
    for stored in more.iter().take(1) {
        world.exit(stored, 0).await;
    }
    assert_eq!(world.claim(&node).await, []);
}

/// A key on hold starts no process, even if it has free slots. Other keys are not affected.
pub async fn a_held_key_starts_no_process(world: &StoreFixture) {
    let node = world.node("a").await;
    let held = must(SlotKey::new("k"));
    let (version, mut policy) = must(world.store.policy().await);
    policy.held.insert(held.clone(), QueueHold::default());
    let version = must(world.store.set_policy(version, &policy).await);
    let waiter = world.submit(world.draft().key("k").priority(100)).await;
    let other = world.submit(world.draft().key("other")).await;
    let at_once = world.draft().key("k").priority(100).claimed_for(super::world::claimant(&node));
    let behind = world.submit(at_once).await;
    assert_eq!(world.claim_ids(&node).await, [other.process.id]);
    policy.held.remove(&held);
    must(world.store.set_policy(version, &policy).await);
    assert_eq!(world.claim_ids(&node).await, [waiter.process.id, behind.process.id]);
}

/// Every key with a waiting or running process is listed, with its waiting and its running processes in order.
pub async fn queues_list_running_and_waiting_processes_in_order(world: &StoreFixture) {
    let node = world.node("a").await;
    set(world, "k", 2).await;
    let mut holders = Vec::new();
    for _ in 0..2 {
        holders.push(world.start(world.draft().key("k"), &node).await);
    }
    let since = world.now();
    let late = world.submit(world.draft().key("k")).await;
    world.clock.advance(Duration::from_secs(1));
    let first = world.submit(world.draft().key("k").priority(9)).await;
    let free = world.submit(world.draft()).await;
    let free_since = world.now();
    let k = must(SlotKey::new("k"));
    let mut queues = must(world.store.queues(None).await);
    queues.sort_by(|a, b| a.key.cmp(&b.key));
    let expected = QueueState {
        key: Some(k.clone()),
        slots: Some(2),
        held: None,
        holders: ids(&holders),
        waiters: vec![first.process.id, late.process.id],
        oldest: Some(since),
    };
    let without_key = QueueState {
        key: None,
        slots: None,
        held: None,
        holders: Vec::new(),
        waiters: vec![free.process.id],
        oldest: Some(free_since),
    };
    assert_eq!(queues, [without_key, expected.clone()]);
    assert_eq!(must(world.store.queues(Some(&k)).await), [expected]);
}

/// Queues are sorted by key; the queue of work without a key comes first. If a key has no waiting and no running
/// processes, it is not listed, even if it is requested explicitly.
pub async fn queues_are_sorted_by_key(world: &StoreFixture) {
    for key in ["b", "a", "c"] {
        world.submit(world.draft().key(key)).await;
    }
    world.submit(world.draft()).await;
    let idle = world.submit(world.draft().key("idle")).await;
    must(world.turn(&idle, super::world::cancel()).await);
    let keys: Vec<_> = must(world.store.queues(None).await).into_iter().map(|queue| queue.key).collect();
    let text: Vec<_> = keys.iter().map(|key| key.as_ref().map(|key| key.as_str())).collect();
    assert_eq!(text, [None, Some("a"), Some("b"), Some("c")]);
    assert_eq!(must(world.store.queues(Some(&must(SlotKey::new("idle")))).await), []);
}

/// The author and the time of a hold are stored and shown with the queue.
pub async fn a_hold_is_stored_with_its_time_and_author(world: &StoreFixture) {
    let (version, mut policy) = must(world.store.policy().await);
    let named = QueueHold { since: world.now(), by: Some("ann \u{2603} \"quoted\"".to_owned()) };
    let unnamed = QueueHold { since: world.now().plus(Duration::from_secs(1)), by: None };
    policy.held.insert(must(SlotKey::new("k")), named.clone());
    policy.held.insert(must(SlotKey::new("l")), unnamed.clone());
    policy.configured = Some(ConfiguredLimits { slots: policy.slots.clone(), default_slots: u32::MAX });
    let version = must(world.store.set_policy(version, &policy).await);
    assert_eq!(must(world.store.policy().await), (version, policy.clone()));
    for (key, hold) in [("k", Some(named)), ("l", Some(unnamed)), ("m", None)] {
        world.submit(world.draft().key(key)).await;
        let key = must(SlotKey::new(key));
        let held: Vec<_> =
            must(world.store.queues(Some(&key)).await).into_iter().map(|queue| queue.held).collect();
        assert_eq!(held, [hold], "{key}");
    }
    policy.held.clear();
    must(world.store.set_policy(version, &policy).await);
    assert!(must(world.store.queues(None).await).iter().all(|queue| queue.held.is_none()));
}

/// A changed priority takes effect everywhere: in the listed queue, in the order of claims, and in the comparison with
/// a submission that requests an immediate claim.
pub async fn a_moved_process_takes_its_new_position(world: &StoreFixture) {
    let node = world.node("a").await;
    let mut waiters = Vec::new();
    for _ in 0..3 {
        waiters.push(world.submit(world.draft().key("k")).await);
    }
    let [first, second, third] = must(ids(&waiters).try_into());
    for (id, priority, expected) in [
        (third, 5, [third, first, second]),
        // This priority is above the highest priority that a client may request. A process gets such a priority when it
        // is moved ahead of a process with the highest priority.
        (second, 101, [second, third, first]),
        (second, -7, [third, first, second]),
        (first, 5, [first, third, second]),
    ] {
        let waiter = world.load(id).await;
        let moved = must(world.turn(&waiter, prioritize(priority)).await);
        assert_eq!((i64::from(moved.process.priority.value()), moved.seq), (priority, waiter.seq));
        let queues = must(world.store.queues(None).await);
        let shown: Vec<_> = queues.into_iter().map(|queue| queue.waiters).collect();
        assert_eq!(shown, [expected]);
    }
    let at_once = world.draft().key("k").priority(-6).claimed_for(super::world::claimant(&node));
    let behind = world.submit(at_once).await.process.id;
    assert_eq!(world.claim_ids(&node).await, [first, third, behind, second]);
}

/// A changed priority also counts when processes of different keys are compared.
pub async fn a_changed_priority_counts_across_keys(world: &StoreFixture) {
    let node = world.node("a").await;
    let other = world.submit(world.draft().key("other").priority(3)).await;
    let waiter = world.submit(world.draft().key("k")).await;
    must(world.turn(&waiter, prioritize(4)).await);
    assert_eq!(world.claim_ids(&node).await, [waiter.process.id, other.process.id]);
}

/// If a priority is changed before the process enters its queue, it takes effect in the queue, and is kept for later
/// attempts.
pub async fn a_changed_priority_is_kept_for_later_attempts(world: &StoreFixture) {
    let node = world.node("a").await;
    let early = world.submit(world.draft().key("k")).await;
    let delayed = world.draft().key("k").not_before(world.now().plus(Duration::from_secs(1)));
    let delayed = world.submit(delayed).await;
    let moved = must(world.turn(&delayed, prioritize(1)).await);
    world.clock.advance(Duration::from_secs(1));
    must(world.turn(&moved, longhaul_domain::Input::Tick).await);
    let claimed = world.claim(&node).await;
    assert_eq!(ids(&claimed), [delayed.process.id, early.process.id]);
    for stored in claimed.iter().rev() {
        must(world.turn(stored, never_ran(stored.process.attempt)).await);
    }
    assert_eq!(world.claim_ids(&node).await, [delayed.process.id, early.process.id]);
}

async fn set(world: &StoreFixture, key: &str, slots: u32) {
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert(key.to_owned(), slots);
    must(world.store.set_policy(version, &policy).await);
}

/// The store reports the label combinations that waiting processes require. A node can then claim the processes whose
/// labels it satisfies.
pub async fn the_store_reports_the_label_sets_of_waiting_processes(world: &StoreFixture) {
    let node = world.node("a").await;
    let placed = |labels: &[&str]| {
        Placement::Labels(labels.iter().copied().map(|label| must(Capability::new(label))).collect())
    };
    world.submit(world.draft()).await;
    assert_eq!(must(world.store.label_classes().await), []);
    let waiter = world.submit(world.draft().placed(placed(&["gpu", "big"]))).await;
    world.submit(world.draft().placed(placed(&["gpu", "big"])).key("k")).await;
    world.submit(world.draft().placed(placed(&["arm"]))).await;
    let [both, arm] = [placed(&["gpu", "big"]), placed(&["arm"])].map(PlacementClass::Shared);
    let mut reported = must(world.store.label_classes().await);
    reported.sort();
    let mut expected = vec![both.clone(), arm.clone()];
    expected.sort();
    assert_eq!(reported, expected);
    let mut one = room(&node);
    (one.classes, one.batch) = (vec![both.clone()], 1);
    assert_eq!(ids(&must(world.store.claim(&node, &one).await)), [waiter.process.id]);
    must(world.store.claim(&node, &one).await);
    assert_eq!(must(world.store.label_classes().await), [arm]);
}
