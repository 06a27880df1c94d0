//! Orders for the owner of a process.

use super::world::{StoreWorld, cancel, spawned};
use crate::suite::{must, refused, soon};
use longhaul_domain::{StopCause, Wish, WishNo};
use longhaul_ports::{IdSource, Refusal, StoreError};

const CANCEL: Wish = Wish::Cancel { cause: StopCause::User };

/// Wishes are numbered in the order in which they arrive, and the owner finds them in the record.
pub async fn wishes_are_numbered(world: &StoreWorld) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let id = running.process.id;
    let first = must(world.store.wish(&id, world.ids.op(), Wish::Pause).await);
    let second = must(world.store.wish(&id, world.ids.op(), CANCEL).await);
    assert!(WishNo(0) < first && first < second);
    let found = world.load(id).await;
    assert_eq!(found.wishes, [(first, Wish::Pause), (second, CANCEL)]);
    assert_eq!(found.revision, running.revision);
}

/// A wish that is sent again is the same wish.
pub async fn the_same_wish_gets_the_same_number(world: &StoreWorld) {
    let stored = world.submit(world.draft()).await;
    let op = world.ids.op();
    let first = must(world.store.wish(&stored.process.id, op, CANCEL).await);
    assert_eq!(must(world.store.wish(&stored.process.id, op, CANCEL).await), first);
    assert_eq!(world.load(stored.process.id).await.wishes, [(first, CANCEL)]);
}

/// Where no other order has a place any more, one to end it has.
pub async fn a_full_inbox_takes_orders_to_end(world: &StoreWorld) {
    let node = world.node("a").await;
    let id = world.run(world.draft(), &node).await.process.id;
    for _ in 0..16 {
        must(world.store.wish(&id, world.ids.op(), Wish::Resume).await);
    }
    for _ in 0..4 {
        must(world.store.wish(&id, world.ids.op(), CANCEL).await);
    }
    let force = Wish::Force { cause: StopCause::User };
    for late in [Wish::Resume, CANCEL, force] {
        refused!(
            world.store.wish(&id, world.ids.op(), late).await,
            StoreError::Refused(Refusal::TooManyWishes)
        );
    }
    assert_eq!(world.load(id).await.wishes.len(), 20);
}

/// Sixteen are open at most; an answered one makes room.
pub async fn at_most_sixteen_wishes_are_open(world: &StoreWorld) {
    let node = world.node("a").await;
    let starting = world.start(world.draft(), &node).await;
    let id = starting.process.id;
    let mut first = WishNo(0);
    for _ in 0..16 {
        let no = must(world.store.wish(&id, world.ids.op(), Wish::Resume).await);
        if first == WishNo(0) {
            first = no;
        }
    }
    refused!(
        world.store.wish(&id, world.ids.op(), Wish::Resume).await,
        StoreError::Refused(Refusal::TooManyWishes)
    );
    let mut change = world.change(&starting, spawned(&starting));
    change.taken = first;
    must(world.store.commit(change).await);
    must(world.store.wish(&id, world.ids.op(), Wish::Resume).await);
}

/// The commit that acts on wishes takes them, and no later ones; their numbers are not used again.
pub async fn wishes_are_taken_by_the_commit_that_answers_them(world: &StoreWorld) {
    let node = world.node("a").await;
    let starting = world.start(world.draft(), &node).await;
    let id = starting.process.id;
    let first = must(world.store.wish(&id, world.ids.op(), CANCEL).await);
    let second = must(world.store.wish(&id, world.ids.op(), Wish::Pause).await);
    let mut change = world.change(&starting, cancel());
    change.taken = first;
    must(world.store.commit(change).await);
    let stopping = world.load(id).await;
    assert_eq!(stopping.wishes, [(second, Wish::Pause)]);
    let mut change = world.change(&stopping, spawned(&stopping));
    change.taken = second;
    must(world.store.commit(change).await);
    assert_eq!(world.load(id).await.wishes, []);
    let third = must(world.store.wish(&id, world.ids.op(), CANCEL).await);
    assert!(third > second);
}

/// A wish for nobody is told so.
pub async fn a_wish_for_nobody_is_told(world: &StoreWorld) {
    let nobody = world.draft().id;
    refused!(
        world.store.wish(&nobody, world.ids.op(), CANCEL).await,
        StoreError::Missing { id } if *id == nobody
    );
}

/// A wish calls the owner, and tells it which process.
pub async fn a_wish_calls_the_owner(world: &StoreWorld) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    world.hear_out(&node).await;
    let called = {
        let store = world.store.clone();
        let node = node.clone();
        tokio::spawn(async move { store.called(&node).await })
    };
    let called = crate::suite::parked(called).await;
    must(world.store.wish(&running.process.id, world.ids.op(), CANCEL).await);
    let calls = must(must(soon(called).await));
    assert_eq!(calls.wishes, [running.process.id]);
    assert_eq!(must(world.store.beat(&node).await).wishes, [running.process.id]);
}
