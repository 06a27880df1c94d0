//! Vitals: the latest facts about live attempts.

use super::world::{StoreWorld, author, spawned};
use crate::suite::{must, refused, some};
use longhaul_domain::{AttemptNo, Progress, Stage, Vitals};
use longhaul_ports::{Author, Clock, StoreError, Stored};

fn vitals(world: &StoreWorld, bytes: u64) -> Vitals {
    Vitals {
        progress: Some(must(Progress::from_percent(12.5))),
        stage: Some(must(Stage::new("linking"))),
        last_beat: Some(world.clock.now()),
        pace: None,
        output_bytes: bytes,
    }
}

async fn touch(
    world: &StoreWorld,
    by: &Author,
    stored: &Stored,
    attempt: AttemptNo,
    bytes: u64,
) -> Result<(), StoreError> {
    let told = [(stored.process.id, attempt, vitals(world, bytes))];
    let mut answers = must(world.store.touch(by, &told).await);
    assert_eq!(answers.len(), 1);
    some(answers.pop())
}

/// The latest vitals are kept, without a revision and without an event.
pub async fn the_latest_vitals_win(world: &StoreWorld) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let end = must(world.store.end().await);
    let attempt = running.process.attempt;
    must(touch(world, &author(&running), &running, attempt, 1).await);
    must(touch(world, &author(&running), &running, attempt, 2).await);
    let found = world.load(running.process.id).await;
    assert_eq!(found.vitals, vitals(world, 2));
    assert_eq!(found.revision, running.revision);
    assert_eq!(must(world.store.end().await), end);
}

/// What is known about an attempt stays through commits, its end included, until the next attempt begins.
pub async fn vitals_outlive_a_commit(world: &StoreWorld) {
    let node = world.node("a").await;
    let starting = world.start(world.draft(), &node).await;
    let attempt = starting.process.attempt;
    must(touch(world, &author(&starting), &starting, attempt, 5).await);
    let known = vitals(world, 5);
    let running = must(world.turn(&world.load(starting.process.id).await, spawned(&starting)).await);
    assert_eq!(running.vitals, known, "a commit says nothing about vitals");
    assert_eq!(world.exit(&running, 0).await.vitals, known, "not even the end does");
}

/// Vitals of what ended are late, too.
pub async fn vitals_of_what_ended_are_a_conflict(world: &StoreWorld) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let ended = world.exit(&running, 0).await;
    for author in [Author::Anyone, Author::Owner(node)] {
        refused!(
            touch(world, &author, &ended, ended.process.attempt, 1).await,
            StoreError::Conflict { found } if *found == ended.revision
        );
    }
    assert_eq!(world.load(ended.process.id).await, ended);
}

/// Vitals of an attempt that is over are late.
pub async fn vitals_of_another_attempt_are_a_conflict(world: &StoreWorld) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    for attempt in [AttemptNo(0), AttemptNo(2)] {
        refused!(touch(world, &author(&running), &running, attempt, 1).await, StoreError::Conflict { .. });
    }
    assert_eq!(world.load(running.process.id).await.vitals, Vitals::default());
}

/// Only the owner, under its newest lease, tells the vitals of what it owns.
pub async fn only_the_owner_tells_vitals(world: &StoreWorld) {
    let node = world.node("a").await;
    let other = world.node("b").await;
    let running = world.run(world.draft(), &node).await;
    let attempt = running.process.attempt;
    for stranger in [Author::Anyone, Author::Owner(other)] {
        refused!(touch(world, &stranger, &running, attempt, 1).await, StoreError::Fenced { .. });
    }
    let old = author(&running);
    world.node("a").await;
    refused!(touch(world, &old, &running, attempt, 1).await, StoreError::Fenced { .. });
    assert_eq!(world.load(running.process.id).await.vitals, Vitals::default());
}

/// Any engine tells the vitals of reported work.
pub async fn anyone_tells_vitals_of_reported_work(world: &StoreWorld) {
    let reported = world.submit(world.draft().reported()).await;
    let attempt = reported.process.attempt;
    must(touch(world, &Author::Anyone, &reported, attempt, 3).await);
    assert_eq!(world.load(reported.process.id).await.vitals, vitals(world, 3));
}

/// Each question gets its answer, in order, and a late one harms no other.
pub async fn vitals_are_answered_in_order(world: &StoreWorld) {
    let node = world.node("a").await;
    let first = world.run(world.draft(), &node).await;
    let second = world.run(world.draft(), &node).await;
    let nobody = world.draft().id;
    let told = [
        (first.process.id, AttemptNo(7), vitals(world, 1)),
        (nobody, AttemptNo(1), vitals(world, 2)),
        (second.process.id, AttemptNo(1), vitals(world, 3)),
    ];
    let answers = must(world.store.touch(&author(&first), &told).await);
    assert!(
        matches!(
            answers.as_slice(),
            [Err(StoreError::Conflict { .. }), Err(StoreError::Missing { .. }), Ok(())]
        ),
        "found {answers:?}"
    );
    assert_eq!(world.load(second.process.id).await.vitals, vitals(world, 3));
}
