//! The clients of a chaos run. They work concurrently and may send each request to any node.

use crate::faults::FaultInjector;
use crate::ledger::{Fate, Launch, Ledger};
use crate::order;
use crate::run_directory::RunDirectory;
use longhaul_tests::Chance;
use longhaul_tests::ask::{Answer, ask};
use longhaul_wire::api::LaunchRequest;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

const CLIENTS: u64 = 12;
/// Timeout of a request. After a timeout, the client sends the request to another node.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Clients choose a process from this number of most recently launched processes.
const LATEST: usize = 40;
/// Number of the latest processes from which a client chooses a parent. Older processes have probably ended.
const PARENTS: usize = 6;
/// Maximum pause between two requests of a client, in milliseconds.
const PAUSE: u64 = 400;

/// The running clients, and the data that they share.
pub(crate) struct Clients {
    clients: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

struct Shared {
    nodes: Vec<String>,
    sockets: Vec<PathBuf>,
    journal: PathBuf,
    work: PathBuf,
    over: AtomicBool,
    /// Ids of the most recently accepted processes.
    latest: Mutex<Vec<String>>,
    ledger: Mutex<Ledger>,
}

impl Clients {
    pub(crate) fn start(run_directory: &RunDirectory, injector: &FaultInjector, chance: &mut Chance) -> Self {
        let shared = Arc::new(Shared {
            nodes: injector.names(),
            sockets: injector.sockets(),
            journal: run_directory.journal(),
            work: run_directory.work(),
            over: AtomicBool::new(false),
            latest: Mutex::default(),
            ledger: Mutex::default(),
        });
        let clients = (0..CLIENTS)
            .map(|number| {
                let client = Client { number, launches: 0, chance: chance.fork(), shared: shared.clone() };
                std::thread::spawn(move || client.work())
            })
            .collect();
        Self { clients, shared }
    }

    /// Stops all clients after their current requests, and returns the ledger of requests.
    pub(crate) fn stop(self) -> Ledger {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        std::mem::take(&mut *self.shared.ledger())
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latest(&self) -> MutexGuard<'_, Vec<String>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Client {
    number: u64,
    launches: u64,
    chance: Chance,
    shared: Arc<Shared>,
}

impl Client {
    fn work(mut self) {
        while !self.shared.over.load(Ordering::Relaxed) {
            let (often, seldom) = (self.chance.odds(2), self.chance.odds(4));
            match self.chance.below(20) {
                0..=10 => self.launch(),
                11 | 12 => self.launch_again(),
                13..=15 => self.tell("cancel", &json!({ "force": seldom, "no_descendants": often })),
                16 => self.tell("pause", &json!({ "no_descendants": !often })),
                17 | 18 => self.tell("resume", &json!({ "no_descendants": !often })),
                _ => self.tell("priority", &json!({ "first": true })),
            }
            // The pause only limits the request rate; it does not wait for an event.
            sleep(Duration::from_millis(self.chance.below(PAUSE)));
        }
    }

    fn launch(&mut self) {
        self.launches += 1;
        let key = format!("client-{}-{}", self.number, self.launches);
        let parents: Vec<String> = self.shared.latest().iter().rev().take(PARENTS).cloned().collect();
        let paths = (self.shared.journal.as_path(), self.shared.work.as_path());
        let request = order::drawn(&mut self.chance, &key, &self.shared.nodes, &parents, paths);
        let launch = Launch { request: request.clone(), in_doubt: false, fate: Fate::Unanswered };
        self.shared.ledger().launches.insert(key, launch);
        self.send(&request);
    }

    /// Repeats an earlier launch, usually a launch that was not answered. The process must not run twice.
    fn launch_again(&mut self) {
        let known: Vec<LaunchRequest> = {
            let ledger = self.shared.ledger();
            let fresh = ledger.launches.values().filter(|launch| launch.fate == Fate::Unanswered);
            let open: Vec<LaunchRequest> = fresh.map(|launch| launch.request.clone()).collect();
            if open.is_empty() || self.chance.odds(4) {
                ledger.launches.values().rev().take(LATEST).map(|launch| launch.request.clone()).collect()
            } else {
                open
            }
        };
        if let Some(request) = self.chance.pick(&known) {
            self.send(&request);
        }
    }

    fn send(&mut self, request: &LaunchRequest) {
        let key = request.launch_key.clone().unwrap_or_default();
        let body = serde_json::to_value(request).unwrap();
        let fate = match self.ask("/v1/processes", &body) {
            Answer::NoConnection => return,
            Answer::NoResponse | Answer::Response { status: 500.., .. } => Fate::Unanswered,
            Answer::Response { status: 200 | 201, body } => {
                let id = body["process"]["id"].as_str().unwrap_or_default().to_owned();
                let mut latest = self.shared.latest();
                if latest.len() >= LATEST {
                    latest.remove(0);
                }
                latest.push(id.clone());
                Fate::Accepted { id }
            }
            // Treat this refusal like a missing answer: the launch may be accepted later, when an ancestor has freed a
            // slot.
            Answer::Response { body, .. } if body["type"] == "deadlock_with_ancestors" => Fate::Unanswered,
            Answer::Response { .. } => Fate::Refused,
        };
        self.shared.ledger().answered(&key, fate);
    }

    fn tell(&mut self, verb: &str, body: &Value) {
        let latest = self.shared.latest().clone();
        let Some(id) = self.chance.pick(&latest) else { return };
        if verb == "cancel" {
            self.shared.ledger().cancelled.insert(id.clone());
        }
        let _ = self.ask(&format!("/v1/processes/{id}/{verb}"), body);
    }

    fn ask(&mut self, path: &str, body: &Value) -> Answer {
        let socket = self.chance.pick(&self.shared.sockets).unwrap();
        let mut answer = ask(&socket, "POST", path, body, TIMEOUT);
        for other in &self.shared.sockets {
            if matches!(answer, Answer::NoConnection) {
                answer = ask(other, "POST", path, body, TIMEOUT);
            }
        }
        let mut ledger = self.shared.ledger();
        ledger.asked += 1;
        match &answer {
            Answer::Response { status: 400.., body } => {
                let slug = body["type"].as_str().unwrap_or("nothing").to_owned();
                if matches!(slug.as_str(), "internal" | "nothing" | "invalid_request") {
                    ledger.oddities.push(format!("the answer to {path} was {body}"));
                }
                *ledger.refusals.entry(slug).or_default() += 1;
            }
            Answer::NoResponse => ledger.silences += 1,
            Answer::Response { .. } | Answer::NoConnection => {}
        }
        drop(ledger);
        answer
    }
}
