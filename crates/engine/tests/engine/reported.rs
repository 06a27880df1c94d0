use crate::world::{World, percent, reported, seconds};
use longhaul_domain::{
    Action, Ending, Interruption, JsonText, NoOpReason, NodeId, Policy, Progress, ProgressReport, Rejection,
    SlotKey, Spec, Stage, State, Status, StopCause,
};
use longhaul_engine::EngineError;
use longhaul_engine::ports::Clock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[tokio::test(start_paused = true)]
async fn it_runs_at_once_under_the_label_of_its_reporter() {
    let world = World::new().await;
    let node = NodeId::new("far-away").unwrap();
    let id = world.launch_spec(reported(|reported| reported.node = Some(node.clone()))).await;
    let stored = world.stored(id).await;
    assert_eq!((stored.process.status(), stored.process.node), (Status::Running, Some(node)));
    assert_eq!((stored.process.started_at, stored.owner), (Some(world.clock.now()), None));
}

#[tokio::test(start_paused = true)]
async fn the_same_end_again_changes_nothing_and_another_is_refused() {
    let world = World::new().await;
    let id = world.launch_spec(reported(|_| {})).await;
    let done = |text: &str| Action::Complete { result: Some(JsonText::checked(text.to_owned()).unwrap()) };
    let warnings = Warnings::default();
    let _listening = tracing::subscriber::set_default(warnings.clone());
    assert!(world.ask(id, done("1")).await.unwrap().changed);
    assert_eq!(warnings.count(), 0);
    let again = world.ask(id, done("2")).await.unwrap();
    assert_eq!(warnings.count(), 1, "a second report is a fault of the reporter");
    assert_eq!((again.changed, again.note), (false, Some(NoOpReason::NoChange)));
    let State::Ended(ended) = again.stored.process.state else { panic!("ended") };
    assert_eq!(ended.live_stats.progress, Some(Progress::DONE));
    assert!(matches!(ended.ending, Ending::Completed { result: Some(text), .. } if text.as_str() == "1"));
    let other = world.ask(id, Action::Fail { error: "no".to_owned() }).await;
    let refused = matches!(
        other,
        Err(EngineError::Rejected {
            rejection: Rejection::InvalidStatusTransition { from: Status::Completed, .. },
            ..
        })
    );
    assert!(refused, "{other:?}");
}

#[tokio::test(start_paused = true)]
async fn reports_are_shown_at_once_and_written_at_most_once_a_second() {
    let world = World::new().await;
    let id = world.launch_spec(reported(|_| {})).await;
    let before = world.store.calls().len();
    for percentage in 1..=50 {
        world.ask(id, percent(f64::from(percentage))).await.unwrap();
        assert_eq!(
            world.stored(id).await.live_stats.progress,
            Progress::from_percent(f64::from(percentage)).ok()
        );
    }
    let calls = world.store.calls();
    let writes =
        calls[before..].iter().filter(|call| **call == longhaul_testkit::fakes::PortCall::Touch).count();
    assert_eq!(writes, 1);
    world.pass(seconds(2)).await;
    let kept = longhaul_engine::ports::ProcessStore::load(world.store.as_ref(), &[id]).await.unwrap();
    assert_eq!(kept[0].as_ref().unwrap().live_stats.progress, Progress::from_percent(50.0).ok());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_stage_is_an_event() {
    let world = World::new().await;
    let id = world.launch_spec(reported(|_| {})).await;
    let stage = |name: &str| {
        Action::Progress(ProgressReport {
            stage: Some(Stage::new(name).unwrap()),
            ..ProgressReport::default()
        })
    };
    let first = world.ask(id, stage("copy")).await.unwrap().stored.revision;
    assert_eq!(world.ask(id, stage("copy")).await.unwrap().stored.revision, first);
    assert!(world.ask(id, stage("verify")).await.unwrap().stored.revision > first);
    assert_eq!(world.stored(id).await.live_stats.stage, Stage::new("verify").ok());
}

#[tokio::test(start_paused = true)]
async fn a_missed_heartbeat_interrupts_and_a_report_is_a_heartbeat() {
    let world = World::new().await;
    let id = world.launch_spec(reported(|reported| reported.heartbeat = Some(seconds(10)))).await;
    for _ in 0..5 {
        world.pass(seconds(8)).await;
        world.ask(id, percent(1.0)).await.unwrap();
    }
    assert_eq!(world.status(id).await, Status::Running);
    world.pass(seconds(11)).await;
    assert_eq!(world.status(id).await, Status::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn a_missing_manager_does_not_count_as_a_missed_heartbeat() {
    let mut world = World::new().await;
    let id = world.launch_spec(reported(|reported| reported.heartbeat = Some(seconds(10)))).await;
    world.engine.abandon();
    world.pass(seconds(100)).await;
    world.crash().await;
    assert_eq!(world.status(id).await, Status::Running);
    let begun = world.stored(id).await.process.started_at.unwrap();
    world.pass(seconds(11)).await;
    let State::Ended(ended) = world.stored(id).await.process.state else { panic!("ended") };
    let why = Interruption::HeartbeatMissed { last: begun };
    assert_eq!(ended.ending, Ending::Interrupted { why }, "the last heartbeat was the start");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_waits_for_the_reporter_or_for_its_grace() {
    let world = World::new().await;
    let (silent, polite) =
        (world.launch_spec(reported(|_| {})).await, world.launch_spec(reported(|_| {})).await);
    world.cancel(silent).await;
    world.cancel(polite).await;
    assert_eq!(world.status(polite).await, Status::Stopping);
    world.ask(polite, Action::Fail { error: "stopped".to_owned() }).await.unwrap();
    assert_eq!(world.status(polite).await, Status::Cancelled);
    world.pass(seconds(59)).await;
    assert_eq!(world.status(silent).await, Status::Stopping);
    world.pass(seconds(2)).await;
    assert_eq!(world.status(silent).await, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn queued_reported_work_waits_for_its_slot_and_gives_it_back() {
    let policy = Policy { slots: BTreeMap::from([("k".to_owned(), 1)]), ..Policy::default() };
    let world = World::with(|settings| settings.policy = Some(policy)).await;
    let queued = || Spec { key: SlotKey::new("k").ok(), ..reported(|reported| reported.queued = true) };
    let (first, second) = (world.launch_spec(queued()).await, world.launch_spec(queued()).await);
    world.settle().await;
    assert_eq!((world.status(first).await, world.status(second).await), (Status::Running, Status::Pending));
    assert_eq!(world.stored(first).await.owner, None);
    world.ask(first, Action::Complete { result: None }).await.unwrap();
    world.settle().await;
    assert_eq!(world.status(second).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn pause_of_reported_work_is_unsupported() {
    let world = World::new().await;
    let id = world.launch_spec(reported(|_| {})).await;
    let refused = world.ask(id, Action::Pause).await;
    assert!(
        matches!(refused, Err(EngineError::Rejected { rejection: Rejection::Unsupported { .. }, .. })),
        "{refused:?}"
    );
    let _ = StopCause::User;
}

/// Counts the warnings in the log.
#[derive(Clone, Debug, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Warnings {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("longhaul")
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, _event: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}
