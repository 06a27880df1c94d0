//! Whoever kills and halts, in an order that chance deals, and mends it after a while.

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

/// At most so many nodes are out at once.
const MAX_OUT: usize = 3;
/// How much of the end of the journal is searched for somebody who lives.
const RECENT: u64 = 16 * 1_024;
/// How long it takes at most until all are there again.
const RETURN: Duration = Duration::from_secs(60);

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    ManagerKilled,
    /// For longer than its lease and its grace.
    ManagerKilledForLong,
    ManagerHalted,
    ManagerHaltedForLong,
    SupervisorKilled,
    /// Together with its manager: nobody is left who knows.
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
        Self::SupervisorKilled,
        Self::BothKilled,
        Self::CommandKilled,
        Self::ServerKilled,
        Self::ServerHalted,
    ];

    /// How often it is in the deck.
    const fn share(self) -> usize {
        match self {
            Self::ManagerKilled | Self::SupervisorKilled => 3,
            Self::ManagerHalted | Self::ServerKilled | Self::ManagerHaltedForLong => 2,
            Self::ManagerKilledForLong | Self::BothKilled | Self::CommandKilled | Self::ServerHalted => 1,
        }
    }
}

/// Who is mended, and when.
enum Mending {
    Member(usize),
    ServerRestarts,
    ServerGoesOn,
}

/// Everything that was done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    pub(crate) faults: BTreeMap<Fault, u64>,
    /// The attempts whose supervisor was killed.
    pub(crate) orphaned: BTreeSet<Attempt>,
    /// The attempts whose command was killed.
    pub(crate) killed: BTreeSet<Attempt>,
    /// When the managers were out, by their nodes.
    pub(crate) outages: BTreeMap<String, Vec<Outage>>,
    pub(crate) server: Vec<Outage>,
    /// How managers went that nobody killed, and what all of them told.
    pub(crate) left: Vec<String>,
    pub(crate) logs: BTreeMap<String, String>,
}

/// The nodes and the server, and what is being done to them.
pub(crate) struct Havoc {
    members: Vec<Member>,
    server: Server,
    chance: Chance,
    journal: PathBuf,
    deck: Vec<Fault>,
    next: Instant,
    mendings: Vec<(Instant, Mending)>,
    past: Past,
}

impl Havoc {
    pub(crate) fn new(server: Server, members: Vec<Member>, chance: Chance, journal: PathBuf) -> Self {
        Self {
            members,
            server,
            chance,
            journal,
            deck: Vec::new(),
            next: Instant::now(),
            mendings: Vec::new(),
            past: Past::default(),
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

    /// Does what is due, after a moment.
    pub(crate) fn go_on(&mut self) {
        // The time in which nothing is due is what this waits for.
        std::thread::sleep(Duration::from_millis(20));
        self.mend(false);
        self.members.iter_mut().for_each(Member::look_after);
        if self.next > Instant::now() {
            return;
        }
        self.next = Instant::now() + self.drawn(300, 1_000);
        let Some(fault) = self.deal() else { return };
        if self.strike(fault) {
            *self.past.faults.entry(fault).or_default() += 1;
        } else {
            // Its turn comes again.
            self.deck.insert(0, fault);
        }
    }

    /// Mends everything, and waits until all nodes are there.
    pub(crate) fn heal(&mut self) {
        self.mend(true);
        self.until_all_are_here();
    }

    pub(crate) fn until_all_are_here(&mut self) {
        within(RETURN, "all nodes are there", || {
            self.members.iter_mut().for_each(Member::look_after);
            let first = self.members.first()?.socket();
            let Answer::Said { status: 200, body } =
                ask(&first, "GET", "/v1/nodes", &Value::Null, Duration::from_secs(5))
            else {
                return None;
            };
            let here = body["nodes"].as_array()?.iter().filter(|node| node["presence"] == "here").count();
            (here == self.members.len()).then_some(())
        });
    }

    pub(crate) fn past(&self) -> Past {
        let mut past = self.past.clone();
        past.server = self.server.outages().to_vec();
        for member in &self.members {
            past.outages.insert(member.name().to_owned(), member.outages().to_vec());
            past.left.extend(member.left().iter().map(|exit| format!("{}: {exit}", member.name())));
            past.logs.insert(member.name().to_owned(), member.log());
        }
        past
    }

    fn mend(&mut self, all: bool) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.mendings).into_iter().partition(|(at, _)| all || *at <= now);
        self.mendings = later;
        for (_, mending) in due {
            match mending {
                Mending::Member(number) => self.members.get_mut(number).into_iter().for_each(Member::recover),
                Mending::ServerRestarts => self.server.restart(),
                Mending::ServerGoesOn => self.server.go_on(),
            }
        }
    }

