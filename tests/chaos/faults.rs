//! The faults of a chaos run. In random order, they kill or stop managers, shims, commands and the Redis server.
//! Stopped programs continue later, and killed managers and servers are restarted.

use crate::journal::{Attempt, Journal, Line};
use crate::member::Member;
use crate::outage::Outage;
use crate::process::signal;
use crate::server::Server;
use longhaul_tests::ask::{Answer, ask};
use longhaul_tests::{Chance, stat, within};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Maximum number of nodes that are down at the same time.
const MAX_OUT: usize = 3;
/// Number of bytes at the end of the journal in which running commands are searched.
const RECENT: u64 = 16 * 1_024;
/// Time limit for the return of all nodes to the cluster.
const RETURN: Duration = Duration::from_secs(60);

/// Kind of fault that the test injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    ManagerKilled,
    /// A manager is killed, and is down for longer than its lease and the grace period after the lease.
    ManagerKilledForLong,
    ManagerHalted,
    ManagerHaltedForLong,
    ShimKilled,
    /// A shim and its manager are killed, so that no program observes the exit of the command.
    BothKilled,
    CommandKilled,
    ServerKilled,
    ServerHalted,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::ManagerKilled,
        Self::ManagerKilledForLong,
        Self::ManagerHalted,
        Self::ManagerHaltedForLong,
        Self::ShimKilled,
        Self::BothKilled,
        Self::CommandKilled,
        Self::ServerKilled,
        Self::ServerHalted,
    ];

    /// Returns how often the deck, from which faults are drawn, contains this fault.
    const fn share(self) -> usize {
        match self {
            Self::ManagerKilled | Self::ShimKilled => 3,
            Self::ManagerHalted | Self::ServerKilled | Self::ManagerHaltedForLong => 2,
            Self::ManagerKilledForLong | Self::BothKilled | Self::CommandKilled | Self::ServerHalted => 1,
        }
    }
}

/// A recovery from a fault, which is scheduled for later.
enum Recovery {
    Member(usize),
    ServerRestarts,
    ServerContinues,
}

/// All faults that were injected in a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultHistory {
    pub(crate) faults: BTreeMap<Fault, u64>,
    /// The attempts whose shim was killed.
    pub(crate) orphaned: BTreeSet<Attempt>,
    /// The attempts whose command was killed.
    pub(crate) killed: BTreeSet<Attempt>,
    /// The outages of each manager, by node name.
    pub(crate) outages: BTreeMap<String, Vec<Outage>>,
    pub(crate) server: Vec<Outage>,
    /// Descriptions of the managers that exited without being killed.
    pub(crate) left: Vec<String>,
    pub(crate) logs: BTreeMap<String, String>,
}

/// Injects faults into the nodes and the server, and recovers them.
pub(crate) struct FaultInjector {
    members: Vec<Member>,
    server: Server,
    chance: Chance,
    journal: PathBuf,
    deck: Vec<Fault>,
    next: Instant,
    recoveries: Vec<(Instant, Recovery)>,
    past: FaultHistory,
}

impl FaultInjector {
    pub(crate) fn new(server: Server, members: Vec<Member>, chance: Chance, journal: PathBuf) -> Self {
        Self {
            members,
            server,
            chance,
            journal,
            deck: Vec::new(),
            next: Instant::now(),
            recoveries: Vec::new(),
            past: FaultHistory::default(),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.members.iter().map(|member| member.name().to_owned()).collect()
    }

    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        self.members.iter().map(Member::socket).collect()
    }

    /// Sleeps briefly, then performs the recoveries that are due and injects the next fault if it is due.
    pub(crate) fn step(&mut self) {
        // The pause only keeps the loop from spinning; it does not wait for an event.
        std::thread::sleep(Duration::from_millis(20));
        self.recover(false);
        self.members.iter_mut().for_each(Member::restart_if_exited);
        if self.next > Instant::now() {
            return;
        }
        self.next = Instant::now() + self.drawn(300, 1_000);
        let Some(fault) = self.next_fault() else { return };
        if self.inject(fault) {
            *self.past.faults.entry(fault).or_default() += 1;
        } else {
            // The fault is not possible now, so try it again later.
            self.deck.insert(0, fault);
        }
    }

    /// Recovers from all faults, and waits until all nodes are present.
    pub(crate) fn recover_all(&mut self) {
        self.recover(true);
        self.until_all_are_here();
    }

    pub(crate) fn until_all_are_here(&mut self) {
        within(RETURN, "all nodes are present", || {
            self.members.iter_mut().for_each(Member::restart_if_exited);
            let first = self.members.first()?.socket();
            let Answer::Response { status: 200, body } =
                ask(&first, "GET", "/v1/nodes", &Value::Null, Duration::from_secs(5))
            else {
                return None;
            };
            let here = body["nodes"].as_array()?.iter().filter(|node| node["presence"] == "here").count();
            (here == self.members.len()).then_some(())
        });
    }

