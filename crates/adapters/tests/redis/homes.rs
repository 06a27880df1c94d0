//! Tests that nodes with different durability or lease settings are reported.

use crate::server::Server;
use longhaul_adapters::redis::{NodeSettings, RedisOptions, RedisStore};
use longhaul_domain::NodeId;
use longhaul_ports::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_keep_to_something_else_are_known() {
    let server = Server::start();
    let of = |query: &str| RedisOptions::of_url(&format!("{}?{query}", server.url())).unwrap();
    let register = async |name: &str, options: &RedisOptions| {
        let store = RedisStore::open(options.clone()).await.unwrap();
        let me = NodeDescriptor {
            id: NodeId::new(name).unwrap(),
            home: None,
            boot: "b".to_owned(),
            version: "1".to_owned(),
        };
        (store.register(&me).await.unwrap(), store)
    };
    let usual = of("durability=cache");
    let (_, _store) = register("a", &usual).await;
    let (hasty, store) = register("b", &of("durability=cache&lease=3&grace=2")).await;
    register("c", &of("durability=cache&lease=5&grace=10")).await;
    let differing = async |options: &RedisOptions| {
        let found = RedisStore::examine(options).await.unwrap().differing;
        found.into_iter().map(|NodeSettings { node, terms }| format!("{node}: {terms}")).collect::<Vec<_>>()
    };
    assert_eq!(differing(&usual).await, ["b: durability=cache&lease=3&grace=2"]);
    // Two more nodes are ignored: the record of the first was written by an older program, and the record of the second
    // is damaged.
    server.ask(&["HSET", "lh:{longhaul}:node:old", "epoch", "1", "boot", "", "version", "", "left", "0"]);
    server.ask(&["SET", "lh:{longhaul}:node:odd", "garbage"]);
    server.ask(&["ZADD", "lh:{longhaul}:nodes", "0", "old", "0", "odd"]);
    assert_eq!(differing(&usual).await, ["b: durability=cache&lease=3&grace=2"]);
    register("d", &usual).await;
    store.leave(&hasty).await.unwrap();
    assert_eq!(differing(&usual).await, [""; 0]);
}