    /// The next fault; each deck holds all of them.
    fn deal(&mut self) -> Option<Fault> {
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

    /// False if there is nobody now to whom it could be done.
    fn strike(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::ManagerKilled => self.put_out(Member::kill, (0, 1_500)),
            Fault::ManagerKilledForLong => self.put_out(Member::kill, (7_000, 9_000)),
            Fault::ManagerHalted => self.put_out(Member::halt, (300, 2_500)),
            Fault::ManagerHaltedForLong => self.put_out(Member::halt, (7_000, 9_000)),
            Fault::SupervisorKilled => {
                let Some(victim) = self.somebody(None) else { return false };
                signal(victim.parent, Signal::KILL);
                self.past.orphaned.insert(victim.attempt);
                true
            }
            Fault::BothKilled => {
                let Some(number) = self.somebody_up() else { return false };
                let socket = self.members.get(number).map(Member::socket);
                let Some(victim) = self.somebody(socket) else { return false };
                self.members.get_mut(number).into_iter().for_each(Member::kill);
                signal(victim.parent, Signal::KILL);
                self.past.orphaned.insert(victim.attempt);
                self.later((0, 1_500), Mending::Member(number));
                true
            }
            Fault::CommandKilled => {
                let Some(victim) = self.somebody(None) else { return false };
                signal(victim.pid, Signal::KILL);
                self.past.killed.insert(victim.attempt);
                true
            }
            Fault::ServerKilled => {
                if self.is_server_out() {
                    return false;
                }
                self.server.kill();
                self.later((0, 2_000), Mending::ServerRestarts);
                true
            }
            Fault::ServerHalted => {
                if self.is_server_out() {
                    return false;
                }
                self.server.halt();
                self.later((300, 2_500), Mending::ServerGoesOn);
                true
            }
        }
    }

    fn put_out(&mut self, how: fn(&mut Member), span: (u64, u64)) -> bool {
        let Some(number) = self.somebody_up() else { return false };
        self.members.get_mut(number).into_iter().for_each(how);
        self.later(span, Mending::Member(number));
        true
    }

    fn later(&mut self, span: (u64, u64), mending: Mending) {
        let at = Instant::now() + self.drawn(span.0, span.1);
        self.mendings.push((at, mending));
    }

    fn drawn(&mut self, least: u64, limit: u64) -> Duration {
        Duration::from_millis(least + self.chance.below(limit - least))
    }

    fn is_server_out(&self) -> bool {
        self.mendings
            .iter()
            .any(|(_, mending)| matches!(mending, Mending::ServerRestarts | Mending::ServerGoesOn))
    }

    fn somebody_up(&mut self) -> Option<usize> {
        let up: Vec<usize> =
            self.members.iter().enumerate().filter(|(_, member)| member.is_up()).map(|(at, _)| at).collect();
        if self.members.len() - up.len() >= MAX_OUT {
            return None;
        }
        self.chance.pick(&up)
    }

    /// A command that lives below its supervisor; of one node if a socket says so.
    fn somebody(&mut self, of: Option<PathBuf>) -> Option<Line> {
        let of = of.map(|socket| socket.to_string_lossy().into_owned());
        let living: Vec<Line> = Journal::tail(&self.journal, RECENT)
            .into_iter()
            .filter(|line| line.word == "start" && of.as_ref().is_none_or(|socket| line.rest == *socket))
            .filter(|line| stat(line.pid).is_some_and(|stat| stat.parent == line.parent && stat.state != 'Z'))
            .collect();
        self.chance.pick(&living)
    }
}