    pub(crate) fn past(&self) -> FaultHistory {
        let mut past = self.past.clone();
        past.server = self.server.outages().to_vec();
        for member in &self.members {
            past.outages.insert(member.name().to_owned(), member.outages().to_vec());
            past.left.extend(member.left().iter().map(|exit| format!("{}: {exit}", member.name())));
            past.logs.insert(member.name().to_owned(), member.log());
        }
        past
    }

    fn recover(&mut self, all: bool) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.recoveries).into_iter().partition(|(at, _)| all || *at <= now);
        self.recoveries = later;
        for (_, recovery) in due {
            match recovery {
                Recovery::Member(number) => {
                    self.members.get_mut(number).into_iter().for_each(Member::recover)
                }
                Recovery::ServerRestarts => self.server.restart(),
                Recovery::ServerContinues => self.server.resume(),
            }
        }
    }

    /// Draws the next fault from the deck. Each new deck contains every kind of fault.
    fn next_fault(&mut self) -> Option<Fault> {
        if self.deck.is_empty() {
            let mut sorted: Vec<Fault> =
                Fault::ALL.iter().flat_map(|fault| std::iter::repeat_n(*fault, fault.share())).collect();
            while !sorted.is_empty() {
                let place = self.chance.below(u64::try_from(sorted.len()).unwrap_or(1));
                self.deck.push(sorted.swap_remove(usize::try_from(place).unwrap_or(0)));
            }
        }
        self.deck.pop()
    }

    /// Injects a fault. Returns false if the fault is not possible now.
    fn inject(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::ManagerKilled => self.take_down(Member::kill, (0, 1_500)),
            Fault::ManagerKilledForLong => self.take_down(Member::kill, (7_000, 9_000)),
            Fault::ManagerHalted => self.take_down(Member::halt, (300, 2_500)),
            Fault::ManagerHaltedForLong => self.take_down(Member::halt, (7_000, 9_000)),
            Fault::ShimKilled => {
                let Some(victim) = self.running_command(None) else { return false };
                signal(victim.parent, Signal::KILL);
                self.past.orphaned.insert(victim.attempt);
                true
            }
            Fault::BothKilled => {
                let Some(number) = self.running_member() else { return false };
                let socket = self.members.get(number).map(Member::socket);
                let Some(victim) = self.running_command(socket) else { return false };
                self.members.get_mut(number).into_iter().for_each(Member::kill);
                signal(victim.parent, Signal::KILL);
                self.past.orphaned.insert(victim.attempt);
                self.later((0, 1_500), Recovery::Member(number));
                true
            }
            Fault::CommandKilled => {
                let Some(victim) = self.running_command(None) else { return false };
                signal(victim.pid, Signal::KILL);
                self.past.killed.insert(victim.attempt);
                true
            }
            Fault::ServerKilled => {
                if self.is_server_out() {
                    return false;
                }
                self.server.kill();
                self.later((0, 2_000), Recovery::ServerRestarts);
                true
            }
            Fault::ServerHalted => {
                if self.is_server_out() {
                    return false;
                }
                self.server.halt();
                self.later((300, 2_500), Recovery::ServerContinues);
                true
            }
        }
    }

    fn take_down(&mut self, how: fn(&mut Member), span: (u64, u64)) -> bool {
        let Some(number) = self.running_member() else { return false };
        self.members.get_mut(number).into_iter().for_each(how);
        self.later(span, Recovery::Member(number));
        true
    }

    fn later(&mut self, span: (u64, u64), recovery: Recovery) {
        let at = Instant::now() + self.drawn(span.0, span.1);
        self.recoveries.push((at, recovery));
    }

    fn drawn(&mut self, least: u64, limit: u64) -> Duration {
        Duration::from_millis(least + self.chance.below(limit - least))
    }

    fn is_server_out(&self) -> bool {
        self.recoveries
            .iter()
            .any(|(_, recovery)| matches!(recovery, Recovery::ServerRestarts | Recovery::ServerContinues))
    }

    fn running_member(&mut self) -> Option<usize> {
        let up: Vec<usize> =
            self.members.iter().enumerate().filter(|(_, member)| member.is_up()).map(|(at, _)| at).collect();
        if self.members.len() - up.len() >= MAX_OUT {
            return None;
        }
        self.chance.pick(&up)
    }

    /// Returns a running command whose shim is alive. If a socket is given, the command must run under the manager with
    /// this socket.
    fn running_command(&mut self, of: Option<PathBuf>) -> Option<Line> {
        let of = of.map(|socket| socket.to_string_lossy().into_owned());
        let living: Vec<Line> = Journal::tail(&self.journal, RECENT)
            .into_iter()
            .filter(|line| line.word == "start" && of.as_ref().is_none_or(|socket| line.rest == *socket))
            .filter(|line| stat(line.pid).is_some_and(|stat| stat.parent == line.parent && stat.state != 'Z'))
            .collect();
        self.chance.pick(&living)
    }
}
