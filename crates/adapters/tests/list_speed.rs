//! Measures the time to list a page of 50 records out of 100,000. Run by hand, in release mode: `cargo test --release
//! -p longhaul-adapters --features sqlite --test list_speed -- --ignored --nocapture`.
#![cfg(feature = "sqlite")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement prints what it found and stops where it cannot go on"
)]

use longhaul_adapters::memory::MemoryStore;
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_domain::*;
use longhaul_ports::*;
use longhaul_testkit::fakes::{SequentialIds, VirtualClock};
use std::sync::Arc;
use std::time::{Duration, Instant};

const RECORDS: usize = 100_000;
/// Number of records with rare values, such as the name `rare`. These are the oldest records.
const RARE: usize = 20;

#[ignore = "a measurement, which needs an idle machine"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_many_records_is_fast_whatever_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(VirtualClock::default());
    let sqlite =
        SqliteStore::open(&directory.path().join("store.db"), clock.clone(), SqliteOptions::default())
            .unwrap();
    let stores: [(&str, Arc<dyn Store>); 2] =
        [("memory", Arc::new(MemoryStore::new(clock))), ("sqlite", Arc::new(sqlite))];
    for (name, store) in stores {
        let begun = Instant::now();
        fill(&store).await;
        println!(
            "{name:>7} filled: {:.0} writes a second",
            2.0 * RECORDS as f64 / begun.elapsed().as_secs_f64()
        );
        let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 50 };
        for (what, filter) in filters(&store).await {
            let mut spans = Vec::new();
            let mut found = 0;
            for _ in 0..20 {
                let begun = Instant::now();
                found = store.list(&filter, &page).await.unwrap().processes.len();
                spans.push(begun.elapsed());
            }
            spans.sort_unstable();
            let slow = if spans[10] > Duration::from_millis(5) { "  SLOW" } else { "" };
            println!(
                "{name:>7} {what:<28} {found:>3} found, p50 {:?}, most {:?}{slow}",
                spans[10], spans[19]
            );
        }
    }
}

async fn filters(store: &Arc<dyn Store>) -> Vec<(&'static str, ProcessFilter)> {
    let oldest = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 1 };
    let oldest =
        store.list(&ProcessFilter::default(), &oldest).await.unwrap().processes[0].process.id.to_string();
    let none = ProcessFilter::default;
    let live = vec![Status::Pending, Status::Starting, Status::Running, Status::Paused, Status::Stopping];
    vec![
        ("all", none()),
        ("id prefix of 8", ProcessFilter { id_prefix: Some(oldest[..8].to_owned()), ..none() }),
        ("id prefix of 4", ProcessFilter { id_prefix: Some(oldest[..4].to_owned()), ..none() }),
        ("id prefix of none", ProcessFilter { id_prefix: Some("0000-".to_owned()), ..none() }),
        ("id prefix of 1", ProcessFilter { id_prefix: Some(oldest[..1].to_owned()), ..none() }),
        ("rare name", ProcessFilter { name: ProcessName::new("rare").ok(), ..none() }),
        ("unknown name", ProcessFilter { name: ProcessName::new("unknown").ok(), ..none() }),
        ("common name", ProcessFilter { name: ProcessName::new("common").ok(), ..none() }),
        ("rare project", ProcessFilter { project: ProjectName::new("rare").ok(), ..none() }),
        ("common project", ProcessFilter { project: ProjectName::new("common").ok(), ..none() }),
        ("rare key", ProcessFilter { key: SlotKey::new("rare").ok(), ..none() }),
        ("rare agent", ProcessFilter { agent: AgentId::new("rare").ok(), ..none() }),
        (
            "live of a rare agent",
            ProcessFilter { agent: AgentId::new("rare").ok(), statuses: live.clone(), ..none() },
        ),
        (
            "live of a common agent",
            ProcessFilter { agent: AgentId::new("common").ok(), statuses: live.clone(), ..none() },
        ),
        ("rare session", ProcessFilter { session: SessionId::new("rare").ok(), ..none() }),
        ("rare type", ProcessFilter { kind: Some(ProcessType::Server), ..none() }),
        ("rare node", ProcessFilter { node: NodeId::new("rare").ok(), ..none() }),
        ("level 1", ProcessFilter { level: Some(Level(1)), ..none() }),
        ("live", ProcessFilter { statuses: live.clone(), ..none() }),
        (
            "live of a project",
            ProcessFilter { statuses: live, project: ProjectName::new("common").ok(), ..none() },
        ),
        ("failed", ProcessFilter { statuses: vec![Status::Failed], ..none() }),
        ("interrupted", ProcessFilter { statuses: vec![Status::Interrupted], ..none() }),
        ("ended", ProcessFilter { statuses: vec![Status::Completed, Status::Failed], ..none() }),
    ]
}

async fn fill(store: &Arc<dyn Store>) {
    let ids = Arc::new(SequentialIds::default());
    let root = put(store, &ids, 0, None).await;
    let fill: Vec<_> = (0..64)
        .map(|writer| {
            let (store, ids, root) = (Arc::clone(store), Arc::clone(&ids), root);
            tokio::spawn(async move {
                for turn in 0..RECORDS / 64 {
                    let number = 1 + turn * 64 + writer;
                    let parent = (number < RARE).then_some(root);
                    put(&store, &ids, number, parent).await;
                }
            })
        })
        .collect();
    for fill in fill {
        fill.await.unwrap();
    }
}

/// Stores the record with this number. All processes end, except the first process and one in every thousand.
async fn put(
    store: &Arc<dyn Store>,
    ids: &SequentialIds,
    number: usize,
    parent: Option<ProcessId>,
) -> ProcessId {
    let id = ids.process();
    let rare = number < RARE;
    let which = if rare { "rare" } else { "common" };
    let mut spec =
        Spec::of(Work::Reported(ReportedSpec { node: NodeId::new(which).ok(), ..ReportedSpec::default() }));
    spec.name = ProcessName::new(which).ok();
    spec.project = ProjectName::new(which).ok();
    spec.key = SlotKey::new(which).ok();
    spec.session = SessionId::new(which).ok();
    spec.agent.agent_id = AgentId::new(which).ok();
    spec.kind = if rare { ProcessType::Server } else { ProcessType::default() };
    let ctx = DecisionContext {
        now: Timestamp(1),
        awake: AwakeTime(1),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    };
    let lineage = parent.map_or_else(Lineage::default, |parent| Lineage::default().child_of(parent));
    let (process, events) = Process::submit(&ctx, id, lineage, Arc::new(spec));
    let limits = SubmitLimits {
        policy: PolicyVersion(0),
        slots: None,
        tree: TreeLimits { max_level: Level(9), per_level: 900 },
    };
    let new = Submission { process: process.clone(), events, limits, claim_for: None, fail_if_queued: false };
    let SubmitOutcome::Waiting(stored) = store.submit(new).await.unwrap() else { panic!() };
    if number > 0 && number % 1_000 != 500 {
        let input = if rare {
            Input::Action(Action::Fail { error: "no".to_owned() })
        } else {
            Input::Action(Action::Complete { result: None })
        };
        let step = process.decide(&ctx, &LiveStats::default(), &input).unwrap();
        let mut next = process;
        next.evolve(&step.events);
        let change = Change {
            op: ids.op(),
            author: Writer::Anyone,
            expected: stored.revision,
            next,
            events: step.events,
            taken: ActionSeq(0),
            require_no_live_descendants: false,
        };
        store.commit(change).await.unwrap();
    }
    id
}
