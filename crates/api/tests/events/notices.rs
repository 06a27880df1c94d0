use crate::world::{World, of_session};
use longhaul_api::CompletionStream;
use longhaul_wire::event::BatchView;
use std::time::Duration;

async fn next_of(world: &World, notices: &mut CompletionStream) -> BatchView {
    let next = world.clock.run_until(Duration::from_secs(3_600), notices.next()).await;
    next.flatten().expect("a notice comes")
}

async fn all_after(world: &World, session: &str, cursor: Option<&str>) -> Vec<BatchView> {
    let mut notices = world.api.notices(session, Some(cursor.unwrap_or("start")), false).await.unwrap();
    let mut all = Vec::new();
    while let Some(next) = world.clock.run_until(Duration::from_secs(60), notices.next()).await.flatten() {
        all.push(next);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn fifty_simultaneous_ends_are_reported_in_one_batch() {
    let world = World::new().await;
    let mut notices = world.api.notices("s", None, true).await.unwrap();
    let standing = next_of(&world, &mut notices).await;
    assert!(standing.ended.is_empty() && !standing.all_complete && !standing.gap);
    world.launch(of_session("sleep 5000", "s")).await;
    for n in 0..50 {
        world.launch(of_session(&format!("exit {} {}", n % 2, 1_000 + 4 * n), "s")).await;
        world.launch(of_session("exit 0 1000", "another")).await;
    }
    let together = next_of(&world, &mut notices).await;
    assert_eq!(together.ended.len(), 50);
    assert_eq!((together.counts["completed"], together.counts["failed"]), (25, 25));
    assert_eq!((together.live_count, together.all_complete), (1, false));
    assert!(together.ended.iter().any(|ended| ended.error.as_deref() == Some("exited with code 1")));
    assert_eq!(together.ended[0].duration_s, Some(1.0));
    let last = next_of(&world, &mut notices).await;
    assert_eq!((last.ended.len(), last.live_count, last.all_complete), (1, 0, true));
}

#[tokio::test(start_paused = true)]
async fn a_late_reader_with_a_cursor_gets_the_same_batches() {
    let mut world = World::new().await;
    let mut notices = world.api.notices("s", None, true).await.unwrap();
    let mut along = Vec::new();
    next_of(&world, &mut notices).await;
    for n in 0..30 {
        world.launch(of_session(&format!("exit 0 {}", 1_000 + 90 * n), "s")).await;
    }
    while along.iter().map(|notice: &BatchView| notice.ended.len()).sum::<usize>() < 30 {
        along.push(next_of(&world, &mut notices).await);
    }
    assert!(along.len() > 5 && along.iter().all(|notice| notice.ended.len() == 3), "{along:#?}");
    world.pass(Duration::from_secs(10)).await;
    world.crash().await;
    for known in 0..along.len() {
        let late = all_after(&world, "s", Some(&along[known].cursor)).await;
        let (standing, rest) = late.split_first().unwrap();
        assert_eq!(standing.live_count, along[known].live_count);
        assert_eq!(rest, &along[known + 1..]);
    }
    let all = all_after(&world, "s", None).await;
    assert_eq!(all[1..], along);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_joins_within_the_window_keeps_the_session_incomplete() {
    let world = World::new().await;
    let mut notices = world.api.notices("s", None, true).await.unwrap();
    next_of(&world, &mut notices).await;
    let first = world.launch(of_session("exit 0 100", "s")).await;
    world.end(&first).await;
    world.pass(Duration::from_millis(100)).await;
    world.launch(of_session("exit 0 10000", "s")).await;
    let notice = next_of(&world, &mut notices).await;
    assert_eq!((notice.ended.len(), notice.live_count, notice.all_complete), (1, 1, false));
}

#[tokio::test(start_paused = true)]
async fn ends_without_a_manager_are_reported_in_few_batches() {
    let mut world = World::new().await;
    for _ in 0..20 {
        world.launch(of_session("exit 0 1000", "s")).await;
    }
    world.clock.settle().await;
    let place = world.api.notices("s", None, true).await.unwrap().next().await.unwrap().cursor;
    world.api.engine.abandon();
    world.pass(Duration::from_secs(60)).await;
    world.crash().await;
    let mut notices = world.api.notices("s", Some(&place), true).await.unwrap();
    let standing = next_of(&world, &mut notices).await;
    assert!(standing.ended.is_empty());
    let notice = next_of(&world, &mut notices).await;
    assert_eq!((notice.ended.len(), notice.all_complete), (20, true));
}

#[tokio::test(start_paused = true)]
async fn an_order_to_wait_that_is_dropped_loses_nothing() {
    let world = World::new().await;
    let mut notices = world.api.notices("s", None, true).await.unwrap();
    world.launch(of_session("exit 0 1000", "s")).await;
    let mut reported = Vec::new();
    while reported.iter().all(|notice: &BatchView| notice.ended.is_empty()) {
        // Cancels the wait for the next batch every 7 ms and repeats it.
        tokio::select! {
            biased;
            next = notices.next() => reported.extend(next),
            () = world.pass(Duration::from_millis(7)) => {}
        }
    }
    assert_eq!(reported.len(), 2);
    assert!(reported[1].all_complete);
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_refused() {
    let world = World::new().await;
    assert_eq!(world.api.notices("", None, true).await.unwrap_err().problem().status, 400);
    assert_eq!(world.api.notices("s", Some("x"), true).await.unwrap_err().problem().status, 400);
}
