//! Tests that a server with unsuitable settings is refused with an error that names the setting.

use crate::server::{Server, error_of};
use longhaul_adapters::redis::{Durability, RedisOptions, RedisStore, UnsuitableServer};
use longhaul_domain::Retention;
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;

const LASTING: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// Returns the reason why a store with this durability refuses a server with these settings. Returns `None` if the
/// store can be opened.
async fn refusal(settings: &[&str], durability: Durability) -> Option<UnsuitableServer> {
    let server = Server::with(settings);
    let opened = RedisStore::open(RedisOptions { durability, ..server.options() }).await;
    let kept = server.ask(&["DBSIZE"]);
    match opened {
        Ok(_) => None,
        Err(StoreError::Unavailable { source }) => {
            assert_eq!(kept, "0", "a rejected store is not changed");
            Some(source.downcast_ref::<UnsuitableServer>().unwrap().clone())
        }
        Err(other) => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_waits_for_its_disk_keeps_every_promise_of_one_server() {
    assert_eq!(refusal(&LASTING, Durability::Single).await, None);
    assert_eq!(refusal(&LASTING, Durability::Cache).await, None);
}

#[tokio::test]
async fn a_server_that_evicts_is_refused_whatever_is_asked() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let settings = [&LASTING[..], &["--maxmemory-policy", policy]].concat();
        for durability in [Durability::Single, Durability::Cache] {
            let refused = refusal(&settings, durability).await;
            assert_eq!(refused, Some(UnsuitableServer::Evicts { policy: policy.to_owned() }));
        }
    }
}

#[tokio::test]
async fn a_server_that_keeps_nothing_is_refused_unless_nothing_is_promised() {
    let settings = ["--save", "", "--appendonly", "no"];
    let refused = refusal(&settings, Durability::Single).await;
    assert!(
        matches!(&refused, Some(UnsuitableServer::NotDurable { setting: "appendonly", .. })),
        "{refused:?}"
    );
    assert_eq!(refusal(&settings, Durability::Cache).await, None);
}

#[tokio::test]
async fn a_server_that_does_not_wait_for_its_disk_is_refused_unless_nothing_is_promised() {
    for synced in ["everysec", "no"] {
        let settings = ["--save", "", "--appendonly", "yes", "--appendfsync", synced];
        let refused = refusal(&settings, Durability::Single).await;
        assert_eq!(
            refused,
            Some(UnsuitableServer::NotDurable {
                durability: Durability::Single,
                setting: "appendfsync",
                found: synced.to_owned(),
                wanted: "always",
            })
        );
        assert_eq!(refusal(&settings, Durability::Cache).await, None);
    }
}

#[tokio::test]
async fn a_replica_is_refused_and_its_primary_is_named() {
    let settings = [&LASTING[..], &["--replicaof", "127.0.0.1", "9"]].concat();
    let refused = refusal(&settings, Durability::Cache).await;
    assert_eq!(refused, Some(UnsuitableServer::Replica { primary: "127.0.0.1:9".to_owned() }));
}

#[tokio::test]
async fn replicas_have_to_be_there() {
    let durability = "replicated:1".parse().unwrap();
    let refused = refusal(&LASTING, durability).await;
    assert_eq!(refused, Some(UnsuitableServer::OtherReplicas { durability, connected: 0 }));
}

#[tokio::test]
async fn a_namespace_of_a_newer_program_is_left_unchanged() {
    let server = Server::start();
    drop(RedisStore::open(server.options()).await.unwrap());
    let meta = "lh:{longhaul}:meta";
    server.ask(&["HSET", meta, "layout", "8", "min_reader", "2"]);
    drop(RedisStore::open(server.options()).await.unwrap());
    assert_eq!(server.ask(&["HGET", meta, "layout"]), "8");
    server.ask(&["HSET", meta, "layout", "9", "min_reader", "9"]);
    let before = server.ask(&["HGETALL", meta]);
    let refused = error_of(RedisStore::open(server.options()).await);
    assert!(matches!(refused, StoreError::Format { found: 9, supported: 2 }), "{refused:?}");
    assert_eq!(server.ask(&["HGETALL", meta]), before);
}

