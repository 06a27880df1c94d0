//! Clients that launch processes continuously. They repeat each request until they receive a reply.

use longhaul_tests::ask::{Answer, ask};
use longhaul_wire::api::{CommandRequest, EnvironmentRequest, LaunchRequest};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// Number of clients on each node.
const CLIENTS: usize = 2;
/// Delay between two launches of a client.
const PAUSE: Duration = Duration::from_millis(150);
/// Time limit of a request. It is longer than the manager's own time limit.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Time limit for repeating the last requests until they are answered.
const INSISTING: Duration = Duration::from_secs(25);

/// Shell script of a command. It writes to the journal at its start and at its end.
const SCRIPT: &str = r#"
echo "$LONGHAUL_ID $LONGHAUL_ATTEMPT start $4" >> "$1"
sleep "$2"
echo "$LONGHAUL_ID $LONGHAUL_ATTEMPT end $4" >> "$1"
exit "$3"
"#;

/// A launch and its outcome.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) code: i32,
    /// Node to which the latest request was sent.
    pub(crate) node: &'static str,
    pub(crate) acknowledged: Option<Acknowledged>,
    /// True if the launch was repeated after a request whose result is unknown.
    pub(crate) in_doubt: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) id: String,
    pub(crate) at: Instant,
}

/// The launches of all clients, by launch key.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) launches: BTreeMap<String, Launch>,
    /// Number of rejections, by error text.
    pub(crate) refusals: BTreeMap<String, u64>,
}

/// The running clients.
pub(crate) struct Clients {
    threads: Vec<JoinHandle<()>>,
    over: Arc<AtomicBool>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Clients {
    /// Starts clients for each of the given nodes and sockets. If `may_wait` is true, some of the launches that any
    /// node may run are delayed.
    pub(crate) fn start(nodes: &[(&'static str, PathBuf)], journal: &Path, may_wait: bool) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let threads = nodes
            .iter()
            .enumerate()
            .flat_map(|place| (0..CLIENTS).map(move |number| (place, number)))
            .map(|((own, (node, _)), number)| {
                let client = Client {
                    name: format!("{node}-{number}"),
                    own,
                    may_wait,
                    nodes: nodes.to_vec(),
                    journal: journal.to_owned(),
                    ledger: ledger.clone(),
                    unanswered: VecDeque::new(),
                };
                let over = over.clone();
                std::thread::spawn(move || client.work(&over))
            })
            .collect();
        Self { threads, over, ledger }
    }

    /// Returns the number of acknowledged launches.
    pub(crate) fn acknowledged(&self) -> usize {
        let ledger = locked(&self.ledger);
        ledger.launches.values().filter(|launch| launch.acknowledged.is_some()).count()
    }

    /// Returns true if each node acknowledged a launch after the given time.
    pub(crate) fn are_heard(&self, nodes: &[&str], after: Instant) -> bool {
        let ledger = locked(&self.ledger);
        nodes.iter().all(|node| {
            let heard = |launch: &Launch| {
                launch.node == *node && launch.acknowledged.as_ref().is_some_and(|it| it.at > after)
            };
            ledger.launches.values().any(heard)
        })
    }

    /// Stops all clients after they have repeated their unanswered requests. Returns the launches.
    pub(crate) fn part(self) -> Ledger {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        std::mem::take(&mut *locked(&self.ledger))
    }
}

struct Client {
    name: String,
    /// Index of the node that this client belongs to.
    own: usize,
    may_wait: bool,
    nodes: Vec<(&'static str, PathBuf)>,
    journal: PathBuf,
    ledger: Arc<Mutex<Ledger>>,
    unanswered: VecDeque<LaunchRequest>,
}

impl Client {
    fn work(mut self, over: &AtomicBool) {
        let mut number = 0;
        let mut is_heard = true;
        let mut tries = 0;
        while !over.load(Ordering::Relaxed) {
            is_heard = match if is_heard { self.unanswered.pop_front() } else { None } {
                Some(request) => {
                    tries += 1;
                    self.send(request, tries)
                }
                None => {
                    number += 1;
                    self.send(self.drawn(number), 0)
                }
            };
            sleep(PAUSE);
        }
        let begun = Instant::now();
        while begun.elapsed() < INSISTING
            && let Some(request) = self.unanswered.pop_front()
        {
            tries += 1;
            if !self.send(request, tries) {
                sleep(PAUSE);
            }
        }
    }

    /// Returns the next launch request. Most commands are short. A few early commands run before, during and after the
    /// failover.
    fn drawn(&self, number: u64) -> LaunchRequest {
        let key = format!("{}-{number}", self.name);
        let code = if number % 5 == 2 { 7 } else { 0 };
        let life = match number {
            2 => "12",
            _ if number % 10 == 7 => "3",
            _ => "0.1",
        };
        let journal = self.journal.to_string_lossy();
        let args = ["-c", SCRIPT, "worker", &*journal, life, &code.to_string(), &key].map(str::to_owned);
        let launch = Launch { code, node: self.nodes[self.own].0, acknowledged: None, in_doubt: false };
        locked(&self.ledger).launches.insert(key.clone(), launch);
        LaunchRequest {
            command: Some(CommandRequest {
                program: "sh".to_owned(),
                args: args.into(),
                directory: "/".to_owned(),
                environment: EnvironmentRequest {
                    declared: [("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())].into(),
                    bare: true,
                    ..EnvironmentRequest::default()
                },
                ..CommandRequest::default()
            }),
            launch_key: Some(key),
            // Any node may run every third launch. The early launches of these are delayed, so that their commands
            // start while the fault is present.
            any_node: number.is_multiple_of(3),
            delay_ms: (self.may_wait && number < 13 && number.is_multiple_of(3))
                .then_some(2_000 + number * 700),
            ..LaunchRequest::default()
        }
    }

    /// Sends a launch. Returns true if the launch was acknowledged. If it was not, the client repeats it later; if any
    /// node may run it, another node gets the next try.
    fn send(&mut self, request: LaunchRequest, tries: usize) -> bool {
        let body = serde_json::to_value(&request).unwrap();
        let place = if request.any_node { (self.own + tries) % self.nodes.len() } else { self.own };
        let (node, socket) = &self.nodes[place];
        let answer = ask(socket, "POST", "/v1/processes", &body, TIMEOUT);
        let at = Instant::now();
        let mut ledger = locked(&self.ledger);
        let refusal = match answer {
            Answer::Response { status: 200 | 201, body } => {
                let id = body["process"]["id"].as_str().unwrap().to_owned();
                let key = request.launch_key.unwrap_or_default();
                if let Some(launch) = ledger.launches.get_mut(&key) {
                    launch.node = node;
                    launch.acknowledged = Some(Acknowledged { id, at });
                }
                return true;
            }
            Answer::Response { body, .. } => body["type"].as_str().unwrap_or("nothing").to_owned(),
            Answer::NoConnection => "no manager".to_owned(),
            Answer::NoResponse => "silence".to_owned(),
        };
        *ledger.refusals.entry(refusal).or_default() += 1;
        if let Some(launch) = request.launch_key.as_ref().and_then(|key| ledger.launches.get_mut(key)) {
            launch.in_doubt = true;
        }
        drop(ledger);
        self.unanswered.push_back(request);
        false
    }
}

fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
