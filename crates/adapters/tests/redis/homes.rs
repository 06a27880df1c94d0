//! Homes under one name of a node, and nodes that keep to something else.

use crate::server::Server;
use longhaul_adapters::redis::{NodeTerms, RedisOptions, RedisStore};
use longhaul_domain::NodeId;
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreWorld;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_belongs_to_one_home_while_its_lease_lasts() {
    let server = Server::start();
    let clock = VirtualClock::default();
    let open = async |home| opened(&server, &clock, home).await;
    let (first, second, untold) = (open(Some("first")).await, open(Some("second")).await, open(None).await);
    let me = me();
    untold.register(&me).await.unwrap();
    first.register(&me).await.expect("of nobody's home");
    clock.advance(Duration::from_secs(2));
    let refused = second.register(&me).await.unwrap_err();
    let StoreError::Refused(Refusal::NameTaken { node, heard }) = &refused else { panic!("{refused:?}") };
    assert_eq!((node, *heard), (&me.id, Duration::from_secs(2)));
    let lease = first.register(&me).await.expect("its own home is back at once");

    first.leave(&lease).await.unwrap();
    second.register(&me).await.expect("it was left");
    first.register(&me).await.expect_err("now it is the other one's");
    clock.advance(Duration::from_secs(6));
    let lease = first.register(&me).await.expect("the lease of the other one is over");
    assert!(second.beat(&lease).await.is_ok(), "a lease is not bound to an opening");
    second.register(&me).await.expect_err("the first one was heard again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_under_which_work_was_left_behind_is_nobody_elses() {
    let server = Server::start();
    let clock = VirtualClock::default();
    let first = Arc::new(opened(&server, &clock, Some("first")).await);
    let second = opened(&server, &clock, Some("second")).await;
    let world = StoreWorld::new(first.clone(), clock.clone());
    let id = world.submit(world.draft()).await.process.id;
    let lease = first.register(&me()).await.unwrap();
    assert_eq!(world.claim(&lease).await.len(), 1);

    first.leave(&lease).await.unwrap();
    clock.advance(Duration::from_secs(60));
    let refused = second.register(&me()).await.unwrap_err();
    let StoreError::Refused(Refusal::NameHeld { open: 1, free_in: None, .. }) = &refused else {
        panic!("{refused:?}")
    };
    let lease = first.register(&me()).await.expect("its own home has it at once");

    clock.advance(Duration::from_secs(6));
    let refused = second.register(&me()).await.unwrap_err();
    let StoreError::Refused(Refusal::NameHeld { open: 1, free_in: Some(free_in), .. }) = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(*free_in, Duration::from_secs(9), "a lease of 5 s and a grace of 10 s");
    first.beat(&lease).await.expect("nobody took anything");
    clock.advance(Duration::from_secs(15));
    second.register(&me()).await.expect("what it owned is lost now");
    let orphan = world.load(id).await;
    assert!(orphan.owner.is_none(), "{orphan:?}");
    first.beat(&lease).await.expect_err("its lease is fenced");
}

async fn opened(server: &Server, clock: &VirtualClock, home: Option<&str>) -> RedisStore {
    let home = home.map(str::to_owned);
    let options = RedisOptions { home, clock: Some(Arc::new(clock.clone())), ..server.options() };
    RedisStore::open(options).await.unwrap()
}

fn me() -> NodeFacts {
    NodeFacts { id: NodeId::new("a").unwrap(), boot: "b".to_owned(), version: "1".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_keep_to_something_else_are_known() {
    let server = Server::start();
    let of = |query: &str| RedisOptions::of_url(&format!("{}?{query}", server.url())).unwrap();
    let register = async |name: &str, options: &RedisOptions| {
        let store = RedisStore::open(options.clone()).await.unwrap();
        let me = NodeFacts { id: NodeId::new(name).unwrap(), boot: "b".to_owned(), version: "1".to_owned() };
        (store.register(&me).await.unwrap(), store)
    };
    let usual = of("durability=cache");
    let (_, _store) = register("a", &usual).await;
    let (hasty, store) = register("b", &of("durability=cache&lease=3&grace=2")).await;
    register("c", &of("durability=cache&lease=5&grace=10")).await;
    let differing = async |options: &RedisOptions| {
        let found = RedisStore::examine(options).await.unwrap().differing;
        found.into_iter().map(|NodeTerms { node, terms }| format!("{node}: {terms}")).collect::<Vec<_>>()
    };
    assert_eq!(differing(&usual).await, ["b: durability=cache&lease=3&grace=2"]);
    // One of an older program, one that is damaged, and one that left.
    server.ask(&["HSET", "lh:{longhaul}:node:old", "epoch", "1", "boot", "", "version", "", "left", "0"]);
    server.ask(&["SET", "lh:{longhaul}:node:odd", "garbage"]);
    server.ask(&["ZADD", "lh:{longhaul}:nodes", "0", "old", "0", "odd"]);
    assert_eq!(differing(&usual).await, ["b: durability=cache&lease=3&grace=2"]);
    register("d", &usual).await;
    store.leave(&hasty).await.unwrap();
    assert_eq!(differing(&usual).await, [""; 0]);
}
