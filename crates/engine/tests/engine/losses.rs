//! Tests with a shared store that loses data or is unreachable, and with nodes that keep their own copies.

use crate::nodes::{Cluster, GRACE, LEASE, Node, anywhere, id};
use crate::world::{command, seconds};
use longhaul_domain::{Action, Deadline, LaunchKey, ProcessId, ProcessName, Spec, Status, StopCause};
use longhaul_engine::ports::{
    Clock, NodeDescriptor, PageRequest, ProcessFilter, ProcessStore, SortOrder, StoreError,
};
use longhaul_engine::{
    EngineError, EngineSettings, Launch, LaunchBlocked, LaunchOutcome, Launcher, WaitCondition, WaitMode,
    WaitReason,
};
use longhaul_testkit::fakes::{Fault, OutboxFake, PortCall, ScriptedSpawner, SequentialIds};
use std::sync::Arc;
use std::time::Duration;

impl Cluster {
    /// Starts a node that keeps copies of its records and accepts launches while the store is unreachable.
    async fn keeping(&self, name: &str, seed: u64) -> Node {
        let facts =
            NodeDescriptor { id: id(name), home: None, boot: "b".to_owned(), version: "0".to_owned() };
        let spawner = Arc::new(ScriptedSpawner::new(self.clock.clone()));
        let ids = Arc::new(SequentialIds::seeded(seed));
        let (restore, clock, node) =
            (Arc::new(self.store.clone()), Arc::new(self.clock.clone()), facts.id.clone());
        self.start_on(EngineSettings::of(facts), spawner, ids, |cut| {
            Arc::new(OutboxFake::new(cut, restore, clock, node).accepting_alone())
        })
        .await
    }

    /// Returns the status of a process in the store.
    async fn recorded(&self, process: ProcessId) -> Option<Status> {
        let found = self.store.load(&[process]).await.unwrap().pop().flatten();
        found.map(|stored| stored.process.status())
    }
}

impl Node {
    async fn try_launch(&self, spec: Spec, no_queue: bool) -> Result<LaunchOutcome, EngineError> {
        let launch = Launch { spec, parent: None, launcher: Launcher::Parent, captured: None, no_queue };
        self.engine.launch(launch).await
    }

    async fn listed(&self) -> Vec<ProcessId> {
        let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 100 };
        let listing = self.engine.list(&ProcessFilter::default(), &page).await.unwrap();
        listing.processes.iter().map(|stored| stored.process.id).collect()
    }
}

fn unavailable<T>(answer: &Result<T, EngineError>) -> bool {
    matches!(answer, Err(EngineError::Store { source: StoreError::Unavailable { .. } }))
}

