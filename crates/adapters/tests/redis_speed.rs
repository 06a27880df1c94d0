//! Measures the speed and the memory use of the Redis store. Run by hand, in release mode:
//! ```sh
//! cargo test --release -p longhaul-adapters --features redis --test redis_speed -- --ignored --nocapture \
//!     --test-threads 1
//! ```
#![cfg(feature = "redis")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement prints what it found and stops where it cannot go on"
)]

use longhaul_adapters::redis::{Durability, RedisOptions, RedisStore};
use longhaul_domain::*;
use longhaul_ports::*;
use longhaul_testkit::fakes::SequentialIds;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const WAITING: u64 = 100_000;

#[ignore = "a measurement, which needs an idle machine"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_fast() {
    for mode in ["everysec", "always"] {
        println!("appendfsync {mode}");
        let bench = Bench::open(mode).await;
        let alone = times(2_000, async |_| drop(bench.launch(None).await)).await;
        report("  submit, alone", &alone);
        let began = times(2_000, async |_| drop(bench.launch(Some(&bench.claimant())).await)).await;
        report("  submit and claim, alone", &began);
        for writers in [16, 64] {
            let bench = Bench::open(mode).await;
            let rate = bench.at_once(writers, 20_000, async |bench| drop(bench.launch(None).await)).await;
            println!("  submits by {writers} writers: {rate:.0} a second");
            let claimant = bench.claimant();
            let launch = async |bench: &Bench| drop(bench.launch(Some(&claimant)).await);
            let rate = bench.at_once(writers, 20_000, launch).await;
            println!("  submits with claim by {writers} writers: {rate:.0} a second");
            let turns = Bench::open(mode).await;
            let (launches, rate) = turns.lives(writers, 20_000).await;
            println!(
                "  lives by {writers} writers: {launches:.0} a second, which is {rate:.0} changes a second"
            );
        }
    }
}

#[ignore = "a measurement, which needs an idle machine"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_among_many_is_fast() {
    for keys in [0, 1, 1_000, WAITING] {
        let bench = Bench::open("everysec").await;
        bench
            .at_once(64, WAITING, async |bench| {
                let key = (keys > 0).then(|| format!("key-{}", bench.ids.chance().0 % keys));
                bench.submit(key.as_deref(), None).await;
            })
            .await;
        let (version, policy) = bench.store.policy().await.unwrap();
        bench.store.set_policy(version, &Policy { default_slots: 0, ..policy }).await.unwrap();
        let room = ClaimCapacity {
            roots: 1_000_000,
            batch: 1,
            classes: vec![
                PlacementClass::Node(bench.lease.node.clone()),
                PlacementClass::Shared(Placement::Here),
            ],
        };
        bench.ask(redis::cmd("CONFIG").arg("RESETSTAT")).await;
        let claims = times(5_000, async |_| {
            assert_eq!(bench.store.claim(&bench.lease, &room).await.unwrap().len(), 1);
        })
        .await;
        report(&format!("claim 1 of {WAITING} of {keys} keys"), &claims);
        println!("  of that in the server: {}", bench.in_server().await);
    }
}

#[ignore = "a measurement, which needs an idle machine"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_small() {
    let bench = Bench::open("everysec").await;
    let before = bench.memory().await;
    bench.ask(redis::cmd("CONFIG").arg("RESETSTAT")).await;
    bench.lives(64, 20_000).await;
    println!("what the server did for each life, by the time it took:\n{}", bench.commands(20_000).await);
    let after = bench.memory().await;
    println!("memory of a finished process: {} bytes", (after - before) / 20_000);
    println!("scripts of its life in the server: {}", bench.in_server().await);
}

struct Bench {
    store: Arc<RedisStore>,
    ids: Arc<SequentialIds>,
    lease: Lease,
    client: redis::Client,
    _server: Arc<Server>,
}

impl Bench {
    async fn open(mode: &str) -> Self {
        let server = Server::start(mode);
        let url = format!("redis+unix://{}", server.socket());
        let client = redis::Client::open(url.as_str()).unwrap();
        let options = RedisOptions { leases: None, durability: Durability::Cache, ..RedisOptions::at(&url) };
        let begun = Instant::now();
        let store = loop {
            match RedisStore::open(options.clone()).await {
                Ok(store) => break store,
                Err(_) if begun.elapsed() < Duration::from_secs(5) => {}
                Err(error) => panic!("{error:?}"),
            }
        };
        let me = NodeDescriptor {
            id: NodeId::new("n").unwrap(),
            home: None,
            boot: String::new(),
            version: String::new(),
        };
        let lease = store.register(&me).await.unwrap();
        Self { store: Arc::new(store), ids: Arc::default(), lease, client, _server: Arc::new(server) }
    }

    fn claimant(&self) -> ClaimRequest {
        ClaimRequest { lease: self.lease.clone(), roots: 1_000_000 }
    }

    async fn launch(&self, claimant: Option<&ClaimRequest>) -> SubmitOutcome {
        self.submit(None, claimant).await
    }

    async fn submit(&self, key: Option<&str>, claimant: Option<&ClaimRequest>) -> SubmitOutcome {
        let new = work(&self.ids, key, claimant);
        self.store.submit(new).await.unwrap()
    }

    /// Executes `run` `count` times in total, with `writers` concurrent futures. Returns the number of executions per
    /// second.
    async fn at_once(&self, writers: u64, count: u64, run: impl AsyncFn(&Self)) -> f64 {
        let begun = Instant::now();
        let each = async || {
            for _ in 0..count / writers {
                run(self).await;
            }
        };
        join((0..writers).map(|_| each())).await;
        (count / writers * writers) as f64 / begun.elapsed().as_secs_f64()
    }

