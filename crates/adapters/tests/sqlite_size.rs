//! Measures the bytes that each kind of change writes to the SQLite log. The numbers are the same on every machine.
#![cfg(feature = "sqlite")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement prints what it found, and a test fails by panicking"
)]

use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_domain::*;
use longhaul_ports::*;
use longhaul_testkit::fakes::{SequentialIds, VirtualClock};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A store, and a second connection that empties the log before each measurement.
struct Scale {
    store: SqliteStore,
    lease: Lease,
    ids: SequentialIds,
    beside: Connection,
    log: PathBuf,
    written: BTreeMap<&'static str, Vec<u64>>,
}

impl Scale {
    async fn new(directory: &Path) -> Self {
        let path = directory.join("store.db");
        let clock = Arc::new(VirtualClock::default());
        let store = SqliteStore::open(&path, clock, SqliteOptions::default()).unwrap();
        let me = NodeDescriptor {
            id: NodeId::new("n").unwrap(),
            home: None,
            boot: String::new(),
            version: String::new(),
        };
        let beside = Connection::open(&path).unwrap();
        // Syncing is disabled because it takes long, and because the checkpoints of this connection need not survive a
        // power cut.
        beside.execute_batch("PRAGMA synchronous = OFF").unwrap();
        Self {
            lease: store.register(&me).await.unwrap(),
            store,
            ids: SequentialIds::default(),
            beside,
            log: directory.join("store.db-wal"),
            written: BTreeMap::new(),
        }
    }

    /// Runs a step and records the number of bytes that it writes to the log.
    async fn weigh<T>(&mut self, name: &'static str, step: impl AsyncFn(&Self) -> T) -> T {
        let emptied = self.beside.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        assert_eq!(emptied, Ok(0), "no reader uses the log");
        let done = step(self).await;
        let bytes = std::fs::metadata(&self.log).unwrap().len();
        // Subtract the log header of 32 bytes, which is not part of the change.
        self.written.entry(name).or_default().push(bytes.saturating_sub(32));
        done
    }

    fn submission(&self, child_of: Option<&Process>, claimed: bool) -> Submission {
        let mut command = CommandSpec::of("/usr/bin/make", &["-j2", "check"], "/home/someone/project");
        command.environment.captured = Some(EnvironmentHash("0".repeat(64)));
        let mut spec = Spec::of(Work::Command(Box::new(command)));
        let id = self.ids.process();
        let one_of = id.as_uuid().as_bytes()[0] % 7;
        spec.session = Some(SessionId::new(&format!("session-{one_of}")).unwrap());
        spec.project = Some(ProjectName::new("project").unwrap());
        spec.key = Some(SlotKey::new(&format!("key-{}", one_of % 3)).unwrap());
        let lineage = child_of.map_or_else(Lineage::default, |parent| parent.lineage.child_of(parent.id));
        let context = context(1);
        let (process, events) = Process::submit(&context, id, lineage, Arc::new(spec));
        let claimant = ClaimRequest { lease: self.lease.clone(), roots: 100_000 };
        Submission {
            process,
            events,
            limits: SubmitLimits {
                policy: PolicyVersion(0),
                slots: None,
                tree: TreeLimits { per_level: 100_000, ..TreeLimits::default() },
            },
            claim_for: claimed.then_some(claimant),
            fail_if_queued: false,
        }
    }

    async fn see(&self, id: ProcessId, input: Observation) {
        let stored = self.store.load(&[id]).await.unwrap().remove(0).unwrap();
        let step =
            stored.process.decide(&context(2), &stored.live_stats, &Input::Observation(input)).unwrap();
        let mut next = stored.process.clone();
        next.evolve(&step.events);
        let author = stored.owner.map_or(Writer::Anyone, Writer::Owner);
        let change = Change {
            op: self.ids.op(),
            author,
            expected: stored.revision,
            next,
            events: step.events,
            taken: ActionSeq(0),
            require_no_live_descendants: false,
        };
        self.store.commit(change).await.unwrap();
    }
}