#[tokio::test(start_paused = true)]
async fn records_that_the_store_lost_are_restored_and_nothing_runs_twice() {
    let cluster = Cluster::new();
    let a = cluster.keeping("a", 1).await;
    let (process, ended) = (a.launch(command("run")).await, a.launch(command("exit 0 100")).await);
    cluster.pass(seconds(3)).await;
    cluster.store.lose_everything();
    cluster.pass(seconds(5)).await;
    assert_eq!(cluster.recorded(process).await, Some(Status::Running));
    assert_eq!(cluster.recorded(ended).await, Some(Status::Completed));
    cluster.pass(seconds(120)).await;
    assert_eq!((a.spawner.runs(process), a.spawner.runs(ended)), (1, 1));
    a.tell(process, Action::Cancel { cause: StopCause::User }).await;
    cluster.pass(seconds(2)).await;
    assert_eq!(cluster.recorded(process).await, Some(Status::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_store_with_older_data_gets_the_later_records_again() {
    let cluster = Cluster::new();
    let a = cluster.keeping("a", 1).await;
    let process = a.launch(command("exit 3 2000")).await;
    cluster.pass(seconds(1)).await;
    let before = cluster.store.snapshot();
    let later = a.launch(command("run")).await;
    cluster.pass(seconds(3)).await;
    assert_eq!(a.status(process).await, Status::Failed);
    cluster.store.go_back(&before);
    cluster.pass(seconds(5)).await;
    assert_eq!(cluster.recorded(process).await, Some(Status::Failed));
    assert_eq!(cluster.recorded(later).await, Some(Status::Running));
    assert_eq!((a.spawner.runs(process), a.spawner.runs(later)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_nothing_starts_until_every_node_could_restore_its_records() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.keeping("a", 1).await, cluster.node("b", 2).await);
    let process = a.launch(command("run")).await;
    cluster.pass(seconds(3)).await;
    assert_eq!(a.engine.starts_blocked_until(&a.stored(process).await), None);
    let elsewhere = a.stored(b.launch(command("run")).await).await;
    cluster.store.lose_everything();
    cluster.pass(seconds(2)).await;
    let later = a.launch(command("run")).await;
    cluster.pass(Duration::from_millis(100)).await;
    let stored = a.stored(later).await;
    assert_eq!(stored.process.status(), Status::Pending);
    let until = a.engine.starts_blocked_until(&stored).unwrap();
    let now = a.engine.now();
    assert!(until > now && until <= now.plus(LEASE), "{until:?} at {now:?}");
    assert_eq!(a.engine.starts_blocked_until(&elsewhere), None, "it does not run here");
    let why = a.engine.why(later).await.unwrap();
    assert!(
        matches!(why, WaitReason::Settling { until: reported, position: 1, .. } if reported == until),
        "{why:?}"
    );
    let refused = a.try_launch(command("run"), true).await;
    assert!(
        matches!(refused, Err(EngineError::CannotStartNow { standstill: LaunchBlocked::Settles })),
        "{refused:?}"
    );
    cluster.clock.run_for(until.since(now)).await;
    cluster.pass(Duration::from_millis(500)).await;
    assert_eq!(a.status(later).await, Status::Running);
    assert_eq!(a.engine.starts_blocked_until(&stored), None);
}

#[tokio::test(start_paused = true)]
async fn launch_with_a_key_waits_until_the_holder_of_its_key_could_be_restored() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.keeping("a", 1).await, cluster.keeping("b", 2).await);
    let keyed = || Spec { launch_key: LaunchKey::new("once").ok(), ..anywhere("run") };
    let first = b.launch(keyed()).await;
    cluster.pass(seconds(3)).await;
    // Only the first node detects the loss. The other node restores the record a while later.
    b.cut(true);
    cluster.store.lose_everything();
    cluster.pass(seconds(2)).await;
    let began = a.engine.now();
    let again = a.try_launch(keyed(), false);
    let restored = async {
        let until = cluster.clock.awake().plus(seconds(1));
        cluster.clock.sleep_until(Deadline::Awake(until)).await;
        b.cut(false);
    };
    let both = async { tokio::join!(again, restored).0 };
    let again = cluster.clock.run_until(seconds(60), both).await.unwrap().unwrap();
    assert!(a.engine.now().since(began) >= seconds(1), "it waited");
    assert_eq!((again.stored.process.id, again.created), (first, false));
}

#[tokio::test(start_paused = true)]
async fn live_process_is_shown_from_the_copy_while_its_record_is_lost_and_accepts_nothing() {
    let cluster = Cluster::new();
    let a = cluster.keeping("a", 1).await;
    let (process, ended) = (a.launch(command("run")).await, a.launch(command("exit 0 100")).await);
    cluster.pass(seconds(3)).await;
    let before = cluster.store.snapshot();
    a.tell(process, Action::Pause).await;
    cluster.pass(Duration::from_millis(100)).await;
    cluster.store.lose_everything();
    assert_eq!(a.status(process).await, Status::Paused);
    let gone = a.engine.process(ended).await;
    assert!(matches!(gone, Err(EngineError::NotFound { .. })), "it may have been pruned: {gone:?}");
    let waited = a.engine.wait(&[process], WaitCondition::Running, WaitMode::All, None).await.unwrap();
    assert_eq!(waited.processes[0].process.status(), Status::Paused);
    let refused = a.engine.command(process, Action::Resume, None).await;
    assert!(unavailable(&refused), "{refused:?}");
    let unknown = SequentialIds::seeded(77);
    let unknown = longhaul_engine::ports::IdSource::process(&unknown);
    let refused = a.engine.command(unknown, Action::Resume, None).await;
    assert!(matches!(refused, Err(EngineError::NotFound { .. })), "{refused:?}");
    cluster.pass(seconds(10)).await;
    assert_eq!(cluster.recorded(process).await, Some(Status::Paused), "it was restored");
    cluster.store.go_back(&before);
    let refused = a.engine.command(process, Action::Resume, None).await;
    assert!(unavailable(&refused), "its revision is older than that of the copy: {refused:?}");
    cluster.pass(seconds(10)).await;
    a.tell(process, Action::Resume).await;
    assert_eq!(cluster.recorded(process).await, Some(Status::Running));
}

#[tokio::test(start_paused = true)]
async fn end_that_is_observed_while_its_record_is_lost_is_recorded_after_the_restore() {
    let cluster = Cluster::new();
    let a = cluster.keeping("a", 1).await;
    let process = a.launch(command("exit 4 3000")).await;
    cluster.pass(Duration::from_millis(2_950)).await;
    let before = cluster.store.snapshot();
    cluster.store.lose_everything();
    cluster.pass(seconds(5)).await;
    assert_eq!(cluster.recorded(process).await, Some(Status::Failed));
    cluster.store.go_back(&before);
    cluster.pass(seconds(10)).await;
    assert_eq!(cluster.recorded(process).await, Some(Status::Failed));
    assert_eq!(a.spawner.runs(process), 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_store_a_node_shows_its_own_work_and_stops_it() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.keeping("a", 1).await, cluster.node("b", 2).await);
    let named = Spec { name: ProcessName::new("web").ok(), ..command("run") };
    let (own, other) = (a.launch(named).await, b.launch(command("run")).await);
    let ended = a.launch(command("exit 0 100")).await;
    cluster.pass(seconds(3)).await;
    assert_eq!(a.engine.away_since(), None);
    assert_eq!(a.listed().await.len(), 3);
    a.cut(true);
    let cut = a.engine.now();
    cluster.pass(seconds(2)).await;
    let away = a.engine.away_since().unwrap();
    assert!(away >= cut && away <= cut.plus(seconds(2)), "{away:?}");
    assert_eq!((a.status(own).await, a.status(ended).await), (Status::Running, Status::Completed));
    assert!(unavailable(&a.engine.process(other).await));
    assert_eq!(a.listed().await, [own, ended]);
    assert_eq!(a.engine.find("web").await.unwrap(), own);
    let unknown = a.engine.find("nothing").await;
    assert!(unavailable(&unknown), "another node may have it: {unknown:?}");
    let stop = Action::Cancel { cause: StopCause::User };
    let revision = a.stored(own).await.revision;
    let refused = a.engine.command(own, stop.clone(), Some(revision)).await;
    assert!(unavailable(&refused), "the node does not know if this is the latest revision: {refused:?}");
    cluster.pass(seconds(1)).await;
    assert_eq!(a.spawner.live().len(), 1);
    let stopped = a.engine.command(own, stop, None).await;
    assert!(matches!(stopped, Err(EngineError::StopUnrecorded { .. })), "{stopped:?}");
    let paused = a.engine.command(ended, Action::Pause, None).await;
    assert!(unavailable(&paused), "the copy may be outdated: {paused:?}");
    cluster.pass(seconds(1)).await;
    assert_eq!(a.spawner.live(), []);
    a.cut(false);
    cluster.pass(seconds(10)).await;
    assert_eq!((a.engine.away_since(), cluster.recorded(own).await), (None, Some(Status::Cancelled)));
    assert!(matches!(a.engine.find("nothing").await, Err(EngineError::NotFound { .. })));
}

#[tokio::test(start_paused = true)]
async fn launch_that_was_accepted_without_the_store_runs_at_once_and_is_recorded_later() {
    let cluster = Cluster::new();
    let a = cluster.keeping("a", 1).await;
    cluster.pass(seconds(3)).await;
    a.cut(true);
    cluster.pass(seconds(1)).await;
    let process = a.launch(command("exit 0 60000")).await;
    assert!(a.engine.is_local_only(process));
    // No other node can start the process, so the end of the lease does not matter.
    cluster.pass(LEASE + GRACE).await;
    let late = a.try_launch(command("run"), false).await;
    assert!(unavailable(&late), "without a lease nothing more is accepted: {late:?}");
    assert_eq!(a.spawner.live().len(), 1);
    a.cut(false);
    cluster.pass(seconds(10)).await;
    assert!(!a.engine.is_local_only(process));
    assert_eq!(cluster.recorded(process).await, Some(Status::Running));
    cluster.pass(seconds(60)).await;
    assert_eq!(cluster.recorded(process).await, Some(Status::Completed));
    assert_eq!(a.spawner.runs(process), 1);
}

#[tokio::test(start_paused = true)]
async fn observation_is_not_decided_on_a_record_that_is_older_than_the_copy() {
    let cluster = Cluster::new();
    let a = cluster.keeping("a", 1).await;
    let process = a.launch(command("exit 4 5000")).await;
    cluster.pass(seconds(2)).await;
    let before = cluster.store.snapshot();
    a.tell(process, Action::Pause).await;
    a.tell(process, Action::Resume).await;
    cluster.pass(seconds(2)).await;
    cluster.store.go_back(&before);
    // The lost record cannot be restored for a while, and the command exits during that time.
    for _ in 0..20 {
        a.trouble.fail_on(PortCall::Events, 1, Fault::Unavailable);
    }
    cluster.pass(seconds(3)).await;
    assert_eq!(cluster.recorded(process).await, Some(Status::Running));
    cluster.pass(seconds(30)).await;
    let found = cluster.store.load(&[process]).await.unwrap().pop().flatten().unwrap();
    assert_eq!(found.process.status(), Status::Failed);
    let facts = a.engine.log(None, 1_000, false).await.unwrap().events;
    let ends = facts.iter().filter(|logged| {
        logged.id == process && matches!(logged.event.fact, longhaul_domain::Fact::Ended { .. })
    });
    assert_eq!(ends.count(), 1);
    assert_eq!(a.spawner.runs(process), 1);
}
