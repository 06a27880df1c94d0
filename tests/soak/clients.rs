//! The clients of a soak run. Some clients launch processes and keep a number of them alive, one client cancels
//! processes, and one client is killed during its requests.

use crate::ledger::{Launch, Ledger};
use crate::run_directory::RunDirectory;
use crate::{journal, leaks};
use longhaul_tests::Chance;
use longhaul_tests::ask::{Answer, ask};
use longhaul_wire::api::{CommandRequest, LaunchRequest};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// Number of clients that launch processes.
const LAUNCHERS: u64 = 4;
/// Number of processes that each of the launching clients keeps alive.
const LIVE: usize = 50;
/// Timeout of a request. After a timeout, the client repeats the request.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Number of most recently launched processes that clients choose a process from.
const LATEST: usize = 200;
/// Lifetime in milliseconds that is too short for a client to act on the process before it ends.
const SHORT_MS: u64 = 200;
const LONG_MS: u64 = 18_000;

/// The running clients, and the data that they share.
pub(crate) struct Clients {
    clients: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

struct Shared {
    run_directory: RunDirectory,
    over: AtomicBool,
    latest: Mutex<Vec<String>>,
    ledger: Mutex<Ledger>,
}

impl Clients {
    pub(crate) fn start(run_directory: &RunDirectory, chance: &mut Chance) -> Self {
        let shared = Arc::new(Shared {
            run_directory: run_directory.clone(),
            over: AtomicBool::new(false),
            latest: Mutex::default(),
            ledger: Mutex::default(),
        });
        let mut clients = Vec::new();
        for number in 0..LAUNCHERS {
            let launcher = Launcher { number, launches: 0, chance: chance.fork(), shared: shared.clone() };
            clients.push(std::thread::spawn(move || launcher.work()));
        }
        let (mut drawn, of) = (chance.fork(), shared.clone());
        clients.push(std::thread::spawn(move || of.cancel_some(&mut drawn)));
        let (mut drawn, of) = (chance.fork(), shared.clone());
        clients.push(std::thread::spawn(move || of.ask_and_be_killed(&mut drawn)));
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

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Cancels random processes. After a successful cancel, no command of the process may be alive.
    fn cancel_some(&self, chance: &mut Chance) {
        while !self.is_over() {
            // The pause only limits the request rate; it does not wait for an event.
            sleep(Duration::from_millis(200 + chance.below(600)));
            let latest = self.latest().clone();
            let Some(id) = chance.pick(&latest) else { continue };
            self.ledger().cancelled.insert(id.clone());
            let Ok(done) = self.run_directory.command(&["cancel", &id]).status() else { continue };
            if done.success() {
                let left = leaks::commands_of(&id);
                let mut ledger = self.ledger();
                ledger.gone += 1;
                if !left.is_empty() {
                    ledger.oddities.push(format!("{id} was cancelled, and its processes {left:?} are alive"));
                }
            }
        }
    }

    fn ask_and_be_killed(&self, chance: &mut Chance) {
        let asked: [&[&str]; 3] = [&["wait", "--timeout", "5s"], &["logs", "-f"], &["inspect"]];
        while !self.is_over() {
            sleep(Duration::from_millis(100));
            let latest = self.latest().clone();
            let (Some(id), Some(what)) = (chance.pick(&latest), chance.pick(&asked)) else { continue };
            let mut client = self.run_directory.command(&[what, &[&id]].concat()).spawn().unwrap();
            sleep(Duration::from_millis(chance.below(400)));
            let _ = client.kill();
            let _ = client.wait();
            self.ledger().clients += 1;
        }
    }
}

struct Launcher {
    number: u64,
    launches: u64,
    chance: Chance,
    shared: Arc<Shared>,
}

impl Launcher {
    fn work(mut self) {
        // Expected end times of the launched processes.
        let mut ends: Vec<Instant> = Vec::new();
        while !self.shared.is_over() {
            ends.retain(|end| *end > Instant::now());
            if ends.len() >= LIVE {
                sleep(Duration::from_millis(20));
                continue;
            }
            let life =
                if self.chance.odds(4) { self.chance.below(SHORT_MS) } else { self.chance.below(LONG_MS) };
            ends.push(Instant::now() + Duration::from_millis(life));
            self.launch(life);
            sleep(Duration::from_millis(self.chance.below(60)));
        }
    }

    /// Launches a process. Repeats the request until it is answered or the run is over. The process must not run twice.
    fn launch(&mut self, life: u64) {
        self.launches += 1;
        let key = format!("client-{}-{}", self.number, self.launches);
        let code = if self.chance.odds(3) { 7 } else { 0 };
        self.shared.ledger().launches.insert(key.clone(), Launch { code, id: None });
        let run_directory = &self.shared.run_directory;
        let request = drawn(run_directory, &key, journal::arguments(&run_directory.journal(), life, code));
        let body = serde_json::to_value(request).unwrap();
        while !self.shared.is_over() {
            match ask(&run_directory.socket(), "POST", "/v1/processes", &body, TIMEOUT) {
                Answer::Response { status: 200 | 201, body } => {
                    let id = body.pointer("/process/id").and_then(|id| id.as_str()).unwrap_or_default();
                    self.shared.ledger().accepted(&key, id);
                    let mut latest = self.shared.latest();
                    if latest.len() >= LATEST {
                        latest.remove(0);
                    }
                    latest.push(id.to_owned());
                    return;
                }
                Answer::Response { status: 503, .. } | Answer::NoConnection | Answer::NoResponse => {
                    sleep(Duration::from_millis(20));
                }
                Answer::Response { status, body } => {
                    self.shared
                        .ledger()
                        .oddities
                        .push(format!("the answer to a launch was {status}: {body}"));
                    return;
                }
            }
        }
    }
}

fn drawn(run_directory: &RunDirectory, launch_key: &str, args: Vec<String>) -> LaunchRequest {
    LaunchRequest {
        command: Some(CommandRequest {
            program: run_directory.shell(),
            args,
            directory: run_directory.work().to_string_lossy().into_owned(),
            grace_ms: Some(300),
            ..CommandRequest::default()
        }),
        launch_key: Some(launch_key.to_owned()),
        ..LaunchRequest::default()
    }
}
