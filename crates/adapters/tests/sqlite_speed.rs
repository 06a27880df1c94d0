//! Measures the speed and the size of the SQLite store. Run by hand, in release mode:
//! `cargo test --release -p longhaul-adapters --features sqlite --test sqlite_speed -- --ignored --nocapture`.
#![cfg(feature = "sqlite")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement prints what it found and stops where it cannot go on"
)]

use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_domain::*;
use longhaul_ports::*;
use longhaul_testkit::fakes::{SequentialIds, VirtualClock};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[ignore = "measures, and needs a quiet machine"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_fast_and_small() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = Arc::new(open(&path));
    println!("resident, empty: {} KiB", resident());
    let lease = store
        .register(&NodeDescriptor {
            id: NodeId::new("n").unwrap(),
            home: None,
            boot: String::new(),
            version: String::new(),
        })
        .await
        .unwrap();

    let ids = Arc::new(SequentialIds::default());
    let submits = times(1_000, async |_| {
        let mut new = work(&ids, None);
        let mut spec = new.process.spec.as_ref().clone();
        spec.key = Some(SlotKey::new("another").unwrap());
        new.process.spec = spec.into();
        store.submit(new).await.unwrap();
    })
    .await;
    report("submit, alone", &submits);
    let claimant = ClaimRequest { lease: lease.clone(), roots: 100_000 };
    let launches =
        times(1_000, async |_| drop(store.submit(work(&ids, Some(&claimant))).await.unwrap())).await;
    report("submit and claim, alone", &launches);

    let begun = Instant::now();
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let (store, ids) = (Arc::clone(&store), Arc::clone(&ids));
            tokio::spawn(async move {
                let mut waits = Vec::new();
                for _ in 0..500 {
                    let begun = Instant::now();
                    store.submit(work(&ids, None)).await.unwrap();
                    waits.push(begun.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for writer in writers {
        waits.extend(writer.await.unwrap());
    }
    let rate = 8_000.0 / begun.elapsed().as_secs_f64();
    println!("durable commits by 16 writers: {rate:.0} a second");
    report("each of them", &waits);
    println!("resident with 10,000: {} KiB", resident());
    drop(store);

    let begun = Instant::now();
    let store = Arc::new(open(&path));
    println!("opened with 10,000: {:?}, resident {} KiB", begun.elapsed(), resident());

    let fill: Vec<_> = (0..64)
        .map(|_| {
            let (store, ids) = (Arc::clone(&store), Arc::clone(&ids));
            tokio::spawn(async move {
                for _ in 0..1_400 {
                    store.submit(work(&ids, None)).await.unwrap();
                }
            })
        })
        .collect();
    for fill in fill {
        fill.await.unwrap();
    }
    let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 50 };
    for (name, filter) in [
        ("list the newest 50 of 100,000", ProcessFilter::default()),
        (
            "list 50 that run",
            ProcessFilter { statuses: vec![Status::Starting, Status::Running], ..ProcessFilter::default() },
        ),
        (
            "list a session of a third",
            ProcessFilter { session: Some(SessionId::new("s1").unwrap()), ..ProcessFilter::default() },
        ),
        (
            "list what no index finds",
            ProcessFilter { kind: Some(ProcessType::Server), ..ProcessFilter::default() },
        ),
        (
            "list by a prefix",
            ProcessFilter { id_prefix: Some("0a1b".to_owned()), ..ProcessFilter::default() },
        ),
    ] {
        let lists = times(50, async |_| drop(store.list(&filter, &page).await.unwrap())).await;
        report(name, &lists);
    }
    let room =
        ClaimCapacity { roots: 100_000, batch: 1, classes: vec![PlacementClass::Shared(Placement::Here)] };
    let claims = times(200, async |_| drop(store.claim(&lease, &room).await.unwrap())).await;
    report("claim 1 of 100,000", &claims);
    let beats = times(200, async |_| drop(store.renew_lease(&lease).await.unwrap())).await;
    report("beat", &beats);
    println!("resident with 100,000: {} KiB", resident());
    println!("on the disk: {} bytes a record", std::fs::metadata(&path).unwrap().len() / 100_000);
}

#[ignore = "measures, and needs a quiet machine"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_queue_of_many_keys_is_claimed_from_fast() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = Arc::new(open(&path));
    let me = NodeDescriptor {
        id: NodeId::new("n").unwrap(),
        home: None,
        boot: String::new(),
        version: String::new(),
    };
    let lease = store.register(&me).await.unwrap();
    let ids = Arc::new(SequentialIds::default());
    let fill: Vec<_> = (0..100)
        .map(|writer| {
            let (store, ids) = (Arc::clone(&store), Arc::clone(&ids));
            tokio::spawn(async move {
                for turn in 0..1_000 {
                    let mut new = work(&ids, None);
                    let mut spec = new.process.spec.as_ref().clone();
                    spec.key = Some(SlotKey::new(&format!("key-{}", (turn + writer * 10) % 1_000)).unwrap());
                    new.process.spec = spec.into();
                    store.submit(new).await.unwrap();
                }
            })
        })
        .collect();
    for fill in fill {
        fill.await.unwrap();
    }
    let room =
        ClaimCapacity { roots: 100_000, batch: 1, classes: vec![PlacementClass::Shared(Placement::Here)] };
    let claims = times(500, async |_| drop(store.claim(&lease, &room).await.unwrap())).await;
    report("claim 1 of 100,000 of 1,000 keys", &claims);
    let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 50 };
    let waiting = ProcessFilter { statuses: vec![Status::Pending], ..ProcessFilter::default() };
    let lists = times(50, async |_| drop(store.list(&waiting, &page).await.unwrap())).await;
    report("list 50 that wait", &lists);
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Arc::new(VirtualClock::default()), SqliteOptions::default()).unwrap()
}

fn work(ids: &SequentialIds, claim_for: Option<&ClaimRequest>) -> Submission {
    let id = ids.process();
    let mut command = CommandSpec::of("/usr/bin/make", &["-j2", "check"], "/home/someone/project");
    command.environment.captured = Some(EnvironmentHash("0".repeat(64)));
    let mut spec = Spec::of(Work::Command(Box::new(command)));
    let third = id.as_uuid().as_bytes()[0] % 3;
    spec.session = Some(SessionId::new(&format!("s{third}")).unwrap());
    spec.project = Some(ProjectName::new("project").unwrap());
    let context = DecisionContext {
        now: Timestamp(1),
        awake: AwakeTime(1),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    };
    let (process, events) = Process::submit(&context, id, Lineage::default(), Arc::new(spec));
    Submission {
        process,
        events,
        limits: SubmitLimits { policy: PolicyVersion(0), slots: None, tree: TreeLimits::default() },
        claim_for: claim_for.cloned(),
        fail_if_queued: false,
    }
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
    let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
    println!("{name}: p50 {:?}, p99 {:?}, most {:?}", at(50), at(99), at(100));
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
