//! Tests that a store behaves like the original after it was copied to or from a Redis server.

use crate::moving::{assert_same, copy, everything};
use crate::server::{Server, now};
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use longhaul_testkit::suite::agreement::agree;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_store_agrees_with_the_one_that_it_came_from() {
    for seed in 0..2 {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start();
        let clock = VirtualClock::default();
        let at = |name: &str| sqlite(&directory.path().join(name), &clock);
        let (database, namespace) = (at("database"), redis(&server, "first", &clock));
        // Both fixtures share one clock, so each step of the script advances the clock twice.
        let world = |store: Arc<dyn Store>| StoreFixture::new(store, clock.clone());
        agree(&world(database.clone()), &world(namespace.clone()), seed, 400).await;
        assert_same(database.as_ref(), namespace.as_ref()).await;

        let from_database = redis(&server, "of the database", &clock);
        copy(database.as_ref(), from_database.as_ref()).await;
        assert_same(database.as_ref(), from_database.as_ref()).await;
        let from_namespace = at("of the namespace");
        copy(namespace.as_ref(), from_namespace.as_ref()).await;
        assert_same(namespace.as_ref(), from_namespace.as_ref()).await;
        let again = redis(&server, "and again", &clock);
        copy(from_namespace.as_ref(), again.as_ref()).await;
        // A repeated import adds nothing.
        copy(from_namespace.as_ref(), again.as_ref()).await;
        assert_same(namespace.as_ref(), again.as_ref()).await;
        // Reservations of due records are not copied. They expire after five seconds.
        clock.advance(Duration::from_secs(6));
        agree(&world(database.clone()), &world(from_database.clone()), seed + 100, 200).await;
        agree(&world(namespace.clone()), &world(again.clone()), seed + 200, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_renamed_as_a_whole_and_replaces_none() {
    let server = Server::start();
    let clock = VirtualClock::default();
    let named = |namespace: &str| RedisOptions { namespace: namespace.to_owned(), ..server.options() };
    let (draft, other) = (redis(&server, "draft", &clock), redis(&server, "dra", &clock));
    let world = StoreFixture::new(draft.clone(), clock.clone());
    for _ in 0..1_500 {
        world.submit(world.draft()).await;
    }
    let before = (everything(draft.as_ref()).await, draft.store_metadata().await.unwrap());
    assert!(!RedisStore::rename(&named("draft"), "dra").await.unwrap(), "the namespace is taken");
    assert!(!RedisStore::exists(&named("place")).await.unwrap());
    assert!(RedisStore::rename(&named("draft"), "place").await.unwrap());
    assert!(!RedisStore::exists(&named("draft")).await.unwrap());
    let place = redis(&server, "place", &clock);
    assert_eq!((everything(place.as_ref()).await, place.store_metadata().await.unwrap()), before);
    assert!(RedisStore::discard(&named("place")).await.unwrap());
    assert!(!RedisStore::discard(&named("place")).await.unwrap());
    assert_eq!(server.ask(&["KEYS", "lh:{place}:*"]), "");
    assert!(everything(other.as_ref()).await.is_empty());
    assert!(RedisStore::exists(&named("dra")).await.unwrap(), "keys with the same prefix are not changed");
}

fn redis(server: &Server, namespace: &str, clock: &VirtualClock) -> Arc<RedisStore> {
    let options = RedisOptions {
        namespace: namespace.to_owned(),
        leases: None,
        clock: Some(Arc::new(clock.clone())),
        ..server.options()
    };
    Arc::new(now(RedisStore::open(options)).unwrap())
}

fn sqlite(path: &Path, clock: &VirtualClock) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(path, Arc::new(clock.clone()), SqliteOptions::default()).unwrap())
}
