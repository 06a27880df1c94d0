//! Tests with a replica that must acknowledge every write but does not respond.

use crate::server::{Server, free_port, wait_for};
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_domain::{Input, Observation, PendingAction, Placement};
use longhaul_ports::{ClaimCapacity, IdSource as _, PlacementClass, ProcessStore, StoreError, StoredProcess};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time limit of a request that cannot succeed. It is enough for one wait for replicas on a busy machine.
const SOON: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_do_not_wait_long_for_a_replica_that_is_known_to_be_down() {
    let (_primary, replica, store) = pair().await;
    let world = StoreFixture::new(store.clone(), VirtualClock::default());
    let (known, unknown) = (world.submission(world.draft()).await, world.submission(world.draft()).await);
    world.submit(world.draft()).await;

    replica.freeze();
    let first = store.submit(known.clone()).await;
    assert!(matches!(first, Err(StoreError::Unknown { .. })), "{first:?}");
    let begun = Instant::now();
    let again = store.submit(unknown).await;
    assert!(matches!(again, Err(StoreError::Unknown { .. })), "the launch may be stored: {again:?}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(store.load(&[known.process.id]).await.unwrap().len(), 1);
    assert!(begun.elapsed() < SOON, "a read does not wait for replicas");

    replica.thaw();
    let begun = Instant::now();
    while let Err(error) = store.submit(known.clone()).await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
    }
    world.submit(world.draft()).await;
}

/// A claim that only the primary has received is lost if the primary is lost. Such a claim must not start a process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_a_replica_lacks_does_not_count_although_it_can_be_read() {
    let (primary, replica, store) = pair().await;
    let world = StoreFixture::new(store.clone(), VirtualClock::default());
    let lease = world.node("a").await;
    let sound = world.start(world.draft(), &lease).await;
    let is_durable = async |store: &RedisStore, stored: &StoredProcess| {
        store.is_durable(&stored.process.id, stored.process.attempt).await
    };
    assert!(is_durable(&store, &sound).await.unwrap(), "the claim was acknowledged");

    let waiting = world.submit(world.draft()).await;
    replica.freeze();
    let room =
        ClaimCapacity { roots: 100, batch: 10, classes: vec![PlacementClass::Shared(Placement::Anywhere)] };
    let claimed = store.claim(&lease, &room).await;
    assert!(matches!(claimed, Err(StoreError::Unknown { .. })), "{claimed:?}");
    let read = world.load(waiting.process.id).await;
    assert!(read.owner.is_some(), "the record looks claimed");
    let untold = is_durable(&store, &read).await;
    assert!(matches!(untold, Err(StoreError::Unknown { .. })), "{untold:?}");
    let other = Arc::new(RedisStore::open(options(&primary, "cache")).await.unwrap());
    assert!(is_durable(&other, &read).await.unwrap(), "without required replicas no error reports them");
    // The store has to use a new connection, over which it has not written anything.
    primary.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    let untold = is_durable(&store, &read).await;
    assert!(untold.is_err(), "{untold:?}");

    replica.thaw();
    let begun = Instant::now();
    let kept = loop {
        match is_durable(&store, &read).await {
            Ok(kept) => break kept,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(10), "{error}"),
        }
    };
    assert!(kept);
    let stale = store.is_durable(&read.process.id, read.process.attempt.next()).await.unwrap();
    assert!(!stale, "another attempt is not the claimed one");
}

/// In newer Redis versions, `WAIT` covers only writes of the same connection, and a repeated request may use a new
/// connection. A script that finds an earlier write therefore has to write something as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_write_is_acknowledged_only_when_every_replica_has_it() {
    let (primary, replica, store) = pair().await;
    let world = StoreFixture::new(store.clone(), VirtualClock::default());
    let lease = world.node("a").await;
    let starting = world.start(world.draft(), &lease).await;
    let never_ran = Observation::NeverRan { attempt: starting.process.attempt };
    let change = world.change(&starting, Input::Observation(never_ran));
    let (new, waiting) = (world.submission(world.draft()).await, world.submit(world.draft()).await);
    let op = world.ids.op();
    replica.freeze();
    for is_again in [false, true] {
        for step in ["submit", "commit", "wish"] {
            if is_again {
                primary.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
                assert_eq!(
                    store.load(&[new.process.id]).await.unwrap().len(),
                    1,
                    "the store reads over a new connection"
                );
            }
            let before = changes(&primary);
            let answered = match step {
                "submit" => store.submit(new.clone()).await.map(drop),
                "commit" => store.commit(change.clone()).await.map(drop),
                _ => store.enqueue_action(&waiting.process.id, op, PendingAction::Pause).await.map(drop),
            };
            assert!(matches!(answered, Err(StoreError::Unknown { .. })), "{step} {is_again}: {answered:?}");
            assert!(changes(&primary) > before, "{step} {is_again}: no write to wait for");
        }
    }
    replica.thaw();
    let begun = Instant::now();
    while let Err(error) = store.submit(new.clone()).await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
    }
    assert_eq!(store.commit(change).await.unwrap(), starting.revision.next());
}

/// Returns the number of changes since the server last saved a snapshot.
fn changes(server: &Server) -> u64 {
    let reported = server.ask(&["INFO", "persistence"]);
    let count = reported.lines().find_map(|line| line.strip_prefix("rdb_changes_since_last_save:")).unwrap();
    count.trim().parse().unwrap()
}

fn options(server: &Server, durability: &str) -> RedisOptions {
    RedisOptions::of_url(&format!("{}?durability={durability}", server.url())).unwrap()
}

/// Starts a primary with one replica, and a store that waits for one replica.
async fn pair() -> (Server, Server, Arc<RedisStore>) {
    let port = free_port();
    let settings = "save \"\"\nappendonly yes\nappendfsync everysec\n";
    let primary = Server::configured(settings, &["--port", &port, "--bind", "127.0.0.1"]);
    let replica = Server::configured(settings, &["--port", "0", "--replicaof", "127.0.0.1", &port]);
    wait_for(|| primary.ask(&["INFO", "replication"]).contains("state=online")).await;
    let store = Arc::new(RedisStore::open(options(&primary, "replicated:1")).await.unwrap());
    (primary, replica, store)
}
