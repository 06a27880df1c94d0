//! Tests with several stores on one namespace, as with managers on several machines.

use crate::server::Server;
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_domain::PendingAction;
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Returns a fixture with a new store on a shared server.
async fn world(server: &Server) -> StoreFixture {
    StoreFixture::new(Arc::new(RedisStore::open(server.options()).await.unwrap()), VirtualClock::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_through_one_handle_notifies_waiters_at_another_handle() {
    let server = Server::start();
    let (here, there) = (world(&server).await, world(&server).await);
    let (lease, other) = (here.node("a").await, there.node("b").await);
    while tokio::time::timeout(Duration::from_millis(300), there.store.wait_for_updates(&other)).await.is_ok()
    {
    }
    let end = there.store.end().await.unwrap();
    let (call, read) = {
        let (store, other) = (there.store.clone(), other.clone());
        let call = tokio::spawn(async move { store.wait_for_updates(&other).await });
        let store = there.store.clone();
        (call, tokio::spawn(async move { store.read(Some(end), 10, true).await }))
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!call.is_finished() && !read.is_finished(), "both of them wait");
    let begun = Instant::now();
    let stored = here.submit(here.draft()).await;
    call.await.unwrap().unwrap();
    assert_eq!(read.await.unwrap().unwrap().events[0].id, stored.process.id);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "the nodes are notified, not late: {:?}",
        begun.elapsed()
    );

    let claimed = there.claim(&other).await;
    assert_eq!(claimed.len(), 1);
    while tokio::time::timeout(Duration::from_millis(300), there.store.wait_for_updates(&other)).await.is_ok()
    {
    }
    here.store.enqueue_action(&stored.process.id, here.ids.op(), PendingAction::Pause).await.unwrap();
    let wait_for_updates =
        tokio::time::timeout(Duration::from_secs(2), there.store.wait_for_updates(&other)).await;
    assert_eq!(wait_for_updates.unwrap().unwrap().pending_actions, [stored.process.id]);
    assert_eq!(
        here.store.renew_lease(&lease).await.unwrap().pending_actions,
        [],
        "the action belongs to the other node"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_of_one_server_know_nothing_of_each_other() {
    let server = Server::start();
    let first = world(&server).await;
    let options = RedisOptions { namespace: "second".to_owned(), ..server.options() };
    let second = RedisStore::open(options).await.unwrap();
    first.node("a").await;
    let stored = first.submit(first.draft()).await;
    assert_eq!(second.load(&[stored.process.id]).await.unwrap(), [None]);
    assert_eq!(second.nodes().await.unwrap(), []);
    assert_eq!(second.end().await.unwrap(), EventCursor(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn epochs_are_no_smaller_than_the_time_of_the_server() {
    let server = Server::start();
    let world = world(&server).await;
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let first = world.node("a").await;
    assert!(u128::from(first.epoch.0) >= before, "{first:?} is older than {before}");
    // Even if the server no longer has a record of the node, the next epoch of the node is higher.
    server.ask(&["DEL", "lh:{longhaul}:node:a"]);
    tokio::time::sleep(Duration::from_millis(3)).await;
    assert!(world.node("a").await.epoch > first.epoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newer_protocol_will_do() {
    let server = Server::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let url = format!("{}?protocol=resp3&namespace=newer", server.url());
    let store = RedisStore::open(RedisOptions::of_url(&url).unwrap()).await.unwrap();
    let world = StoreFixture::new(Arc::new(store), VirtualClock::default());
    let lease = world.node("a").await;
    while tokio::time::timeout(Duration::from_millis(300), world.store.wait_for_updates(&lease)).await.is_ok()
    {
    }
    let call = {
        let (store, lease) = (world.store.clone(), lease.clone());
        tokio::spawn(async move { store.wait_for_updates(&lease).await })
    };
    let running = world.run(world.draft().key("k"), &lease).await;
    world.submit(world.draft()).await;
    call.await.unwrap().unwrap();
    world.exit(&running, 0).await;
    assert_eq!(world.store.queues(None).await.unwrap().len(), 1);
    assert!(world.store.read(None, 100, false).await.unwrap().events.len() >= 5);
}
