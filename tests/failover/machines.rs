//! Simulated machines on a network that can be partitioned.
//!
//! If the test may create network namespaces, each machine is a network namespace. Packets between the two sides of a
//! partition are then dropped without notice, as by a failed switch. If the test may not create them, each machine is a
//! group of loopback addresses behind proxies. Connections between the two sides are then closed, and all managers are
//! on the side of the old primary.

use crate::partition::{Machine, Network};
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Number of the machine that runs the first primary.
pub(crate) const PRIMARY: Machine = 1;
pub(crate) const REPLICAS: [Machine; 2] = [2, 3];
/// Machines that run the sentinels. One of them also runs a replica. Sentinels decide by majority.
pub(crate) const SENTINELS: [Machine; 3] = [3, 4, 5];
/// Names of the nodes and their machines: one with the primary, one with a replica, one with a sentinel.
pub(crate) const NODES: [(&str, Machine); 3] =
    [("ada", PRIMARY), ("bob", REPLICAS[0]), ("cleo", SENTINELS[1])];

const ALL: [Machine; 5] = [1, 2, 3, 4, 5];
/// Number of the clients that connect through a proxy. No server runs on the machine with this number.
const CLIENT: Machine = 0;
/// Port of all servers. They can use the same port, because each machine has its own address.
const PORT: &str = "6379";
const NAMES: &str = "lh-failover-";

/// All simulated machines. They are removed when the value is dropped. The programs on them must have ended before
/// that.
pub(crate) enum Machines {
    /// One network namespace for each machine. The text is the prefix of the names of the network namespaces.
    Namespaces(String),
    Proxies(Network),
}

impl Machines {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if std::env::var_os("LONGHAUL_FAILOVER_PROXIES").is_some() {
            return Self::Proxies(Network::default());
        }
        let names = format!("{NAMES}{}-{}-", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        remove_left_over();
        let machines = Self::Namespaces(names.clone());
        if !ip(&["netns", "add", &format!("{names}switch")]) {
            eprintln!("network namespaces are not permitted: proxies take their place");
            return Self::Proxies(Network::default());
        }
        let mut switch = String::new();
        for side in ["whole", "apart"] {
            switch += &format!("link add {side} type bridge\nlink set {side} up\n");
        }
        for machine in ALL {
            let name = format!("{names}{machine}");
            assert!(ip(&["netns", "add", &name]), "{name}");
            switch += &format!(
                "link add m{machine} type veth peer name wire netns {name}\nlink set m{machine} master whole up\n"
            );
        }
        ip_batch(&format!("{names}switch"), &switch);
        for machine in ALL {
            let address = format!("10.77.0.{machine}/24");
            ip_batch(
                &format!("{names}{machine}"),
                &format!("link set lo up\naddr add {address} dev wire\nlink set wire up\n"),
            );
        }
        machines
    }

    /// Returns the address that other machines use to reach a machine.
    pub(crate) fn known(&self, machine: Machine) -> String {
        match self {
            Self::Namespaces(_) => format!("10.77.0.{machine}"),
            Self::Proxies(_) => Network::known(machine),
        }
    }

    /// Returns the address that the servers of a machine listen on.
    pub(crate) fn own(&self, machine: Machine) -> String {
        match self {
            Self::Namespaces(_) => self.known(machine),
            Self::Proxies(_) => Network::own(machine),
        }
    }

    /// Returns the address that programs of a machine connect from.
    pub(crate) fn source(&self, machine: Machine) -> String {
        match self {
            Self::Namespaces(_) => self.known(machine),
            Self::Proxies(_) => Network::source(machine),
        }
    }

    /// Returns a port that is free on these machines, and makes it reachable from other machines.
    pub(crate) fn publish(&self, machines: &[Machine], offset: u16) -> String {
        match self {
            Self::Namespaces(_) => (PORT.parse::<u16>().unwrap() + offset).to_string(),
            Self::Proxies(network) => {
                let port = free_port();
                machines.iter().for_each(|machine| network.publish(*machine, &port));
                port
            }
        }
    }

    /// Returns a command that runs a program on a machine.
    pub(crate) fn command(&self, machine: Machine, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Namespaces(names) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{names}{machine}")).arg("--").arg(program);
                command
            }
            Self::Proxies(_) => Command::new(program),
        }
    }

    /// Cuts these machines off from all other machines. They can still reach each other.
    pub(crate) fn cut_off(&self, machines: &[Machine]) {
        match self {
            Self::Namespaces(names) => plug(names, machines, "apart"),
            Self::Proxies(network) => network.cut_off(&[machines, &[CLIENT]].concat()),
        }
    }

    pub(crate) fn mend(&self) {
        match self {
            Self::Namespaces(names) => plug(names, &ALL, "whole"),
            Self::Proxies(network) => network.mend(),
        }
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        if let Self::Namespaces(names) = self {
            remove(names);
        }
    }
}

fn plug(names: &str, machines: &[Machine], side: &str) {
    let lines = machines.iter().map(|machine| format!("link set m{machine} master {side}\n"));
    ip_batch(&format!("{names}switch"), &lines.collect::<String>());
}

/// Removes network namespaces that killed test runs have left behind.
fn remove_left_over() {
    for name in known_names() {
        let run = name.strip_prefix(NAMES).and_then(|rest| rest.split('-').next()?.parse().ok());
        if let Some(run) = run
            && !longhaul_tests::is_alive(run)
        {
            remove(&format!("{NAMES}{run}-"));
        }
    }
}

fn remove(names: &str) {
    for name in known_names().iter().filter(|name| name.starts_with(names)) {
        let _ = ip(&["netns", "delete", name]);
    }
}

fn known_names() -> Vec<String> {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn ip(words: &[&str]) -> bool {
    let ran = Command::new("ip").args(words).stdin(Stdio::null()).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

fn ip_batch(namespace: &str, lines: &str) {
    let mut ip =
        Command::new("ip").args(["-n", namespace, "-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "{namespace}: {lines}");
}

fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}
