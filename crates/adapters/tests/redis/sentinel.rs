//! Tests with Redis Sentinel, which promotes a replica when the primary has failed or is cut off.

use crate::partition::{Machine, Network};
use crate::server::{Server, error_of, free_port, wait_for};
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_domain::ProcessId;
use longhaul_ports::{StoreError, Submission, SubmitOutcome};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Timer settings of the sentinels in milliseconds. The defaults are several seconds. Because of the long
/// `TILT-TRIGGER`, sentinels can decide even if a busy machine delays them.
const HASTE: [&str; 12] = [
    "INFO-PERIOD",
    "500",
    "PING-PERIOD",
    "250",
    "ASK-PERIOD",
    "250",
    "PUBLISH-PERIOD",
    "500",
    "MIN-LINK-RECONNECT-PERIOD",
    "1000",
    "TILT-TRIGGER",
    "10000",
];

/// Machine number of the client. No server runs on this machine.
const CLIENT: Machine = 0;
const PRIMARY: Machine = 1;
const REPLICAS: [Machine; 2] = [2, 3];
/// Machines of the sentinels. The first one also runs the last replica. Decisions need a majority of the sentinels.
const SENTINELS: [Machine; 3] = [3, 4, 5];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicated_writes_exist_after_the_primary_was_killed() {
    let mut fleet = Fleet::start("").await;
    let world = fleet.world("replicated:2").await;
    let mut acknowledged = Vec::new();
    for _ in 0..50 {
        acknowledged.push(world.submit(world.draft()).await.process.id);
    }
    fleet.primary.kill();
    fleet.until_one_is_promoted().await;
    all_are_known(&*world.store, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_with_a_primary_that_was_cut_off() {
    cut_off(&[CLIENT, PRIMARY]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_with_a_primary_that_was_cut_off_together_with_a_replica() {
    cut_off(&[CLIENT, PRIMARY, REPLICAS[0]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_replicas_than_may_be_promoted_are_refused() {
    for settings in ["", "min-replicas-to-write 1\nmin-replicas-max-lag 1\n"] {
        let fleet = Fleet::start(settings).await;
        let refused = reason(&error_of(fleet.open("replicated:1").await));
        assert!(refused.contains("2 replicas"), "{refused}");
    }
}

/// Cuts these machines off, and launches processes until another primary has been promoted. Then ends the partition,
/// and checks that every acknowledged launch exists.
async fn cut_off(machines: &[Machine]) {
    let fleet = Fleet::start("").await;
    let world = fleet.world("replicated:2").await;
    let mut acknowledged = Vec::new();
    for _ in 0..20 {
        acknowledged.push(world.submit(world.draft()).await.process.id);
    }
    // The launches are prepared before the partition, because preparing a launch reads the policy. A launch without an
    // acknowledgement is sent again. The reply that the process already exists counts as an acknowledgement.
    let mut launches = Vec::new();
    for _ in 0..100 {
        launches.push(world.submission(world.draft()).await);
    }
    let mut launches = launches.iter().cycle();
    fleet.network.cut_off(machines);
    let begun = Instant::now();
    let (mut asked, mut refused) = (0, 0);
    while !fleet.is_one_promoted() || asked < 20 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no replica was promoted");
        // The launches are sent concurrently, because each of them may wait until its timeout.
        let mut next = || attempt(&world, launches.next().unwrap().clone());
        let answers = tokio::join!(next(), next(), next(), next(), next());
        for answer in <[_; 5]>::from(answers) {
            asked += 1;
            match answer {
                Some(id) => acknowledged.push(id),
                None => refused += 1,
            }
        }
    }
    assert!(refused > 0, "the master was cut off from the required replicas");
    fleet.network.mend();
    let primary = &fleet.primary;
    wait_for(|| primary.ask(&["ROLE"]).starts_with("slave")).await;
    all_are_known(&*world.store, &acknowledged).await;
    // Writes are acknowledged again when the old primary has become a replica of the new one.
    wait_for(|| fleet.replicas.iter().any(is_followed_by_two)).await;
    world.submit(world.draft()).await;
}

/// Sends a launch. Returns `None` if the launch was not acknowledged.
async fn attempt(world: &StoreFixture, launch: Submission) -> Option<ProcessId> {
    match tokio::time::timeout(Duration::from_secs(2), world.store.submit(launch)).await {
        Ok(Ok(submitted)) => Some(id_of(&submitted)),
        Ok(Err(StoreError::Unknown { .. } | StoreError::Unavailable { .. })) | Err(_) => None,
        Ok(Err(other)) => unreachable!("{other}"),
    }
}

/// Returns the text of an error together with the text of its source.
fn reason(error: &StoreError) -> String {
    let behind = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {behind}")
}

fn is_followed_by_two(server: &Server) -> bool {
    let replication = server.ask(&["INFO", "replication"]);
    replication.contains("role:master") && replication.matches("state=online").count() == 2
}

fn id_of(submitted: &SubmitOutcome) -> ProcessId {
    match submitted {
        SubmitOutcome::Waiting(stored) | SubmitOutcome::Claimed(stored) => stored.process.id,
        SubmitOutcome::Existing { id, .. } => *id,
    }
}

async fn all_are_known(store: &dyn longhaul_ports::Store, acknowledged: &[ProcessId]) {
    for id in acknowledged {
        let known = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                if let Ok(loaded) = store.load(&[*id]).await {
                    return loaded.iter().all(Option::is_some);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(known.await.unwrap(), "{id} was acknowledged");
    }
}

/// A primary, two replicas and three sentinels in a simulated network.
struct Fleet {
    network: Network,
    primary: Server,
    replicas: Vec<Server>,
    /// Addresses of the sentinels, separated by commas.
    hosts: String,
    _sentinels: Vec<Server>,
}

impl Fleet {
    /// Starts all servers and waits until they are connected to each other.
    async fn start(settings: &str) -> Self {
        let network = Network::default();
        let port = free_port();
        let known = Network::known(PRIMARY);
        for machine in [PRIMARY, REPLICAS[0], REPLICAS[1]] {
            network.publish(machine, &port);
        }
        let settings = format!("{settings}save \"\"\nappendonly yes\nappendfsync everysec\n");
        let primary = server(&settings, PRIMARY, &port, &[]);
        let of = ["--replicaof", known.as_str(), port.as_str()];
        let replicas: Vec<Server> =
            REPLICAS.iter().map(|machine| server(&settings, *machine, &port, &of)).collect();
        wait_for(|| primary.ask(&["INFO", "replication"]).matches("state=online").count() == 2).await;

        let asked = free_port();
        let settings = format!(
            "sentinel monitor main {known} {port} 2\nsentinel down-after-milliseconds main 500\n\
             sentinel failover-timeout main 5000\n"
        );
        let sentinels: Vec<Server> = SENTINELS
            .iter()
            .map(|machine| {
                network.publish(*machine, &asked);
                let announced = format!(
                    "{settings}sentinel announce-ip {}\nsentinel announce-port {asked}\n",
                    Network::known(*machine)
                );
                server(&announced, *machine, &asked, &["--sentinel"])
            })
            .collect();
        for sentinel in &sentinels {
            assert_eq!(sentinel.ask(&[&["SENTINEL", "DEBUG"], &HASTE[..]].concat()), "OK");
        }
        let hosts = SENTINELS.map(|machine| format!("{}:{asked}", Network::known(machine))).join(",");
        let fleet = Self { network, primary, replicas, hosts, _sentinels: sentinels };
        let all = &fleet._sentinels;
        wait_for(|| all.iter().all(|one| one.ask(&["SENTINEL", "CKQUORUM", "main"]).starts_with("OK 3")))
            .await;
        wait_for(|| all.iter().all(|one| one.ask(&["INFO", "sentinel"]).contains("slaves=2,sentinels=3")))
            .await;
        fleet
    }

    async fn open(&self, durability: &str) -> Result<RedisStore, StoreError> {
        let url = format!("redis+sentinel://{}/main?durability={durability}", self.hosts);
        RedisStore::open(RedisOptions::of_url(&url).unwrap()).await
    }

    async fn world(&self, durability: &str) -> StoreFixture {
        StoreFixture::new(Arc::new(self.open(durability).await.unwrap()), VirtualClock::default())
    }

    fn is_one_promoted(&self) -> bool {
        self.replicas.iter().any(|one| one.ask(&["ROLE"]).starts_with("master"))
    }

    async fn until_one_is_promoted(&self) {
        wait_for(|| self.is_one_promoted()).await;
    }
}

/// Starts a server on a machine of the simulated network.
fn server(settings: &str, machine: Machine, port: &str, more: &[&str]) -> Server {
    let (own, known, source) = (Network::own(machine), Network::known(machine), Network::source(machine));
    let mut all = more.to_vec();
    all.extend(["--port", port, "--bind", &own, "--bind-source-addr", &source, "--protected-mode", "no"]);
    if !more.contains(&"--sentinel") {
        all.extend(["--replica-announce-ip", &known, "--replica-announce-port", port]);
    }
    Server::configured(settings, &all)
}
