//! Tests of opening a store, and of servers that stop or lack something.

use crate::process::Server;
use longhaul_adapters::postgres::{PostgresOptions, PostgresStore};
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_works_again_after_the_server_was_killed() {
    let mut server = Server::start();
    let clock = VirtualClock::default();
    let options = PostgresOptions { clock: Some(Arc::new(clock.clone())), ..server.options() };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let world = StoreFixture::new(store.clone(), clock);
    let before = world.submit(world.draft()).await;
    let end = store.end().await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.read(Some(end), 10, true).await }
    });
    server.kill();
    let away = store.load(&[before.process.id]).await;
    assert!(matches!(away, Err(StoreError::Unavailable { .. })), "{away:?}");
    server.restart();
    let found = store.load(&[before.process.id]).await.unwrap();
    assert_eq!(found, [Some(before)]);
    world.submit(world.draft()).await;
    // The waiting reader may have met the outage.
    match tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap() {
        Ok(page) => assert_eq!(page.events.len(), 1),
        Err(error) => assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_a_newer_program_are_refused() {
    let server = Server::start();
    let store = PostgresStore::open(server.options()).await.unwrap();
    server.execute("UPDATE longhaul.store SET format = 2");
    let found = PostgresStore::open(server.options()).await.err();
    assert!(matches!(found, Some(StoreError::Format { found: 2, supported: 1 })), "{found:?}");
    let lease = store.leave(&Lease { node: "a".parse().unwrap(), epoch: longhaul_domain::Epoch(1) }).await;
    assert!(matches!(lease, Err(StoreError::Format { found: 2, supported: 1 })), "{lease:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_in_different_schemas_are_separate() {
    let server = Server::start();
    let named = |name: &str| PostgresOptions::at(format!("{}&schema={name}", server.url()));
    let clock = VirtualClock::default();
    let open = async |name: &str| {
        let options = PostgresOptions { clock: Some(Arc::new(clock.clone())), ..named(name) };
        Arc::new(PostgresStore::open(options).await.unwrap())
    };
    let (one, two) = (open("one").await, open("two").await);
    let world = StoreFixture::new(one, clock.clone());
    let stored = world.submit(world.draft()).await;
    assert_eq!(two.load(&[stored.process.id]).await.unwrap(), [None]);
    let refused = PostgresStore::open(named("One;")).await.err();
    assert!(matches!(refused, Some(StoreError::Unavailable { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_does_not_affect_the_others() {
    let server = Server::start();
    let clock = VirtualClock::default();
    let options = PostgresOptions { clock: Some(Arc::new(clock.clone())), ..server.options() };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let world = StoreFixture::new(store.clone(), clock);
    let [damaged, whole] = [world.submit(world.draft()).await, world.submit(world.draft()).await];
    let id = damaged.process.id;
    server.execute(&format!("UPDATE longhaul.process SET changing = 'x' WHERE id = '{id}'"));
    let found = store.load_each(&[id, whole.process.id]).await.unwrap();
    assert!(matches!(&found[0], Err(StoreError::Corrupt { .. })), "{found:?}");
    assert_eq!(found[1].as_ref().unwrap().as_ref(), Some(&whole));
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 10 };
    let listing = store.list(&ProcessFilter::default(), &page).await.unwrap();
    assert_eq!(listing.damaged, [id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_exist_is_reported_soon() {
    let begun = Instant::now();
    let found = PostgresStore::open(PostgresOptions::at("postgres://me@/db?host=/nonexistent")).await.err();
    assert!(matches!(found, Some(StoreError::Unavailable { .. })), "{found:?}");
    let found = PostgresStore::open(PostgresOptions::at("postgres://me@host:notaport/db")).await.err();
    assert!(matches!(found, Some(StoreError::Unavailable { .. })), "{found:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}