    /// Runs whole processes, from submission and claim through the spawn to the exit. Returns the numbers of processes
    /// and of changes per second.
    async fn lives(&self, writers: u64, count: u64) -> (f64, f64) {
        let claimant = self.claimant();
        let rate = self
            .at_once(writers, count, async |bench| {
                let SubmitOutcome::Claimed(stored) = bench.launch(Some(&claimant)).await else {
                    panic!("it waits");
                };
                let attempt = stored.process.attempt;
                let spawned = Observation::Spawned {
                    attempt,
                    pid: Some(4711),
                    containment: Some(Containment::Cgroup),
                    at: Timestamp(2),
                };
                let running = bench.turn(stored, spawned).await;
                let exit = Exit {
                    status: ExitStatus::Code(0),
                    at: Timestamp(3),
                    stopped: None,
                    last_signal: None,
                    leftovers_killed: 0,
                    leftovers_found: 0,
                    limit: None,
                    usage: Usage::default(),
                    output_bytes: 0,
                    dropped_bytes: 0,
                    started_at: None,
                    circumstances: ExitCircumstances::PLAIN,
                    first_error: None,
                };
                bench.turn(running, Observation::Exited { attempt, exit }).await;
            })
            .await;
        (rate, rate * 4.0)
    }

    async fn turn(&self, stored: StoredProcess, seen: Observation) -> StoredProcess {
        let step = stored.process.decide(&context(), &stored.live_stats, &Input::Observation(seen)).unwrap();
        let mut next = stored.process.clone();
        next.evolve(&step.events);
        let change = Change {
            op: self.ids.op(),
            author: stored.owner.clone().map_or(Writer::Anyone, Writer::Owner),
            expected: stored.revision,
            next: next.clone(),
            events: step.events,
            taken: ActionSeq(0),
            require_no_live_descendants: false,
        };
        let revision = self.store.commit(change).await.unwrap();
        StoredProcess { process: next, revision, ..stored }
    }

    async fn memory(&self) -> u64 {
        let info = self.ask(redis::cmd("INFO").arg("memory")).await;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        line.trim().parse().unwrap()
    }

    /// Returns percentiles of the run time of scripts on the server, in microseconds.
    async fn in_server(&self) -> String {
        let info = self.ask(redis::cmd("INFO").arg("latencystats")).await;
        let line = info.lines().find_map(|line| line.strip_prefix("latency_percentiles_usec_evalsha:"));
        line.unwrap_or("unknown").to_owned()
    }

    /// Returns the commands that the server has executed for `count` operations. For each command, the text contains
    /// the calls and the time per operation.
    async fn commands(&self, count: u64) -> String {
        let info = self.ask(redis::cmd("INFO").arg("commandstats")).await;
        let mut rows: Vec<(f64, String)> = info
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
                let number = |field: &str| {
                    let value = rest.split(',').find_map(|part| part.strip_prefix(field))?;
                    value.trim_start_matches('=').parse::<f64>().ok()
                };
                let (calls, micros) = (number("calls")? / count as f64, number("usec=")? / count as f64);
                Some((micros, format!("  {name}: {calls:.2} calls, {micros:.1} µs")))
            })
            .collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        rows.into_iter().take(16).map(|(_, row)| row).collect::<Vec<_>>().join("\n")
    }

    async fn ask(&self, command: &redis::Cmd) -> String {
        let mut connection = self.client.get_multiplexed_async_connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }
}

struct Server {
    child: Child,
    directory: tempfile::TempDir,
}

impl Server {
    fn start(mode: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", mode])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    fn socket(&self) -> String {
        self.directory.path().join("socket").display().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn context() -> DecisionContext {
    DecisionContext {
        now: Timestamp(1),
        awake: AwakeTime(1),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    }
}

fn work(ids: &SequentialIds, key: Option<&str>, claim_for: Option<&ClaimRequest>) -> Submission {
    let id = ids.process();
    let mut command = CommandSpec::of("/usr/bin/make", &["-j2", "check"], "/home/someone/project");
    command.environment.captured = Some(EnvironmentHash("0".repeat(64)));
    let mut spec = Spec::of(Work::Command(Box::new(command)));
    let third = id.as_uuid().as_bytes()[0] % 3;
    spec.session = Some(SessionId::new(&format!("s{third}")).unwrap());
    spec.project = Some(ProjectName::new("project").unwrap());
    spec.key = key.map(|key| SlotKey::new(key).unwrap());
    let (process, events) = Process::submit(&context(), id, Lineage::default(), Arc::new(spec));
    Submission {
        process,
        events,
        limits: SubmitLimits { policy: PolicyVersion(0), slots: None, tree: TreeLimits::default() },
        claim_for: claim_for.cloned(),
        fail_if_queued: false,
    }
}

/// Polls all futures until each of them is complete.
async fn join(runs: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut runs: Vec<_> = runs.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        runs.retain_mut(|run| run.as_mut().poll(cx).is_pending());
        if runs.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

async fn times(count: usize, run: impl AsyncFn(usize)) -> Vec<Duration> {
    let mut spans = Vec::with_capacity(count);
    for turn in 0..count {
        let begun = Instant::now();
        run(turn).await;
        spans.push(begun.elapsed());
    }
    spans
}

fn report(name: &str, spans: &[Duration]) {
    let mut sorted = spans.to_vec();
    sorted.sort_unstable();
    let at = |per_thousand: usize| sorted[(sorted.len() - 1) * per_thousand / 1_000];
    println!("{name}: p50 {:?}, p99 {:?}, p99.9 {:?}, most {:?}", at(500), at(990), at(999), at(1_000));
}
