//! Managers on a Redis server with sentinels, whose primary is killed or cut off while clients launch continuously.
//!
//! Three managers run: on the machines of the primary, a replica and a sentinel. In a partitioned network, they are on
//! different sides. At the end, every launch that was acknowledged to a client must exist and must have run and ended
//! exactly once, according to the records and to the journal that the commands wrote.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step fails the test"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures are the result of a run")]

mod client;
mod cluster;
mod machines;
mod node;
#[path = "../../crates/adapters/tests/redis/partition.rs"]
mod partition;
mod truth;

use client::{Clients, Ledger};
use cluster::Cluster;
use longhaul_tests::Findings;
use machines::{Machines, NODES, PRIMARY, REPLICAS};
use node::Node;
use partition::Machine;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use truth::{Count, Keys};

/// URL parameters of the leases. The grace period is so long that no node is declared lost.
const LEASES: &str = "lease=5&grace=60";
/// Redis setting: each write is synced to disk before it is acknowledged.
const SYNCED: &str = "appendfsync always\n";
const LAZY: &str = "appendfsync everysec\n";
/// Redis setting that its documentation recommends: a primary accepts writes only if a replica has answered within the
/// last second.
const NOT_ALONE: &str = "min-replicas-to-write 1\nmin-replicas-max-lag 1\n";
/// Number of launches that must be acknowledged before the fault, and again after a replica was promoted.
const BEFORE: usize = 30;
const APART: Duration = Duration::from_secs(2);
/// Time limit from the end of the fault until every client gets answers again.
const RESUMING: Duration = Duration::from_secs(20);

#[test]
#[cfg_attr(not(redis), ignore = "redis-server is missing (Debian: apt-get install redis-server)")]
fn acknowledged_launches_survive_a_kill_of_the_primary() {
    Run::start(LAZY, "replicated:2").goes(&Fault::Killed);
}

#[test]
#[cfg_attr(not(redis), ignore = "redis-server is missing (Debian: apt-get install redis-server)")]
fn launches_outlive_a_primary_that_is_cut_off() {
    Run::start(LAZY, "replicated:2").goes(&Fault::CutOff(&[PRIMARY]));
}

#[test]
#[cfg_attr(not(redis), ignore = "redis-server is missing (Debian: apt-get install redis-server)")]
fn acknowledged_launches_survive_the_cut_off_of_the_primary_and_a_replica() {
    Run::start(LAZY, "replicated:2").goes(&Fault::CutOff(&[PRIMARY, REPLICAS[0]]));
}

#[test]
#[cfg_attr(not(redis), ignore = "redis-server is missing (Debian: apt-get install redis-server)")]
fn a_write_is_acknowledged_only_with_all_replicas_and_launches_survive_the_primary() {
    let run = Run::start(&format!("{LAZY}{NOT_ALONE}"), "replicated:2");
    run.refuses("replicated:1", "2 replicas");
    run.refuses("single", "durability=replicated:N");
    run.goes(&Fault::CutOff(&[PRIMARY, REPLICAS[0]]));
}

/// The nodes must restore acknowledged records that are missing on the promoted replica.
#[test]
#[cfg_attr(not(redis), ignore = "redis-server is missing (Debian: apt-get install redis-server)")]
fn launches_that_a_promoted_replica_lacks_are_restored_even_with_durability_cache() {
    // No process waits in this test. Any node may run a waiting process, so during a partition that is longer than a
    // lease, the process could run on both sides.
    Run { keys: Keys::MayBeLost, ..Run::start(SYNCED, "cache") }
        .goes(&Fault::CutOff(&[PRIMARY, REPLICAS[0]]));
}

/// Fault that affects the primary.
enum Fault {
    /// The primary is killed, and is restarted after a replica was promoted.
    Killed,
    /// The primary and the other machines in this list are cut off from all other machines.
    CutOff(&'static [Machine]),
}

/// The managers and servers of a run. The order of the fields ensures that they end before their network is removed.
struct Run {
    nodes: Vec<Node>,
    cluster: Cluster,
    machines: Machines,
    ground: tempfile::TempDir,
    keys: Keys,
}

/// Times of the steps of a run.
struct Course {
    begun: Instant,
    fault: Instant,
    promoted: Instant,
    mended: Instant,
    whole: Instant,
    served: Instant,
    /// Number of commands that started from the fault until it was over.
    begun_apart: usize,
}

impl Run {
    fn start(settings: &str, durability: &str) -> Self {
        // Use a directory in memory if possible: sentinels declare a server dead while it is waiting for a busy disk.
        let place = Some("/dev/shm").filter(|place| Path::new(place).is_dir());
        let place = place.map_or_else(std::env::temp_dir, PathBuf::from);
        let ground = tempfile::Builder::new().prefix("lh-failover-").tempdir_in(place).unwrap();
        let machines = Machines::new();
        let cluster = Cluster::start(ground.path(), &machines, settings);
        let store = cluster.url(&format!("namespace=failover&durability={durability}&{LEASES}"));
        let nodes = NODES
            .iter()
            .map(|(name, machine)| Node::start(ground.path(), &machines, name, *machine, &store))
            .collect();
        Self { nodes, cluster, machines, ground, keys: Keys::Kept }
    }

