//! Tests of the outbox: the node's own copy of the records that it wrote to a shared store.
#![cfg(feature = "outbox")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "outbox/alone.rs"]
mod alone;
#[path = "outbox/files.rs"]
mod files;
#[path = "outbox/keeps.rs"]
mod keeps;
#[path = "outbox/remote.rs"]
mod remote;
#[path = "outbox/restores.rs"]
mod restores;

use longhaul_adapters::memory::MemoryStore;
use longhaul_adapters::outbox::{OutboxOptions, OutboxStore, SharedStore};
use longhaul_domain::*;
use longhaul_ports::*;
use longhaul_testkit::fakes::{SequentialIds, VirtualClock};
use longhaul_testkit::suite::StoreFixture;
use longhaul_testkit::suite::store::{GRACE, LEASE};
use remote::Remote;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// The contract test suite of stores, run on a store behind an outbox.
mod suite {
    longhaul_testkit::store_suite!(super::of_memory);

    mod leased {
        longhaul_testkit::leased_store_suite!(super::super::of_leased_memory);
    }
}

async fn of_memory(clock: VirtualClock) -> StoreFixture {
    let memory = MemoryStore::new(Arc::new(clock.clone()));
    StoreFixture::new(Arc::new(around(Arc::new(memory), &clock).await), clock)
}

async fn of_leased_memory(clock: VirtualClock) -> StoreFixture {
    let memory = MemoryStore::new(Arc::new(clock.clone())).with_leases(LEASE, GRACE);
    StoreFixture::new(Arc::new(around(Arc::new(memory), &clock).await), clock)
}

/// Opens an outbox whose directory is deleted immediately.
async fn around(inner: Arc<dyn SharedStore>, clock: &VirtualClock) -> OutboxStore {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outbox.sqlite");
    // The directory is deleted on return. The outbox continues to use its open files, which no longer have names.
    OutboxStore::open(inner, &path, Arc::new(clock.clone()), OutboxOptions::at("memory")).await.unwrap()
}

/// A node with an outbox, and the shared store.
struct Node {
    directory: TempDir,
    clock: VirtualClock,
    ids: SequentialIds,
    remote: Remote,
}

impl Node {
    fn new() -> Self {
        let clock = VirtualClock::default();
        let memory = MemoryStore::new(Arc::new(clock.clone())).with_leases(LEASE, GRACE);
        Self {
            directory: tempfile::tempdir().unwrap(),
            ids: SequentialIds::default(),
            remote: Remote::new(memory),
            clock,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("outbox.sqlite")
    }

    async fn open(&self) -> OutboxStore {
        self.open_at(&self.path(), "here").await.unwrap()
    }

    async fn open_at(&self, path: &Path, place: &str) -> Result<OutboxStore, StoreError> {
        let inner = Arc::new(self.remote.clone());
        OutboxStore::open(inner, path, Arc::new(self.clock.clone()), OutboxOptions::at(place)).await
    }

    /// Opens the outbox, registers the node and reconciles the outbox with the shared store.
    async fn join(&self) -> (OutboxStore, Lease) {
        let store = self.open().await;
        let lease = store.register(&facts("me")).await.unwrap();
        store.reconcile(&lease).await.unwrap();
        (store, lease)
    }

    /// Returns a launch that is pinned to this node and not claimed.
    fn launch(&self) -> Submission {
        self.launch_for(None)
    }

    fn launch_for(&self, lease: Option<&Lease>) -> Submission {
        self.launch_with(lease, |_| {})
    }

    /// Returns a launch as [`launch`](Self::launch) does, but with a changed spec.
    fn launch_as(&self, change: impl FnOnce(&mut Spec)) -> Submission {
        self.launch_with(None, change)
    }

    fn launch_with(&self, lease: Option<&Lease>, change: impl FnOnce(&mut Spec)) -> Submission {
        let mut spec = Spec::of(Work::Command(Box::new(CommandSpec::of("true", &[], "/"))));
        spec.placement = Placement::Node(name("me"));
        change(&mut spec);
        let ctx = DecisionContext {
            now: self.clock.now(),
            awake: self.clock.awake(),
            chance: RandomBits(0),
            capabilities: Capabilities::ALL,
        };
        let (process, events) = Process::submit(&ctx, self.ids.process(), Lineage::default(), Arc::new(spec));
        Submission {
            process,
            events,
            limits: SubmitLimits { policy: PolicyVersion(0), slots: None, tree: TreeLimits::default() },
            claim_for: lease.map(|lease| ClaimRequest { lease: lease.clone(), roots: 100 }),
            fail_if_queued: false,
        }
    }

    /// As the owner of a process, commits an event with this fact.
    async fn write(&self, store: &OutboxStore, lease: &Lease, id: ProcessId, fact: Fact) -> Revision {
        let stored = store.load(&[id]).await.unwrap().remove(0).unwrap();
        let events = vec![Event { at: self.clock.now(), fact }];
        let mut next = stored.process.clone();
        next.evolve(&events);
        let change = Change {
            op: self.ids.op(),
            author: Writer::Owner(lease.clone()),
            expected: stored.revision,
            next,
            events,
            taken: ActionSeq(0),
            require_no_live_descendants: false,
        };
        store.commit(change).await.unwrap()
    }
}

fn facts(node: &str) -> NodeDescriptor {
    NodeDescriptor { id: name(node), home: None, boot: "boot".to_owned(), version: "1".to_owned() }
}

fn name(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

fn spawned() -> Fact {
    Fact::Spawned { pid: Some(7), containment: None, timeout_at: None }
}

/// As the owner of a process, commits that the process ended with exit code 0.
async fn end(node: &Node, store: &OutboxStore, lease: &Lease, id: ProcessId) {
    let exit = Exit {
        status: ExitStatus::Code(0),
        at: node.clock.now(),
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
    node.write(
        store,
        lease,
        id,
        Fact::Ended {
            ending: Ending::Completed { exit: Some(exit), result: None },
            live_stats: LiveStats::default(),
        },
    )
    .await;
}

fn page() -> PageRequest {
    PageRequest { order: SortOrder::NewestFirst, after: None, limit: 100 }
}

async fn recalled(store: &OutboxStore, id: ProcessId) -> Option<StoredProcess> {
    store.load_cached(&[id]).await.remove(0)
}

async fn there(remote: &Remote, id: ProcessId) -> Option<StoredProcess> {
    remote.load(&[id]).await.unwrap().remove(0)
}
