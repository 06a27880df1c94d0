//! A Redis primary with two replicas, and three sentinels that promote one of the replicas.

use crate::machines::{Machines, PRIMARY, REPLICAS, SENTINELS};
use crate::partition::Machine;
use longhaul_tests::within;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = "redis-server";
/// Time limit for the start of the servers.
const BEGINNING: Duration = Duration::from_secs(20);
/// Time limit for role changes. It is long, because sentinels make an earlier primary a replica only after some
/// seconds.
const CHANGING: Duration = Duration::from_secs(30);

/// All Redis servers and sentinels. They are killed when the value is dropped.
pub(crate) struct Cluster {
    primary: Server,
    replicas: Vec<Server>,
    sentinels: Vec<Server>,
    hosts: String,
}

impl Cluster {
    /// Starts all servers with the given settings, and waits until they have found each other.
    pub(crate) fn start(ground: &Path, machines: &Machines, settings: &str) -> Self {
        let known = machines.known(PRIMARY);
        let port = machines.publish(&[PRIMARY, REPLICAS[0], REPLICAS[1]], 0);
        let settings = format!("{settings}port {port}\nsave \"\"\nappendonly yes\n");
        let data = |name: &str, machine: Machine, more: &str| {
            let announced = machines.known(machine);
            let announced = format!("replica-announce-ip {announced}\nreplica-announce-port {port}\n");
            Server::start(&ground.join(name), machines, machine, &format!("{settings}{announced}{more}"))
        };
        let primary = data("primary", PRIMARY, "");
        let replicas: Vec<Server> = REPLICAS
            .iter()
            .map(|machine| {
                data(&format!("replica-{machine}"), *machine, &format!("replicaof {known} {port}\n"))
            })
            .collect();
        within(BEGINNING, "both replicas follow", || primary.is_followed_by_two().then_some(()));

        let asked = machines.publish(&SENTINELS, 1);
        let sentinels: Vec<Server> = SENTINELS
            .iter()
            .map(|machine| {
                let announced = machines.known(*machine);
                let settings = format!(
                    "port {asked}\nsentinel announce-ip {announced}\nsentinel announce-port {asked}\n\
                     sentinel monitor main {known} {port} 2\nsentinel down-after-milliseconds main 2000\n\
                     sentinel failover-timeout main 5000\n"
                );
                Server::start(&ground.join(format!("sentinel-{machine}")), machines, *machine, &settings)
            })
            .collect();
        let hosts: Vec<String> =
            SENTINELS.iter().map(|machine| format!("{}:{asked}", machines.known(*machine))).collect();
        within(BEGINNING, "the sentinels know each other", || {
            let knows = |one: &Server| {
                one.ask(&["SENTINEL", "CKQUORUM", "main"]).starts_with("OK 3")
                    && one.ask(&["INFO", "sentinel"]).contains("slaves=2,sentinels=3")
            };
            sentinels.iter().all(knows).then_some(())
        });
        for sentinel in &sentinels {
            // Shorten the intervals of the sentinels, without changing the order of their actions. Versions before 7.0
            // do not have this command and are slower.
            let _ = sentinel.ask(&["SENTINEL", "DEBUG", "info-period", "1000", "publish-period", "500"]);
        }
        Self { primary, replicas, sentinels, hosts: hosts.join(",") }
    }

    /// Returns the store URL for managers, with the given query.
    pub(crate) fn url(&self, query: &str) -> String {
        format!("redis+sentinel://{}/main?{query}", self.hosts)
    }

    pub(crate) fn kill_primary(&mut self) {
        self.primary.kill();
    }

    /// Restarts the first primary with its stored data.
    pub(crate) fn restart_primary(&mut self, machines: &Machines) {
        // The sentinels then turn the restarted server into a replica.
        self.primary.restart(machines);
    }

    pub(crate) fn is_one_promoted(&self) -> bool {
        self.replicas.iter().any(Server::is_primary)
    }

    /// Returns true if the first primary and the other replica are replicas of the promoted server.
    pub(crate) fn is_whole_again(&self) -> bool {
        !self.primary.is_primary() && self.replicas.iter().any(Server::is_followed_by_two)
    }

    pub(crate) fn until_one_is_promoted(&self) {
        within(CHANGING, "a replica is promoted", || self.is_one_promoted().then_some(()));
    }

    pub(crate) fn until_whole_again(&self) {
        within(CHANGING, "the first primary follows", || self.is_whole_again().then_some(()));
    }

    /// Sends a command to the primary and the replicas. Returns their replies, for error messages.
    pub(crate) fn told(&self, command: &[&str]) -> Vec<String> {
        [&self.primary]
            .into_iter()
            .chain(&self.replicas)
            .chain(&self.sentinels)
            .map(|one| one.ask(command))
            .collect()
    }
}

struct Server {
    process: Child,
    machine: Machine,
    directory: PathBuf,
}

impl Server {
    fn start(directory: &Path, machines: &Machines, machine: Machine, settings: &str) -> Self {
        fs::create_dir(directory).unwrap();
        let (own, source) = (machines.own(machine), machines.source(machine));
        let settings = format!(
            "{settings}bind {own}\nbind-source-addr {source}\nprotected-mode no\nlogfile log\n\
             unixsocket {}\n",
            directory.join("socket").display()
        );
        fs::write(directory.join("settings"), settings).unwrap();
        Self { process: run(directory, machines, machine), machine, directory: directory.to_owned() }
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn restart(&mut self, machines: &Machines) {
        let _ = fs::remove_file(self.directory.join("socket"));
        self.process = run(&self.directory, machines, self.machine);
    }

    fn is_primary(&self) -> bool {
        self.ask(&["ROLE"]).starts_with("master")
    }

    fn is_followed_by_two(&self) -> bool {
        let replication = self.ask(&["INFO", "replication"]);
        replication.contains("role:master") && replication.matches("state=online").count() == 2
    }

    /// Sends a command with redis-cli and returns its reply.
    fn ask(&self, command: &[&str]) -> String {
        let asked =
            Command::new("redis-cli").arg("-s").arg(self.directory.join("socket")).args(command).output();
        String::from_utf8_lossy(&asked.unwrap().stdout).trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(directory: &Path, machines: &Machines, machine: Machine) -> Child {
    let mut command = machines.command(machine, PROGRAM);
    command.current_dir(directory).arg("settings");
    if fs::read_to_string(directory.join("settings")).unwrap().contains("sentinel monitor") {
        // With this option, redis-server runs as a sentinel; in Debian, redis-sentinel is the same program.
        command.arg("--sentinel");
    }
    let mut process =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let socket = directory.join("socket");
    within(BEGINNING, "the server listens", || {
        let exited = process.try_wait().unwrap();
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert!(exited.is_none(), "the server does not start: {}", log());
        UnixStream::connect(&socket).is_ok().then_some(())
    });
    process
}
