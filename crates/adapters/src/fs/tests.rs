//! Tests with simulated disk failures.

use super::*;
use longhaul_domain::*;
use longhaul_ports::*;
use longhaul_testkit::fakes::{SequentialIds, VirtualClock};
use std::sync::atomic::Ordering;

/// The steps of a file write, each of which can be made to fail.
const ROOM: u8 = 1;
const SYNC: u8 = 2;
const SYNC_OF_THE_DIRECTORY: u8 = 4;

#[tokio::test]
async fn a_full_disk_accepts_writes_again_when_there_is_space() {
    let world = World::new();
    let store = world.open();
    let first = world.submit(&store).await.unwrap();
    store.shared.store_dir.fails.store(ROOM, Ordering::Relaxed);
    for _ in 0..3 {
        let refused = world.submit(&store).await;
        assert!(matches!(refused, Err(StoreError::Refused(StoreRejection::Full))), "{refused:?}");
        assert_eq!(world.all(&store).await, [first]);
    }
    store.shared.store_dir.fails.store(0, Ordering::Relaxed);
    let second = world.submit(&store).await.unwrap();
    assert_eq!(world.all(&store).await, [first, second]);
    drop(store);
    assert_eq!(world.all(&world.open()).await, [first, second]);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_until_it_is_opened_again() {
    let world = World::new();
    let store = world.open();
    let first = world.submit(&store).await.unwrap();
    store.shared.store_dir.fails.store(SYNC, Ordering::Relaxed);
    let lost = world.submit(&store).await;
    assert!(matches!(lost, Err(StoreError::Unavailable { .. })), "{lost:?}");
    store.shared.store_dir.fails.store(0, Ordering::Relaxed);
    let refused = world.submit(&store).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
    assert_eq!(world.all(&store).await, [first], "what is there can be read, what failed is not");
    drop(store);
    let store = world.open();
    assert_eq!(world.all(&store).await, [first]);
    world.submit(&store).await.unwrap();
}

#[tokio::test]
async fn a_write_that_may_be_applied_is_reported_as_unknown() {
    let world = World::new();
    let store = world.open();
    let first = world.submit(&store).await.unwrap();
    store.shared.store_dir.fails.store(SYNC_OF_THE_DIRECTORY, Ordering::Relaxed);
    let unsure = world.submit(&store).await;
    assert!(matches!(unsure, Err(StoreError::Unknown { .. })), "{unsure:?}");
    store.shared.store_dir.fails.store(0, Ordering::Relaxed);
    let refused = world.submit(&store).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
    let seen = world.all(&store).await;
    assert_eq!(seen.first(), Some(&first));
    drop(store);
    assert_eq!(world.all(&world.open()).await, seen);
}

#[tokio::test]
async fn live_stats_are_written_within_a_second_and_when_the_store_is_closed() {
    let world = World::new();
    let store = world.open();
    let me = NodeDescriptor {
        id: NodeId::new("n").unwrap(),
        home: None,
        boot: String::new(),
        version: String::new(),
    };
    let lease = store.register(&me).await.unwrap();
    let id = world.submit(&store).await.unwrap();
    let room = ClaimCapacity { roots: 9, batch: 9, classes: vec![PlacementClass::Shared(Placement::Here)] };
    assert_eq!(store.claim(&lease, &room).await.unwrap().len(), 1);
    let commits = || world.path().join("commits").read_dir().unwrap().count();
    let before = commits();
    for (turn, wait) in [(1, true), (2, false)] {
        let live_stats = LiveStats { output_bytes: turn, ..LiveStats::default() };
        let reported = store
            .update_live_stats(&Writer::Owner(lease.clone()), &[(id, AttemptNo(1), live_stats)])
            .await
            .unwrap();
        assert!(reported[0].is_ok());
        while wait && commits() == before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    drop(store);
    let stored = world.open().load(&[id]).await.unwrap().remove(0).unwrap();
    assert_eq!(stored.live_stats.output_bytes, 2);
}

struct World {
    directory: tempfile::TempDir,
    ids: SequentialIds,
}

impl World {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), ids: SequentialIds::default() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("store")
    }

    fn open(&self) -> FsStore {
        FsStore::open(&self.path(), Arc::new(VirtualClock::default()), FsOptions::default()).unwrap()
    }

    async fn submit(&self, store: &FsStore) -> Result<ProcessId, StoreError> {
        let context = DecisionContext {
            now: Timestamp(1),
            awake: AwakeTime(1),
            chance: RandomBits(0),
            capabilities: Capabilities::ALL,
        };
        let work = Work::Command(Box::new(CommandSpec::of("true", &[], "/")));
        let (process, events) =
            Process::submit(&context, self.ids.process(), Lineage::default(), Arc::new(Spec::of(work)));
        let id = process.id;
        let limits = SubmitLimits { policy: PolicyVersion(0), slots: None, tree: TreeLimits::default() };
        let new = Submission { process, events, limits, claim_for: None, fail_if_queued: false };
        store.submit(new).await.map(|_| id)
    }

    async fn all(&self, store: &FsStore) -> Vec<ProcessId> {
        let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 100 };
        let listing = store.list(&ProcessFilter::default(), &page).await.unwrap();
        listing.processes.into_iter().map(|stored| stored.process.id).collect()
    }
}
