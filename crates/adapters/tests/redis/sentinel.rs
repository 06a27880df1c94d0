//! Sentinels that promote a replica when the primary is gone.

use crate::server::{Server, free_port, wait_for};
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreWorld;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_every_replica_has_is_there_after_a_failover() {
    let ports = [(); 3].map(|()| free_port());
    let common = ["--save", "", "--appendonly", "yes", "--bind", "127.0.0.1"];
    let mut primary = Server::with(&[&common[..], &["--port", &ports[0]]].concat());
    let replicas = [&ports[1], &ports[2]].map(|port| {
        Server::with(&[&common[..], &["--port", port, "--replicaof", "127.0.0.1", &ports[0]]].concat())
    });
    wait_for(|| primary.ask(&["INFO", "replication"]).matches("state=online").count() == 2).await;
    let listening = [(); 3].map(|()| free_port());
    let sentinels = [&listening[0], &listening[1], &listening[2]].map(|port| sentinel(port, &ports[0]));
    wait_for(|| sentinels.iter().all(|one| one.ask(&["SENTINEL", "CKQUORUM", "main"]).starts_with("OK 3")))
        .await;
    wait_for(|| sentinels.iter().all(|one| one.ask(&["INFO", "sentinel"]).contains("slaves=2,sentinels=3")))
        .await;

    let hosts = listening.each_ref().map(|port| format!("127.0.0.1:{port}")).join(",");
    let url = format!("redis+sentinel://{hosts}/main?durability=replicated:2");
    let options = RedisOptions { patience: Duration::from_secs(60), ..RedisOptions::of_url(&url).unwrap() };
    let store = Arc::new(RedisStore::open(options).await.unwrap());
    let world = StoreWorld::new(store, VirtualClock::default());
    let mut acknowledged = Vec::new();
    for _ in 0..50 {
        acknowledged.push(world.submit(world.draft()).await.process.id);
    }
    primary.kill();
    wait_for(|| replicas.iter().any(|one| one.ask(&["ROLE"]).starts_with("master"))).await;
    for id in acknowledged {
        let known = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                if let Ok(loaded) = longhaul_ports::ProcessStore::load(&*world.store, &[id]).await {
                    return loaded.iter().all(Option::is_some);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(known.await.unwrap(), "{id} was acknowledged");
    }
}

fn sentinel(port: &str, primary: &str) -> Server {
    let settings = format!(
        "sentinel monitor main 127.0.0.1 {primary} 2\nsentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 5000\n"
    );
    Server::configured(&settings, &["--sentinel", "--port", port, "--bind", "127.0.0.1"])
}
