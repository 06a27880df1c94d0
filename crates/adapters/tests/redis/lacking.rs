//! A replica that has to have every write and is away.

use crate::server::{Server, free_port, wait_for};
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_ports::{ProcessStore, StoreError};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreWorld;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is known to be in vain takes no longer: one wait for replicas, on a busy machine.
const SOON: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_long_for_a_replica_that_is_known_to_be_away() {
    let port = free_port();
    let settings = "save \"\"\nappendonly yes\nappendfsync everysec\n";
    let primary = Server::configured(settings, &["--port", &port, "--bind", "127.0.0.1"]);
    let replica = Server::configured(settings, &["--port", "0", "--replicaof", "127.0.0.1", &port]);
    let follows = || primary.ask(&["INFO", "replication"]).contains("state=online");
    wait_for(follows).await;
    let options = RedisOptions::of_url(&format!("{}?durability=replicated:1", primary.url())).unwrap();
    let store = Arc::new(RedisStore::open(options).await.unwrap());
    let world = StoreWorld::new(store.clone(), VirtualClock::default());
    let (known, unknown) = (world.submission(world.draft()).await, world.submission(world.draft()).await);
    world.submit(world.draft()).await;

    replica.freeze();
    let first = store.submit(known.clone()).await;
    assert!(matches!(first, Err(StoreError::Unknown { .. })), "{first:?}");
    let begun = Instant::now();
    let again = store.submit(unknown).await;
    assert!(matches!(again, Err(StoreError::Unknown { .. })), "it may be there: {again:?}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(store.load(&[known.process.id]).await.unwrap().len(), 1);
    assert!(begun.elapsed() < SOON, "nobody who asks waits for replicas");

    replica.thaw();
    let begun = Instant::now();
    while let Err(error) = store.submit(known.clone()).await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
    }
    world.submit(world.draft()).await;
}