#[tokio::test]
async fn a_change_writes_a_few_pages() {
    let directory = tempfile::tempdir().unwrap();
    let mut scale = Scale::new(directory.path()).await;
    for _ in 0..rounds() {
        live(&mut scale).await;
    }
    let pages: u32 = scale.beside.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let page: u32 = scale.beside.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    let (pages, page) = (u64::from(pages), u64::from(page));
    let records = rounds() * 3;
    println!("{} bytes a record, with all its events and labels", pages * page / records);
    for (what, sql) in [
        ("launch spec", "SELECT avg(length(spec)) FROM process"),
        ("ended process", "SELECT avg(length(life)) FROM process"),
        ("an event", "SELECT avg(length(body)) FROM event"),
    ] {
        let mean: f64 = scale.beside.query_row(sql, [], |row| row.get(0)).unwrap();
        println!("{what}: {mean:.0} bytes");
    }
    let mut too_much = Vec::new();
    for (name, limit) in [
        ("submit", 7),
        ("submit of a child", 8),
        ("submit and claim", 8),
        ("claim", 6),
        ("spawned", 4),
        ("exited", 7),
        ("touch", 2),
        ("pending_action", 3),
    ] {
        let mut written = scale.written.remove(name).unwrap();
        written.sort_unstable();
        let count = u64::try_from(written.len()).unwrap();
        let mean = written.iter().sum::<u64>() / count;
        let at = |percent: usize| written[(written.len() - 1) * percent / 100] / (page + 24);
        println!("{name}: {mean} bytes, p50 {} p99 {} most {} pages", at(50), at(99), at(100));
        if mean > limit * (page + 24) {
            too_much.push(name);
        }
    }
    assert!(too_much.is_empty(), "{too_much:?}");
}

/// Runs three processes until they end: a process that is claimed after waiting, a process that is claimed when it is
/// submitted, and a child of the second process.
async fn live(scale: &mut Scale) {
    let new = scale.submission(None, false);
    let waiter = new.process.clone();
    scale.weigh("submit", async |scale| scale.store.submit(new.clone()).await.unwrap()).await;
    let room =
        ClaimCapacity { roots: 100_000, batch: 1, classes: vec![PlacementClass::Shared(Placement::Here)] };
    let claimed =
        scale.weigh("claim", async |scale| scale.store.claim(&scale.lease, &room).await.unwrap()).await;
    assert_eq!(claimed[0].process.id, waiter.id);
    let new = scale.submission(None, true);
    let root = new.process.clone();
    scale.weigh("submit and claim", async |scale| scale.store.submit(new.clone()).await.unwrap()).await;
    let new = scale.submission(Some(&root), true);
    let child = new.process.id;
    scale.weigh("submit of a child", async |scale| scale.store.submit(new.clone()).await.unwrap()).await;
    for id in [waiter.id, root.id, child] {
        let spawned = Observation::Spawned {
            attempt: AttemptNo(1),
            pid: Some(4_711),
            containment: Some(Containment::Cgroup),
            at: Timestamp(2),
        };
        scale.weigh("spawned", async |scale| scale.see(id, spawned.clone()).await).await;
        let author = Writer::Owner(scale.lease.clone());
        let live_stats =
            LiveStats { progress: Some(Progress::from_hundredths(1_234)), ..LiveStats::default() };
        let live_stats = [(id, AttemptNo(1), live_stats)];
        let touch = async |scale: &Scale| scale.store.update_live_stats(&author, &live_stats).await.unwrap();
        assert!(scale.weigh("touch", touch).await[0].is_ok());
        let op = scale.ids.op();
        let action =
            async |scale: &Scale| scale.store.enqueue_action(&id, op, PendingAction::Pause).await.unwrap();
        scale.weigh("pending_action", action).await;
    }
    for id in [child, root.id, waiter.id] {
        let exit = Exit {
            status: ExitStatus::Code(0),
            at: Timestamp(3),
            stopped: None,
            last_signal: None,
            leftovers_killed: 0,
            leftovers_found: 0,
            limit: None,
            usage: Usage::default(),
            output_bytes: 4_321,
            dropped_bytes: 0,
            started_at: None,
            circumstances: ExitCircumstances::PLAIN,
            first_error: None,
        };
        let exited = Observation::Exited { attempt: AttemptNo(1), exit };
        scale.weigh("exited", async |scale| scale.see(id, exited.clone()).await).await;
    }
}

fn rounds() -> u64 {
    std::env::var("LONGHAUL_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(100)
}

fn context(now: i64) -> DecisionContext {
    DecisionContext {
        now: Timestamp(now),
        awake: AwakeTime(now),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    }
}
