//! Homes under one name of a node.

use crate::server::Server;
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_domain::NodeId;
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_belongs_to_one_home_while_its_lease_lasts() {
    let server = Server::start();
    let clock = VirtualClock::default();
    let open = async |home: Option<&str>| {
        let home = home.map(str::to_owned);
        let options = RedisOptions { home, clock: Some(Arc::new(clock.clone())), ..server.options() };
        RedisStore::open(options).await.unwrap()
    };
    let (first, second, untold) = (open(Some("first")).await, open(Some("second")).await, open(None).await);
    let me = NodeFacts { id: NodeId::new("a").unwrap(), boot: "b".to_owned(), version: "1".to_owned() };
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
    assert!(matches!(second.beat(&lease).await, Ok(_)), "a lease is not bound to an opening");
    second.register(&me).await.expect_err("the first one was heard again");
}