#[tokio::test]
async fn a_namespace_of_an_older_program_is_left_untouched() {
    let server = Server::start();
    let meta = "lh:{longhaul}:meta";
    server.ask(&["HSET", meta, "layout", "1", "min_reader", "1", "founded", "x"]);
    let before = server.ask(&["HGETALL", meta]);
    let refused = error_of(RedisStore::open(server.options()).await);
    assert!(matches!(refused, StoreError::Format { found: 1, supported: 2 }), "{refused:?}");
    assert!(refused.format_help().is_some_and(|help| help.contains("older program")), "{refused:?}");
    assert_eq!(server.ask(&["HGETALL", meta]), before);
}

#[tokio::test]
async fn the_error_of_a_user_without_config_permission_names_the_command_to_allow() {
    let server = Server::with(&LASTING);
    server.ask(&["ACL", "SETUSER", "store", "on", ">secret", "~*", "+@all", "-config"]);
    let url = format!("{}?user=store&pass=secret", server.url());
    let refused = error_of(RedisStore::open(RedisOptions::at(&url)).await);
    assert!(!format!("{refused:?} {refused} {:?}", RedisOptions::at(&url)).contains("secret"));
    let StoreError::Unavailable { source } = refused else { unreachable!("{refused:?}") };
    let silent = UnsuitableServer::Silent { what: "settings", command: "config|get" };
    assert_eq!(source.downcast_ref(), Some(&silent));
    server.ask(&["ACL", "SETUSER", "store", "+config|get"]);
    assert!(RedisStore::open(RedisOptions::at(&url)).await.is_ok());
}

