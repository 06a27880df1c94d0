//! Tests of several programs on one database.

use crate::process::Server;
use longhaul_adapters::postgres::{PostgresOptions, PostgresStore};
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_one_program_notifies_the_others() {
    let server = Server::start();
    let clock = VirtualClock::default();
    let open = async || {
        let options = PostgresOptions { clock: Some(Arc::new(clock.clone())), ..server.options() };
        Arc::new(PostgresStore::open(options).await.unwrap())
    };
    let (one, two) = (open().await, open().await);
    let end = two.end().await.unwrap();
    let waiting = tokio::spawn(async move { two.read(Some(end), 10, true).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let world = StoreFixture::new(one, clock);
    let stored = world.submit(world.draft()).await;
    let page = tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(page.events.first().map(|logged| logged.id), Some(stored.process.id));
}

/// Events that are committed concurrently never become visible behind the cursor of a reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_misses_no_event_of_concurrent_programs() {
    let server = Server::start();
    let clock = VirtualClock::default();
    let open = async || {
        let options = PostgresOptions { clock: Some(Arc::new(clock.clone())), ..server.options() };
        Arc::new(PostgresStore::open(options).await.unwrap())
    };
    let reader = open().await;
    let world = Arc::new(StoreFixture::new(open().await, clock.clone()));
    let mut writers = Vec::new();
    for _ in 0..4 {
        let (world, store) = (Arc::clone(&world), open().await);
        writers.push(tokio::spawn(async move {
            for _ in 0..25 {
                let submission = world.submission(world.draft()).await;
                store.submit(submission).await.unwrap();
            }
        }));
    }
    let mut seen = Vec::new();
    while seen.len() < 100 {
        let page = reader.read(seen.last().copied(), 1_000, true);
        let page = tokio::time::timeout(Duration::from_secs(20), page).await.unwrap().unwrap();
        seen.extend(page.events.iter().map(|logged| logged.cursor));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen, (1..=100).map(EventCursor).collect::<Vec<_>>());
}

/// A claim reads only the first process of each lane, so its duration does not depend on the length of the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_from_a_long_queue_is_fast() {
    let server = Server::start();
    let clock = VirtualClock::default();
    let options = PostgresOptions { clock: Some(Arc::new(clock.clone())), ..server.options() };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let (claim, submission) = crate::long_queue::claim_and_submit(store, clock).await;
    eprintln!("100,000 waiting: claim {claim:?}, submission {submission:?}");
    assert!(claim < Duration::from_millis(200), "{claim:?}");
}
