//! Tests with a Redis cluster, in which all keys of a namespace are on one shard.

use crate::server::{Server, error_of, free_port, now, wait_for};
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_domain::ProcessId;
use longhaul_ports::StoreError;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;

/// Number of shards, each with one primary. One more server is the replica of the first primary.
const SHARDS: usize = 3;
/// Number of hash slots of a Redis cluster.
const SLOTS: usize = 16_384;
/// Names of namespaces that are spread over several shards.
const NAMESPACES: [&str; 6] = ["one", "two", "three", "four", "five", "six"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shard_with_the_keys_is_found_from_any_node() {
    let fleet = Fleet::start().await;
    for (place, namespace) in NAMESPACES.iter().enumerate() {
        let seed = fleet.all().nth(place % (SHARDS + 1)).unwrap();
        let world = world(fleet.open_at(&seed.address(), namespace, "cache").await.unwrap());
        let id = world.submit(world.draft()).await.process.id;
        let from_all = fleet.open_at(&fleet.seeds(), namespace, "cache").await.unwrap();
        all_are_known(&from_all, &[id]).await;
    }
    let used = fleet.primaries.iter().filter(|node| node.server.ask(&["DBSIZE"]) != "0");
    assert!(used.count() > 1, "all namespaces are on one shard, so the test proves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicated_writes_exist_after_the_primary_of_the_shard_was_killed() {
    let mut fleet = Fleet::start().await;
    let namespace = fleet.namespace_of_the_first();
    let world = world(fleet.open_at(&fleet.seeds(), namespace, "replicated:1").await.unwrap());
    let mut acknowledged = Vec::new();
    for _ in 0..20 {
        acknowledged.push(world.submit(world.draft()).await.process.id);
    }
    fleet.primaries[0].server.kill();
    let follower = &fleet.follower.server;
    wait_for(|| follower.ask(&["ROLE"]).starts_with("master")).await;
    all_are_known(&*world.store, &acknowledged).await;
    // The new primary has no replica, so it cannot acknowledge a write.
    let refused = error_of(world.try_submit(world.draft()).await);
    let is_unacknowledged = matches!(
        refused,
        StoreError::ReadOnly { .. } | StoreError::Unavailable { .. } | StoreError::Unknown { .. }
    );
    assert!(is_unacknowledged, "{refused:?}");
    fleet.primaries[0].server.restart();
    let follower = &fleet.follower.server;
    wait_for(|| follower.ask(&["INFO", "replication"]).contains("state=online")).await;
    world.submit(world.draft()).await;
    all_are_known(&*world.store, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_moves_to_another_shard_is_followed() {
    let fleet = Fleet::start().await;
    let namespace = fleet.namespace_of_the_first();
    let world = world(fleet.open_at(&fleet.seeds(), namespace, "cache").await.unwrap());
    let before = world.submit(world.draft()).await.process.id;
    fleet.move_to_the_second(namespace);
    let after = world.submit(world.draft()).await.process.id;
    all_are_known(&*world.store, &[before, after]).await;
    assert_ne!(fleet.primaries[1].server.ask(&["DBSIZE"]), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_outside_of_a_cluster_is_reported() {
    let port = free_port();
    let _server = Server::with(&["--port", &port, "--save", "", "--appendonly", "no"]);
    let url = format!("redis+cluster://127.0.0.1:{port}?durability=cache");
    let refused = error_of(RedisStore::open(RedisOptions::of_url(&url).unwrap()).await);
    let StoreError::Unavailable { source } = &refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains("cluster support disabled"), "{source}");
}

#[cfg(feature = "memory")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_agrees_with_the_reference() {
    use longhaul_adapters::memory::MemoryStore;
    use longhaul_testkit::suite::agreement::agree;
    for seed in 100..103 {
        let clock = VirtualClock::default();
        let reference = StoreFixture::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), clock);
        let node = Node::start();
        node.takes(0, SLOTS - 1);
        wait_for(|| node.is_ready()).await;
        let clock = VirtualClock::default();
        let url = format!("redis+cluster://{}?durability=cache", node.address());
        let mut options = RedisOptions::of_url(&url).unwrap();
        options.leases = None;
        options.clock = Some(Arc::new(clock.clone()));
        let store = now(RedisStore::open(options)).unwrap();
        let shard = StoreFixture::new(Arc::new(store), clock).guarded(node);
        agree(&reference, &shard, seed, 400).await;
    }
}

fn world(store: RedisStore) -> StoreFixture {
    StoreFixture::new(Arc::new(store), VirtualClock::default())
}

async fn all_are_known(store: &dyn longhaul_ports::ProcessStore, ids: &[ProcessId]) {
    let known = store.load(ids).await.unwrap();
    assert_eq!(known.iter().flatten().count(), ids.len());
}

/// A Redis server in cluster mode.
struct Node {
    server: Server,
    port: String,
    bus: String,
}

impl Node {
    fn start() -> Self {
        let (port, bus) = (free_port(), free_port());
        let server = Server::with(&[
            "--port",
            &port,
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus,
            "--cluster-node-timeout",
            "1500",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
        ]);
        Self { server, port, bus }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn id(&self) -> String {
        self.server.ask(&["CLUSTER", "MYID"])
    }

    fn takes(&self, first: usize, last: usize) {
        let reported = self.server.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        assert_eq!(reported, "OK");
    }

    fn is_ready(&self) -> bool {
        self.server.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
    }

    /// Executes a command and checks that the reply is `OK`.
    fn must(&self, command: &[&str]) {
        let reported = self.server.ask(command);
        assert_eq!(reported, "OK", "{command:?}");
    }
}

/// The primaries, each with one shard, and a replica of the first primary.
struct Fleet {
    primaries: [Node; SHARDS],
    follower: Node,
}

impl Fleet {
    async fn start() -> Self {
        let primaries: [Node; SHARDS] = std::array::from_fn(|_| Node::start());
        let each = SLOTS / SHARDS;
        for (place, node) in primaries.iter().enumerate() {
            let last = if place + 1 == SHARDS { SLOTS - 1 } else { (place + 1) * each - 1 };
            node.takes(place * each, last);
            // Without this command, two nodes can have the same configuration epoch for some time.
            node.must(&["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()]);
        }
        let fleet = Self { primaries, follower: Node::start() };
        let first = &fleet.primaries[0];
        for node in fleet.all().skip(1) {
            node.must(&["CLUSTER", "MEET", "127.0.0.1", &first.port, &first.bus]);
        }
        let knows_all = |node: &Node| node.server.ask(&["CLUSTER", "NODES"]).lines().count() == SHARDS + 1;
        wait_for(|| fleet.all().all(knows_all)).await;
        fleet.follower.must(&["CLUSTER", "REPLICATE", &first.id()]);
        wait_for(|| first.server.ask(&["INFO", "replication"]).contains("state=online")).await;
        wait_for(|| fleet.all().all(Node::is_ready)).await;
        fleet
    }

    fn all(&self) -> impl Iterator<Item = &Node> {
        self.primaries.iter().chain([&self.follower])
    }

    fn seeds(&self) -> String {
        self.all().map(Node::address).collect::<Vec<_>>().join(",")
    }

    async fn open_at(
        &self,
        seeds: &str,
        namespace: &str,
        durability: &str,
    ) -> Result<RedisStore, StoreError> {
        let url = format!("redis+cluster://{seeds}?namespace={namespace}&durability={durability}");
        RedisStore::open(RedisOptions::of_url(&url).unwrap()).await
    }

    fn slot_of(&self, namespace: &str) -> usize {
        let key = format!("lh:{{{namespace}}}:");
        self.primaries[0].server.ask(&["CLUSTER", "KEYSLOT", &key]).parse().unwrap()
    }

    /// Returns a namespace whose keys are on the first shard.
    fn namespace_of_the_first(&self) -> &'static str {
        let is_there = |namespace: &&&str| self.slot_of(namespace) < SLOTS / SHARDS;
        NAMESPACES.iter().find(is_there).expect("a namespace exists for the slot")
    }

    /// Moves the hash slot of a namespace to the second shard, as an administrator does to balance the load.
    fn move_to_the_second(&self, namespace: &str) {
        let slot = self.slot_of(namespace).to_string();
        let [from, to, third] = &self.primaries;
        to.must(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from.id()]);
        from.must(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to.id()]);
        // `redis-cli` cannot be used, because key names contain bytes that are not UTF-8.
        let mut connection =
            redis::Client::open(format!("redis://{}", from.address())).unwrap().get_connection().unwrap();
        let mut look = redis::cmd("CLUSTER");
        let keys: Vec<Vec<u8>> =
            look.arg("GETKEYSINSLOT").arg(&slot).arg(10_000).query(&mut connection).unwrap();
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(&to.port).arg("").arg(0).arg(5_000).arg("KEYS").arg(keys);
        migrate.exec(&mut connection).unwrap();
        for node in [to, from, third] {
            node.must(&["CLUSTER", "SETSLOT", &slot, "NODE", &to.id()]);
        }
    }
}