#[tokio::test]
async fn commands_that_a_user_lacks_are_named_and_nothing_is_written_to_find_them() {
    let server = Server::with(&LASTING);
    server.ask(&["ACL", "SETUSER", "store", "on", ">secret", "~lh:{longhaul}:*", "+@all"]);
    let options = RedisOptions::of_url(&format!("{}?user=store&pass=secret", server.url())).unwrap();
    assert_eq!(RedisStore::lacking(&options).await.unwrap(), Vec::<String>::new());
    server.ask(&["ACL", "SETUSER", "store", "-hset", "-zadd", "-del", "-xread"]);
    assert_eq!(RedisStore::lacking(&options).await.unwrap(), ["xread", "del", "hset", "zadd"]);
    server.ask(&["ACL", "SETUSER", "store", "-evalsha"]);
    assert_eq!(RedisStore::lacking(&options).await.unwrap(), ["evalsha", "xread"], "no script can detect it");
    assert_eq!(server.ask(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn a_server_that_still_loads_its_data_is_waited_for() {
    let slow = ["--key-load-delay", "4000", "--loading-process-events-interval-bytes", "1024"];
    let mut server = Server::with(&[&["--save", "", "--appendonly", "no"], &slow[..]].concat());
    for key in 0..300 {
        server.ask(&["SET", &format!("key {key}"), &"x".repeat(100)]);
    }
    assert_eq!(server.ask(&["SAVE"]), "OK");
    server.kill();
    server.restart();
    assert!(server.ask(&["PING"]).starts_with("LOADING"), "the call must take some time");
    drop(RedisStore::open(server.options()).await.unwrap());
}

/// Access control list that contains a user with exactly the permissions that a store needs.
const LEAST: &str = include_str!("../../redis.acl");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_the_shipped_acl_may_execute_all_operations_of_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("users.acl");
    std::fs::write(&list, LEAST).unwrap();
    let server = Server::with(&[&LASTING[..], &["--aclfile", list.to_str().unwrap()]].concat());
    let url = format!("{}?user=longhaul&pass=CHANGE-THIS-PASSWORD&lease=5", server.url());
    let options = RedisOptions::of_url(&url).unwrap();
    let store = Arc::new(RedisStore::open(options.clone()).await.unwrap());
    assert_eq!(RedisStore::lacking(&options).await.unwrap(), Vec::<String>::new());
    assert_eq!(RedisStore::agree_on_key(&options, "one", None).await.unwrap(), "one");
    let world = StoreFixture::new(store.clone(), VirtualClock::default());
    let lease = world.node("a").await;
    store.advertise(&lease, &NodeAdvertisement::default()).await.unwrap();
    let child = {
        let parent = world.run(world.draft().key("k"), &lease).await;
        world.submit(world.draft().key("k").child_of(&parent)).await
    };
    store
        .enqueue_action(&child.process.id, world.ids.op(), longhaul_domain::PendingAction::Pause)
        .await
        .unwrap();
    assert_eq!(store.claim_due(&lease, 10).await.unwrap().len(), 1);
    let claimed = world.claim(&lease).await;
    assert_eq!(claimed.len(), 1);
    let live_stats = [(child.process.id, claimed[0].process.attempt, longhaul_domain::LiveStats::default())];
    store.update_live_stats(&Writer::Owner(lease.clone()), &live_stats).await.unwrap().remove(0).unwrap();
    let (version, policy) = store.policy().await.unwrap();
    store.set_policy(version, &policy).await.unwrap();
    assert_eq!(store.queues(None).await.unwrap().len(), 1);
    store.label_classes().await.unwrap();
    let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 10 };
    let filter = ProcessFilter { id_prefix: Some("0".to_owned()), ..ProcessFilter::default() };
    store.list(&filter, &page).await.unwrap();
    let filter =
        ProcessFilter { statuses: vec![longhaul_domain::Status::Starting], ..ProcessFilter::default() };
    assert_eq!(store.list(&filter, &page).await.unwrap().processes.len(), 1);
    world.exit(&world.load(world.load(child.process.id).await.process.lineage.ancestors[0]).await, 0).await;
    let rule = Retention { age: None, count: None, before: Some(longhaul_domain::Timestamp(i64::MAX)) };
    assert_eq!(store.prune(&rule, 10).await.unwrap().ids.len(), 1);
    let store_metadata = store.store_metadata().await.unwrap();
    store.import_metadata(&store_metadata).await.unwrap();
    store.import_events(&store.read(None, 100, false).await.unwrap().events).await.unwrap();
    store.drain(&lease.node, true).await.unwrap();
    store.forget(&lease.node).await.unwrap();
    store.wait_for_updates(&lease).await.unwrap();
    store.leave(&lease).await.unwrap();
    for foreign in [["GET", "x"], ["HGETALL", "lh:{other}:meta"], ["KEYS", "*"], ["FLUSHDB", "SYNC"]] {
        let said =
            server.ask(&[&["--user", "longhaul", "--pass", "CHANGE-THIS-PASSWORD"], &foreign[..]].concat());
        assert!(said.contains("NOPERM"), "{foreign:?}: {said}");
    }
}

#[tokio::test]
async fn the_key_of_a_namespace_changes_only_for_who_has_the_one_before() {
    let server = Server::start();
    let options = server.options();
    assert_eq!(RedisStore::cluster_key(&options).await.unwrap(), None);
    let agree = |signing, trusted| RedisStore::agree_on_key(&options, signing, trusted);
    assert_eq!(agree("one", None).await.unwrap(), "one");
    assert_eq!(
        agree("two", None).await.unwrap(),
        "one",
        "a node with another key gets the id of the agreed key"
    );
    assert_eq!(agree("two", Some("three")).await.unwrap(), "one");
    assert_eq!(agree("two", Some("one")).await.unwrap(), "two");
    assert_eq!(agree("one", None).await.unwrap(), "two");
    assert_eq!(RedisStore::cluster_key(&options).await.unwrap().as_deref(), Some("two"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let mut server = Server::start();
    server.kill();
    let refused = error_of(RedisStore::open(server.options()).await);
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
}
