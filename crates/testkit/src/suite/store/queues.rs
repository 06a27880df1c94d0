//! The policy of the queues, and what they look like.

use super::world::{StoreWorld, ids};
use crate::suite::{must, refused};
use longhaul_domain::SlotKey;
use longhaul_ports::{QueueView, Refusal, StoreError};
use std::time::Duration;

/// Each change of the policy gets a new version, and is what is read from then on.
pub async fn the_policy_is_versioned(world: &StoreWorld) {
    let (first, mut policy) = must(world.store.policy().await);
    policy.slots.insert("gpu*".to_owned(), 2);
    policy.default_slots = 7;
    policy.held.insert(must(SlotKey::new("gpu1")));
    let second = must(world.store.set_policy(first, &policy).await);
    assert_eq!(second, first.next());
    assert_eq!(must(world.store.policy().await), (second, policy));
}

/// A change of a policy that has moved on changes nothing.
pub async fn a_stale_change_of_the_policy_is_refused(world: &StoreWorld) {
    let (first, policy) = must(world.store.policy().await);
    let second = must(world.store.set_policy(first, &policy).await);
    let mut other = policy.clone();
    other.default_slots = 99;
    refused!(
        world.store.set_policy(first, &other).await,
        StoreError::Refused(Refusal::StalePolicy { found }) if *found == second
    );
    assert_eq!(must(world.store.policy().await), (second, policy));
}

/// More slots let waiters in; fewer let nobody new in and disturb nobody.
pub async fn changed_limits_count_at_the_next_claim(world: &StoreWorld) {
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

/// A key that is held back hands out nothing, whatever its slots, and the others go on.
pub async fn a_held_key_gives_nobody_a_slot(world: &StoreWorld) {
    let node = world.node("a").await;
    let held = must(SlotKey::new("k"));
    let (version, mut policy) = must(world.store.policy().await);
    policy.held.insert(held.clone());
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

/// Every key with a waiter or a holder is shown, with both in order.
pub async fn queues_show_holders_and_waiters_in_order(world: &StoreWorld) {
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
    let expected = QueueView {
        key: Some(k.clone()),
        slots: Some(2),
        held: false,
        holders: ids(&holders),
        waiters: vec![first.process.id, late.process.id],
        oldest: Some(since),
    };
    let without_key = QueueView {
        key: None,
        slots: None,
        held: false,
        holders: Vec::new(),
        waiters: vec![free.process.id],
        oldest: Some(free_since),
    };
    assert_eq!(queues, [without_key, expected.clone()]);
    assert_eq!(must(world.store.queues(Some(&k)).await), [expected]);
}

async fn set(world: &StoreWorld, key: &str, slots: u32) {
    let (version, mut policy) = must(world.store.policy().await);
    policy.slots.insert(key.to_owned(), slots);
    must(world.store.set_policy(version, &policy).await);
}
