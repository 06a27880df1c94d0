//! A server that cannot keep what a store promises is refused, and told what to do about it.

use crate::server::{Server, error_of};
use longhaul_adapters::redis::{Durability, RedisOptions, RedisStore, Unsuitable};
use longhaul_ports::StoreError;

const LASTING: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// Why a server with these settings cannot be used with this durability; none if it can.
async fn refusal(settings: &[&str], durability: Durability) -> Option<Unsuitable> {
    let server = Server::with(settings);
    let opened = RedisStore::open(RedisOptions { durability, ..server.options() }).await;
    let kept = server.ask(&["DBSIZE"]);
    match opened {
        Ok(_) => None,
        Err(StoreError::Unavailable { source }) => {
            assert_eq!(kept, "0", "what is refused is left as it is");
            Some(source.downcast_ref::<Unsuitable>().unwrap().clone())
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
            assert_eq!(refused, Some(Unsuitable::Evicts { policy: policy.to_owned() }));
        }
    }
}

#[tokio::test]
async fn a_server_that_keeps_nothing_is_refused_unless_nothing_is_promised() {
    let settings = ["--save", "", "--appendonly", "no"];
    let refused = refusal(&settings, Durability::Single).await;
    assert!(matches!(&refused, Some(Unsuitable::NotDurable { setting: "appendonly", .. })), "{refused:?}");
    assert_eq!(refusal(&settings, Durability::Cache).await, None);
}

#[tokio::test]
async fn a_server_that_does_not_wait_for_its_disk_is_refused_unless_nothing_is_promised() {
    for synced in ["everysec", "no"] {
        let settings = ["--save", "", "--appendonly", "yes", "--appendfsync", synced];
        let refused = refusal(&settings, Durability::Single).await;
        assert_eq!(
            refused,
            Some(Unsuitable::NotDurable {
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
    assert_eq!(refused, Some(Unsuitable::Replica { primary: "127.0.0.1:9".to_owned() }));
}

#[tokio::test]
async fn replicas_have_to_be_there() {
    let durability = "replicated:1".parse().unwrap();
    let refused = refusal(&LASTING, durability).await;
    assert_eq!(refused, Some(Unsuitable::OtherReplicas { durability, connected: 0 }));
}

#[tokio::test]
async fn a_namespace_of_a_newer_program_is_left_untouched() {
    let server = Server::start();
    drop(RedisStore::open(server.options()).await.unwrap());
    let meta = "lh:{longhaul}:meta";
    server.ask(&["HSET", meta, "layout", "8", "min_reader", "1"]);
    drop(RedisStore::open(server.options()).await.unwrap());
    assert_eq!(server.ask(&["HGET", meta, "layout"]), "8");
    server.ask(&["HSET", meta, "layout", "9", "min_reader", "9"]);
    let before = server.ask(&["HGETALL", meta]);
    let refused = error_of(RedisStore::open(server.options()).await);
    assert!(matches!(refused, StoreError::Format { found: 9, supported: 1 }), "{refused:?}");
    assert_eq!(server.ask(&["HGETALL", meta]), before);
}

#[tokio::test]
async fn a_user_who_may_not_ask_for_the_settings_is_told_which_command_to_allow() {
    let server = Server::with(&LASTING);
    server.ask(&["ACL", "SETUSER", "store", "on", ">secret", "~*", "+@all", "-config"]);
    let url = format!("{}?user=store&pass=secret", server.url());
    let refused = error_of(RedisStore::open(RedisOptions::at(&url)).await);
    assert!(!format!("{refused:?} {refused} {:?}", RedisOptions::at(&url)).contains("secret"));
    let StoreError::Unavailable { source } = refused else { unreachable!("{refused:?}") };
    let silent = Unsuitable::Silent { what: "settings", command: "config|get" };
    assert_eq!(source.downcast_ref(), Some(&silent));
    server.ask(&["ACL", "SETUSER", "store", "+config|get"]);
    assert!(RedisStore::open(RedisOptions::at(&url)).await.is_ok());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let mut server = Server::start();
    server.kill();
    let refused = error_of(RedisStore::open(server.options()).await);
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
}
