//! Rules about live stats.

use super::world::{StoreFixture, author, spawned};
use crate::suite::{must, refused, some};
use longhaul_domain::{AttemptNo, LiveStats, Progress, ProgressSource, ReportedEta, Stage, TestTally};
use longhaul_ports::{Clock, StoreError, StoredProcess, Writer};
use std::time::Duration;

fn live_stats(world: &StoreFixture, bytes: u64) -> LiveStats {
    LiveStats {
        progress: Some(must(Progress::from_percent(12.5))),
        progress_source: ProgressSource::Output,
        stage: Some(must(Stage::new("linking"))),
        last_heartbeat: Some(world.clock.now()),
        progress_rate: None,
        reported_eta: Some(ReportedEta {
            at: world.clock.now(),
            remaining: Duration::from_secs(90),
            source: ProgressSource::History,
        }),
        output_bytes: bytes,
        tests: Some(TestTally { total: 3, passed: 2, failed: 1, ..TestTally::default() }),
        reports_input: true,
    }
}

async fn update_live_stats(
    world: &StoreFixture,
    by: &Writer,
    stored: &StoredProcess,
    attempt: AttemptNo,
    bytes: u64,
) -> Result<(), StoreError> {
    let told = [(stored.process.id, attempt, live_stats(world, bytes))];
    let mut answers = must(world.store.update_live_stats(by, &told).await);
    assert_eq!(answers.len(), 1);
    some(answers.pop())
}

/// Only the latest live stats are stored. An update of live stats causes no new revision and no event.
pub async fn only_the_latest_live_stats_are_stored(world: &StoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let end = must(world.store.end().await);
    let attempt = running.process.attempt;
    must(update_live_stats(world, &author(&running), &running, attempt, 1).await);
    must(update_live_stats(world, &author(&running), &running, attempt, 2).await);
    let found = world.load(running.process.id).await;
    assert_eq!(found.live_stats, live_stats(world, 2));
    assert_eq!(found.revision, running.revision);
    assert_eq!(must(world.store.end().await), end);
}

/// Live stats of an attempt survive all commits, including the one that ends the process.
pub async fn live_stats_survive_a_commit(world: &StoreFixture) {
    let node = world.node("a").await;
    let starting = world.start(world.draft(), &node).await;
    let attempt = starting.process.attempt;
    must(update_live_stats(world, &author(&starting), &starting, attempt, 5).await);
    let known = live_stats(world, 5);
    let running = must(world.turn(&world.load(starting.process.id).await, spawned(&starting)).await);
    assert_eq!(running.live_stats, known, "a commit says nothing about vitals");
    assert_eq!(world.exit(&running, 0).await.live_stats, known, "not even the end does");
}

/// An update of the live stats of an ended process is refused with a conflict.
pub async fn live_stats_of_an_ended_process_are_a_conflict(world: &StoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    let ended = world.exit(&running, 0).await;
    for author in [Writer::Anyone, Writer::Owner(node)] {
        refused!(
            update_live_stats(world, &author, &ended, ended.process.attempt, 1).await,
            StoreError::Conflict { found } if *found == ended.revision
        );
    }
    assert_eq!(world.load(ended.process.id).await, ended);
}

/// An update of live stats for an attempt that is not the current one is refused with a conflict.
pub async fn live_stats_of_another_attempt_are_a_conflict(world: &StoreFixture) {
    let node = world.node("a").await;
    let running = world.run(world.draft(), &node).await;
    for attempt in [AttemptNo(0), AttemptNo(2)] {
        refused!(
            update_live_stats(world, &author(&running), &running, attempt, 1).await,
            StoreError::Conflict { .. }
        );
    }
    assert_eq!(world.load(running.process.id).await.live_stats, LiveStats::default());
}

/// Only the owner, under its newest lease, can update the live stats of a process.
pub async fn only_the_owner_updates_live_stats(world: &StoreFixture) {
    let node = world.node("a").await;
    let other = world.node("b").await;
    let running = world.run(world.draft(), &node).await;
    let attempt = running.process.attempt;
    for stranger in [Writer::Anyone, Writer::Owner(other)] {
        refused!(update_live_stats(world, &stranger, &running, attempt, 1).await, StoreError::Fenced { .. });
    }
    let old = author(&running);
    world.node("a").await;
    refused!(update_live_stats(world, &old, &running, attempt, 1).await, StoreError::Fenced { .. });
    assert_eq!(world.load(running.process.id).await.live_stats, LiveStats::default());
}

/// Any engine can update the live stats of reported work.
pub async fn any_engine_updates_live_stats_of_reported_work(world: &StoreFixture) {
    let reported = world.submit(world.draft().reported()).await;
    let attempt = reported.process.attempt;
    must(update_live_stats(world, &Writer::Anyone, &reported, attempt, 3).await);
    assert_eq!(world.load(reported.process.id).await.live_stats, live_stats(world, 3));
}

/// Each live-stats update in a batch gets its own result, in the order of the updates. A refused update does not affect
/// the other updates.
pub async fn live_stats_results_are_in_the_order_of_the_updates(world: &StoreFixture) {
    let node = world.node("a").await;
    let first = world.run(world.draft(), &node).await;
    let second = world.run(world.draft(), &node).await;
    let missing = world.draft().id;
    let told = [
        (first.process.id, AttemptNo(7), live_stats(world, 1)),
        (missing, AttemptNo(1), live_stats(world, 2)),
        (second.process.id, AttemptNo(1), live_stats(world, 3)),
    ];
    let answers = must(world.store.update_live_stats(&author(&first), &told).await);
    assert!(
        matches!(
            answers.as_slice(),
            [Err(StoreError::Conflict { .. }), Err(StoreError::Missing { .. }), Ok(())]
        ),
        "found {answers:?}"
    );
    assert_eq!(world.load(second.process.id).await.live_stats, live_stats(world, 3));
}