    /// Checks that a manager refuses to start with this durability setting, for the given reason.
    fn refuses(&self, durability: &str, why: &str) {
        let store = self.cluster.url(&format!("namespace=other&durability={durability}"));
        let output = Node::refused(self.ground.path(), &self.machines, PRIMARY, &store);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(why), "{durability}: {said}");
    }

    /// Launches processes before, during and after the fault, and checks the results.
    fn goes(mut self, fault: &Fault) {
        let sockets: Vec<(&'static str, PathBuf)> =
            self.nodes.iter().map(|node| (node.name, node.socket())).collect();
        let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
        let journal = self.ground.path().join("journal");
        let clients = Clients::start(&sockets, &journal, self.keys == Keys::Kept);
        let begun = Instant::now();
        longhaul_tests::until("enough launches are acknowledged", || {
            (clients.acknowledged() >= BEFORE).then_some(())
        });
        assert!(!self.cluster.is_one_promoted(), "no replica is promoted before the fault");

        let at = Instant::now();
        let begun_before = truth::begun(&journal);
        match fault {
            Fault::Killed => self.cluster.kill_primary(),
            Fault::CutOff(with) => self.machines.cut_off(with),
        }
        self.cluster.until_one_is_promoted();
        let promoted = Instant::now();
        // Let both sides of the partition continue on their own for this time.
        std::thread::sleep(APART);
        let mended = Instant::now();
        match fault {
            Fault::Killed => self.cluster.restart_primary(&self.machines),
            Fault::CutOff(_) => self.machines.mend(),
        }
        self.cluster.until_whole_again();
        let whole = Instant::now();
        let begun_apart = truth::begun(&journal) - begun_before;
        let mut findings = Findings::default();
        while !clients.are_heard(&names, whole) && whole.elapsed() < RESUMING {
            std::thread::sleep(Duration::from_millis(20));
        }
        let served = Instant::now();
        if !clients.are_heard(&names, whole) {
            findings.note(format_args!(
                "not all clients are served {RESUMING:?} after all servers are connected again"
            ));
        }
        let course = Course { begun, fault: at, promoted, mended, whole, served, begun_apart };
        let ledger = clients.part();

        let count = truth::check(&ledger, &sockets[0].1, &journal, self.keys, &mut findings);
        self.check_managers(&mut findings);
        course.tell(&ledger, count, &self.machines);
        if !findings.is_empty() {
            let replication = self.cluster.told(&["INFO", "replication"]);
            drop(self.nodes);
            self.ground.disable_cleanup(true);
            let kept = self.ground.path().display();
            panic!("the files of the run are in {kept}:\n{findings}\n{replication:#?}");
        }
    }

    fn check_managers(&mut self, findings: &mut Findings) {
        for node in &mut self.nodes {
            if !node.is_up() {
                findings.note(format_args!("the manager of {} has exited", node.name));
            }
            for line in node.log().lines().filter(|line| line.contains("panicked")) {
                findings.note(format_args!("{} logged: {line}", node.name));
            }
        }
    }
}

impl Course {
    fn tell(&self, ledger: &Ledger, count: Count, machines: &Machines) {
        let at: Vec<Instant> = ledger
            .launches
            .values()
            .filter_map(|launch| launch.acknowledged.as_ref().map(|acknowledged| acknowledged.at))
            .collect();
        let within =
            |from: Instant, until: Instant| at.iter().filter(|at| **at > from && **at <= until).count();
        let network = match machines {
            Machines::Namespaces(_) => "namespaces",
            Machines::Proxies(_) => "proxies",
        };
        let after = |from: Instant| at.iter().filter(|at| **at > from).min().map(|at| *at - from);
        println!("failover ({network}): {count:?}");
        println!(
            "  acknowledged: {} before, {} until a replica was promoted ({:.1?}), {} until the fault ended, {} until all \
             servers were connected ({:.1?}), {} later",
            within(self.begun, self.fault),
            within(self.fault, self.promoted),
            self.promoted - self.fault,
            within(self.promoted, self.mended),
            within(self.mended, self.whole),
            self.whole - self.mended,
            at.iter().filter(|at| **at > self.whole).count(),
        );
        println!(
            "  first acknowledged: {:.1?} after the fault, {:.1?} after the promotion, {:.1?} after the end of the fault; all clients \
             {:.1?} after all servers were connected; {} commands started meanwhile; refusals: {:?}",
            after(self.fault).unwrap_or_default(),
            after(self.promoted).unwrap_or_default(),
            after(self.mended).unwrap_or_default(),
            self.served - self.whole,
            self.begun_apart,
            ledger.refusals,
        );
    }
}
