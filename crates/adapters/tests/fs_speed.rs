//! Measures the speed of the file store. Run by hand, in release mode:
//! `cargo test --release -p longhaul-adapters --features fs --test fs_speed -- --ignored --nocapture`.
#![cfg(feature = "fs")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints what it found and stops where it cannot go on"
)]

use longhaul_adapters::fs::{FsOptions, FsStore};
use longhaul_domain::*;
use longhaul_ports::*;
use longhaul_testkit::fakes::{SequentialIds, VirtualClock};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

#[ignore = "a measurement, which needs an idle machine"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_commits_fast_enough() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let ids = Arc::new(SequentialIds::default());
    for (writers, turns) in [(1, 500), (16, 3_200), (64, 6_400), (1, 500), (16, 3_200)] {
        let store = Arc::new(open(&path));
        let there = count(&store).await;
        let begun = Instant::now();
        let lines: Vec<_> = (0..writers)
            .map(|_| {
                let (store, ids) = (Arc::clone(&store), Arc::clone(&ids));
                tokio::spawn(async move {
                    for _ in 0..(turns / writers) {
                        let new = work(&ids);
                        let id = new.process.id;
                        store.submit(new).await.unwrap();
                        store.commit(ending(&store, &ids, id).await).await.unwrap();
                    }
                })
            })
            .collect();
        for line in lines {
            line.await.unwrap();
        }
        let rate = f64::from(turns * 2) / begun.elapsed().as_secs_f64();
        println!("durable commits by {writers} writers with {there} records: {rate:.0} a second");
        drop(store);
        let begun = Instant::now();
        drop(open(&path));
        println!("opened again in {:?}", begun.elapsed());
    }
}

fn open(path: &Path) -> FsStore {
    FsStore::open(path, Arc::new(VirtualClock::default()), FsOptions::default()).unwrap()
}

async fn count(store: &FsStore) -> u64 {
    store.end().await.unwrap().0 / 2
}

fn work(ids: &SequentialIds) -> Submission {
    let mut command = CommandSpec::of("/usr/bin/make", &["-j2", "check"], "/home/someone/project");
    command.environment.captured = Some(EnvironmentHash("0".repeat(64)));
    let mut spec = Spec::of(Work::Command(Box::new(command)));
    spec.project = Some(ProjectName::new("project").unwrap());
    let (process, events) = Process::submit(&context(1), ids.process(), Lineage::default(), Arc::new(spec));
    let limits = SubmitLimits { policy: PolicyVersion(0), slots: None, tree: TreeLimits::default() };
    Submission { process, events, limits, claim_for: None, fail_if_queued: false }
}

async fn ending(store: &FsStore, ids: &SequentialIds, id: ProcessId) -> Change {
    let stored = store.load(&[id]).await.unwrap().remove(0).unwrap();
    let input = Input::Action(Action::Cancel { cause: StopCause::User });
    let step = stored.process.decide(&context(2), &stored.live_stats, &input).unwrap();
    let mut next = stored.process.clone();
    next.evolve(&step.events);
    let (author, expected) = (Writer::Anyone, stored.revision);
    Change {
        op: ids.op(),
        author,
        expected,
        next,
        events: step.events,
        taken: ActionSeq(0),
        require_no_live_descendants: false,
    }
}

fn context(now: i64) -> DecisionContext {
    DecisionContext {
        now: Timestamp(now),
        awake: AwakeTime(now),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    }
}
